//! `--expect`: compare-and-swap on the command line.

use std::str::FromStr;

use crate::domain::{Digest, Expect};

/// Precondition of a change on the state of the name.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ExpectArgs {
    /// Only change the name if its active manifest has this `ETag` (sha256:HEX), if it has none (`none`), or if it
    /// has one (`any`)
    #[arg(long, value_name = "ETAG|none|any")]
    expect: Option<Wanted>,
}

impl ExpectArgs {
    /// The precondition; [`Expect::Anything`] if none was stated.
    pub(super) fn get(&self) -> Expect {
        self.expect.as_ref().map(|wanted| wanted.0.clone()).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted(Expect);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(Expect::Nothing)),
            "any" => Ok(Self(Expect::Something)),
            _ => {
                let unquoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
                let digest: Digest = unquoted.parse().map_err(|error| format!("{error}, or `none`, or `any`"))?;
                Ok(Self(Expect::OneOf(vec![digest])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_read_with_and_without_quotes() {
        let digest = Digest::of(b"x");
        let wanted = Ok(Wanted(Expect::OneOf(vec![digest])));
        assert_eq!(digest.to_string().parse(), wanted);
        assert_eq!(format!("\"{digest}\"").parse(), wanted);
        assert_eq!("none".parse(), Ok(Wanted(Expect::Nothing)));
        assert_eq!("any".parse(), Ok(Wanted(Expect::Something)));
        for bad in ["", "*", "None", "sha256:12", "\"any\""] {
            assert!(bad.parse::<Wanted>().is_err(), "{bad}");
        }
    }
}
