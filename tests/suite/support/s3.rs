//! A model of an S3 engine, in this process: all objects under one lock, every request counted, and faults by a script.
//!
//! Strict where engines are: a request must be signed (how is not checked), the hash that it states for its body must be
//! right, parts must not be too small. It speaks real HTTP, so that what breaks is what breaks in life.

mod bucket;
mod script;
mod wire;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::SignedDuration;
use larder::store::S3Store;
use larder::store::s3::{AccessKey, S3Settings, Timeouts};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::store::{Store, assert_nothing_unfinished};
use bucket::Bucket;
pub use script::Fault;
use script::Script;

pub const BUCKET: &str = "model";

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    PutObject,
    GetObject,
    /// A GET of the first byte: how the backend looks at objects.
    Look,
    HeadObject,
    CopyObject,
    DeleteObject,
    DeleteObjects,
    ListObjects,
    CreateMultipart,
    UploadPart,
    UploadPartCopy,
    CompleteMultipart,
    AbortMultipart,
    ListParts,
    ListUploads,
}

/// What an engine makes of `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// It has no effect.
    Ignored,
    /// It is answered 501.
    Refused,
    /// Looked at first, and forgotten while the object is written: right until two write at once.
    CheckedBefore,
    /// Honoured where every engine that can be used honours it.
    OfPuts,
}

/// What the engine does differently from S3.
#[derive(Debug, Clone)]
pub struct Quirks {
    /// What becomes of `If-None-Match`.
    pub conditions: Conditions,
    /// Deletions in batches are answered 400.
    pub without_batches: bool,
    /// The bucket is not there.
    pub without_bucket: bool,
    /// Most keys of a page.
    pub page: usize,
    /// How far its clock is ahead of ours. It refuses requests that were signed at another time than its own.
    pub ahead: SignedDuration,
    /// Fewest bytes of a part that is not the last.
    pub smallest_part: usize,
    /// Keys that a batch does not delete, with the code it says, so many times.
    pub undeletable: BTreeMap<String, (&'static str, usize)>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            conditions: Conditions::OfPuts,
            without_batches: false,
            without_bucket: false,
            page: 1000,
            ahead: SignedDuration::ZERO,
            smallest_part: 5 << 20,
            undeletable: BTreeMap::new(),
        }
    }
}

#[derive(Default)]
struct Engine {
    bucket: Mutex<Bucket>,
    script: Script,
    quirks: Mutex<Quirks>,
    requests: Mutex<BTreeMap<Op, usize>>,
    /// The requests of each kind that are being answered, and the most there ever were at once.
    busy: Mutex<BTreeMap<Op, (usize, usize)>>,
}

/// The model and its address.
pub struct S3Model {
    address: SocketAddr,
    engine: Arc<Engine>,
    accepting: AbortHandle,
}

impl Drop for S3Model {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl S3Model {
    /// An engine with an empty bucket.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, engine) = (listener.local_addr().unwrap(), Arc::new(Engine::default()));
        let shared = Arc::clone(&engine);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let engine = Arc::clone(&shared);
                let service = service_fn(move |request| wire::answer(Arc::clone(&engine), request));
                tokio::spawn(async move {
                    stream.set_nodelay(true).unwrap();
                    let mut connection = http1::Builder::new();
                    connection.timer(TokioTimer::new());
                    // An error is what a scripted fault looks like from here.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                    Ok::<_, Infallible>(())
                });
            }
        });
        Self { address, engine, accepting: accepting.abort_handle() }
    }

    /// Settings for this engine, and little timeouts.
    pub fn settings(&self) -> S3Settings {
        let mut settings = S3Settings::new(BUCKET);
        settings.endpoint = Some(format!("http://{}", self.address));
        settings.access_key = Some(AccessKey { id: "model".to_owned(), secret: "secret".to_owned() });
        settings.part_size = 5 << 20;
        settings.memory = 64 << 20;
        let seconds = Duration::from_secs;
        settings.timeouts = Timeouts { connect: seconds(2), attempt: seconds(5), give_up: seconds(20) };
        settings
    }

    pub async fn store(&self) -> Store {
        self.store_with(|_| {}).await
    }

    /// A store with other settings than the usual ones.
    pub async fn store_with(&self, tweak: impl FnOnce(&mut S3Settings)) -> Store {
        Arc::new(self.s3_store(tweak).await)
    }

    pub async fn s3_store(&self, tweak: impl FnOnce(&mut S3Settings)) -> S3Store {
        let mut settings = self.settings();
        tweak(&mut settings);
        S3Store::connect(settings).await.expect("sound settings")
    }

    /// The `nth` request of a kind from now on (from 1) goes wrong.
    pub fn fail(&self, op: Op, nth: usize, fault: Fault) {
        self.engine.script.add(op, nth, nth, fault);
    }

    /// So do all later ones.
    pub fn fail_from(&self, op: Op, nth: usize, fault: Fault) {
        self.engine.script.add(op, nth, usize::MAX, fault);
    }

    /// Of a hundred requests of any kind so many go wrong, in various ways, drawn from the seed.
    pub fn fail_percent(&self, percent: u64, seed: u64) {
        self.engine.script.storm(percent, seed);
    }

    /// Every request goes wrong.
    pub fn fail_all(&self, fault: Fault) {
        self.engine.script.always(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.engine.script.clear();
    }

    pub fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.engine.quirks.lock().unwrap());
    }

    /// Requests of each kind since the last time this was asked.
    pub fn requests(&self) -> BTreeMap<Op, usize> {
        std::mem::take(&mut self.engine.requests.lock().unwrap())
    }

    /// Multipart uploads that were neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.engine.bucket.lock().unwrap().open_uploads()
    }

    /// Sizes of the parts of an object, as they were sent.
    pub fn part_sizes(&self, key: &str) -> Vec<usize> {
        self.engine.bucket.lock().unwrap().part_sizes(key)
    }

    /// The keys in the bucket, with prefix and all.
    pub fn keys(&self) -> Vec<String> {
        self.engine.bucket.lock().unwrap().keys()
    }

    /// Puts an object that no Larder made.
    pub fn plant(&self, key: &str, bytes: impl Into<Bytes>) {
        self.engine.bucket.lock().unwrap().plant(key, bytes.into());
    }

    /// Most requests of a kind that were being answered at once.
    pub fn most_at_once(&self, op: Op) -> usize {
        self.engine.busy.lock().unwrap().get(&op).map_or(0, |(_, most)| *most)
    }

    /// What every test ends with: nothing is left unfinished.
    pub async fn finish(self) {
        self.heal();
        assert_nothing_unfinished(&self.store().await).await;
    }
}
