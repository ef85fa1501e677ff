//! `SHA256SUMS` and `FILE.sha256`, made of the manifest of the version that is asked for.

use axum::extract::{Query, Request};
use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;

use crate::domain::manifest::{Artifact, Descriptor};
use crate::domain::sums::{SUM_SUFFIX, SUMS_FILE, SumFormat, UnknownSumFormat, sums};
use crate::domain::{FileName, Target};
use crate::http::error::ApiError;
use crate::http::rfc::caching::Freshness;
use crate::http::serving::rendered::Rendered;
use crate::http::state::AppState;
use crate::protocol::LoadedManifest;
use crate::service::{ResolveError, Resolved};
use crate::store::StoreError;
use crate::wire::{Code, file_address};

#[derive(Deserialize)]
struct Format {
    format: Option<String>,
}

/// The answer for a file that the version does not have: digests, if that is what its name stands for.
pub(super) fn answer(
    state: &AppState,
    target: &Target,
    file: &FileName,
    (found, loaded): (&Resolved, &LoadedManifest),
    request: &Request,
) -> Result<Response, ApiError> {
    let unknown = || ResolveError::NoSuchFile { target: target.clone(), file: file.clone() };
    let format = format(request.uri());
    let Some(text) = text(file, loaded, format.unwrap_or_default())? else { return Err(unknown().into()) };
    let format = format.map_err(|why| {
        ApiError::bad_request(Code::QueryInvalid, format!("The query parameter `format` is wrong: {why}."))
    })?;
    let query = match format {
        SumFormat::Gnu => "",
        SumFormat::Bsd => "?format=bsd",
        SumFormat::Json => "?format=json",
    };
    let address = file_address(&target.name, found.row.number, file);
    let document = Rendered {
        bytes: text.into(),
        media_type: format.media_type(),
        location: format!("{}/{address}{query}", state.base),
        freshness: if target.selector.is_moving() { Freshness::Revalidate } else { Freshness::Immutable },
        public: state.access.is_public(&target.name),
        head: (&target.name, found.generation),
        version: Some(found.row.number),
        is_cacheable: true,
    };
    document.answer(request.headers())
}

fn format(uri: &Uri) -> Result<SumFormat, UnknownSumFormat> {
    match Query::<Format>::try_from_uri(uri) {
        Ok(Query(Format { format: None })) => Ok(SumFormat::default()),
        Ok(Query(Format { format: Some(format) })) => format.parse(),
        Err(_) => Err(UnknownSumFormat),
    }
}

/// `None` if the name stands for no digests.
fn text(file: &FileName, loaded: &LoadedManifest, format: SumFormat) -> Result<Option<String>, StoreError> {
    if file.as_str() == SUMS_FILE {
        return Ok(Some(sums(listed(&loaded.manifest()?.files), format)).filter(|text| !text.is_empty()));
    }
    let summed = file.as_str().strip_suffix(SUM_SUFFIX).and_then(|file| file.parse::<FileName>().ok());
    let Some(summed) = summed else { return Ok(None) };
    Ok(loaded.file(&summed)?.map(|artifact| sums(listed(std::slice::from_ref(artifact)), format)))
}

fn listed(files: &[Artifact]) -> impl Iterator<Item = (&FileName, Descriptor)> {
    files.iter().map(|file| (&file.name, file.blob))
}
