//! The services over a store, releases to publish, and the question whether a name is sound.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::SignedDuration;
use larder::clock::{Clock, ManualClock, SystemClock};
use larder::domain::{Digest, Expect, Head, LivePolicies, LogName, ManifestName, State, Subject, Target, VersionRow};
use larder::layout::LayoutKey;
use larder::protocol::{BlobError, BlobIntake, Blobs, Closure, Heads, Manifests, UploadLimits, Uploads};
use larder::service::publish::PublishOptions;
use larder::service::wares::{ScanLimits, WareChecks};
use larder::service::{
    Catalogs, Earlier, Publish, PublishError, PublishLimits, Receipt, Repositories, Resolve, Versions,
};
use larder::store::{Created, StoreError};

use super::store::Store;

/// Resumable uploads in parts so small that tests need few bytes.
pub const UPLOAD_LIMITS: UploadLimits = UploadLimits { part_size: 1000, blob_size: 1 << 20, memory: 1 << 20 };

/// Who does everything here.
pub static ACTOR: LazyLock<Subject> = LazyLock::new(|| Subject::token("tester").unwrap());

pub fn name(text: &str) -> ManifestName {
    text.parse().expect("a legal name")
}

/// A name, or a hidden log.
pub fn log_name(text: &str) -> LogName {
    text.parse().expect("a legal name of a log")
}

pub fn target(text: &str) -> Target {
    text.parse().expect("a legal target")
}

/// Files to publish together.
#[derive(Debug, Clone)]
pub struct Release {
    pub label: String,
    pub files: Vec<(String, Bytes)>,
}

impl Release {
    /// A release of so many small files that no other label has.
    pub fn new(label: impl Into<String>, files: usize) -> Self {
        let label = label.into();
        let file = |at: usize| (format!("file-{at}.txt"), Bytes::from(format!("file {at} of {label}")));
        let files = (0..files).map(file).collect();
        Self { label, files }
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> Bytes {
        let artifacts: Vec<_> = self
            .files
            .iter()
            .map(|(name, bytes)| serde_json::json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()}))
            .collect();
        serde_json::json!({"version": self.label, "artifacts": artifacts}).to_string().into()
    }

    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest())
    }

    /// The digest of one of the files.
    pub fn file(&self, at: usize) -> Digest {
        Digest::of(&self.files[at].1)
    }
}

pub use larder::protocol::AsOf;

/// All services over one store, as one process has them.
#[derive(Debug, Clone)]
pub struct Services {
    pub clock: Arc<ManualClock>,
    pub heads: Arc<Heads>,
    pub blobs: Arc<Blobs>,
    pub uploads: Arc<Uploads>,
    pub publish: Arc<Publish>,
    pub resolve: Arc<Resolve>,
    pub earlier: Arc<Earlier>,
    pub versions: Arc<Versions>,
    pub repositories: Arc<Repositories>,
}

/// Make it active, whatever is there.
pub fn activate() -> PublishOptions {
    PublishOptions { activate: true, expect: Expect::Anything }
}

/// Make it active if this manifest is.
pub fn activate_over(digest: Digest) -> PublishOptions {
    PublishOptions { activate: true, expect: Expect::OneOf(vec![digest]) }
}

/// Do not make it active yet.
pub fn stage() -> PublishOptions {
    PublishOptions { activate: false, expect: Expect::Anything }
}

impl Services {
    /// A process that knows nothing yet; its clock shows the present and stands still.
    pub fn over(store: &Store) -> Self {
        Self::with_clock(store, Arc::new(ManualClock::new(SystemClock.now())))
    }

    pub fn with_clock(store: &Store, clock: Arc<ManualClock>) -> Self {
        Self::with_staleness(store, clock, Duration::ZERO)
    }

    /// A process whose readers accept answers that are so old.
    pub fn with_staleness(store: &Store, clock: Arc<ManualClock>, most: Duration) -> Self {
        Self::with_policies(store, clock, most, LivePolicies::default())
    }

