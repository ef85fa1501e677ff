//! Pages for browsers: what is published, names, versions, histories, and errors.
//!
//! Rendered on the server and complete without script. A page loads nothing: its style and its few lines of script are
//! in it, allowed by their hashes. Text of publishers is shown through [`text::escaped`] only.

mod attachments;
pub(super) mod browse;
mod catalog;
mod diff;
mod files;
mod history;
mod holders;
mod image;
mod index;
mod layout;
mod markdown;
mod name;
mod picture;
mod platforms;
mod problem;
mod site;
mod text;
mod version;
mod warnings;

pub(super) use catalog::catalog;
pub(super) use history::{HistoryView, history};
pub(super) use holders::holders;
pub(super) use index::{Listing, listing};
pub(super) use platforms::choices;
pub(super) use problem::problem;
pub(super) use site::Site;
