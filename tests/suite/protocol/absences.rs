//! Names and blobs that do not exist: what asking for them costs, and that nobody is told so for too long.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use larder::clock::{Clock as _, ManualClock, SystemClock};
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::service::Names;
use reqwest::Method;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::collecting::marked;
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::server::{TestServer, send};
use crate::support::services::*;
use crate::support::store::*;

/// Long enough that no slow machine outlasts it, short enough to wait for it.
const MOST: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

fn reader(store: &Store) -> Services {
    Services::with_staleness(store, Arc::new(ManualClock::new(SystemClock.now())), MOST)
}

async fn exists(services: &Services, of: &str, fresh: AsOf) -> bool {
    services.heads.look(&name(of).into(), fresh).await.unwrap().is_some()
}

#[tokio::test]
async fn an_unknown_name_costs_one_request_while_its_answer_is_recent() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let reader = reader(&faulty.store());
    for _ in 0..100 {
        assert!(!exists(&reader, "nothing", AsOf::Recent).await);
    }
    assert_eq!(faulty.total(), 1, "{}", faulty.breakdown());
    assert!(!exists(&reader, "nothing", AsOf::Now).await);
    assert_eq!(faulty.total(), 2, "who insists is answered by the store: {}", faulty.breakdown());
    tokio::time::sleep(MOST).await;
    assert!(!exists(&reader, "nothing", AsOf::Recent).await);
    assert_eq!(faulty.total(), 3, "{}", faulty.breakdown());
}

#[tokio::test]
async fn a_name_is_known_at_once_where_it_was_made_and_in_time_elsewhere() {
    let backend = FsBackend::quick();
    let (here, elsewhere) = (reader(&backend.store()), reader(&backend.store()));
    for services in [&here, &elsewhere] {
        assert!(!exists(services, "main", AsOf::Recent).await);
    }
    here.release("main", &Release::new("v1", 1)).await.unwrap();
    assert!(exists(&here, "main", AsOf::Recent).await);
    assert!(exists(&elsewhere, "main", AsOf::Now).await, "who insists sees it");
    let third = reader(&backend.store());
    assert!(!exists(&third, "other", AsOf::Recent).await);
    here.release("other", &Release::new("v1", 1)).await.unwrap();
    tokio::time::sleep(MOST).await;
    assert!(exists(&third, "other", AsOf::Recent).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_made_up_names_leaves_the_store_to_known_ones() {
    let backend = FsBackend::quick();
    Services::over(&backend.store()).release("main", &Release::new("v1", 1)).await.unwrap();
    let faulty = FaultyStore::over(&backend.store());
    let reader = reader(&faulty.store());
    assert!(exists(&reader, "main", AsOf::Recent).await);
    faulty.reset();
    let stall = faulty.stall(Rule::on(Op::List).key("heads/random"));
    let flood: Vec<_> = (0..1000)
        .map(|at| {
            let (reader, fresh) = (reader.clone(), if at % 2 == 0 { AsOf::Recent } else { AsOf::Now });
            tokio::spawn(async move { exists(&reader, &format!("random-{at}"), fresh).await })
        })
        .collect();
    stall.reached().await;
    // Whoever asks for the known name needs the store as well, and gets it.
    let known = timeout(PATIENCE, exists(&reader, "main", AsOf::Now)).await;
    assert!(known.expect("served during the flood"));
    for _ in 0..1000 {
        stall.release();
    }
    for asked in flood {
        assert!(!timeout(PATIENCE, asked).await.expect("the flood is answered").unwrap());
    }
    assert_eq!(faulty.calls(Op::List), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_unknown_names_are_looked_for_at_once() {
    let backend = FsBackend::quick();
    let faulty = FaultyStore::over(&backend.store());
    let reader = reader(&faulty.store());
    let stall = faulty.stall(Rule::on(Op::List));
    let flood: Vec<_> = (0..500)
        .map(|at| {
            let reader = reader.clone();
            tokio::spawn(async move { exists(&reader, &format!("random-{at}"), AsOf::Recent).await })
        })
        .collect();
    stall.reached().await;
    // All of them have begun by then, and most wait for a turn.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(faulty.calls(Op::List) <= 32, "{}", faulty.breakdown());
    for _ in 0..500 {
        stall.release();
    }
    join_all(flood).await;
}

#[tokio::test]
async fn an_unknown_digest_is_searched_for_once_on_behalf_of_anonymous_readers() {
    let (directory, backend) = (TempDir::new().unwrap(), marked());
    let faulty = FaultyStore::over(&backend.store());
    let quiet = |config: &mut larder::config::Config| {
        config.collector.enabled = false;
        config.heads.max_staleness = "3s".parse().unwrap();
    };
    let server = TestServer::over(directory.path(), faulty.store(), Arc::new(SystemClock), quiet).await;
    let (digest, services) = (Digest::of(b"bytes"), Services::over(&backend.store()));
    let blob = format!("/blobs/{digest}");
    server.get(&blob).await.expect(404);
    let key = digest.hex()[..8].to_owned();
    faulty.script(Rule::on(Op::List).key(key.clone()).fail());
    for _ in 0..20 {
        server.get(&blob).await.problem(404, "BLOB_UNKNOWN");
        server.head(&blob).await.expect(404);
    }
    send(server.anonymous(Method::GET, &blob).header("cache-control", "no-cache")).await.expect(503);
    send(server.request(Method::GET, &blob)).await.expect(503);
    faulty.reset();
    // Uploaded through another server: everybody sees it at once, because a manifest may name it by now.
    server.get(&blob).await.expect(404);
    services.upload(&"bytes".into()).await.unwrap();
    server.get(&blob).await.expect(200);
    send(server.request(Method::GET, &blob)).await.expect(200);
    // Uploaded through this one: everybody does.
    let own = format!("/blobs/{}", Digest::of(b"own"));
    server.get(&own).await.expect(404);
    server.put_blob(b"own").await;
    server.get(&own).await.expect(200);
}

#[tokio::test]
async fn a_page_among_deleted_names_costs_a_bounded_number_of_looks() {
    let backend = FsBackend::quick();
    let live = Services::over(&backend.store());
    for of in ["live-a", "zlive-b"] {
        live.release(of, &Release::new("v1", 1)).await.unwrap();
    }
    // A mark whose name shows nothing is found out by looking, as a deleted one is.
    for at in 0..2000 {
        backend.plant(&LayoutKey::Name(name(&format!("old-{at:04}")).into()).key(), b"");
    }
    let faulty = FaultyStore::over(&backend.store());
    let names = Names::new(faulty.store(), reader(&faulty.store()).heads);
    let (mut after, mut found, mut pages) = (None, Vec::new(), 0);
    loop {
        faulty.reset();
        let page = names.page("", after.as_ref(), 10, |_| true).await.unwrap();
        assert!(faulty.calls(Op::List) <= 10 + 256 + 1, "{}", faulty.breakdown());
        assert!(page.heads.len() <= 10);
        found.extend(page.heads.iter().map(|head| head.name.to_string()));
        pages += 1;
        assert!(pages < 20, "pages go forward");
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, ["live-a", "zlive-b"]);
    assert!(pages > 2);
}
