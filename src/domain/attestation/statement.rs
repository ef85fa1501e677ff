//! What a signature states besides the bytes: for which names it holds, and its place in the order of releases.

use std::fmt;

use jiff::Timestamp;

use crate::domain::{Digest, NamePattern};

/// The word that makes a trusted comment a statement.
const MARK: &str = "larder:1";
/// What the marks of all formats of statements begin with.
const MARKS: &str = "larder:";
/// Largest serial: the largest whole number that JSON carries exactly everywhere, 2^53 - 1.
pub const MAX_SERIAL: u64 = (1 << 53) - 1;

/// A statement: `larder:1 scope=PATTERN [label=LABEL] serial=N manifest=sha256:HEX [expires=TIME]`, in any order. Unknown
/// words are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The names for which the signature holds.
    pub scope: NamePattern,
    /// The label of the version. Without white space, so some labels cannot be stated.
    pub label: Option<Box<str>>,
    /// Place in the order of releases: clients accept no lower one than they have seen. From 1 to [`MAX_SERIAL`].
    pub serial: u64,
    /// Digest of the manifest that is signed.
    pub manifest: Digest,
    /// From this moment on the signature does not hold any more.
    pub expires: Option<Timestamp>,
}

/// Why a trusted comment is no valid statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// It is of a later format.
    #[error("its statement is of a format that only a newer larder reads")]
    Newer,
    /// A word is there more than once.
    #[error("it states {0} twice")]
    Twice(&'static str),
    /// A word is missing.
    #[error("it does not state {0}")]
    Missing(&'static str),
    /// A value has another form than it must have.
    #[error("the {0} that it states is malformed")]
    Malformed(&'static str),
}

impl Statement {
    /// Reads a trusted comment. `None` if it is no statement, as those that minisign makes by itself.
    ///
    /// # Errors
    /// A [`StatementError`].
    pub fn read(comment: &str) -> Result<Option<Self>, StatementError> {
        let words = || comment.split_ascii_whitespace();
        let mut marks = words().filter(|word| word.starts_with(MARKS));
        match (marks.next(), marks.next()) {
            (None, _) => return Ok(None),
            (Some(MARK), None) => {}
            (Some(MARK), Some(MARK)) => return Err(StatementError::Twice("its format")),
            _ => return Err(StatementError::Newer),
        }
        let value = |key: &'static str| {
            let mut values = words().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            match (values.next(), values.next()) {
                (value, None) => Ok(value),
                _ => Err(StatementError::Twice(key)),
            }
        };
        let needed = |key| value(key)?.ok_or(StatementError::Missing(key));
        let malformed = StatementError::Malformed;
        let (scope, serial, manifest) = (needed("scope")?, needed("serial")?, needed("manifest")?);
        let expires = value("expires")?.map(|time| time.parse().map_err(|_| malformed("expires")));
        Ok(Some(Self {
            scope: scope.parse().map_err(|_| malformed("scope"))?,
            label: value("label")?.map(Into::into),
            serial: serial_of(serial).ok_or(malformed("serial"))?,
            manifest: manifest.parse().map_err(|_| malformed("manifest"))?,
            expires: expires.transpose()?,
        }))
    }

    /// Whether a statement can have this label: words of a comment are visible ASCII.
    #[must_use]
    pub fn can_state(label: &str) -> bool {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

/// Digits alone: `parse` would take `+1` and leading zeros, too.
fn serial_of(text: &str) -> Option<u64> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|serial| is_plain && (1..=MAX_SERIAL).contains(serial))
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK} scope={}", self.scope)?;
        if let Some(label) = &self.label {
            write!(f, " label={label}")?;
        }
        write!(f, " serial={} manifest={}", self.serial, self.manifest)?;
        self.expires.map_or(Ok(()), |expires| write!(f, " expires={expires}"))
    }
}
