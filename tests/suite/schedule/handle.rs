//! A process's way to the store: every call waits for its turn.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use larder::store::{
    ByteRange, Created, Key, List, Object, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix, Result, StoreError,
    StoreErrorKind, Unfinished, Upload,
};
use tokio::sync::oneshot;

use super::objects::{group, meta, open};
use super::random::Random;
use super::world::{Caller, Pending, State, World, masked};

tokio::task_local! {
    /// The client on whose behalf a task runs.
    pub static CLIENT: usize;
}

/// The store, as one process has it. Once the process is dead, no call returns.
#[derive(Clone)]
pub struct Handle {
    world: Arc<World>,
    process: usize,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.process)
    }
}

struct Call<T, F> {
    act: Option<F>,
    done: Option<T>,
    reply: Option<oneshot::Sender<Result<T>>>,
}

impl<T: Send, F: FnOnce(&mut State) -> T + Send> Pending for Call<T, F> {
    fn apply(&mut self, store: &mut State) {
        self.done = self.act.take().map(|act| act(store));
    }

    fn answer(&mut self) {
        if let (Some(reply), Some(done)) = (self.reply.take(), self.done.take()) {
            drop(reply.send(Ok(done)));
        }
    }

    fn fail(&mut self, error: StoreError) {
        if let Some(reply) = self.reply.take() {
            drop(reply.send(Err(error)));
        }
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Handle {
    pub fn new(world: &Arc<World>, process: usize) -> Self {
        Self { world: Arc::clone(world), process }
    }

    /// The order in which a store does many things at once is not defined.
    fn shuffled(&self, keys: &[Key]) -> Vec<Key> {
        let mut keys = keys.to_vec();
        keys.sort();
        self.world.with(|store| store.random.shuffle(&mut keys));
        keys
    }

    async fn call<T: Send + 'static>(
        &self,
        op: &'static str,
        key: &str,
        act: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let key = masked(key);
        let call = Call { act: Some(act), done: None, reply: Some(reply) };
        let caller = Caller { process: self.process, client: CLIENT.try_with(|client| *client).ok() };
        self.world.wait(caller, op, &key, Box::new(call));
        match answer.await {
            Ok(answer) => answer,
            // The process is dead.
            Err(_) => pending().await,
        }
    }
}

fn create(store: &mut State, key: &Key, bytes: Bytes) -> Created {
    let created = store.objects.create(key, bytes);
    if created == Created::New {
        store.created(key);
    }
    created
}

#[async_trait]
impl ObjectStore for Handle {
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        let wanted = key.clone();
        self.call("head", key.as_str(), move |store| store.objects.meta(&wanted)).await
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        let wanted = key.clone();
        let got = self.call("get", key.as_str(), move |store| {
            let object = store.objects.entry(&wanted).map(|entry| open(&wanted, entry, range))?;
            Some(if store.random.chance(store.breaks) { broken_off(object) } else { object })
        });
        got.await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        let wanted = key.clone();
        self.call("create", key.as_str(), move |store| create(store, &wanted, bytes)).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        self.call("begin", key.as_str(), |_| ()).await?;
        Ok(Box::new(Staged { handle: self.clone(), key: key.clone(), bytes: Vec::new(), torn: false }))
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        let (source, wanted) = (from.clone(), to.clone());
        let what = format!("{from} to {to}");
        let copied = self.call("copy", &what, move |store| {
            let bytes = store.objects.entry(&source)?.bytes.clone();
            Some(create(store, &wanted, bytes))
        });
        copied.await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let wanted = key.clone();
        self.call("delete", key.as_str(), move |store| store.delete(&wanted)).await
    }

    async fn create_empty(&self, keys: &[Key]) -> Result<()> {
        for key in self.shuffled(keys) {
            self.create(&key, Bytes::new()).await?;
        }
        Ok(())
    }

    async fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for key in self.shuffled(keys) {
            self.delete(&key).await?;
        }
        Ok(())
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        let listing = Listing {
            prefix: prefix.to_string(),
            first_of: options.first_of,
            after: options.start_after,
            left: options.limit.unwrap_or(usize::MAX),
            begun: None,
            page: 0,
            chances: 0,
            group: None,
        };
        let pages = stream::unfold(Some(listing), |listing| async {
            let mut listing = listing?;
            let prefix = listing.prefix.clone();
            let page = self.call("list", &prefix, move |store| {
                let found = listing.read(store);
                (found, listing)
            });
            match page.await {
                Ok((found, listing)) => {
                    let next = (!listing.is_over()).then_some(listing);
                    Some((stream::iter(found.into_iter().map(Ok).collect::<Vec<_>>()), next))
                }
                Err(error) => Some((stream::iter(vec![Err(error)]), None)),
            }
        });
        pages.flatten().boxed()
    }

    async fn persist(&self, keys: &[Key]) -> Result<()> {
        // They may come in the order of a map, which is another one each time.
        match keys.iter().min() {
            Some(first) => self.call("persist", first.as_str(), |_| ()).await,
            None => Ok(()),
        }
    }
}

