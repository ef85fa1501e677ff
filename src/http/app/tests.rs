use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use axum::Extension;
use axum::extract::OriginalUri;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE,
};
use axum::response::IntoResponse as _;
use axum::routing::get;
use http_body_util::BodyExt as _;

use super::*;
use crate::domain::{Digest, ManifestName};
use crate::http::error::Denial;
use crate::http::rfc::hardening::Hardening;
use crate::http::serving::response_cache::{CacheSources, Cacheable};
use crate::http::surface::SurfaceProperties;
use crate::store::FileSlice;

type Generations = Arc<Mutex<HashMap<ManifestName, u64>>>;

/// Counts how often handlers ran, and holds what their responses depend on.
#[derive(Debug, Clone, Default)]
struct World {
    runs: Arc<AtomicUsize>,
    generations: Generations,
    epoch: Arc<AtomicU64>,
    /// A small file, how often it was opened, and whether it is gone.
    file: Arc<OnceLock<FileSlice>>,
    opened: Arc<AtomicUsize>,
    is_gone: Arc<AtomicBool>,
}

/// What is in the small file.
const SMALL: &str = "something small";

impl World {
    fn slice(&self) -> FileSlice {
        let slice = || {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(SMALL.as_bytes()).unwrap();
            FileSlice { file: Arc::new(file), start: 0, end: SMALL.len() as u64, bytes: Some(Bytes::from(SMALL)) }
        };
        self.file.get_or_init(slice).clone()
    }
}

impl CacheSources for World {
    fn generation(&self, name: &ManifestName) -> Option<u64> {
        self.generations.lock().unwrap().get(name).copied()
    }

    fn is_newest(&self, name: &ManifestName, generation: u64) -> bool {
        self.generation(name) == Some(generation)
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    fn hosts(&self) -> u64 {
        0
    }

    fn open(&self, digest: Digest) -> Option<FileSlice> {
        assert_eq!(digest, Digest::of(SMALL.as_bytes()));
        self.opened.fetch_add(1, Ordering::Relaxed);
        (!self.is_gone.load(Ordering::Relaxed)).then(|| self.slice())
    }
}

fn name(text: &str) -> ManifestName {
    text.parse().unwrap()
}

/// A test surface that differs from the native one in as many properties as possible.
fn surface(world: &World, title: &'static str, hosts: Hosts, prefix: &'static str) -> Surface<()> {
    let small = {
        let world = world.clone();
        async move || {
            world.runs.fetch_add(1, Ordering::Relaxed);
            let cacheable = Cacheable::of_file(Digest::of(SMALL.as_bytes()), world.slice());
            (Extension(cacheable.under(vec![(name("a"), 1)])), SMALL)
        }
    };
    let world = world.clone();
    let cached = async move |OriginalUri(uri): OriginalUri| {
        let run = world.runs.fetch_add(1, Ordering::Relaxed);
        let generations = world.generations.lock().unwrap();
        let heads = ["a", "b"].map(|text| (name(text), generations[&name(text)]));
        let body = Bytes::from(format!("{title} {uri} {run}"));
        (Extension(Cacheable::of_heads(heads.to_vec(), body.clone())), body)
    };
    let refused = async || ApiError::unauthorized("Say who you are.");
    let routes = Router::new()
        .route(&format!("{prefix}/cached"), get(cached))
        .route(&format!("{prefix}/small"), get(small))
        .route(&format!("{prefix}/refused"), get(refused));
    Surface {
        routes,
        hosts,
        prefix,
        describe: || serde_json::Value::Null,
        properties: SurfaceProperties {
            name: title,
            render: |error, id| {
                let body = format!("{} {}", error.code(), id.as_str());
                ([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))], body).into_response()
            },
            page: None,
            challenge: |challenge| {
                let missing = challenge.denial == Denial::Missing;
                Some(HeaderValue::from_static(if missing { "Basic realm=\"test\"" } else { "Basic" }))
            },
            login: prefix == "/below",
            blobs: None,
            hardening: Hardening::Page,
            cors: false,
            quiet: &[],
        },
    }
}

