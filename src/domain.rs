//! Pure domain types: digests, names, selectors, manifests, version rows and heads.
//!
//! Owns every grammar and every state transition. Must never do I/O, read a clock or know about HTTP, so that all of
//! its decisions can be tested with plain values.

pub mod attached;
pub mod attestation;
pub mod author;
pub mod carried;
pub mod catalog;
pub mod choice;
pub mod digest;
pub mod encoding;
pub mod expect;
pub mod flat;
pub mod glob;
pub mod head;
pub mod hosts;
pub mod json;
pub mod label;
pub mod manifest;
pub mod media_type;
pub mod name;
pub mod pattern;
pub(crate) mod pauses;
pub mod permission;
pub mod platform;
pub mod policy;
pub mod repository;
pub mod retention;
pub mod run;
pub mod selector;
pub mod site;
pub mod subject;
pub mod sums;
pub mod template;
pub mod text;
pub mod timeless;
pub mod upload;
pub mod version;
pub mod ware;
pub mod word;

pub use author::Author;
pub use carried::Carried;
pub use catalog::CatalogName;
pub use digest::{AnyDigest, BothDigests, Digest, DigestError, HashState, Hasher, Sha512};
pub use encoding::{EncodingError, utf8};
pub use expect::Expect;
pub use glob::{Glob, GlobError};
pub use head::{Action, Change, Head, Judgement, Operation, Rejection};
pub use label::Label;
pub use manifest::{Descriptor, Manifest, ManifestError, ReadError};
pub use media_type::{MediaType, MediaTypeError};
pub use name::{FileName, LogName, ManifestName, NameError};
pub use pattern::NamePattern;
pub use permission::{Cas, Permission, Reads};
pub use policy::{LivePolicies, NamePolicy, Policies, PolicyRule};
pub use repository::RepositoryName;
pub use retention::Retention;
pub use run::RunId;
pub use selector::{Selector, SelectorError, Target};
pub use subject::{Subject, SubjectError};
pub use template::{FillError, NameTemplate};
pub use upload::UploadId;
pub use version::{Origin, Pin, PinOwner, State, Summary, VersionRow};
pub use ware::{Ware, WareError};
