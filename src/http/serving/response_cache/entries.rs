//! What is cached at present, within budgets: bytes of those responses that are in memory, bytes of those among them that
//! say that something is not there, of small files of releases, and of heads alone, and a number of open files with their
//! bytes. Asking for ever more blobs, or for ever more that is not there, displaces no manifests.

use std::borrow::Borrow;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::key::CacheKey;
use super::{CachedResponse, Common};

/// Total weight of the cached responses that are in memory, in bytes.
const REMEMBERED_BYTES: usize = 8 << 20;
/// Total weight of those of them that say that something is not there, in bytes.
const NEGATIVE_BYTES: usize = 2 << 20;
/// Total weight of those of which only the head is kept, in bytes.
const HEAD_BYTES: usize = 16 << 20;
/// Total size of the bytes of open files that are in memory as well, because the files are small.
const FILE_BYTES: usize = 8 << 20;
/// Shortest time between two looks whether anybody has asked for a file or its head.
const SEARCHED_EVERY: Duration = Duration::from_secs(1);
/// Most of them that are looked at in one go, while nobody else reads or adds one.
const SEARCHED: usize = 1024;
/// How many [`Common`]s are known. A server with more sites that are asked for at a time has some of them more than once.
const COMMON: usize = 64;

/// What a response is, which decides about its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is in memory.
    Whole,
    /// It says that something is not there.
    Negative,
    /// It is a small file of a release, in memory.
    Small,
    /// It is one of those, and only its head is in memory.
    Head,
    /// It has an open file.
    Open,
}

impl Kind {
    fn of(response: &CachedResponse) -> Self {
        match &response.body {
            body if body.file().is_some() => Self::Open,
            _ if response.common.sources.is_negative => Self::Negative,
            body if !body.is_small_file() => Self::Whole,
            body if body.bytes().is_some() => Self::Small,
            _ => Self::Head,
        }
    }

    /// What a response takes of the budget. Of those with open files, the number is limited, too.
    fn weight(self, response: &CachedResponse) -> usize {
        if self == Self::Open { response.bytes() } else { response.weight }
    }
}

/// The responses of a kind.
#[derive(Default)]
struct Kept {
    /// Each one knows its place in here.
    responses: Vec<Arc<CachedResponse>>,
    bytes: usize,
    max_bytes: usize,
    /// When some were last sought that nobody asks for, and where that goes on.
    searched: Option<Instant>,
    next: usize,
}

impl Kept {
    fn of(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    /// Those of the next few that nobody has asked for since they were looked at.
    fn unused(&mut self) -> Vec<Arc<CachedResponse>> {
        let count = self.responses.len();
        let searches = u32::try_from(count.div_ceil(SEARCHED)).unwrap_or(u32::MAX);
        let pause = SEARCHED_EVERY / searches.max(1);
        if self.searched.is_some_and(|searched| searched.elapsed() < pause) {
            return Vec::new();
        }
        self.searched = Some(Instant::now());
        let start = if self.next < count { self.next } else { 0 };
        self.next = count.min(start + SEARCHED);
        let looked_at = self.responses[start..self.next].iter();
        looked_at.filter(|response| !response.used.swap(false, Relaxed)).cloned().collect()
    }
}

/// A response, found by its address.
struct ByAddress(Arc<CachedResponse>);

impl Borrow<[u8]> for ByAddress {
    fn borrow(&self) -> &[u8] {
        self.0.head.address()
    }
}

impl Hash for ByAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.head.address().hash(state);
    }
}

impl PartialEq for ByAddress {
    fn eq(&self, other: &Self) -> bool {
        self.0.head.address() == other.0.head.address()
    }
}

impl Eq for ByAddress {}

/// The cached responses.
pub(super) struct Entries {
    /// By [`Kind`].
    kept: [Kept; 5],
    /// Most open files.
    max_files: usize,
    /// What those have in common that were added lately.
    common: VecDeque<Arc<Common>>,
    /// A list, because there are few enough surfaces for a linear search.
    by_surface: Vec<(&'static str, HashSet<ByAddress>)>,
    /// A task that closes open files is running.
    closing: bool,
}

impl Entries {
    pub(super) fn new(max_files: usize, small_files: usize) -> Self {
        let kept = [REMEMBERED_BYTES, NEGATIVE_BYTES, small_files, HEAD_BYTES, FILE_BYTES].map(Kept::of);
        Self { kept, max_files, common: VecDeque::new(), by_surface: Vec::new(), closing: false }
    }