fn app(world: &World) -> App {
    app_with(world, 1 << 20)
}

/// With this much memory for small files.
fn app_with(world: &World, small_files: usize) -> App {
    world.generations.lock().unwrap().extend([(name("a"), 1), (name("b"), 1)]);
    let owned = Hosts::owned(|host, _| host.is_some_and(|host| host.ends_with(".pages.example")));
    let mut open = surface(world, "open", Hosts::Any, "");
    open.properties.cors = true;
    open.properties.hardening = Hardening::Artefact;
    let surfaces = vec![surface(world, "pages", owned, ""), surface(world, "below", Hosts::Any, "/below"), open];
    App::new(surfaces, &(), RequestContext::new(Box::new(world.clone()), small_files))
}

async fn ask(app: &App, host: &str, path: &str) -> (axum::http::response::Parts, String) {
    let request = Request::builder().uri(path).header(HOST, host).header("x-request-id", "id-1");
    let (parts, body) = app.answer(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn each_surface_answers_in_its_own_way() {
    let app = app(&World::default());
    for (host, path) in
        [("x.pages.example", "/refused"), ("api.example", "/below/refused"), ("api.example", "/refused")]
    {
        let open = path == "/refused" && host == "api.example";
        let (parts, body) = ask(&app, host, path).await;
        assert_eq!((parts.status.as_u16(), body.as_str()), (401, "UNAUTHORIZED id-1"), "{host}{path}");
        assert_eq!(parts.headers[CONTENT_TYPE], "text/plain");
        assert_eq!(parts.headers[WWW_AUTHENTICATE], "Basic realm=\"test\"");
        assert_eq!(parts.headers["x-content-type-options"], "nosniff");
        assert_eq!(parts.headers.contains_key("cross-origin-resource-policy"), open, "{host}{path}");
        assert_eq!(parts.headers.contains_key("referrer-policy"), !open, "{host}{path}");
        assert_eq!(parts.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), open, "{host}{path}");
        assert!(!parts.headers.contains_key(CACHE_CONTROL), "problem details are another surface's");
    }
    let (parts, body) = ask(&app, "x.pages.example", "/below/refused").await;
    assert_eq!((parts.status.as_u16(), body.as_str()), (404, "NOT_FOUND id-1"), "the host is the pages' alone");
}

#[tokio::test]
async fn a_cached_response_belongs_to_one_surface_and_one_host() {
    let app = app(&World::default());
    let places =
        [("x.pages.example", "/cached"), ("y.pages.example", "/cached"), ("z", "/below/cached"), ("z", "/cached")];
    for (run, (host, path)) in places.into_iter().enumerate() {
        let title = ["pages", "pages", "below", "open"][run];
        for _ in 0..3 {
            assert_eq!(ask(&app, host, path).await.1, format!("{title} {path} {run}"), "{host}");
        }
    }
    // For a surface that is not bound to hosts, another host is the same cache key, but another query is not.
    assert_eq!(ask(&app, "other", "/cached").await.1, "open /cached 3");
    assert_eq!(ask(&app, "other", "/cached?x").await.1, "open /cached?x 4");
    assert_eq!(ask(&app, "X.pages.example:81", "/cached").await.1, "pages /cached 0");
}

#[tokio::test]
async fn addresses_with_a_query_displace_nothing() {
    let app = app(&World::default());
    assert_eq!(ask(&app, "z", "/cached").await.1, "open /cached 0");
    // More than there is room for.
    for run in 1..=20_000 {
        assert_eq!(ask(&app, "z", &format!("/cached?{run}")).await.1, format!("open /cached?{run} {run}"));
    }
    assert_eq!(ask(&app, "z", "/cached").await.1, "open /cached 0");
}

#[tokio::test]
async fn a_cached_response_holds_while_all_its_heads_do() {
    let world = World::default();
    let app = app(&world);
    for (run, changed) in [None, Some(("a", 2)), Some(("b", 2)), Some(("b", 3))].into_iter().enumerate() {
        world.generations.lock().unwrap().extend(changed.map(|(text, generation)| (name(text), generation)));
        for _ in 0..2 {
            assert_eq!(ask(&app, "z", "/cached").await.1, format!("open /cached {run}"), "{changed:?}");
        }
    }
    // A cached response does not outlive the tokens and policies under which it was created.
    world.epoch.fetch_add(1, Ordering::Relaxed);
    assert_eq!(ask(&app, "z", "/cached").await.1, "open /cached 4");
}

#[tokio::test]
async fn a_direct_answer_is_the_cached_response() {
    let world = World::default();
    let app = app(&world);
    let peek = |head: &str| app.peek(head.as_bytes());
    let head = "GET /cached HTTP/1.1\r\nhost: z\r\n\r\n";
    assert!(matches!(peek(head), PeekedHead::Alone), "nothing is cached yet");
    let (parts, body) = ask(&app, "z", "/cached").await;
    let PeekedHead::Answered(answer) = peek(head) else { panic!("{:?}", peek(head)) };
    let text = String::from_utf8(answer.parts().concat()).unwrap();
    let (fields, sent) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(sent, body);
    let mut fields = fields.split("\r\n");
    assert_eq!(fields.next(), Some("HTTP/1.1 200 OK"));
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        match name {
            "x-request-id" => assert_eq!(value.len(), 24),
            "content-length" => assert_eq!(value, body.len().to_string()),
            "date" => assert_eq!(value.len(), 29),
            name => assert_eq!(parts.headers[name], value),
        }
    }
    world.generations.lock().unwrap().insert(name("a"), 2);
    assert!(matches!(peek(head), PeekedHead::Alone), "a head has changed");
}

