//! The tree of an archive's entries, and its hash.
//!
//! A node is hashed as CBOR (RFC 8949): of a file, a map of its metadata `m` and the hash of its content `h`; of a
//! directory, a map of its metadata and `l`, a list of indefinite length with the hashes of its files and directories.
//! The hash of the outermost directory is that of the archive. Its order is that of paths as bytes, where those of
//! directories end with `/`.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha384};

use super::archive::{Entry, Kind};
use super::limits::{ScanError, ScanLimits, quote};
use super::pax::Attributes;
use crate::domain::ware::HASH;

/// Memory of a node beside its path and its metadata, in bytes.
const NODE: usize = 128;
/// The time of directories that no entry describes: 2010-01-01T00:00:00Z.
const UNKNOWN_TIME: i64 = 1_262_304_000;

/// A node of the tree.
enum Node {
    /// A file, by the hash of its node.
    File(Box<[u8; HASH]>),
    /// A directory, by the beginning of its node; `None` until an entry describes it.
    Directory(Option<Box<[u8]>>),
    Uncovered,
}

/// The entries by their paths; those of directories end with `/`, but for the outermost, which is empty.
pub(super) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    limits: ScanLimits,
    memory: usize,
}

impl Tree {
    pub(super) fn new(limits: ScanLimits) -> Self {
        Self { nodes: BTreeMap::new(), limits, memory: 0 }
    }

    /// Adds an entry, with the hash of its content if it is a file.
    pub(super) fn add(&mut self, entry: &Entry, content: Option<&[u8; HASH]>) -> Result<(), ScanError> {
        let path = &entry.path[..];
        let begin = || beginning(entry);
        let (key, node) = match (entry.kind, content) {
            (Kind::Directory, _) => (directory(path), Node::Directory(Some(begin().into()))),
            (Kind::File, Some(content)) if !path.is_empty() => {
                (path.to_vec(), Node::File(Box::new(file(begin(), content))))
            }
            (Kind::Uncovered, _) if !path.is_empty() => (path.to_vec(), Node::Uncovered),
            _ => return Err(ScanError::invalid("its outermost directory is no directory")),
        };
        self.add_parents(path)?;
        // A directory that was only inferred may be described later.
        let is_there = !matches!(self.nodes.get(&key), None | Some(Node::Directory(None)));
        let other = if entry.kind == Kind::Directory { path.to_vec() } else { directory(path) };
        if is_there || (!path.is_empty() && self.nodes.contains_key(&other)) {
            return Err(ScanError::invalid(format!("{:?} is there twice", quote(path))));
        }
        self.insert(key, node)
    }

    /// Adds the directories above a path that are not there yet.
    fn add_parents(&mut self, path: &[u8]) -> Result<(), ScanError> {
        let mut end = path.len();
        while end > 0 {
            end = path[..end].iter().rposition(|byte| *byte == b'/').unwrap_or_default();
            let key = directory(&path[..end]);
            if self.nodes.contains_key(&key) {
                return Ok(());
            }
            if end > 0 && self.nodes.contains_key(&path[..end]) {
                let (path, parent) = (quote(path), quote(&path[..end]));
                return Err(ScanError::invalid(format!("{path:?} is below {parent:?}, which is no directory")));
            }
            self.insert(key, Node::Directory(None))?;
        }
        Ok(())
    }

    fn insert(&mut self, key: Vec<u8>, node: Node) -> Result<(), ScanError> {
        let ScanLimits { entries, memory, .. } = self.limits;
        let own = if let Node::Directory(Some(head)) = &node { head.len() } else { 0 };
        self.memory += NODE + key.len() + own;
        self.nodes.insert(key, node);
        if self.nodes.len() > entries {
            return Err(ScanError::TooLarge(format!("{entries} entries")));
        }
        if self.memory > memory {
            return Err(ScanError::TooLarge(format!("{memory} bytes of names and attributes")));
        }
        Ok(())
    }

    /// The hash of all.
    pub(super) fn hash(self) -> Result<[u8; HASH], ScanError> {
        // The directories that are being hashed, outermost first.
        let mut open: Vec<(&[u8], Sha384)> = Vec::new();
        for (key, node) in &self.nodes {
            while open.last().is_some_and(|(directory, _)| !key.starts_with(directory)) {
                close(&mut open);
            }
            match node {
                Node::File(hash) => hand_up(&mut open, hash),
                Node::Directory(head) => {
                    let mut hasher = Sha384::new();
                    match head {
                        Some(head) => hasher.update(head),
                        None => hasher.update(inferred(key)),
                    }
                    open.push((key, hasher));
                }
                Node::Uncovered => {}
            }
        }
        while open.len() > 1 {
            close(&mut open);
        }
        let (_, outermost) = open.pop().ok_or_else(|| ScanError::invalid("it is empty"))?;
        Ok(end(outermost))
    }
}