    pub(super) fn get(&self, key: &CacheKey<'_>) -> Option<&Arc<CachedResponse>> {
        let (_, responses) = self.by_surface.iter().find(|(name, _)| *name == key.surface)?;
        responses.get(key.address.as_bytes()).map(|ByAddress(response)| response)
    }

    /// This, or the same that others have already.
    pub(super) fn common(&mut self, new: Common) -> Arc<Common> {
        if let Some(known) = self.common.iter().find(|known| ***known == new) {
            return Arc::clone(known);
        }
        let new = Arc::new(new);
        self.common.push_front(Arc::clone(&new));
        self.common.truncate(COMMON);
        new
    }

    /// Whether one more open file may be kept, with this many bytes in memory. If not, there is room within a second:
    /// files that were not asked for again are closed.
    pub(super) fn has_room_for_file(&self, bytes: usize) -> bool {
        self.has_room(Kind::Open, bytes)
    }

    /// Whether a response of which only the head is kept could have its bytes beside it now.
    pub(super) fn has_room_for_bytes_of(&self, response: &CachedResponse) -> bool {
        let stored = response.body.stored().filter(|stored| stored.bytes.is_none() && stored.is_small());
        stored.is_some_and(|stored| {
            usize::try_from(stored.size).is_ok_and(|size| self.has_room(Kind::Small, response.weight + size))
        })
    }

    fn has_room(&self, kind: Kind, weight: usize) -> bool {
        let Kept { responses, bytes, max_bytes, .. } = &self.kept[kind as usize];
        bytes + weight <= *max_bytes && (kind != Kind::Open || responses.len() < self.max_files)
    }

    /// Adds a response and returns those that are not cached any more. Without room for a small file, its head is added.
    pub(super) fn add(&mut self, response: CachedResponse) -> Vec<Arc<CachedResponse>> {
        let kind = Kind::of(&response);
        let weight = kind.weight(&response);
        let mut old = if self.has_room(kind, weight) { Vec::new() } else { self.make_room(kind) };
        if self.has_room(kind, weight) {
            old.extend(self.insert(response));
        } else if kind == Kind::Small {
            old.extend(response.without_bytes().map(|head| self.add(head)).unwrap_or_default());
        } else {
            old.push(Arc::new(response));
        }
        old
    }

    fn insert(&mut self, response: CachedResponse) -> Option<Arc<CachedResponse>> {
        let response = Arc::new(response);
        let before = self.of_surface(response.surface).replace(ByAddress(Arc::clone(&response)));
        let before = before.map(|ByAddress(before)| before).inspect(|before| self.discount(before));
        let kind = Kind::of(&response);
        let kept = &mut self.kept[kind as usize];
        response.place.store(kept.responses.len(), Relaxed);
        kept.bytes += kind.weight(&response);
        kept.responses.push(response);
        before
    }

    #[expect(clippy::mutable_key_type, reason = "the address of a response never changes")]
    fn of_surface(&mut self, surface: &'static str) -> &mut HashSet<ByAddress> {
        let index = self.by_surface.iter().position(|(name, _)| *name == surface).unwrap_or_else(|| {
            self.by_surface.push((surface, HashSet::new()));
            self.by_surface.len() - 1
        });
        &mut self.by_surface[index].1
    }

    fn discount(&mut self, response: &CachedResponse) {
        let kind = Kind::of(response);
        let kept = &mut self.kept[kind as usize];
        kept.bytes -= kind.weight(response);
        let place = response.place.load(Relaxed);
        kept.responses.swap_remove(place);
        if let Some(moved) = kept.responses.get(place) {
            moved.place.store(place, Relaxed);
        }
    }

    /// Removes responses of a kind: all, for popular ones are soon cached again. Of files of releases, only those that nobody
    /// has asked for lately: who asks for all files of a large site one after the other would find none of them otherwise.
    fn make_room(&mut self, kind: Kind) -> Vec<Arc<CachedResponse>> {
        let kept = &mut self.kept[kind as usize];
        let removed = match kind {
            Kind::Whole | Kind::Negative => kept.responses.clone(),
            Kind::Small | Kind::Head => kept.unused(),
            // They are closed within a second.
            Kind::Open => Vec::new(),
        };
        self.remove(removed)
    }

    fn remove(&mut self, responses: Vec<Arc<CachedResponse>>) -> Vec<Arc<CachedResponse>> {
        for response in &responses {
            self.of_surface(response.surface).remove(response.head.address());
            self.discount(response);
        }
        responses
    }

    /// Whether a task has to be started that closes files, which the caller then does.
    pub(super) fn begin_closing(&mut self) -> bool {
        !self.open().is_empty() && !std::mem::replace(&mut self.closing, true)
    }