/// What a client that asks in the plainest way is answered without the library, or `None`.
fn peeked(app: &App, path: &str) -> Option<String> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: z\r\n\r\n");
    match app.peek(head.as_bytes()) {
        PeekedHead::Answered(answer) => Some(String::from_utf8(answer.parts().concat()).unwrap()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_file_of_a_release_is_answered_from_memory_and_opened_once_a_minute() {
    let world = World::default();
    let app = app(&world);
    let counts = || (world.runs.load(Ordering::Relaxed), world.opened.load(Ordering::Relaxed));
    let minute = Duration::from_secs(60);
    for _ in 0..3 {
        assert_eq!(ask(&app, "z", "/small").await.1, SMALL);
        assert!(peeked(&app, "/small").unwrap().ends_with(SMALL));
    }
    assert_eq!(counts(), (1, 0));
    tokio::time::advance(minute).await;
    for _ in 0..3 {
        assert!(peeked(&app, "/small").unwrap().ends_with(SMALL));
        assert_eq!(ask(&app, "z", "/small").await.1, SMALL);
    }
    assert_eq!(counts(), (1, 1));
    // The library has nobody open it.
    tokio::time::advance(minute).await;
    assert_eq!(ask(&app, "z", "/small").await.1, SMALL);
    assert_eq!(counts(), (2, 1));
    world.is_gone.store(true, Ordering::Relaxed);
    tokio::time::advance(minute / 2).await;
    assert!(peeked(&app, "/small").is_some());
    tokio::time::advance(minute / 2).await;
    assert_eq!(peeked(&app, "/small"), None);
    world.generations.lock().unwrap().insert(name("a"), 2);
    world.is_gone.store(false, Ordering::Relaxed);
    assert_eq!(peeked(&app, "/small"), None, "a head has changed");
}

#[tokio::test]
async fn a_small_file_without_room_is_opened_for_each_request() {
    let world = World::default();
    let app = app_with(&world, 0);
    assert_eq!(peeked(&app, "/small"), None);
    assert_eq!(ask(&app, "z", "/small").await.1, SMALL);
    for opened in 1..4 {
        let text = peeked(&app, "/small").unwrap();
        assert!(text.ends_with(&format!("\r\n\r\n{SMALL}")), "{text}");
        assert_eq!(world.opened.load(Ordering::Relaxed), opened);
    }
    world.is_gone.store(true, Ordering::Relaxed);
    assert_eq!(peeked(&app, "/small"), None);
}

#[tokio::test(start_paused = true)]
async fn small_files_that_nobody_asks_for_make_room_for_others() {
    let world = World::default();
    let app = app_with(&world, 8 << 10);
    let opened = || world.opened.load(Ordering::Relaxed);
    let hosts = |from: usize| (from..from + 8).map(|at| format!("z{at}.pages.example"));
    let peek = |host: &str| {
        let head = format!("GET /small HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert!(matches!(app.peek(head.as_bytes()), PeekedHead::Answered(_)), "{host}");
    };
    for host in hosts(0) {
        ask(&app, &host, "/small").await;
        peek(&host);
    }
    assert_eq!(opened(), 0, "all have room");
    // More than fit. They are answered in any case, and the first ones are not displaced while they are asked for.
    for at in 0..16 {
        for host in hosts(8 * at) {
            ask(&app, &host, "/small").await;
            peek(&host);
        }
    }
    let before = opened();
    assert!(before > 64, "{before}");
    hosts(0).for_each(|host| peek(&host));
    assert_eq!(opened(), before);
    // Those that nobody asks for from one second to the next make room.
    for from in [200, 300] {
        tokio::time::advance(Duration::from_secs(1)).await;
        for host in hosts(from) {
            ask(&app, &host, "/small").await;
        }
    }
    hosts(300).for_each(|host| peek(&host));
    assert_eq!(opened(), before);
}

#[tokio::test(start_paused = true)]
async fn a_small_file_that_found_no_room_is_kept_once_there_is() {
    let world = World::default();
    // For two of them.
    let app = app_with(&world, 1500);
    let [one, two, late, last] = ["1", "2", "3", "4"].map(|label| format!("z{label}.pages.example"));
    let is_answered = |host: &str| {
        let head = format!("GET /small HTTP/1.1\r\nhost: {host}\r\n\r\n");
        matches!(app.peek(head.as_bytes()), PeekedHead::Answered(_))
    };
    for host in [&one, &two, &late] {
        ask(&app, host, "/small").await;
        assert!(is_answered(host));
    }
    let opened = || world.opened.load(Ordering::Relaxed);
    assert_eq!(opened(), 1, "two are in memory");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(is_answered(&late), "still no room");
    // The first two make room for it, which nobody has asked for since.
    ask(&app, &last, "/small").await;
    let before = opened();
    assert!(!is_answered(&late), "the handler has to read it");
    ask(&app, &late, "/small").await;
    assert!(is_answered(&late) && opened() == before);
}

#[tokio::test]
async fn the_token_of_nobody_counts_as_none_where_clients_log_in() {
    let world = World::default();
    let app = app(&world);
    let runs = || world.runs.load(Ordering::Relaxed);
    let ask = async |path: &str, token: &str| {
        let request = Request::builder().uri(path).header(HOST, "z").header("authorization", format!("Bearer {token}"));
        app.answer(request.body(Body::empty()).unwrap()).await.unwrap().headers().contains_key("vary")
    };
    let peek = |path: &str, token: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nhost: z\r\nauthorization: Bearer {token}\r\n\r\n");
        matches!(app.peek(head.as_bytes()), PeekedHead::Answered(_))
    };
    let (nobody, somebody) = (crate::access::ANONYMOUS_TOKEN, "larder-x");
    for _ in 0..3 {
        assert!(!ask("/below/cached", nobody).await, "it varies by credentials");
    }
    assert_eq!(runs(), 1);
    assert!(peek("/below/cached", nobody) && !peek("/below/cached", somebody));
    assert!(ask("/below/cached", somebody).await);
    assert_eq!(runs(), 2);
    // Elsewhere nobody has been told that token.
    ask("/cached", nobody).await;
    assert!(ask("/cached", nobody).await && !peek("/cached", nobody));
    assert_eq!(runs(), 4);
}
