//! A store that fails, loses replies, stalls and lets others in, by a script.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use larder::shares::Owner;
use larder::store::{
    ByteRange, Created, Key, List, Object, ObjectMeta, ObjectStore, Part, PartStore, Parts, Prefix, Result, StoreError,
    StoreErrorKind, Unfinished, Upload,
};
use tokio::sync::Semaphore;

use super::store::Store;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    Head,
    Get,
    Create,
    Begin,
    Write,
    Commit,
    Copy,
    Delete,
    List,
    Persist,
    BeginParts,
    WritePart,
    CommitParts,
    AbortParts,
    Unfinished,
}

type Hook = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

#[derive(Clone)]
enum Effect {
    Fail(StoreErrorKind),
    LoseReply,
    Run(Hook),
}

/// Which calls something happens to, and what.
pub struct Rule {
    op: Option<Op>,
    key: String,
    first: usize,
    last: usize,
    effect: Effect,
    seen: usize,
}

impl Rule {
    /// Calls of every kind.
    pub fn any() -> Self {
        Self {
            op: None,
            key: String::new(),
            first: 1,
            last: usize::MAX,
            effect: Effect::Fail(StoreErrorKind::Unavailable),
            seen: 0,
        }
    }

    /// Calls of one kind.
    pub fn on(op: Op) -> Self {
        Self { op: Some(op), ..Self::any() }
    }

    /// Only those whose key holds this text.
    pub fn key(self, part: impl Into<String>) -> Self {
        Self { key: part.into(), ..self }
    }

    /// Only the `nth` of them (from 1).
    pub fn nth(self, nth: usize) -> Self {
        Self { first: nth, last: nth, ..self }
    }

    /// The `nth` of them and all later ones.
    pub fn from(self, nth: usize) -> Self {
        Self { first: nth, ..self }
    }

    /// The call fails without having been made.
    pub fn fail(self) -> Self {
        self.fail_as(StoreErrorKind::Unavailable)
    }

    /// The call fails in this way without having been made.
    pub fn fail_as(self, kind: StoreErrorKind) -> Self {
        Self { effect: Effect::Fail(kind), ..self }
    }

    /// The call is made, but its reply is lost.
    pub fn lose_reply(self) -> Self {
        Self { effect: Effect::LoseReply, ..self }
    }

    /// Something else happens just before the call.
    pub fn run<F: Future<Output = ()> + Send + 'static>(self, hook: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { effect: Effect::Run(Arc::new(move || Box::pin(hook()))), ..self }
    }

    fn matches(&mut self, op: Op, key: &str) -> Option<Effect> {
        if self.op.is_some_and(|wanted| wanted != op) || !key.contains(&self.key) {
            return None;
        }
        self.seen += 1;
        (self.first..=self.last).contains(&self.seen).then(|| self.effect.clone())
    }
}

/// A call that waits to be let go.
#[derive(Debug, Clone)]
pub struct Stall {
    reached: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Stall {
    /// Waits until the call is about to be made.
    pub async fn reached(&self) {
        self.reached.acquire().await.expect("never closed").forget();
    }

    /// Lets it go on.
    pub fn release(&self) {
        self.released.add_permits(1);
    }
}

#[derive(Default)]
struct Script {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<BTreeMap<Op, usize>>,
}

impl Script {
    /// What happens to a call: `Ok(true)` when its reply is to be lost.
    async fn before(&self, op: Op, key: &str) -> Result<bool> {
        *self.calls.lock().unwrap().entry(op).or_default() += 1;
        let effects: Vec<Effect> =
            self.rules.lock().unwrap().iter_mut().filter_map(|rule| rule.matches(op, key)).collect();
        let mut lost = false;
        for effect in effects {
            match effect {
                Effect::Run(hook) => hook().await,
                Effect::Fail(kind) => return Err(failure(kind, op, key)),
                Effect::LoseReply => lost = true,
            }
        }
        Ok(lost)
    }

    async fn call<T>(&self, op: Op, key: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let lost = self.before(op, key).await?;
        let answer = call.await;
        if lost { Err(scripted(op, key)) } else { answer }
    }
}

fn scripted(op: Op, key: &str) -> StoreError {
    failure(StoreErrorKind::Unavailable, op, key)
}

fn failure(kind: StoreErrorKind, op: Op, key: &str) -> StoreError {
    StoreError::new(kind, key, format!("scripted failure of {op:?}"))
}

/// A store with a script.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Store,
    script: Arc<Script>,
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl FaultyStore {
    /// A store with an empty script: it does what `inner` does, and counts.
    pub fn over(inner: &Store) -> Self {
        Self { inner: Arc::clone(inner), script: Arc::default() }
    }

    /// As what services take.
    pub fn store(&self) -> Store {
        Arc::new(self.clone())
    }

    /// Adds to the script. Calls are counted from now on.
    pub fn script(&self, rule: Rule) {
        self.script.rules.lock().unwrap().push(rule);
    }

    /// Makes the calls that the rule is about wait.
    pub fn stall(&self, rule: Rule) -> Stall {
        let stall = Stall { reached: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) };
        let held = stall.clone();
        self.script(rule.run(move || {
            let held = held.clone();
            async move {
                held.reached.add_permits(1);
                held.released.acquire().await.expect("never closed").forget();
            }
        }));
        stall
    }

