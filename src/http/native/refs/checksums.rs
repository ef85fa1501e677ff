//! `SHA256SUMS` and `FILE.sha256`, made of the manifest of the version that is asked for.

use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;

use super::platforms;
use crate::access::Caller;
use crate::domain::FileName;
use crate::domain::manifest::Artifact;
use crate::domain::platform::{Stated, Traits, choose};
use crate::domain::sums::{SUM_SUFFIX, SUMS_FILE, SumFormat, UnknownSumFormat, sums};
use crate::http::error::ApiError;
use crate::http::serving::reading::Reading;
use crate::http::serving::rendered::Rendered;
use crate::http::serving::rendering::render;
use crate::http::state::AppState;
use crate::protocol::LoadedManifest;
use crate::service::Resolved;
use crate::wire::{Code, file_address};

#[derive(Deserialize)]
struct Format {
    format: Option<String>,
}

/// The answer for a file that the version does not have: digests, if that is what its name stands for, else `None`.
pub(super) async fn answer(
    (state, caller): (&AppState, &Caller),
    reading: &Reading,
    file: &FileName,
    (found, loaded): (&Resolved, &LoadedManifest),
    request: &Parts,
) -> Result<Option<Response>, ApiError> {
    // One file is found without a look at the others.
    let bytes = if file.as_str() == SUMS_FILE { loaded.weight() } else { 0 };
    render(state, caller, bytes, || make(state, reading, file, (found, loaded), request)).await?
}

fn make(
    state: &AppState,
    reading: &Reading,
    file: &FileName,
    (found, loaded): (&Resolved, &LoadedManifest),
    request: &Parts,
) -> Result<Option<Response>, ApiError> {
    let target = reading.target();
    let format = format(&request.uri);
    let Some(files) = summed(file, loaded, &request.uri)?.filter(|files| !files.is_empty()) else {
        return Ok(None);
    };
    let format = format.map_err(|why| {
        ApiError::bad_request(Code::QueryInvalid, format!("The query parameter `format` is wrong: {why}."))
    })?;
    let text = sums(files.iter().map(|file| (&file.name, file.blob)), format);
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let address = file_address(&target.name, found.row.number, file);
    let mut headers = HeaderMap::with_capacity(16);
    reading.describe(found, &mut headers);
    let document = Rendered {
        bytes: text.into(),
        media_type: format.media_type(),
        location: format!("{}/{address}{query}", state.base),
        freshness: reading.freshness(found),
        public: reading.is_public,
        headers,
        heads: reading.heads(found),
        is_cacheable: true,
    };
    document.answer(&request.headers).map(Some)
}

fn format(uri: &Uri) -> Result<SumFormat, UnknownSumFormat> {
    match Query::<Format>::try_from_uri(uri) {
        Ok(Query(Format { format: None })) => Ok(SumFormat::default()),
        Ok(Query(Format { format: Some(format) })) => format.parse(),
        Err(_) => Err(UnknownSumFormat),
    }
}

/// The files whose digests are asked for: one, all, or those for a platform. `None` if the name stands for no digests.
fn summed<'a>(file: &FileName, loaded: &'a LoadedManifest, uri: &Uri) -> Result<Option<Vec<&'a Artifact>>, ApiError> {
    if file.as_str() == SUMS_FILE {
        let files = &loaded.manifest()?.files;
        // The format is that of the digests.
        let stated = Stated { format: None, ..platforms::stated(uri)? };
        let wanted = Traits::wanted(&stated);
        let all = || files.iter().collect();
        return Ok(Some(if wanted == Traits::default() { all() } else { choose(files, &wanted).files }));
    }
    let summed = file.as_str().strip_suffix(SUM_SUFFIX).and_then(|file| file.parse::<FileName>().ok());
    let Some(summed) = summed else { return Ok(None) };
    Ok(loaded.file(&summed)?.map(|artifact| vec![artifact]))
}
