//! What an address says about a blob besides its digest: the name to save it under, and its media type. Nothing of it
//! is looked up, and the bytes are the same whatever it says.

use axum::extract::Query;
use axum::http::Uri;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::domain::{FileName, MediaType};
use crate::http::error::ApiError;
use crate::http::rfc::hardening::disposition;
use crate::wire::Code;

/// The label of a blob in an address: `/FILE` behind the digest or `?name=FILE`, and `?type=TYPE/SUBTYPE`.
#[derive(Debug, Default)]
pub(in crate::http) struct Download {
    file: Option<FileName>,
    media_type: Option<MediaType>,
    /// The whole value of `Content-Type`, for bytes that are shown and not saved.
    content_type: Option<HeaderValue>,
}

#[derive(Deserialize)]
struct Parameters {
    name: Option<FileName>,
    r#type: Option<MediaType>,
}

impl Download {
    /// The label in an address. `file` is the decoded part of the path behind the digest and its `/`. It takes
    /// precedence over `?name=`, of which the last segment counts.
    pub(in crate::http) fn new(file: Option<&str>, uri: &Uri) -> Result<Self, ApiError> {
        let parameters = match uri.query() {
            None => Parameters { name: None, r#type: None },
            Some(_) => Query::<Parameters>::try_from_uri(uri).map(|Query(parameters)| parameters).map_err(|why| {
                ApiError::bad_request(Code::QueryInvalid, format!("A query parameter is wrong: {why}."))
            })?,
        };
        let file = match file {
            Some(file) if file.contains('/') => {
                let detail = "Only one segment may follow the digest: the name to save the file under.";
                return Err(ApiError::bad_request(Code::NameInvalid, detail));
            }
            Some(file) => Some(file.parse()?),
            None => parameters.name,
        };
        Ok(Self { file, media_type: parameters.r#type, content_type: None })
    }

    /// The label of a file that is looked up by its name. A type that cannot be stated counts as none.
    pub(in crate::http) fn of_file(file: FileName, media_type: Option<&str>) -> Self {
        let media_type = media_type.and_then(|text| MediaType::essence_of(text).ok());
        Self { file: Some(file), media_type, content_type: None }
    }

    /// Bytes of this type, parameters included, that are not to be saved.
    pub(in crate::http) fn shown(content_type: HeaderValue) -> Self {
        Self { file: None, media_type: None, content_type: Some(content_type) }
    }

    /// The same of an undecoded end of an address, which begins behind the digest. `None` if a handler would refuse it.
    pub(super) fn of_rest(rest: &str) -> Option<Self> {
        // Only path and query of it count.
        let address: Uri = format!("/x{rest}").parse().ok()?;
        let file = match address.path().strip_prefix("/x/") {
            Some(file) => Some(percent_decode_str(file).decode_utf8().ok()?),
            None => None,
        };
        Self::new(file.as_deref(), &address).ok()
    }

    /// The name to save the file under.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.file.as_ref().map(FileName::base)
    }

    /// The stated media type; else one that is guessed from the file name. Compressed archives are not looked into.
    pub(super) fn media_type(&self) -> HeaderValue {
        if let Some(content_type) = &self.content_type {
            return content_type.clone();
        }
        let stated = self.media_type.as_ref().and_then(|stated| HeaderValue::from_str(stated.as_str()).ok());
        stated.unwrap_or_else(|| HeaderValue::from_static(guess(self.file_name())))
    }

    /// Replaces the label in the headers of a response for the same blob under another one.
    pub(super) fn relabel(&self, headers: &mut HeaderMap) {
        if let Some(media_type) = headers.get_mut(CONTENT_TYPE) {
            *media_type = self.media_type();
        }
        if let Some(saved_as) = headers.get_mut(CONTENT_DISPOSITION) {
            *saved_as = disposition(self.file_name());
        }
    }
}

fn guess(name: Option<&str>) -> &'static str {
    let extension = name.and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("gz" | "tgz") => "application/gzip",
        Some("zst") => "application/zstd",
        Some("sha256") => "text/plain",
        Some(extension) => mime_guess::from_ext(extension).first_raw().unwrap_or("application/octet-stream"),
        None => "application/octet-stream",
    }
}
