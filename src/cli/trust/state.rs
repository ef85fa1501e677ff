//! The highest serials that were accepted, by which a client notices that an old release is shown as the newest.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::CliError;

/// Largest file, in bytes.
const MAX_FILE: u64 = 16 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    serials: BTreeMap<String, u64>,
}

/// A file with serials.
pub(super) struct Serials {
    path: PathBuf,
}

impl Serials {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Records that `serial` was seen at `place`. Returns the highest one that was accepted there if that is higher; it then
    /// stays.
    pub(super) fn raise(&self, place: &str, serial: u64) -> Result<Option<u64>, CliError> {
        let raised = self.locked(|| {
            let mut document = self.read()?;
            match document.serials.get(place) {
                Some(highest) if *highest > serial => return Ok(Some(*highest)),
                Some(highest) if *highest == serial => return Ok(None),
                _ => {}
            }
            document.serials.insert(place.to_owned(), serial);
            self.write(&document).map(|()| None)
        });
        raised.map_err(|error| CliError::io(format_args!("keep the serial in {}", self.path.display()), &error))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut path = self.path.as_os_str().to_owned();
        path.push(ending);
        path.into()
    }

    /// Two fetches at once must not lose each other's serials.
    fn locked<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if let Some(directory) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(directory)?;
        }
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.beside(".lock"))?;
        lock.lock()?;
        work()
    }

    /// A file that is missing has no serials. One that is damaged ends the command: what it said is unknown.
    fn read(&self) -> io::Result<Document> {
        let mut text = String::new();
        match File::open(&self.path) {
            Ok(file) => file.take(MAX_FILE).read_to_string(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Document::default()),
            Err(error) => return Err(error),
        };
        Ok(serde_json::from_str(&text)?)
    }

    fn write(&self, document: &Document) -> io::Result<()> {
        let new = self.beside(".new");
        let mut file = File::create(&new)?;
        file.write_all(serde_json::to_string_pretty(document)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        File::open(self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
            .sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_never_go_back() {
        let directory = tempfile::tempdir().unwrap();
        let serials = Serials::at(directory.path().join("a/serials.json"));
        assert_eq!(serials.raise("x main", 5).unwrap(), None);
        assert_eq!(serials.raise("x main", 4).unwrap(), Some(5));
        assert_eq!(serials.raise("x main", 5).unwrap(), None);
        assert_eq!(serials.raise("y main", 4).unwrap(), None, "another entry has an order of its own");
        assert_eq!(Serials::at(directory.path().join("a/serials.json")).raise("x main", 1).unwrap(), Some(5));
    }

    #[test]
    fn a_damaged_file_is_no_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serials.json");
        std::fs::write(&path, "{").unwrap();
        assert!(Serials::at(path).raise("x", 1).is_err());
    }
}
