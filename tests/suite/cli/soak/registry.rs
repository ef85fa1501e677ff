//! What a client of the soak does as registry clients do: it pushes images and indexes by tag and by digest, pulls them by
//! digest, and deletes them.

use std::thread;
use std::time::Duration;

use larder::domain::Digest;
use serde_json::{Value, json};

use super::client::{Client, FILES, TRIES, file};
use super::count;
use crate::oci::image::{CONFIG, INDEX, LAYER, MANIFEST, descriptor};

/// Manifests that one client remembers.
const REMEMBERED: usize = 12;

/// A manifest that was pushed.
#[derive(Debug, Clone)]
pub(super) struct Pushed {
    repository: &'static str,
    manifest: Digest,
    /// Manifests and blobs below it.
    needs: Vec<Digest>,
}

/// A manifest to push, with the numbers of the files that it names.
struct Image {
    bytes: Vec<u8>,
    media_type: &'static str,
    files: Vec<usize>,
    children: Vec<Self>,
}

impl Image {
    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn needs(&self) -> Vec<Digest> {
        let files = self.files.iter().map(|number| Digest::of(&file(*number)));
        let children = self.children.iter().flat_map(|child| [vec![child.digest()], child.needs()].concat());
        files.chain(children).collect()
    }
}

impl Client<'_> {
    /// An image of some files. There are so few that the same one comes again.
    fn image(&mut self) -> Image {
        let first = self.dice.below(FILES);
        let files: Vec<usize> = (first..=first + 1 + self.dice.below(3)).map(|number| number % FILES).collect();
        let named = |number: &usize, media_type| descriptor(media_type, &file(*number));
        let layers: Vec<Value> = files[1..].iter().map(|number| named(number, LAYER)).collect();
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": named(&files[0], CONFIG), "layers": layers,
        });
        Image { bytes: document.to_string().into_bytes(), media_type: MANIFEST, files, children: Vec::new() }
    }

    fn index(&mut self) -> Image {
        let children = vec![self.image(), self.image()];
        let named: Vec<Value> = children.iter().map(|child| descriptor(child.media_type, &child.bytes)).collect();
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": named});
        Image { bytes: document.to_string().into_bytes(), media_type: INDEX, files: Vec::new(), children }
    }

    /// Pushes an image or an index, by the tag that a name stands for or by its digest.
    pub(super) fn push(&mut self, name: &'static str) -> Option<()> {
        let (repository, tag) = name.split_once('/').expect("a repository and a tag");
        let image = if self.dice.below(2) == 0 { self.image() } else { self.index() };
        let by_tag = self.dice.below(3) > 0;
        let reference = if by_tag { tag.to_owned() } else { image.digest().to_string() };
        self.push_all(repository, &reference, &image)?;
        if by_tag {
            self.soak.pushed.lock().unwrap().insert((name, image.digest()));
        }
        self.pushed.push_back(Pushed { repository, manifest: image.digest(), needs: image.needs() });
        if self.pushed.len() > REMEMBERED {
            self.pushed.pop_front();
        }
        Some(())
    }

    /// Pushes what is below, then the manifest; all of it again when something was collected meanwhile.
    fn push_all(&mut self, repository: &str, reference: &str, image: &Image) -> Option<()> {
        for _ in 0..TRIES {
            for child in &image.children {
                self.push_all(repository, &child.digest().to_string(), child)?;
            }
            for number in &image.files {
                self.push_blob(repository, &file(*number))?;
            }
            let reply = self.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), &image.bytes)?;
            match reply.status {
                201 => {
                    count(&self.soak.counts.pushes);
                    return Some(());
                }
                // Given up by a collector that found it too slow.
                404 => return None,
                400 if reply.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN" => {
                    count(&self.soak.counts.refusals);
                }
                _ => panic!("{reply:?}"),
            }
        }
        None
    }

    /// A blob in one request, or in two as most clients do.
    fn push_blob(&mut self, repository: &str, bytes: &[u8]) -> Option<()> {
        let digest = Digest::of(bytes);
        if self.send("HEAD", &format!("/v2/{repository}/blobs/{digest}"), b"")?.status == 200 {
            return Some(());
        }
        let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), b"")?;
        assert_eq!(begun.status, 202, "{begun:?}");
        let location = begun.header("location").expect("where it goes on").to_owned();
        let sign = if location.contains('?') { '&' } else { '?' };
        if self.dice.below(2) == 0 {
            let written = self.send("PATCH", &location, bytes)?;
            assert_eq!(written.status, 202, "{written:?}");
            let location = written.header("location").expect("where it goes on").to_owned();
            return self.close(&format!("{location}{sign}digest={digest}"), b"");
        }
        self.close(&format!("{location}{sign}digest={digest}"), bytes)
    }

    fn close(&mut self, path: &str, bytes: &[u8]) -> Option<()> {
        let closed = self.send("PUT", path, bytes)?;
        // An upload that was given up by a collector that found it too slow.
        assert!(matches!(closed.status, 201 | 404), "{closed:?}");
        (closed.status == 201).then_some(())
    }

    /// Pulls by its digest what was pushed, every byte of it.
    pub(super) fn pull(&mut self) -> Option<()> {
        let at = self.dice.below(self.pushed.len().max(1));
        let Pushed { repository, manifest, needs } = self.pushed.get(at)?.clone();
        let path = format!("/v2/{repository}/manifests/{manifest}");
        let reply = self.send("GET", &path, b"")?;
        if reply.status == 404 {
            return Some(());
        }
        assert_eq!((reply.status, Digest::of(&reply.body)), (200, manifest), "{reply:?}");
        for digest in needs {
            let blob = format!("/v2/{repository}/blobs/{digest}");
            let reply = self.send("GET", &blob, b"")?;
            if reply.status == 404 {
                return self.must_be_gone(&path, &blob);
            }
            assert_eq!((reply.status, Digest::of(&reply.body)), (200, digest), "below {manifest}");
        }
        count(&self.soak.counts.pulls);
        Some(())
    }

    /// A manifest with a blob that was not there is not found any more, or it was pushed again and the blob is back.
    fn must_be_gone(&mut self, manifest: &str, blob: &str) -> Option<()> {
        for _ in 0..100 {
            if self.send("GET", manifest, b"")?.status == 404 || self.send("GET", blob, b"")?.status == 200 {
                count(&self.soak.counts.overtaken);
                return Some(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("{manifest} is found, but {blob} is not");
    }

    /// Deletes a tag, or what was pushed by its digest.
    pub(super) fn delete_from_registry(&mut self, name: &'static str) -> Option<()> {
        let (repository, tag) = name.split_once('/').expect("a repository and a tag");
        let path = match self.pushed.front() {
            Some(Pushed { repository, manifest, .. }) if self.dice.below(3) > 0 => {
                format!("/v2/{repository}/manifests/{manifest}")
            }
            _ => format!("/v2/{repository}/manifests/{tag}"),
        };
        let reply = self.send("DELETE", &path, b"")?;
        match reply.status {
            202 => count(&self.soak.counts.deletions),
            // Needed by an index, or pinned.
            404 | 405 | 409 => {}
            _ => panic!("DELETE {path}: {} {}", reply.status, String::from_utf8_lossy(&reply.body)),
        }
        Some(())
    }
}