    /// Forgets the script and the counts.
    pub fn reset(&self) {
        self.script.rules.lock().unwrap().clear();
        self.script.calls.lock().unwrap().clear();
    }

    /// Calls of one kind since the last reset.
    pub fn calls(&self, op: Op) -> usize {
        self.script.calls.lock().unwrap().get(&op).copied().unwrap_or(0)
    }

    /// Calls of all kinds since the last reset.
    pub fn total(&self) -> usize {
        self.script.calls.lock().unwrap().values().sum()
    }

    /// The calls by kind, for people.
    pub fn breakdown(&self) -> String {
        format!("{:?}", self.script.calls.lock().unwrap())
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        self.script.call(Op::Head, key.as_str(), self.inner.head(key)).await
    }

    async fn get(&self, key: &Key, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.script.call(Op::Get, key.as_str(), self.inner.get(key, range)).await
    }

    async fn create(&self, key: &Key, bytes: Bytes) -> Result<Created> {
        self.script.call(Op::Create, key.as_str(), self.inner.create(key, bytes)).await
    }

    async fn begin(&self, key: &Key) -> Result<Box<dyn Upload>> {
        let inner = self.script.call(Op::Begin, key.as_str(), self.inner.begin(key)).await?;
        Ok(Box::new(FaultyUpload { inner, key: key.clone(), script: Arc::clone(&self.script) }))
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Created>> {
        self.script.call(Op::Copy, from.as_str(), self.inner.copy(from, to)).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.script.call(Op::Delete, key.as_str(), self.inner.delete(key)).await
    }

    fn list(&self, prefix: &Prefix, options: List) -> BoxStream<'_, Result<ObjectMeta>> {
        let (prefix, text) = (prefix.clone(), prefix.to_string());
        let verdict = async move { (self.script.before(Op::List, &text).await, text) };
        let listing = move |(verdict, text): (Result<bool>, String)| match verdict {
            Err(error) => stream::once(async { Err(error) }).boxed(),
            Ok(false) => self.inner.list(&prefix, options.clone()),
            // What a listing that breaks off shows is not everything.
            Ok(true) => self.inner.list(&prefix, options.clone()).take(1).chain(broken_off(text)).boxed(),
        };
        stream::once(verdict).flat_map(listing).boxed()
    }

    async fn persist(&self, keys: &[Key]) -> Result<()> {
        let first = keys.first().map_or("", Key::as_str);
        self.script.call(Op::Persist, first, self.inner.persist(keys)).await
    }
}

#[async_trait]
impl PartStore for FaultyStore {
    async fn begin_parts(&self, key: &Key) -> Result<Parts> {
        self.script.call(Op::BeginParts, key.as_str(), self.inner.begin_parts(key)).await
    }

    async fn write_part(&self, parts: &Parts, number: u32, offset: u64, bytes: Bytes) -> Result<Option<Part>> {
        let write = self.inner.write_part(parts, number, offset, bytes);
        self.script.call(Op::WritePart, parts.key.as_str(), write).await
    }

    async fn commit_parts(&self, parts: &Parts, written: &[Part]) -> Result<Option<Created>> {
        self.script.call(Op::CommitParts, parts.key.as_str(), self.inner.commit_parts(parts, written)).await
    }

    async fn abort_parts(&self, parts: &Parts) -> Result<()> {
        self.script.call(Op::AbortParts, parts.key.as_str(), self.inner.abort_parts(parts)).await
    }

    fn unfinished(&self) -> BoxStream<'_, Result<Unfinished>> {
        let verdict = self.script.before(Op::Unfinished, "");
        let listing = move |verdict: Result<bool>| match verdict {
            Err(error) => stream::once(async { Err(error) }).boxed(),
            Ok(_) => self.inner.unfinished(),
        };
        stream::once(verdict).flat_map(listing).boxed()
    }
}

fn broken_off(prefix: String) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(async move { Err(scripted(Op::List, &prefix)) }).boxed()
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    key: Key,
    script: Arc<Script>,
}

#[async_trait]
impl Upload for FaultyUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.script.call(Op::Write, self.key.as_str(), self.inner.write(bytes)).await
    }

    fn set_owner(&mut self, owner: Owner) {
        self.inner.set_owner(owner);
    }

    async fn relax(&mut self) -> Result<()> {
        self.inner.relax().await
    }

    async fn commit(self: Box<Self>) -> Result<Created> {
        let Self { inner, key, script } = *self;
        script.call(Op::Commit, key.as_str(), inner.commit()).await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
