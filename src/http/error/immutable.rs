//! The refusal of a site that changes files which clients keep.

use axum::http::StatusCode;
use serde_json::json;

use super::ApiError;
use super::services::FILES_NAMED;
use crate::service::ImmutableChanged;
use crate::wire::Code;

impl From<ImmutableChanged> for ApiError {
    fn from(ImmutableChanged { files, count }: ImmutableChanged) -> Self {
        let named = files.iter().take(FILES_NAMED).map(|(name, version)| format!("{name} (version {version})"));
        let mut named = named.collect::<Vec<_>>().join(", ");
        if let Some(more) = count.checked_sub(FILES_NAMED).filter(|more| *more > 0) {
            named = format!("{named} and {more} more");
        }
        let detail = format!(
            "Clients keep these files for a year, and another version has other bytes under their names: {named}. Nothing \
             was published; give them other names, or list them in site.revalidate (larder publish --allow-changed)."
        );
        let files: Vec<_> = files.iter().map(|(name, version)| json!({ "name": name, "version": version })).collect();
        Self::new(StatusCode::CONFLICT, Code::ImmutableChanged, detail).with("files", files).with("count", count)
    }
}
