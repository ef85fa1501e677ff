//! Paginated listings.

use std::collections::VecDeque;

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::super::{List, ObjectMeta, Parts, Prefix, Result, StoreError, StoreErrorKind, Unfinished};
use super::Inner;
use super::create::seconds;
use super::error::Failure;
use super::retry::Attempts;

/// Maximum number of keys per page; no engine returns more.
const PAGE: usize = 1000;
/// Keys per page if only the first of each group counts. Small, since a group may be long; not 1, since many groups are
/// short.
const PAGE_OF_GROUPS: usize = 16;
/// Sorts after every character of a key.
const AFTER: char = '~';

pub(super) fn objects<'a>(inner: &'a Inner, prefix: &Prefix, options: List) -> BoxStream<'a, Result<ObjectMeta>> {
    let listing = Listing {
        inner,
        prefix: format!("{}{prefix}", inner.prefix),
        at: options.start_after.map(|key| inner.full(&key)),
        left: options.limit.unwrap_or(usize::MAX),
        first_of: options.first_of,
        past_strays: options.past_strays,
        page: VecDeque::new(),
        more: true,
    };
    stream::unfold(Some(listing), |listing| async {
        let mut listing = listing?;
        match listing.next().await {
            Ok(None) => None,
            Ok(Some(meta)) => Some((Ok(meta), Some(listing))),
            Err(error) => {
                let continues = listing.past_strays && error.kind == StoreErrorKind::Stray;
                Some((Err(error), continues.then_some(listing)))
            }
        }
    })
    .boxed()
}

struct Listing<'a> {
    inner: &'a Inner,
    prefix: String,
    /// The key to continue after: the last one that was seen, or `start_after`.
    at: Option<String>,
    left: usize,
    first_of: Option<&'static str>,
    past_strays: bool,
    page: VecDeque<(String, Result<ObjectMeta>)>,
    /// Whether the engine has more pages.
    more: bool,
}

impl Listing<'_> {
    async fn next(&mut self) -> Result<Option<ObjectMeta>> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.page.is_empty() {
            if !self.more {
                return Ok(None);
            }
            self.fetch().await?;
        }
        let Some((full, meta)) = self.page.pop_front() else { return Ok(None) };
        let meta = meta?;
        self.left -= 1;
        self.leave_group(&full);
        Ok(Some(meta))
    }

    /// Skips the rest of the group whose first key was just returned.
    fn leave_group(&mut self, full: &str) {
        let own = full.len() - self.inner.prefix.len();
        let (shared, own) = full.split_at(full.len() - own);
        let Some((before, infix)) = self.first_of.and_then(|infix| Some((own.split_once(infix)?.0, infix))) else {
            return;
        };
        let group = format!("{shared}{before}{infix}");
        while self.page.front().is_some_and(|(full, _)| full.starts_with(&group)) {
            self.page.pop_front();
        }
        if self.page.is_empty() {
            self.at = Some(format!("{group}{AFTER}"));
        }
    }

    async fn fetch(&mut self) -> Result<()> {
        let failed = |failure: Failure| failure.about(format!("listing of {:?}", self.prefix));
        let answer = self.ask().await.map_err(failed)?;
        self.more = answer.is_truncated().unwrap_or(false);
        for object in answer.contents.unwrap_or_default() {
            let full = object.key.unwrap_or_default();
            if self.at.as_ref().is_some_and(|at| full <= *at) {
                let text = "the engine does not list in the byte order of the keys: it cannot be used";
                return Err(StoreError::new(StoreErrorKind::Internal, full, text));
            }
            let size = u64::try_from(object.size.unwrap_or(0)).unwrap_or(0);
            let modified = seconds(object.last_modified.as_ref());
            let meta = self.inner.own(&full).map(|key| ObjectMeta { key, size, modified });
            self.at = Some(full.clone());
            self.page.push_back((full, meta));
        }
        if self.page.is_empty() && self.more {
            let text = "the engine shows an empty page and says that there is more";
            return Err(StoreError::new(StoreErrorKind::Unavailable, &self.prefix, text));
        }
        Ok(())
    }

    async fn ask(&self) -> std::result::Result<ListObjectsV2Output, Failure> {
        let most = if self.first_of.is_some() { PAGE_OF_GROUPS } else { PAGE };
        let most = i32::try_from(self.left.min(most)).unwrap_or(1);
        let mut attempts = Attempts::of("list", self.inner.settings.timeouts);
        let request = || {
            let request = self.inner.client.list_objects_v2().bucket(&self.inner.settings.bucket).prefix(&self.prefix);
            request.set_start_after(self.at.clone()).max_keys(most).send()
        };
        attempts.run(request).await
    }
}

/// Lists the open multipart uploads below our prefix.
pub(super) fn unfinished(inner: &Inner) -> BoxStream<'_, Result<Unfinished>> {
    let pages =
        stream::unfold(Some((None, None)), move |markers: Option<(Option<String>, Option<String>)>| async move {
            let (key_marker, id_marker) = markers?;
            match ask_unfinished(inner, key_marker, id_marker).await {
                Ok(page) => {
                    let next = page.is_truncated().unwrap_or(false);
                    let next = next.then(|| (page.next_key_marker.clone(), page.next_upload_id_marker.clone()));
                    let found: Vec<_> = page.uploads.unwrap_or_default().into_iter().map(Ok).collect();
                    Some((found, next.filter(|(key, _)| key.is_some())))
                }
                Err(failure) => Some((vec![Err(failure.about("listing of unfinished objects"))], None)),
            }
        });
    pages
        .flat_map(stream::iter)
        .filter_map(move |found| async move {
            match found {
                Err(error) => Some(Err(error)),
                Ok(upload) => {
                    // A key that does not have the form of ours belongs to another application and must not be touched.
                    let key = inner.own(&upload.key?).ok()?;
                    let begun = seconds(upload.initiated.as_ref());
                    Some(Ok(Unfinished { parts: Parts { key, id: upload.upload_id? }, begun }))
                }
            }
        })
        .boxed()
}

async fn ask_unfinished(
    inner: &Inner,
    key_marker: Option<String>,
    id_marker: Option<String>,
) -> std::result::Result<ListMultipartUploadsOutput, Failure> {
    let mut attempts = Attempts::of("list", inner.settings.timeouts);
    let request = || {
        let request = inner.client.list_multipart_uploads().bucket(&inner.settings.bucket).prefix(&inner.prefix);
        request.set_key_marker(key_marker.clone()).set_upload_id_marker(id_marker.clone()).send()
    };
    attempts.run(request).await
}
