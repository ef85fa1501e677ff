//! What things cost, in requests to the engine. The table in `docs/costs.md` is this.

mod registry;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use larder::clock::SystemClock;
use larder::config::Config;
use larder::domain::Digest;
use larder::upkeep::Collect;
use larder::upkeep::collect::Settings;
use reqwest::Method;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::deployment::Deployment;
use crate::support::process::free_port;
use crate::support::replicas::Replicas;
use crate::support::s3::{Op, S3Model};
use crate::support::server::{TestServer, manifest, send};
use crate::support::store::pattern;

const MIB: usize = 1 << 20;
/// What a public cloud takes for a thousand requests, in millionths of a dollar.
const WRITE: usize = 5_000;
const READ: usize = 400;

/// Requests by kind.
type Requests = BTreeMap<Op, usize>;

/// A server on a model, and what was asked of it.
struct Counted {
    model: S3Model,
    server: TestServer,
    cache: TempDir,
}

impl Counted {
    async fn with(change: impl FnOnce(&mut Config, &TempDir)) -> Self {
        let (model, cache) = (S3Model::start().await, TempDir::new().unwrap());
        let store = model.store_with(|settings| settings.part_size = 8 << 20).await;
        let change = |config: &mut Config| {
            // As in a configuration that names a bucket.
            config.scrub.rate = Some("0".parse().unwrap());
            change(config, &cache);
        };
        let server = Replicas::new().with(&store, change).await;
        server.get("/readyz").await.expect(200);
        model.requests();
        Self { model, server, cache }
    }

    async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// The requests that something makes, of a server that a load balancer asks for readiness. One that nobody asks looks
    /// at the layout marker itself before it writes, at most every ten seconds.
    async fn of<T>(&self, what: impl Future<Output = T>) -> Requests {
        self.server.get("/readyz").await.expect(200);
        self.exactly(what).await
    }

    /// The requests that something makes, of a server that nobody asked for readiness just before.
    async fn exactly<T>(&self, what: impl Future<Output = T>) -> Requests {
        self.model.requests();
        what.await;
        self.model.requests()
    }

