//! Static sites: how one request is answered from the files, settings and rules of one release.
//!
//! Everything here is pure: a [`Site`] is compiled once from a manifest and its rules, and is then asked what a path
//! leads to. Nothing outside the manifest can be reached, because answers are positions in its list of files. Whatever
//! a request or a publisher writes, an answer takes time linear in the lengths of the path and of the list of patterns.

mod answer;
mod check;
mod files;
#[cfg(test)]
mod fixture;
mod hashed;
mod headers;
mod host;
mod ignored;
mod kept;
mod label;
mod media_type;
mod path;
mod pattern;
mod redirects;
mod representation;
mod resolve;
mod rule_problem;
mod rules;
mod target;

pub use answer::{Caching, Origin, Outcome, Page, Redirect, RequestKind, Site};
pub use files::{FileId, Files, SiteFile};
pub use hashed::is_hashed;
pub use headers::FileHeaders;
pub use host::{HostError, HostName, normalised_host};
pub use ignored::is_ignored;
pub use kept::KeptFiles;
pub use label::{LabelError, Marker, PreviewLabel, SiteId};
pub use media_type::{by_name, with_charset};
pub use path::{PathProblem, SitePath};
pub use representation::Representation;
pub use rule_problem::{RuleFile, RuleProblem};
pub use rules::Rules;

#[cfg(test)]
mod properties;