    /// A process whose readers accept answers that are so old, under these policies.
    pub fn with_policies(store: &Store, clock: Arc<ManualClock>, most: Duration, policies: LivePolicies) -> Self {
        let shared: Arc<dyn Clock> = clock.clone();
        let blobs = Arc::new(Blobs::new(store.clone(), Arc::clone(&shared), SignedDuration::from_hours(12)));
        let uploads = Arc::new(Uploads::new(Arc::clone(store), Arc::clone(&blobs), UPLOAD_LIMITS));
        let manifests = Arc::new(Manifests::new(Arc::clone(&blobs)));
        let heads = Heads::new(store.clone(), shared).with_max_staleness(most).with_policies(policies);
        let heads = Arc::new(heads.with_manifests(Arc::clone(&manifests)));
        let resolve = Arc::new(Resolve::new(Arc::clone(&heads), Arc::clone(&manifests)));
        let earlier = Arc::new(Earlier::new(Arc::clone(&heads), Arc::clone(&manifests)));
        let limits = PublishLimits { manifest_bytes: 4 << 20, artifacts: 10_000 };
        let publish = Arc::new(Publish::new(Arc::clone(&heads), Arc::clone(&blobs), manifests, limits));
        let versions = Arc::new(Versions::new(Arc::clone(&heads), Arc::clone(&resolve), Arc::clone(&publish)));
        let repositories =
            Repositories::new(Arc::clone(&heads), Arc::clone(&blobs), Arc::clone(&publish), Arc::clone(&versions));
        let repositories = Arc::new(repositories);
        Self { clock, heads, blobs, uploads, publish, resolve, earlier, versions, repositories }
    }

    /// The catalogs of a process that has the other services over the same store.
    pub fn catalogs(&self, store: &Store) -> Catalogs {
        let wares = WareChecks::new(store.clone(), Arc::clone(&self.blobs), ScanLimits::new(1 << 20));
        Catalogs::new(Arc::clone(&self.resolve), Arc::clone(&self.blobs), Arc::new(wares))
    }

    /// Uploads one blob, as a client does that announces its length. `None` when it was there.
    pub async fn upload(&self, bytes: &Bytes) -> Result<Option<Created>, BlobError> {
        match self.blobs.begin(Digest::of(bytes), Some(bytes.len() as u64)).await? {
            BlobIntake::Present(_) => Ok(None),
            BlobIntake::Upload(mut upload) => {
                upload.write(bytes.clone()).await?;
                self.blobs.finish(*upload).await.map(Some)
            }
        }
    }

    /// Uploads all files of a release.
    pub async fn upload_all(&self, release: &Release) -> Result<(), BlobError> {
        for (_, bytes) in &release.files {
            self.upload(bytes).await?;
        }
        Ok(())
    }

    /// Publishes a release whose files are uploaded.
    pub async fn publish_only(
        &self,
        to: &str,
        release: &Release,
        wish: PublishOptions,
    ) -> Result<Receipt, PublishError> {
        self.publish.publish(&name(to), release.manifest(), wish, &*ACTOR).await
    }

    /// Uploads and publishes, as a pipeline does.
    pub async fn release(&self, to: &str, release: &Release) -> Result<Receipt, PublishError> {
        match self.upload_all(release).await {
            Ok(()) => self.publish_only(to, release, activate()).await,
            Err(BlobError::Store(error)) => Err(error.into()),
            Err(error) => panic!("upload: {error}"),
        }
    }

    /// The newest head of a name that exists.
    pub async fn head(&self, of: &str) -> Arc<Head> {
        self.heads.current(&log_name(of)).await.expect("read the head").expect("a name that exists")
    }

    /// The label of the active version, if any.
    pub async fn active(&self, of: &str) -> Option<String> {
        let head = self.heads.current(&name(of)).await.expect("read the head")?;
        head.active().map(label)
    }

    /// All rows of a name, by ascending number.
    pub async fn rows(&self, of: &str) -> Vec<VersionRow> {
        let head = self.head(of).await;
        let mut rows = self.heads.rows(&head, u64::MAX, usize::MAX).await.expect("read the rows");
        rows.reverse();
        rows
    }
}

