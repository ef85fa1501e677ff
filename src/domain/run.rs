//! Identifiers of collector runs.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Format of the time in the identifier.
const FORMAT: &str = "%Y%m%dT%H%M%S%.3fZ";

/// Identifies a run of the collector: the time when it began, and a random number that distinguishes runs that began in
/// the same millisecond. Written as `20261121T142234.567Z-0badcafe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// Start of the run in milliseconds since 1970, by the clock of its host.
    pub millisecond: u64,
    /// Distinguishes runs that began in the same millisecond.
    pub random: u32,
}

impl RunId {
    /// Creates the id of a run that begins at `time`.
    #[must_use]
    pub fn new(time: Timestamp, random: u32) -> Self {
        Self { millisecond: u64::try_from(time.as_millisecond()).unwrap_or(0), random }
    }

    /// Start of the run, clamped to the last representable time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let known = i64::try_from(self.millisecond).ok().and_then(|number| Timestamp::from_millisecond(number).ok());
        known.unwrap_or(Timestamp::MAX)
    }
}

/// The text that is not the id of a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the id of a run such as 20261121T142234.567Z-0badcafe")]
pub struct RunIdError(String);

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        let parse = || {
            let (time, random) = text.split_once('-')?;
            let time = DateTime::strptime(FORMAT, time).ok()?.to_zoned(TimeZone::UTC).ok()?;
            let run = Self::new(time.timestamp(), u32::from_str_radix(random, 16).ok()?);
            (run.to_string() == text).then_some(run)
        };
        parse().ok_or_else(|| RunIdError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.time().strftime(FORMAT), self.random)
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_round_trips() {
        let run = RunId::new(Timestamp::from_millisecond(1_795_271_000_050).unwrap(), 0xbad_cafe);
        assert_eq!(run.to_string(), "20261121T142320.050Z-0badcafe");
        assert_eq!(run.to_string().parse(), Ok(run));
        for wrong in [
            "",
            "20261121T142320.050Z",
            "20261121T142320Z-0badcafe",
            "20261121T142320.050Z-badcafe",
            "20261121T142320.050Z-0BADCAFE",
            "20261341T000000.000Z-00000000",
        ] {
            assert!(wrong.parse::<RunId>().is_err(), "{wrong}");
        }
    }
}
