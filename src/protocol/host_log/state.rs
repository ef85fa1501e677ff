//! One state of the attached hosts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AREA, LARGEST};
use crate::domain::Carried;
use crate::domain::attached::AttachedHosts;
use crate::layout::{self, AreaPath, LayoutKey};
use crate::protocol::documents;
use crate::protocol::log::LogState;
use crate::store::{Key, Prefix, StoreError, StoreErrorKind};

/// The format of states that this version writes.
const FORMAT: u32 = 1;

/// The attached hosts at one time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostState {
    format: u32,
    /// How often the hosts were changed.
    pub generation: u64,
    /// When they were changed last.
    pub time: Timestamp,
    attempt: String,
    /// Makes challenges those of this store. Not secret: they are in the DNS.
    pub salt: String,
    /// The hosts.
    pub hosts: AttachedHosts,
    #[serde(flatten)]
    other: Carried,
}

impl HostState {
    /// What is known of a store in which no host was claimed yet.
    pub(super) fn first(now: Timestamp) -> Result<Self, StoreError> {
        let (generation, attempt, hosts, other) = (0, String::new(), AttachedHosts::default(), Carried::default());
        Ok(Self { format: FORMAT, generation, time: now, attempt, salt: random()?, hosts, other })
    }

    /// The state that follows with these hosts.
    pub(super) fn next(&self, hosts: AttachedHosts, now: Timestamp) -> Result<Self, StoreError> {
        // Never before its predecessor, whatever the clocks of two hosts say.
        let (generation, time) = (self.generation + 1, now.max(self.time));
        Ok(Self { generation, time, attempt: random()?, hosts, ..self.clone() })
    }
}

fn random() -> Result<String, StoreError> {
    let mut random = [0; 16];
    let failed = |error| StoreError::new(StoreErrorKind::Internal, "random numbers", error);
    getrandom::fill(&mut random).map_err(failed)?;
    Ok(hex::encode(random))
}

impl LogState for HostState {
    type Log = ();

    const LIMIT: u64 = 2 * LARGEST as u64;

    fn key((): &(), generation: u64) -> LayoutKey {
        LayoutKey::Aux(AreaPath::of_state(AREA, generation).expect("the area's name is legal"))
    }

    fn prefix((): &()) -> Prefix {
        layout::states(AREA).expect("the area's name is legal")
    }

    fn generation_of(key: &LayoutKey) -> Option<u64> {
        match key {
            LayoutKey::Aux(path) if path.area() == AREA => path.generation(),
            _ => None,
        }
    }

    fn decode(key: &Key, bytes: &[u8]) -> Result<Self, StoreError> {
        let state: Self = documents::decode(key, bytes)?;
        let newer = || StoreError::new(StoreErrorKind::Newer, key, "a newer Larder wrote the hosts of sites");
        if state.format == FORMAT { Ok(state) } else { Err(newer()) }
    }

    fn complaint(&self, (): &(), generation: u64) -> Option<String> {
        (self.generation != generation).then(|| format!("the hosts of sites say to be generation {}", self.generation))
    }

    fn log(&self) -> &() {
        &()
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn attempt(&self) -> &str {
        &self.attempt
    }
}
