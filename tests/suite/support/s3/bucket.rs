//! The objects and the open uploads of the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use larder::clock::{Clock as _, SystemClock};
use sha2::{Digest as _, Sha256};

/// An answer that says no.
#[derive(Debug, Clone, Copy)]
pub(super) struct No(pub(super) u16, pub(super) &'static str);

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) bytes: Bytes,
    pub(super) tag: String,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) modified: Timestamp,
    parts: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct OpenUpload {
    pub(super) key: String,
    pub(super) begun: Timestamp,
    metadata: Vec<(String, String)>,
    parts: BTreeMap<u32, (String, Bytes)>,
}

/// A page of a listing.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) keys: Vec<(String, Stored)>,
    pub(super) groups: Vec<String>,
    pub(super) last: Option<String>,
    pub(super) more: bool,
}

#[derive(Debug, Default)]
pub(super) struct Bucket {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, OpenUpload>,
    begun: usize,
    /// How far the engine's clock is ahead of ours.
    pub(super) ahead: SignedDuration,
}

fn tag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16]))
}

impl Bucket {
    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    pub(super) fn part_sizes(&self, key: &str) -> Vec<usize> {
        self.objects[key].parts.clone()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    pub(super) fn plant(&mut self, key: &str, bytes: Bytes) {
        self.put(key, bytes, Vec::new(), false).unwrap();
    }

    pub(super) fn get(&self, key: &str) -> Result<&Stored, No> {
        self.objects.get(key).ok_or(No(404, "NoSuchKey"))
    }

    fn check_free(&self, key: &str, only_if_free: bool) -> Result<(), No> {
        if only_if_free && self.objects.contains_key(key) { Err(No(412, "PreconditionFailed")) } else { Ok(()) }
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        bytes: Bytes,
        metadata: Vec<(String, String)>,
        only_if_free: bool,
    ) -> Result<String, No> {
        self.check_free(key, only_if_free)?;
        let tag = tag_of(&bytes);
        let parts = vec![bytes.len()];
        let stored = Stored { bytes, tag: tag.clone(), metadata, modified: SystemClock.now() + self.ahead, parts };
        self.objects.insert(key.to_owned(), stored);
        Ok(tag)
    }

    pub(super) fn copy(&mut self, from: &str, to: &str, metadata: Option<Vec<(String, String)>>) -> Result<String, No> {
        let source = self.get(from)?.clone();
        self.put(to, source.bytes, metadata.unwrap_or(source.metadata), false)
    }

    pub(super) fn delete(&mut self, key: &str) {
        self.objects.remove(key);
    }

    pub(super) fn list(&self, prefix: &str, after: &str, delimiter: Option<&str>, most: usize) -> Page {
        let mut page = Page { keys: Vec::new(), groups: Vec::new(), last: None, more: false };
        for (key, stored) in self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after) {
            let rest = &key[prefix.len()..];
            let group = delimiter.and_then(|text| rest.find(text).map(|at| &key[..prefix.len() + at + text.len()]));
            if group.is_some_and(|group| after.starts_with(group) || page.groups.iter().any(|known| known == group)) {
                page.last = Some(key.clone());
                continue;
            }
            if page.keys.len() + page.groups.len() == most {
                page.more = true;
                break;
            }
            page.last = Some(key.clone());
            match group {
                Some(group) => page.groups.push(group.to_owned()),
                None => page.keys.push((key.clone(), stored.clone())),
            }
        }
        page
    }

    pub(super) fn begin(&mut self, key: &str, metadata: Vec<(String, String)>) -> String {
        self.begun += 1;
        let id = format!("upload-{:06}", self.begun);
        let upload = OpenUpload { key: key.to_owned(), begun: SystemClock.now(), metadata, parts: BTreeMap::new() };
        self.uploads.insert(id.clone(), upload);
        id
    }

    fn upload(&mut self, key: &str, id: &str) -> Result<&mut OpenUpload, No> {
        self.uploads.get_mut(id).filter(|upload| upload.key == key).ok_or(No(404, "NoSuchUpload"))
    }

    pub(super) fn put_part(&mut self, key: &str, id: &str, number: u32, bytes: Bytes) -> Result<String, No> {
        let tag = tag_of(&bytes);
        self.upload(key, id)?.parts.insert(number, (tag.clone(), bytes));
        Ok(tag)
    }

    pub(super) fn complete(
        &mut self,
        key: &str,
        id: &str,
        listed: &[(u32, String)],
        smallest: usize,
    ) -> Result<String, No> {
        let upload = self.upload(key, id)?;
        let mut chosen = Vec::new();
        for (number, tag) in listed {
            let found =
                upload.parts.get(number).filter(|(written, _)| written.trim_matches('"') == tag.trim_matches('"'));
            chosen.push(found.ok_or(No(400, "InvalidPart"))?.1.clone());
        }
        if !listed.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(No(400, "InvalidPartOrder"));
        }
        if chosen.iter().rev().skip(1).any(|bytes| bytes.len() < smallest) {
            return Err(No(400, "EntityTooSmall"));
        }
        let metadata = upload.metadata.clone();
        self.uploads.remove(id);
        let sizes = chosen.iter().map(Bytes::len).collect();
        self.put(key, chosen.concat().into(), metadata, false)?;
        let stored = self.objects.get_mut(key).expect("just put");
        stored.parts = sizes;
        stored.tag = format!("\"{}-{}\"", stored.tag.trim_matches('"'), listed.len());
        Ok(stored.tag.clone())
    }

    pub(super) fn find(&mut self, key: &str, id: &str) -> Result<(), No> {
        self.upload(key, id).map(|_| ())
    }

    pub(super) fn abort(&mut self, key: &str, id: &str) -> Result<(), No> {
        self.upload(key, id)?;
        self.uploads.remove(id);
        Ok(())
    }

    pub(super) fn uploads(&self, prefix: &str) -> Vec<(String, &OpenUpload)> {
        let mut found: Vec<_> = self.uploads.iter().map(|(id, upload)| (id.clone(), upload)).collect();
        found.retain(|(_, upload)| upload.key.starts_with(prefix));
        found.sort_by(|a, b| (&a.1.key, &a.0).cmp(&(&b.1.key, &b.0)));
        found
    }
}
