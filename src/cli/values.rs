//! Values of arguments. Each error shows what a right one looks like.

use std::num::NonZeroUsize;
use std::str::FromStr;

use jiff::Timestamp;

use super::CliError;
use crate::config::Duration;
use crate::domain::{ManifestName, NameError};

/// A name, where a version of one has no place.
pub(super) fn name(text: &str) -> Result<ManifestName, String> {
    match text.split_once('@') {
        Some((name, selector)) if !name.is_empty() => {
            Err(format!("this is about a name, not about one of its versions: leave out @{selector}, as in {name}"))
        }
        _ => text.parse().map_err(|error: NameError| error.to_string()),
    }
}

/// A whole number from 1 on.
pub(super) fn positive(text: &str) -> Result<NonZeroUsize, String> {
    parse(text, "a whole number from 1 on, such as 4")
}

/// A number of retries, which may be none.
pub(super) fn retries(text: &str) -> Result<u32, String> {
    parse(text, "a whole number, such as 5, or 0 for none")
}

/// A point in time.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    parse(text, "a time with its offset, such as 2026-05-14T18:20:00Z")
}

/// A length of time.
pub(super) fn wait(text: &str) -> Result<std::time::Duration, String> {
    Duration::from_str(text).map(Duration::std)
}

/// A point in time, or how far it is from now.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// A point in time.
    At(Timestamp),
    /// So long from now on.
    In(std::time::Duration),
}

impl When {
    /// The point in time.
    pub(super) fn after(self, now: Timestamp) -> Result<Timestamp, CliError> {
        match self {
            Self::At(time) => Ok(time),
            Self::In(wait) => {
                now.checked_add(wait).map_err(|_| CliError::usage("That is too far in the future to be stated."))
            }
        }
    }
}

/// A point in time, or a length of time.
pub(super) fn time_or_wait(text: &str) -> Result<When, String> {
    let wait = || wait(text).map(When::In);
    let refused = |_| "this is neither a time, such as 2026-05-14T18:20:00Z, nor how long, such as 90days".to_owned();
    time(text).map(When::At).or_else(|_| wait()).map_err(refused)
}

fn parse<T: FromStr>(text: &str, wanted: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("this is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_shows_a_right_value() {
        let refused = [
            positive("0").unwrap_err(),
            positive("many").unwrap_err(),
            retries("-1").unwrap_err(),
            time("yesterday").unwrap_err(),
            wait("soon").unwrap_err(),
        ];
        assert!(refused.iter().all(|why| why.contains("such as")), "{refused:?}");
        assert_eq!((positive("4").unwrap().get(), retries("0")), (4, Ok(0)));
        assert_eq!(wait("5m"), Ok(std::time::Duration::from_secs(300)));
        assert!(time("2026-05-14T18:20:00+02:00").is_ok());
        assert!(name("tool@v1").unwrap_err().ends_with("leave out @v1, as in tool"));
        assert!(name("miren/main").is_ok() && name("@v1").is_err() && name("a b").is_err());
    }
}