    fn open(&self) -> &[Arc<CachedResponse>] {
        &self.kept[Kind::Open as usize].responses
    }

    /// Marks the open files that were deleted, that nobody has asked for since the last call, and those that are old at
    /// this time.
    pub(super) fn mark_expired(&self, now: u64) {
        for response in self.open() {
            response.expired.store(!response.stays_open(now), Relaxed);
        }
    }

    /// Removes the marked responses. False if no file is open any more, so that the task ends.
    pub(super) fn close_expired(&mut self) -> (Vec<Arc<CachedResponse>>, bool) {
        let expired = self.open().iter().filter(|response| response.expired.load(Relaxed)).cloned().collect();
        let closed = self.remove(expired);
        self.closing = !self.open().is_empty();
        (closed, self.closing)
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::extract::MatchedPath;
    use axum::http::{HeaderMap, Request, StatusCode};
    use axum::routing::get;
    use axum::{Extension, response::IntoResponse as _};
    use tower::ServiceExt as _;

    use super::super::Cacheable;
    use super::*;
    use crate::domain::Digest;
    use crate::store::FileSlice;

    async fn route() -> MatchedPath {
        let routes = Router::new().route("/", get(async |route: MatchedPath| Extension(route).into_response()));
        let response = routes.oneshot(Request::new(Body::empty())).await.unwrap();
        response.extensions().get::<MatchedPath>().unwrap().clone()
    }

    /// Makes sure that the budgets, the lists and the addresses say the same.
    fn check(entries: &Entries) {
        for (kind, kept) in entries.kept.iter().enumerate() {
            let of_kind = |response: &CachedResponse| Kind::of(response).weight(response);
            assert!(kept.responses.iter().all(|response| Kind::of(response) as usize == kind));
            assert_eq!(kept.bytes, kept.responses.iter().map(|response| of_kind(response)).sum::<usize>());
            assert!(kept.bytes <= kept.max_bytes, "{kind}");
            for (place, response) in kept.responses.iter().enumerate() {
                assert_eq!(response.place.load(Relaxed), place);
            }
        }
        assert!(entries.open().len() <= entries.max_files);
        let listed: usize = entries.kept.iter().map(|kept| kept.responses.len()).sum();
        assert_eq!(listed, entries.by_surface.iter().map(|(_, responses)| responses.len()).sum::<usize>());
    }

    #[tokio::test(start_paused = true)]
    async fn budgets_hold_whatever_is_added_replaced_and_removed() {
        const ADDRESSES: [&str; 40] = [
            "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
            "v", "w", "x", "y", "z", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "ä", "ö", "ü", "ß",
        ];
        let (route, file) = (route().await, Arc::new(tempfile::tempfile().unwrap()));
        let mut entries = Entries::new(3, 12 << 10);
        for kept in &mut entries.kept[..2] {
            kept.max_bytes = 6 << 10;
        }
        let mut random = 1_u64;
        let mut next = |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 40).unwrap() % below
        };
        for at in 0..20_000 {
            let bytes = Bytes::from(vec![b'x'; next(2000)]);
            let slice = FileSlice { file: Arc::clone(&file), start: 0, end: 9, bytes: Some(bytes.clone()) };
            let heads = vec![(format!("n{}", next(3)).parse().unwrap(), 1)];
            let source = match next(6) {
                0 => Cacheable::of_heads(heads, bytes),
                1 => Cacheable::of_heads(heads, bytes).negative(),
                2 => Cacheable::of_fetched(heads, &bytes),
                3 => Cacheable::of_file(Digest::of(b"x"), slice),
                4 => Cacheable::without_body(Some(Arc::clone(&file))),
                _ => Cacheable::of_file(Digest::of(b"x"), slice).under(heads).closed(true),
            };
            let key = CacheKey::new(["one", "two"][next(2)], None, None, ADDRESSES[next(ADDRESSES.len())]);
            let common = entries.common(Common::new(source.sources, route.clone(), 0, StatusCode::OK));
            entries.add(CachedResponse::new(&key, common, &HeaderMap::new(), (source.body, source.until), 0));
            if let Some(found) = entries.get(&key) {
                assert_eq!(found.head.address(), key.address.as_bytes());
                found.used.store(next(2) == 0, Relaxed);
            }
            if next(50) == 0 {
                tokio::time::advance(SEARCHED_EVERY).await;
                entries.mark_expired(0);
                entries.close_expired();
            }
            if at % 16 == 0 {
                check(&entries);
            }
        }
        assert!(entries.kept.iter().all(|kept| !kept.responses.is_empty()), "some kind was never kept");
    }
}
