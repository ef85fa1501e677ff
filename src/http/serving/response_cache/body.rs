//! What is cached of the body of a response.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::Response;
use futures_util::Stream;

use crate::domain::Digest;
use crate::store::FileSlice;

/// Largest small file of a release whose bytes are kept, in bytes: as much as is written without the HTTP library.
const LARGEST_SMALL: usize = 16 << 10;

/// What is cached of a body. A hit requires that the file, if there is one, still exists.
#[derive(Debug, Clone)]
pub(super) enum CachedBody {
    Bytes(Bytes),
    /// The content of a file, with the digest of the blob.
    File(Digest, FileSlice),
    /// A small file of a release, which is not kept open.
    Stored(StoredBlob),
    /// The same from a store without files.
    Fetched(Bytes),
    /// Nothing, because it was the response to a HEAD. The file that would have been read.
    None(Option<Arc<File>>),
}

/// A small blob in a file that is not kept open.
#[derive(Debug, Clone)]
pub(super) struct StoredBlob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Its bytes; `None` if there is no room for them, so that they are opened for each request.
    pub(super) bytes: Option<Bytes>,
}

impl StoredBlob {
    /// Whether its bytes are kept if there is room.
    pub(super) fn is_small(&self) -> bool {
        self.size <= LARGEST_SMALL as u64
    }
}

impl CachedBody {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None(_))
    }

    /// The file that is open.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::File(_, slice) => Some(&slice.file),
            Self::None(file) => file.as_deref(),
            Self::Bytes(_) | Self::Stored(_) | Self::Fetched(_) => None,
        }
    }

    /// The part of it that is the body.
    pub(super) fn slice(&self) -> Option<&FileSlice> {
        if let Self::File(_, slice) = self { Some(slice) } else { None }
    }

    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) | Self::Fetched(bytes) => Some(bytes),
            Self::File(_, slice) => slice.bytes.as_ref(),
            Self::Stored(stored) => stored.bytes.as_ref(),
            Self::None(_) => None,
        }
    }

    /// The blob whose file can be opened again.
    pub(super) fn stored(&self) -> Option<&StoredBlob> {
        if let Self::Stored(stored) = self { Some(stored) } else { None }
    }

    /// Whether it is a small file of a release: those have a budget of their own.
    pub(super) fn is_small_file(&self) -> bool {
        matches!(self, Self::Stored(_) | Self::Fetched(_))
    }

    /// The same file of a release without keeping it open, if it is a small one, of which there may be many; `has_room`
    /// says whether it might be kept open.
    pub(super) fn closed(self, has_room: bool) -> Self {
        match self {
            Self::File(digest, FileSlice { start, end, bytes: Some(bytes), .. })
                if bytes.len() <= LARGEST_SMALL || !has_room =>
            {
                let bytes = Some(bytes).filter(|bytes| bytes.len() <= LARGEST_SMALL);
                Self::Stored(StoredBlob { digest, size: end - start, bytes })
            }
            other => other,
        }
    }

    /// The same without the bytes. `None` if they cannot be opened again.
    pub(super) fn without_bytes(self) -> Option<Self> {
        let Self::Stored(stored) = self else { return None };
        Some(Self::Stored(StoredBlob { bytes: None, ..stored }))
    }

    /// The response to a GET; `None` if the body would have to be opened.
    pub(super) fn response(&self) -> Option<Response<Body>> {
        match (self.bytes(), self.slice()) {
            (Some(bytes), _) => Some(Response::new(Body::from(bytes.clone()))),
            (None, Some(slice)) => {
                let mut response = Response::new(Body::from_stream(Unsent));
                response.extensions_mut().insert(slice.clone());
                Some(response)
            }
            (None, None) => None,
        }
    }
}

/// Placeholder body for a response whose file is sent by the connection. On a connection that does not, it fails, and
/// the client sees a broken transfer.
struct Unsent;

impl Stream for Unsent {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err(io::Error::other("this connection sends no files"))))
    }
}