    async fn put_manifest(&self, name: &str, files: &[(&str, &[u8])]) {
        let answer = self.server.put(&format!("/manifests/{name}"), manifest(files).to_string()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
    }
}

fn requests(expected: &[(Op, usize)]) -> Requests {
    expected.iter().copied().collect()
}

/// What a million of these cost, in cents of a dollar.
fn cents_per_million(requests: &Requests) -> usize {
    let price = |op: &Op| match op {
        Op::GetObject | Op::Look | Op::HeadObject => READ,
        Op::DeleteObject | Op::DeleteObjects | Op::AbortMultipart => 0,
        _ => WRITE,
    };
    requests.iter().map(|(op, count)| price(op) * count).sum::<usize>() / 10
}

/// Asserts the requests, and that `docs/costs.md` says what they cost.
#[track_caller]
fn assert_costs(row: &str, found: &Requests, expected: &[(Op, usize)]) {
    assert_eq!(*found, requests(expected), "{row}");
    let guide = include_str!("../../../docs/costs.md");
    let cents = cents_per_million(found);
    let of = |ops: &[Op]| ops.iter().filter_map(|op| found.get(op)).sum::<usize>();
    let gets = of(&[Op::GetObject, Op::Look, Op::HeadObject]);
    let lists = of(&[Op::ListObjects, Op::ListUploads, Op::ListParts]);
    let deletes = of(&[Op::DeleteObject, Op::DeleteObjects, Op::AbortMultipart]);
    let puts = found.values().sum::<usize>() - gets - lists - deletes;
    let line = format!("| {row} | {puts} | {lists} | {gets} | {deletes} | ${}.{:02} |", cents / 100, cents % 100);
    assert!(guide.contains(&line), "docs/costs.md lacks: {line}");
}

fn six(version: &str) -> Vec<(String, Vec<u8>)> {
    (0..6).map(|at| (format!("f{at}"), format!("{at} of {version}").into_bytes())).collect()
}

fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_of_six_files() {
    let counted = Counted::start().await;
    let (first, second) = (six("v1"), six("v2"));
    counted.server.publish("main", &borrowed(&first)).await;
    let uploads = counted.of(async {
        for (_, bytes) in &second {
            counted.server.put_blob(bytes).await;
        }
    });
    let uploads = uploads.await;
    assert_costs("Upload 6 small files", &uploads, &[(Op::ListObjects, 12), (Op::PutObject, 6)]);
    let again = counted.of(async {
        for (_, bytes) in &second {
            counted.server.put_blob(bytes).await;
        }
    });
    assert_costs("Find that 6 files are there already", &again.await, &[(Op::ListObjects, 6)]);
    let published = counted.of(counted.put_manifest("main", &borrowed(&second))).await;
    let expected = [(Op::ListObjects, 8), (Op::PutObject, 4), (Op::GetObject, 3)];
    assert_costs("Publish a manifest of 6 files that are there", &published, &expected);
    let unchanged = counted.of(counted.put_manifest("main", &borrowed(&second))).await;
    assert_costs("Publish what is active already", &unchanged, &[(Op::ListObjects, 7), (Op::GetObject, 1)]);
    let refused = counted.of(counted.server.put("/manifests/main", manifest(&[("f", b"x")]).to_string())).await;
    let expected = [(Op::ListObjects, 3), (Op::PutObject, 4), (Op::GetObject, 3)];
    assert_costs("Publish a manifest whose one file is not there", &refused, &expected);
}

/// Whether a server asks for the newest head within and after the window.
#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_name() {
    let counted = Counted::start().await;
    let replicas = Replicas::new();
    counted.server.publish("main", &[("f", b"bytes")]).await;
    let window = Duration::from_secs(3);
    let store = counted.model.store().await;
    let started = |config: &mut Config| config.heads.max_staleness = "3s".parse().unwrap();
    let server = replicas.with(&store, started).await;
    let cold = counted.of(server.get("/manifests/main")).await;
    assert_costs("Read a name that the server has not seen", &cold, &[(Op::ListObjects, 1), (Op::GetObject, 2)]);
    let warm = counted.of(async {
        for _ in 0..20 {
            server.get("/manifests/main").await.expect(200);
            server.get("/refs/main/f").await.expect(307);
            server.head("/manifests/main").await.expect(200);
        }
    });
    assert_costs("Read it again within `heads.max_staleness`", &warm.await, &[]);
    tokio::time::sleep(window).await;
    let later = counted.of(async {
        for _ in 0..20 {
            server.get("/refs/main/f").await.expect(307);
            server.get("/manifests/main").await.expect(200);
        }
    });
    assert_costs("The first read after that, or one with `no-cache`", &later.await, &[(Op::GetObject, 1)]);
    let fresh = server.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache");
    assert_eq!(counted.of(send(fresh)).await, requests(&[(Op::GetObject, 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_active_version_lacks() {
    let on = |config: &mut Config, _: &TempDir| {
        let text = "match = ['**']\nearlier_files = { for = '1h' }";
        config.names = vec![toml::from_str(text).unwrap()];
    };
    let counted = Counted::with(on).await;
    for file in ["a", "b", "c"] {
        counted.server.publish("main", &[(file, file.as_bytes())]).await;
    }
    counted.server.get("/refs/main/c").await.expect(307);
    let first = counted.of(counted.server.get("/refs/main/a"));
    let row = "The first request after a publish for a file that the active version lacks, with 2 earlier versions";
    assert_costs(row, &first.await, &[(Op::GetObject, 3)]);
    for path in ["/refs/main/b", "/refs/main/none"] {
        let later = counted.of(counted.server.get(path));
        assert_costs("A later one, whether or not an earlier version has it", &later.await, &[(Op::GetObject, 1)]);
    }
    let many = counted.of(join_all((0..50).map(|_| counted.server.get("/refs/main/none")))).await;
    assert!(many.get(&Op::GetObject).is_some_and(|gets| *gets <= 25), "they share looks: {many:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_blob() {
    let counted = Counted::start().await;
    let path = format!("/blobs/{}", counted.server.put_blob(b"bytes").await);
    for _ in 0..2 {
        let read = counted.of(counted.server.get(&path)).await;
        assert_costs("Read a blob", &read, &[(Op::GetObject, 1)]);
    }
    let head = counted.of(counted.server.head(&path)).await;
    assert_costs("HEAD of a blob", &head, &[(Op::Look, 1)]);
    let part = counted.server.anonymous(Method::GET, &path).header("range", "bytes=1-2");
    let part = counted.of(send(part)).await;
    assert_costs("Read a range of a blob", &part, &[(Op::Look, 1), (Op::GetObject, 1)]);
    let unknown = counted.of(counted.server.get(&format!("/blobs/{}", Digest::of(b"unknown")))).await;
    assert_costs("Ask for a blob that is not there", &unknown, &[(Op::GetObject, 1), (Op::ListObjects, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_a_blob_with_a_cache() {
    let cached = Counted::with(|config, directory| config.cache.path = Some(directory.path().to_owned())).await;
    let bytes = pattern(MIB);
    let digest = cached.server.put_blob(&bytes).await;
    let path = format!("/blobs/{digest}");
    let cold = cached.of(cached.server.get(&path)).await;
    assert_eq!(cold, requests(&[(Op::GetObject, 1)]));
    let kept = cached.cache.path().join(&digest.hex()[..2]).join(digest.hex());
    while !kept.is_file() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let warm = cached.of(async {
        for _ in 0..20 {
            assert!(cached.server.get(&path).await.expect(200).body == bytes);
            cached.server.head(&path).await.expect(200);
            send(cached.server.anonymous(Method::GET, &path).header("range", "bytes=5-9")).await.expect(206);
        }
    });
    assert_costs("Read a blob, its head or a range from the disk cache", &warm.await, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_large_blobs() {
    let counted = Counted::start().await;
    let small = counted.of(counted.server.put_blob(&pattern(5 * MIB))).await;
    assert_costs("Upload 5 MiB", &small, &[(Op::ListObjects, 2), (Op::PutObject, 1)]);
    let large = counted.of(counted.server.put_blob(&pattern(100 * MIB))).await;
    let expected = [
        (Op::ListObjects, 2),
        (Op::CreateMultipart, 1),
        (Op::UploadPart, 13),
        (Op::Look, 1),
        (Op::CompleteMultipart, 1),
    ];
    assert_costs("Upload 100 MiB", &large, &expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumable_upload() {
    let counted = Counted::start().await;
    let (server, bytes) = (&counted.server, pattern(100 * MIB));
    let uploaded = counted.of(async {
        let path = format!("/uploads?digest={}", Digest::of(&bytes));
        let begun = server.request(Method::POST, &path).header("upload-complete", "?0");
        let begun = send(begun.header("upload-length", bytes.len())).await.expect(201);
        let append = server.request(Method::PATCH, begun.header("location")).header("upload-offset", 0);
        let append = append.header("content-type", "application/partial-upload").header("upload-complete", "?1");
        send(append.body(bytes.clone())).await.expect(201);
    });
    let found = uploaded.await;
    let expected = [
        (Op::ListObjects, 4),
        (Op::PutObject, 15),
        (Op::CreateMultipart, 1),
        (Op::UploadPart, 13),
        (Op::CompleteMultipart, 1),
        (Op::Look, 1),
        (Op::GetObject, 1),
        (Op::DeleteObjects, 1),
    ];
    assert_costs("Upload 100 MiB resumably", &found, &expected);
}

/// A collector that finds nothing to do, over so many blobs.
async fn idle_collector(counted: &Counted) -> Requests {
    let store = counted.model.store().await;
    let settings = Settings { min_age: SignedDuration::from_hours(24), ..Settings::default() };
    let run = async {
        let collect = Collect::new(store, std::sync::Arc::new(SystemClock), settings);
        let report = collect.run(&CancellationToken::new()).await.unwrap();
        assert_eq!(report.totals.deleted.blobs, 0);
    };
    counted.of(run).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_with_nothing_to_do() {
    let counted = Counted::start().await;
    counted.server.publish("main", &[("f", b"bytes")]).await;
    // The first run leaves a list of what it saw, and later ones compare with it.
    idle_collector(&counted).await;
    let few = idle_collector(&counted).await;
    for at in 0..5_000 {
        let digest = Digest::of(format!("blob {at}").as_bytes());
        counted.model.plant(larder::layout::LayoutKey::Blob(digest, 0).key().as_str(), "bytes");
    }
    let many = idle_collector(&counted).await;
    let expected = [(Op::PutObject, 2), (Op::ListObjects, 78), (Op::ListUploads, 1), (Op::GetObject, 4), (Op::Look, 1)];
    assert_costs("A run of the collector with nothing to do, one name", &few, &expected);
    let more: usize = many.values().sum::<usize>() - few.values().sum::<usize>();
    assert!(more <= 10, "{more} more requests for 5000 blobs: {few:?} {many:?}");
}

/// It tries the bucket out, by and large always with the same requests.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_of_a_server() {
    let model = S3Model::start().await;
    let (deployment, port) = (Deployment::on(&model.settings()), free_port());
    let starting = move || drop(deployment.serve(port));
    tokio::task::spawn_blocking(starting).await.unwrap();
    let requests = model.requests();
    let all = requests.values().sum::<usize>();
    assert!((50..=100).contains(&all), "docs/costs.md says about 90: {requests:?}");
}

#[tokio::test]
async fn a_server_that_is_only_asked_whether_it_is_ready() {
    let mut counted = Counted::start().await;
    // No connection is kept that a jump in time would end.
    counted.server.http = larder::client::http_client_builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let second = Duration::from_millis(1_001);
    let many = counted.exactly(join_all((0..100).map(|_| counted.server.get("/readyz")))).await;
    assert!(many.values().sum::<usize>() <= 1, "{many:?}");
    pass(second).await;
    let look = counted.exactly(counted.server.get("/readyz")).await;
    assert_costs("A look of `/readyz`, at most one a second", &look, &[(Op::Look, 1)]);
    pass(Duration::from_secs(61)).await;
    let look = counted.exactly(counted.server.get("/readyz")).await;
    assert_costs("The same, once a minute", &look, &[(Op::ListObjects, 1), (Op::GetObject, 1)]);
    let hour = counted.exactly(async {
        // What a load balancer does that asks every five seconds.
        for _ in 0..720 {
            pass(Duration::from_secs(5)).await;
            counted.server.get("/readyz").await.expect(200);
        }
    });
    let hour = hour.await;
    assert_eq!((hour[&Op::Look] + hour[&Op::GetObject], hour[&Op::ListObjects]), (720, 60), "{hour:?}");
}

/// Has so much time pass at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_who_wait_for_a_name_cost_one_look_a_time() {
    let counted = Counted::with(|config, _| config.heads.max_staleness = "3s".parse().unwrap()).await;
    counted.server.publish("main", &[("f", b"1")]).await;
    let fresh = counted.server.anonymous(Method::GET, "/versions/main");
    let generation = send(fresh).await.expect(200).json()["generation"].as_u64().unwrap();
    let path = format!("/versions/main?wait=4500ms&after={generation}");
    // The first look of all is that of the request before, and the next but one would come after the wait.
    let waiting = counted.exactly(join_all((0..40).map(|_| async { counted.server.get(&path).await.expect(204) })));
    let row = "Wait for a name for the length of `heads.max_staleness`, however many do";
    assert_costs(row, &waiting.await, &[(Op::GetObject, 1)]);
}
