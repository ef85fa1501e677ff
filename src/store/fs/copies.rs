//! Objects made of other objects.

use std::io;
use std::path::Path;

use super::{Created, Inner, Key, Step, open, staging};

impl Inner {
    /// Creates an object with the bytes of another one.
    pub(super) fn copy(&self, from: &Key, to: &Key) -> io::Result<Option<Created>> {
        self.steps.before(Step::Open)?;
        let Some(mut source) = open::object(&self.objects, from, open::READ)? else { return Ok(None) };
        if !source.metadata()?.is_file() {
            return Ok(None);
        }
        let mut staged = self.stage()?;
        staged.copy_from(&mut source)?;
        self.publish(staged, to).map(Some)
    }

    /// Links an object to one more name.
    pub(super) fn hand_over(&self, from: &Key, to: &Key) -> io::Result<Option<Created>> {
        self.steps.before(Step::Open)?;
        let Some(source) = open::object(&self.objects, from, open::READ)? else { return Ok(None) };
        if !source.metadata()?.is_file() {
            return Ok(None);
        }
        let link = |path: &Path| {
            self.steps.before(Step::Link)?;
            staging::link(&source, &self.path(from), path)
        };
        match self.link(to, link) {
            // Another process that hands it over may have been quicker, and have deleted it since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let source = open::object(&self.objects, from, open::READ)?;
                if source.is_none() { Ok(None) } else { Err(error) }
            }
            linked => linked.map(Some),
        }
    }
}