/// What the client called a version; nothing if it has no such text.
pub fn label(row: &VersionRow) -> String {
    row.summary.label.clone().unwrap_or_default()
}

/// Looks at a name as a process that was just started, asserts that it is sound, and returns its active label.
pub async fn sound(store: &Store, of: &str) -> Option<String> {
    assert_sound(store, of).await?.active().map(label)
}

/// Looks at a name as a process that was just started, asserts that it is sound, and returns its newest head: the log has
/// no gaps, numbers were given out once, and every complete version has all of its bytes.
pub async fn assert_sound(store: &Store, of: &str) -> Option<Arc<Head>> {
    let services = Services::over(store);
    let newest = services.heads.current(&log_name(of)).await.expect("read the head")?;
    assert_sound_log(&log(&services, of).await, &newest);
    for row in services.rows(of).await.iter().filter(|row| row.state.is_complete()) {
        assert_complete(&services, row).await;
    }
    Some(newest)
}

/// Every head of a log, hidden or not, oldest first.
pub async fn log(services: &Services, of: &str) -> Vec<Head> {
    let (of, mut heads) = (log_name(of), Vec::new());
    for generation in 1.. {
        match services.heads.read(&of, generation).await.expect("read a head") {
            Some(head) => heads.push(head),
            None => break,
        }
    }
    heads
}

fn assert_sound_log(log: &[Head], newest: &Head) {
    assert_eq!(log.last(), Some(newest), "the log ends at the newest head, without gaps");
    for pair in log.windows(2) {
        assert!(pair[0].time <= pair[1].time, "times of {} and its successor", pair[0].generation);
        assert!(pair[0].next_version <= pair[1].next_version, "version numbers are never given out twice");
    }
    for head in log {
        assert!(head.rows.iter().filter(|row| row.state == State::Active).count() <= 1, "{head:?}");
    }
}

/// What a version needs, all of which must be known.
pub async fn closure(services: &Services, row: &VersionRow) -> Closure {
    let manifests = Manifests::new(Arc::clone(&services.blobs));
    let closure = manifests.closure(row.summary.manifest, row.summary.media_type.as_deref());
    closure.await.expect("manifests that can be read")
}

/// Every byte of a version is there, may be relied on, and has its digest.
async fn assert_complete(services: &Services, row: &VersionRow) {
    let closure = closure(services, row).await;
    assert!(closure.absent.is_empty() && closure.malformed.is_empty(), "version {}: {closure:?}", row.number);
    for needed in &closure.needed {
        let bytes = blob(services, needed.digest).await.expect("read").expect("the bytes of a version");
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (needed.digest, needed.size), "of version {}", row.number);
    }
    let digests = closure.needed.iter().map(|needed| needed.digest).collect();
    let missing = services.blobs.missing(digests).await.expect("look for blobs");
    assert!(missing.is_empty(), "version {} relies on doomed bytes: {missing:?}", row.number);
}

/// The bytes of a blob, as a reader gets them.
pub async fn blob(services: &Services, digest: Digest) -> Result<Option<Bytes>, StoreError> {
    match services.blobs.open(digest, None).await? {
        Some(object) => object.bytes(u64::MAX).await.map(Some),
        None => Ok(None),
    }
}

/// Condemns a generation of a blob, as a collector does.
pub async fn condemn(store: &Store, digest: Digest, generation: u64) {
    store.create(&LayoutKey::Condemned(digest, generation).key(), Bytes::new()).await.expect("condemn");
}

/// Deletes the bytes of a generation, as a collector does.
pub async fn sweep(store: &Store, digest: Digest, generation: u64) {
    store.delete(&LayoutKey::Blob(digest, generation).key()).await.expect("sweep");
}

/// The bytes of one generation of a blob.
pub async fn stored(store: &Store, digest: Digest, generation: u64) -> Option<Bytes> {
    super::store::read(store, LayoutKey::Blob(digest, generation).key().as_str()).await
}
