//! What travels between server and client, once for both: JSON bodies, header names, limits and problem codes.
//!
//! Types here are serialised by handlers, deserialised by clients, and described in OpenAPI documents by the schemas that
//! are derived from them. Readers ignore members that they do not know. Must never know where the values come from.

mod blobs;
mod code;
pub mod headers;
mod index;
pub mod limits;
pub mod manifest;
mod names;
pub mod problem;
mod receipts;
mod rows;
pub mod runs;
pub mod schema;
mod sessions;

pub use blobs::{MissingBlobs, MissingQuestion, StoredBlob};
pub use code::Code;
pub use index::ServerIndex;
pub use names::{Deleted, NameEntry, NamePage};
pub use problem::ProblemDetails;
pub use receipts::{CopyRequest, Receipt};
pub use rows::{ArtifactManifest, History, Row};
pub use sessions::Session;
