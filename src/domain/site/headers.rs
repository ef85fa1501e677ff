//! The file `_headers`: blocks of a path and the header fields of the files that it matches.

use std::collections::HashSet;

use crate::domain::MediaType;

use super::pattern::Scope;
use super::rule_problem::Problems;

/// Maximum number of blocks.
const MAX_BLOCKS: usize = 200;

/// Fields that follow from the bytes, the connection or the request, or that would be shared by everybody through
/// caches. In lower case, sorted.
const REFUSED: [&str; 22] = [
    "accept-ranges",
    "age",
    "basic-auth",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-authenticate",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-request-id",
];

/// A path and what it does to the fields of the files that it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The line of the path, from 1.
    pub(super) line: usize,
    pub(super) scope: Scope,
    pub(super) fields: Vec<Field>,
}

/// What a block does to one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// The field's name in lower case.
    pub(super) name: Box<str>,
    /// Its value; `None` to take away what earlier blocks or the server set.
    pub(super) value: Option<String>,
    pub(super) line: usize,
}

/// The header fields of a file, as `_headers` states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHeaders<'a> {
    /// Names in lower case, and values: each name once.
    pub set: Vec<(&'a str, &'a str)>,
    /// Names in lower case of fields that the server would add by itself and must not.
    pub removed: Vec<&'a str>,
}

impl<'a> FileHeaders<'a> {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.set.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// Applies a block. Returns the fields to which it gives another value than an earlier one.
    pub(super) fn apply(&mut self, block: &'a Block) -> Vec<&'a Field> {
        let mut differing = Vec::new();
        for field in &block.fields {
            let at = self.set.iter().position(|(name, _)| *name == &*field.name);
            match (&field.value, at) {
                (Some(value), Some(at)) if self.set[at].1 != value => {
                    differing.push(field);
                    self.set[at].1 = value;
                }
                (Some(_), Some(_)) => {}
                (Some(value), None) => {
                    self.removed.retain(|name| *name != &*field.name);
                    self.set.push((&field.name, value));
                }
                (None, at) => {
                    at.map(|at| self.set.remove(at));
                    if !self.removed.contains(&&*field.name) {
                        self.removed.push(&field.name);
                    }
                }
            }
        }
        differing
    }
}

/// Reads the blocks, leaving out the lines that have problems.
pub(super) fn read(text: &str, problems: &mut Problems) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // Fields below a path that is refused are not those of the block before.
    let (mut is_open, mut with_problems) = (false, HashSet::new());
    for (line, text) in problems.lines(text) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if ["/", "https://", "http://"].iter().any(|start| text.starts_with(start)) {
            let scope = Scope::parse(text);
            is_open = scope.is_ok();
            match scope {
                Ok(scope) => blocks.push(Block { line, scope, fields: Vec::new() }),
                Err(problem) => problems.add(line, &problem),
            }
            continue;
        }
        match (field(line, text), blocks.last_mut().filter(|_| is_open)) {
            (Err(problem), block) => {
                with_problems.extend(block.map(|block| block.line));
                problems.add(line, &problem);
            }
            (Ok(field), Some(block)) => add(&mut block.fields, field),
            (Ok(_), None) => problems.add(line, "a field stands below the path of its files, such as /assets/*"),
        }
    }
    if blocks.len() > MAX_BLOCKS {
        problems.add(0, &format!("it has {} blocks, the limit is {MAX_BLOCKS}: use '*' to join them", blocks.len()));
        return Vec::new();
    }
    for block in blocks.iter().filter(|block| block.fields.is_empty() && !with_problems.contains(&block.line)) {
        problems.add(block.line, "no field stands below this path");
    }
    blocks
}

/// Adds a field to a block. Values of one name are joined as a list (RFC 9110 section 5.3).
fn add(fields: &mut Vec<Field>, field: Field) {
    let same = fields.iter_mut().find(|own| own.name == field.name && own.value.is_some() && field.value.is_some());
    match (same.and_then(|own| own.value.as_mut()), field.value.as_deref()) {
        (Some(list), Some(value)) => {
            list.push_str(", ");
            list.push_str(value);
        }
        _ => fields.push(field),
    }
}

/// Parses `Name: value` or `! Name`.
fn field(line: usize, text: &str) -> Result<Field, String> {
    let removed = text.strip_prefix('!').filter(|rest| rest.starts_with([' ', '\t']));
    let (name, value) = match removed {
        Some(name) => (name, None),
        None => match text.split_once(':') {
            Some((name, value)) => (name, Some(value.trim().to_owned())),
            None => return Err(format!("{text:?} is neither a path nor a field; write Name: value, or ! Name")),
        },
    };
    let name = name.trim().to_ascii_lowercase();
    let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if name.is_empty() || !is_token {
        return Err(format!("{name:?} is not the name of a header field"));
    }
    if REFUSED.contains(&&*name) || name.starts_with("larder-") {
        return Err(format!("{name} follows from what is served and cannot be set"));
    }
    if let Some(value) = &value {
        if value.is_empty() {
            return Err(format!("{name} has no value; to take a field away, write ! {name}"));
        }
        if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(format!("the value of {name} holds something else than printable ASCII"));
        }
        if &*name == "content-type" && MediaType::essence_of(value).is_err() {
            return Err(format!("{value:?} is not a media type such as text/html"));
        }
    }
    Ok(Field { name: name.into(), value, line })
}

#[cfg(test)]
mod tests;
