//! Data exchanged between server and client, defined once for both: JSON bodies, header names, limits and problem
//! codes.
//!
//! Handlers serialise these types, clients deserialise them, and the OpenAPI document uses the schemas derived from
//! them. Readers ignore unknown members. Must never know how the values are obtained.

mod assets;
mod attachments;
pub mod auth;
mod blobs;
mod catalogs;
mod code;
mod diff;
pub mod feeds;
pub mod headers;
mod history;
mod index;
pub mod limits;
pub mod manifest;
mod members;
mod names;
mod notice;
mod origins;
mod platforms;
pub mod problem;
mod receipts;
mod rows;
pub mod runs;
mod runtime;
pub mod schema;
mod sessions;
pub mod sites;
mod warnings;

pub use assets::StoredAsset;
pub use attachments::{Attachment, AttachmentList};
pub use auth::{AudienceAnswer, TokenAnswer, TokenQuestion, TokenRule};
pub use blobs::{MissingBlobs, MissingQuestion, StoredBlob, blob_address, file_address};
pub use catalogs::{CatalogEntry, CatalogItem, CatalogPage, CatalogRelease, OnlineKey, TufKey, TufKeyValue};
pub use code::Code;
pub use diff::{DiffBlob, DiffChange, DiffFile, DiffMember, VersionDiff};
pub use feeds::{IndexEntry, VersionLabels};
pub use history::{ChangeEntry, ChangeOrigin, Changes};
pub use index::ServerIndex;
pub use members::{Holder, Holders};
pub use names::{Deleted, Deletion, NameEntry, NamePage};
pub use notice::YankNotice;
pub use origins::{Origin, is_origin_url};
pub use platforms::{PlatformFile, PlatformFiles};
pub use problem::ProblemDetails;
pub use receipts::{CopyRequest, Receipt, Verifying};
pub use rows::{ArtifactManifest, History, Row};
pub use runtime::{Runtime, RuntimeArtifact};
pub use sessions::{BeginParts, OpenSession, OpenSessions, Session, SessionParts};
pub use warnings::{Floor, FloorRequest, Instead, NameFloor, Pin, Yank, YankRequest};
