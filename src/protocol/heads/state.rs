//! Heads as the states of a log.

use jiff::Timestamp;

use super::MAX_HEAD;
use crate::domain::head::HeadError;
use crate::domain::{Head, LogName};
use crate::layout::{self, LayoutKey};
use crate::protocol::log::LogState;
use crate::store::{Key, Prefix, StoreError, StoreErrorKind};

impl LogState for Head {
    type Log = LogName;

    const LIMIT: u64 = MAX_HEAD;

    fn key(name: &LogName, generation: u64) -> LayoutKey {
        LayoutKey::Head(name.clone(), generation)
    }

    fn prefix(name: &LogName) -> Prefix {
        layout::heads(name)
    }

    fn generation_of(key: &LayoutKey) -> Option<u64> {
        if let LayoutKey::Head(_, generation) = key { Some(*generation) } else { None }
    }

    fn decode(key: &Key, bytes: &[u8]) -> Result<Self, StoreError> {
        Self::parse(bytes).map_err(|error| {
            let newer = matches!(error, HeadError::Newer(_));
            StoreError::new(if newer { StoreErrorKind::Newer } else { StoreErrorKind::Corrupt }, key, error)
        })
    }

    fn complaint(&self, name: &LogName, generation: u64) -> Option<String> {
        let is_right = self.name == *name && self.generation == generation;
        (!is_right).then(|| format!("it says it is generation {} of {}", self.generation, self.name))
    }

    fn log(&self) -> &LogName {
        &self.name
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn attempt(&self) -> &str {
        &self.operation.id
    }
}