#[async_trait]
impl PartStore for Handle {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        let wanted = key.clone();
        self.call("begin parts", key.as_str(), move |store| store.objects.begin_parts(&wanted)).await
    }

    async fn write_part(&self, parts: &Parts, number: u32, _: u64, bytes: Bytes) -> Result<Option<Part>> {
        let of = parts.clone();
        let write = move |store: &mut State| store.objects.write_part(&of, number, bytes);
        self.call("write part", parts.key.as_str(), write).await
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        let (of, written) = (parts.clone(), written.to_vec());
        let commit = move |store: &mut State| {
            let bytes = store.objects.put_together(&of, &written)?;
            Some(create(store, &of.key, bytes))
        };
        self.call("commit parts", parts.key.as_str(), commit).await
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        let of = parts.clone();
        self.call("abort parts", parts.key.as_str(), move |store| store.objects.abort_parts(&of)).await
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        let all = self.call("unfinished", "", |store| store.objects.unfinished());
        stream::once(all).map_ok(|all| stream::iter(all.into_iter().map(Ok))).try_flatten().boxed()
    }
}

/// The object's body ends in an error.
fn broken_off(object: Object) -> Object {
    let Object { meta, body, .. } = object;
    let key = meta.key.clone();
    let error = StoreError::new(StoreErrorKind::Unavailable, key, "the body breaks off");
    let half = body.map(|chunk| chunk.map(|bytes| bytes.slice(..bytes.len() / 2)));
    Object { meta, body: half.chain(stream::once(async { Err(error) })).boxed(), file: None }
}

/// A listing that is read page by page, while others go on.
struct Listing {
    prefix: String,
    first_of: Option<&'static str>,
    after: Option<Key>,
    left: usize,
    /// What had changed when it began.
    begun: Option<u64>,
    /// How many keys are on a page.
    page: usize,
    /// Decides which of the keys it shows that it need not.
    chances: u64,
    /// The group of which it has shown the first key.
    group: Option<String>,
}

impl Listing {
    /// The next page. An object that was there before the listing began and still is must be shown; one that came or
    /// went meanwhile may be.
    fn read(&mut self, store: &mut State) -> Vec<ObjectMeta> {
        if self.begun.is_none() {
            self.page = store.random.pick(&[1, 2, 4, 16]);
            self.chances = store.random.next();
        }
        let begun = *self.begun.get_or_insert(store.objects.changes);
        let is_wanted =
            |key: &Key| key.as_str().starts_with(&self.prefix) && self.after.as_ref().is_none_or(|after| key > after);
        let ghosts = store.ghosts.iter().filter(|(key, _, died)| *died > begun && is_wanted(key));
        let mut ghosts: Vec<_> = ghosts.map(|(key, entry, _)| (key.clone(), entry.clone(), false)).collect();
        ghosts.sort_by(|one, other| one.0.cmp(&other.0));
        let mut ghosts = ghosts.into_iter().peekable();
        let (prefix, after) = (self.prefix.clone(), self.after.clone());
        let live = store.objects.after(&prefix, after.as_ref());
        let mut live = live.map(|(key, entry)| (key.clone(), entry.clone(), entry.born <= begun)).peekable();
        let (page, mut found) = (self.page.min(self.left), Vec::new());
        while found.len() < page {
            // Of two with the same key the living one counts.
            let next = match (live.peek(), ghosts.peek()) {
                (Some(one), Some(ghost)) if ghost.0 < one.0 => ghosts.next(),
                (None, Some(_)) => ghosts.next(),
                _ => live.next(),
            };
            let Some((key, entry, must_show)) = next else {
                self.left = found.len();
                break;
            };
            if self.after.as_ref() != Some(&key) && self.shows(&key, must_show) {
                found.push(meta(&key, &entry));
            }
            self.after = Some(key);
        }
        self.left -= found.len();
        found
    }

    fn shows(&mut self, key: &Key, must_show: bool) -> bool {
        let group = group(key, self.first_of);
        if (group.is_some() && group == self.group.as_deref()) || !(must_show || self.may_show(key)) {
            return false;
        }
        self.group = group.map(str::to_owned);
        true
    }

    /// Runs of the collector have random ids, which must not decide how a schedule goes on.
    fn may_show(&self, key: &Key) -> bool {
        let letters = masked(key.as_str());
        letters
            .bytes()
            .fold(Random::new(self.chances), |mut random, letter| Random::new(random.next() ^ u64::from(letter)))
            .chance(500)
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// An upload of which nobody sees anything yet.
struct Staged {
    handle: Handle,
    key: Key,
    bytes: Vec<u8>,
    /// A write failed or was cancelled.
    torn: bool,
}

fn torn(key: &Key) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, key, "a write was cancelled or failed")
}

#[async_trait]
impl Upload for Staged {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(torn(&self.key));
        }
        // Even one that is answered at once can be cancelled.
        tokio::task::yield_now().await;
        self.handle.call("write", self.key.as_str(), |_| ()).await?;
        self.bytes.extend_from_slice(&bytes);
        self.torn = false;
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<Created> {
        let Self { handle, key, bytes, torn: is_torn } = *self;
        if is_torn {
            return Err(torn(&key));
        }
        let wanted = key.clone();
        handle.call("commit", key.as_str(), move |store| create(store, &wanted, bytes.into())).await
    }

    async fn abort(self: Box<Self>) {}
}
