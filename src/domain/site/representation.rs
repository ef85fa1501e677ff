//! Which representation of a file answers a request: the file itself, or one of its compressed variants.

use crate::domain::manifest::Coding;

use super::files::{FileId, Files, SiteFile};

/// The bytes that answer a request, and what to say about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Representation<'a> {
    /// The bytes that are sent. The entity tag is that of this blob.
    pub file: &'a SiteFile,
    /// Their content coding; `None` for the file itself.
    pub coding: Option<Coding>,
    /// Whether the file has variants, so that every answer for it carries `Vary: Accept-Encoding`.
    pub varies: bool,
}

/// Chooses a representation: among those of the highest quality the smallest one. The file itself where nothing is
/// acceptable, and where a range of it is needed.
pub(super) fn choose<'a>(
    files: &'a Files,
    id: FileId,
    accept_encoding: Option<&str>,
    needs_identity: bool,
) -> Representation<'a> {
    let mut best = Representation { file: files.file(id), coding: None, varies: false };
    let preferences = accept_encoding.filter(|_| !needs_identity).map(Preferences::read);
    let mut rank = preferences.map(Preferences::of_identity);
    for (variant, coding) in files.variants(id) {
        best.varies = true;
        let Some(quality) = preferences.map(|preferences| preferences.of(coding)).filter(|quality| *quality > 0) else {
            continue;
        };
        let is_smaller = variant.blob.size < best.file.blob.size;
        if rank.is_none_or(|rank| quality > rank || (quality == rank && is_smaller)) {
            (best.file, best.coding, rank) = (variant, Some(coding), Some(quality));
        }
    }
    best
}

/// The qualities that `Accept-Encoding` gives to codings (RFC 9110 section 12.5.3), in thousandths.
#[derive(Debug, Clone, Copy, Default)]
struct Preferences {
    codings: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Preferences {
    /// Reads the field. Elements that are malformed or of other codings count as absent; of repeated ones the last
    /// counts.
    fn read(field: &str) -> Self {
        let mut preferences = Self::default();
        for element in field.split(',') {
            let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
            let Some(quality) = quality(parameters) else { continue };
            let name = name.trim();
            let place = match Coding::ALL.iter().position(|coding| name.eq_ignore_ascii_case(coding.as_str())) {
                Some(known) => &mut preferences.codings[known],
                None if name.eq_ignore_ascii_case("x-gzip") => &mut preferences.codings[Coding::Gzip as usize],
                None if name.eq_ignore_ascii_case("identity") => &mut preferences.identity,
                None if name == "*" => &mut preferences.any,
                None => continue,
            };
            *place = Some(quality);
        }
        preferences
    }

    fn of(self, coding: Coding) -> u16 {
        self.codings[coding as usize].or(self.any).unwrap_or(0)
    }

    /// The file itself is acceptable unless it is excluded; where nothing is said of it, any acceptable coding is
    /// better.
    fn of_identity(self) -> u16 {
        self.identity.or(self.any).unwrap_or(0)
    }
}

/// The quality that parameters state: 1 if they state none. `None` if they are malformed.
fn quality(parameters: &str) -> Option<u16> {
    if parameters.trim().is_empty() {
        return Some(1000);
    }
    let value = parameters.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim_start();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if !matches!(whole, "0" | "1") || fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{whole}{fraction:0<3}").parse::<u16>().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests;
