//! `publish --sums`: a file with the digests of all others, as a file of the release, for those who sign it.

use std::sync::Arc;

use super::facts::Facts;
use super::local_files::Hashed;
use super::text::Text;
use crate::cli::CliError;
use crate::client::Content as _;
use crate::domain::sums::{SUMS_FILE, SumFormat, sums};

/// The file with the digests of `files`.
pub(super) fn of(files: &[Hashed]) -> Result<Hashed, CliError> {
    if files.iter().any(|file| file.name.as_str() == SUMS_FILE) {
        let detail = format!("{SUMS_FILE} is among the files already; leave it out, or leave out --sums.");
        return Err(CliError::usage(detail));
    }
    let content = Text::new(sums(files.iter().map(|file| (&file.name, file.blob)), SumFormat::Gnu));
    let (blob, name) = (content.blob(), SUMS_FILE.parse().map_err(anyhow::Error::from)?);
    let (content, facts) = (Arc::new(content), Facts { is_utf8: true, variant: None });
    Ok(Hashed { name, blob, executable: false, content, path: None, facts })
}