/// Ends the innermost directory, and adds its hash to the one around it.
fn close(open: &mut Vec<(&[u8], Sha384)>) {
    if let Some((_, hasher)) = open.pop() {
        hand_up(open, &end(hasher));
    }
}

fn hand_up(open: &mut [(&[u8], Sha384)], hash: &[u8; HASH]) {
    if let Some((_, parent)) = open.last_mut() {
        let mut cbor = Cbor::default();
        cbor.bytes(hash);
        parent.update(cbor.0);
    }
}

/// Ends the list of a directory.
fn end(mut directory: Sha384) -> [u8; HASH] {
    directory.update([0xff]);
    directory.finalize().into()
}

/// The key of a directory.
fn directory(path: &[u8]) -> Vec<u8> {
    if path.is_empty() { Vec::new() } else { [path, b"/"].concat() }
}

/// The last part of a path.
fn base(path: &[u8]) -> &[u8] {
    match path.rsplit(|byte| *byte == b'/').next() {
        Some(base) if !base.is_empty() => base,
        _ => b".",
    }
}

/// The beginning of the node of a directory that no entry describes.
fn inferred(key: &[u8]) -> Vec<u8> {
    beginning(&Entry {
        kind: Kind::Directory,
        path: key.strip_suffix(b"/").unwrap_or(key).to_vec(),
        permissions: 0o755,
        uid: 0,
        gid: 0,
        link: Vec::new(),
        modified: (UNKNOWN_TIME, 0),
        attributes: Attributes::new(),
    })
}

fn file(beginning: Vec<u8>, content: &[u8; HASH]) -> [u8; HASH] {
    let mut cbor = Cbor(beginning);
    cbor.bytes(content);
    Sha384::digest(cbor.0).into()
}

/// The node of a file or directory up to the value of its second member.
fn beginning(entry: &Entry) -> Vec<u8> {
    let mut cbor = Cbor::default();
    let is_directory = entry.kind == Kind::Directory;
    cbor.map(2);
    cbor.text(b"m");
    cbor.map(7 + u64::from(!entry.link.is_empty()) + u64::from(!entry.attributes.is_empty()));
    cbor.member(b"n", base(&entry.path));
    cbor.member(b"t", if is_directory { b"d" } else { b"f" });
    cbor.number(b"p", entry.permissions.into());
    cbor.number(b"u", entry.uid.into());
    cbor.number(b"g", entry.gid.into());
    if !entry.link.is_empty() {
        cbor.member(b"l", &entry.link);
    }
    cbor.number(b"m", entry.modified.0);
    cbor.number(b"mn", entry.modified.1.into());
    if !entry.attributes.is_empty() {
        cbor.text(b"x");
        cbor.map(entry.attributes.len() as u64);
        for (name, value) in &entry.attributes {
            cbor.member(name, value);
        }
    }
    if is_directory {
        cbor.text(b"l");
        cbor.0.push(0x9f);
    } else {
        cbor.text(b"h");
    }
    cbor.0
}

/// CBOR as far as it is needed. Texts need not be UTF-8: names in archives are bytes.
#[derive(Default)]
struct Cbor(Vec<u8>);

impl Cbor {
    /// The head of an item: its major type and a number.
    fn head(&mut self, major: u8, number: u64) {
        let bytes = number.to_be_bytes();
        let (additional, length) = match number {
            0..24 => (bytes[7], 0),
            24..0x100 => (24, 1),
            0x100..0x1_0000 => (25, 2),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 8),
        };
        self.0.push(major << 5 | additional);
        self.0.extend_from_slice(&bytes[8 - length..]);
    }

    fn map(&mut self, members: u64) {
        self.head(5, members);
    }

    fn text(&mut self, text: &[u8]) {
        self.head(3, text.len() as u64);
        self.0.extend_from_slice(text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn member(&mut self, name: &[u8], value: &[u8]) {
        self.text(name);
        self.text(value);
    }

    fn number(&mut self, name: &[u8], value: i64) {
        self.text(name);
        match u64::try_from(value) {
            Ok(number) => self.head(0, number),
            // -1 - n
            Err(_) => self.head(1, (!value).unsigned_abs()),
        }
    }
}
