//! The member `site` of a release: how a static site answers requests. It is part of the manifest, so that it is
//! published, signed and rolled back together with the files.

use serde::{Deserialize, Deserializer, Serialize};

use super::loose::Loose;
use crate::domain::{FileName, Glob};

/// Maximum number of globs of immutable paths.
pub const MAX_IMMUTABLE: usize = 32;

/// Maximum length of a glob of immutable paths, in bytes.
pub const MAX_IMMUTABLE_GLOB: usize = 256;

/// How a static site answers requests. Nothing of it is implied by which files there are.
///
/// Deserialising accepts anything: what cannot be interpreted counts as absent, because releases that were published
/// before this member had a meaning must stay readable. Publishing checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteSettings {
    /// The page that answers navigations to paths that nothing else answers, with status 200: the shell of an
    /// application with routes of its own. Absent: they are answered with 404.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FileName>,
    /// Whether pages are found without `.html`, and addresses with `.html` or `index.html` lead to the one without.
    #[serde(skip_serializing_if = "is_true")]
    pub clean_urls: bool,
    /// Whether addresses of pages end with a slash. Without effect unless `clean_urls`.
    #[serde(skip_serializing_if = "TrailingSlash::is_auto")]
    pub trailing_slash: TrailingSlash,
    /// Files whose bytes never change as long as they have this name, beside those whose names hold a hash.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub immutable: Vec<Glob>,
    /// Files that are not immutable, although their names hold a hash or one of the globs matches: sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revalidate: Vec<FileName>,
}

/// Whether addresses of pages end with a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrailingSlash {
    /// `index.html` of a directory is at `…/`, every other page at an address without a slash.
    #[default]
    Auto,
    /// Every page is at an address with a slash.
    Always,
    /// No page is at an address with a slash, except the start page.
    Never,
}

impl TrailingSlash {
    /// The names of all settings, in the order of [`TrailingSlash::of`].
    pub const NAMES: [&str; 3] = ["auto", "always", "never"];

    /// The setting with this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_true(value: &bool) -> bool {
    *value
}

impl Default for SiteSettings {
    fn default() -> Self {
        let (fallback, trailing_slash) = (None, TrailingSlash::Auto);
        Self { fallback, clean_urls: true, trailing_slash, immutable: Vec::new(), revalidate: Vec::new() }
    }
}

impl SiteSettings {
    /// The names of all members.
    pub const MEMBERS: [&str; 5] = ["fallback", "clean_urls", "trailing_slash", "immutable", "revalidate"];

    /// The settings as a JSON object of those that are not the default. `None` if all are.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let text = serde_json::to_string(self).expect("names and globs can be serialised");
        Some(text).filter(|_| *self != Self::default())
    }

    fn set(&mut self, member: &str, value: &Loose) {
        match member {
            "fallback" => self.fallback = value.text().and_then(|name| name.parse().ok()),
            "clean_urls" => self.clean_urls = *value != Loose::Switch(false),
            "trailing_slash" => self.trailing_slash = value.text().and_then(TrailingSlash::of).unwrap_or_default(),
            "immutable" => {
                let globs = value.texts().filter(|glob| glob.len() <= MAX_IMMUTABLE_GLOB);
                self.immutable = globs.filter_map(|glob| glob.parse().ok()).take(MAX_IMMUTABLE).collect();
            }
            "revalidate" => {
                self.revalidate = value.texts().filter_map(|name| name.parse().ok()).collect();
                self.revalidate.sort();
            }
            _ => {}
        }
    }

    /// Whether the settings demote this file from immutable to revalidated.
    #[must_use]
    pub fn is_revalidated(&self, name: &FileName) -> bool {
        self.revalidate.binary_search(name).is_ok()
    }
}

impl<'de> Deserialize<'de> for SiteSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = Self::default();
        if let Loose::Object(members) = Loose::deserialize(deserializer)? {
            members.iter().for_each(|(member, value)| settings.set(member, value));
        }
        Ok(settings)
    }
}
