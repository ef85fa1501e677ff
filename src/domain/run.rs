//! The identity of a run of the collector.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the time of a run is written.
const FORMAT: &str = "%Y%m%dT%H%M%S%.3fZ";

/// Which run of the collector: when it began, and a number that tells runs of one moment apart. Written as
/// `20261121T142234.567Z-0badcafe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// Millisecond since 1970 in which it began, by the clock of its host.
    pub millisecond: u64,
    /// A random number.
    pub random: u32,
}

impl RunId {
    /// A run that begins at `time`.
    #[must_use]
    pub fn new(time: Timestamp, random: u32) -> Self {
        Self { millisecond: u64::try_from(time.as_millisecond()).unwrap_or(0), random }
    }

    /// When it began. The last moment of the calendar, if the number is beyond it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let known = i64::try_from(self.millisecond).ok().and_then(|number| Timestamp::from_millisecond(number).ok());
        known.unwrap_or(Timestamp::MAX)
    }
}

/// Why a text is not the id of a run.
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
