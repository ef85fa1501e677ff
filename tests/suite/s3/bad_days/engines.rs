//! Engines that do not create objects only if their key is free, and two servers at once on those that do.

use std::time::Duration;

use futures_util::future::join_all;
use larder::domain::Digest;
use reqwest::Method;

use super::*;
use crate::support::ceph::Ceph;
use crate::support::s3::{Conditions, Op};
use crate::support::services::{Release, Services, log, name};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_start_on_an_engine_that_refuses_conditions() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.conditions = Conditions::Refused);
    let deployment = Deployment::on(&model.settings());
    let serve = move || {
        deployment.larder("serve --listen 127.0.0.1:0").exits(1).says("store.single_writer");
    };
    tokio::task::spawn_blocking(serve).await.unwrap();
    assert_eq!(model.keys(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_begins_to_refuse_conditions_changes_nothing_and_is_an_error() {
    let model = S3Model::start().await;
    let server = Replicas::new().start(&model.store().await).await;
    server.publish("main", &[("f", b"bytes")]).await;
    let keys = model.keys();
    model.quirks(|quirks| quirks.conditions = Conditions::Refused);
    let body = manifest(&[("f", b"bytes"), ("again", b"bytes")]).to_string();
    server.put("/manifests/main", body).await.problem(500, "INTERNAL");
    server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await.problem(500, "INTERNAL");
    server.get("/manifests/main").await.expect(200);
    assert_eq!(model.keys(), keys);
}

/// Publishes through two processes at the same moment. Returns how many versions were acknowledged, and how many there are.
async fn race(stores: [&Store; 2], round: usize) -> (usize, usize) {
    let to = format!("main/{round}");
    let processes = stores.map(Services::over);
    let ends = join_all(processes.iter().enumerate().map(|(at, services)| {
        let (to, release) = (to.clone(), Release::new(format!("v{at}"), 1));
        async move { services.release(&to, &release).await }
    }));
    let acknowledged: Vec<_> =
        ends.await.into_iter().filter_map(Result::ok).map(|receipt| receipt.row.number).collect();
    let rows = Services::over(stores[0]).rows(&to).await;
    (acknowledged.len(), rows.iter().filter(|row| row.state.is_complete()).count())
}

/// Why the start-up probe refuses such engines.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_ignores_conditions_loses_what_one_of_two_writers_published() {
    let model = S3Model::start().await;
    model.quirks(|quirks| quirks.conditions = Conditions::Ignored);
    let (one, other) = (model.store().await, model.store().await);
    model.fail_from(Op::PutObject, 1, Fault::Slow(Duration::from_millis(30)));
    for round in 0..50 {
        let (acknowledged, there) = race([&one, &other], round).await;
        if there < acknowledged {
            return;
        }
    }
    panic!("nothing was ever lost: then such engines need not be refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_writer_needs_no_conditions() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        let model = S3Model::start().await;
        model.quirks(|quirks| quirks.conditions = conditions);
        let store = model.store_with(|settings| settings.single_writer = true).await;
        let server = Replicas::new().start(&store).await;
        let releases: Vec<Vec<u8>> = (0..12).map(|at| format!("release {at}").into_bytes()).collect();
        let publishes = releases.iter().map(|bytes| async { server.publish("main", &[("f", bytes)]).await });
        let receipts = join_all(publishes).await;
        let mut numbers: Vec<u64> = receipts.iter().map(|receipt| receipt["version"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>(), "{conditions:?}");
        assert_sound(&store, "main").await;
        let large = vec![7; 12 << 20];
        server.publish("large", &[("f", &large)]).await;
        assert!(server.get(&format!("/blobs/{}", Digest::of(&large))).await.expect(200).body == large);
        server.stop().await.unwrap();
        model.finish().await;
    }
}

/// Both replace what is active now, and both know it.
async fn exactly_one_of_two_wins(stores: [&Store; 2]) {
    let replicas = Replicas::new();
    let servers = [replicas.start(stores[0]).await, replicas.start(stores[1]).await];
    let first = servers[0].publish("main", &[("f", b"first")]).await;
    let mut active = first["manifest"].as_str().unwrap().to_owned();
    for round in 0..5 {
        let bodies = [0, 1].map(|at| format!("{at} in round {round}").into_bytes());
        for bytes in &bodies {
            servers[0].put_blob(bytes).await;
        }
        let requests = servers.iter().zip(&bodies).map(|(server, bytes)| {
            let body = manifest(&[("f", bytes)]).to_string();
            send(server.request(Method::PUT, "/manifests/main").header("if-match", format!("\"{active}\"")).body(body))
        });
        let answers = join_all(requests).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 412], "round {round}");
        let winner = answers.iter().position(|answer| answer.status.as_u16() == 201).unwrap();
        answers[winner].json()["manifest"].as_str().unwrap().clone_into(&mut active);
        for server in &servers {
            let fresh = server.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache");
            assert_eq!(send(fresh).await.expect(200).header("etag"), format!("\"{active}\""));
        }
    }
    assert_sound(stores[0], "main").await;
}

/// Neither asks for anything.
async fn both_of_two_are_kept(stores: [&Store; 2]) {
    let replicas = Replicas::new();
    let servers = [replicas.start(stores[0]).await, replicas.start(stores[1]).await];
    for round in 0..5 {
        let bodies = [0, 1].map(|at| format!("{at} in round {round}").into_bytes());
        let publishes =
            servers.iter().zip(&bodies).map(|(server, bytes)| async { server.publish("free", &[("f", bytes)]).await });
        let receipts = join_all(publishes).await;
        let numbers = [0, 1].map(|at| receipts[at]["version"].as_u64().unwrap());
        assert_ne!(numbers[0], numbers[1]);
        let states: Vec<_> = Services::over(stores[0])
            .rows("free")
            .await
            .iter()
            .filter(|row| numbers.contains(&row.number))
            .map(|row| row.state.is_complete())
            .collect();
        assert_eq!(states, [true, true], "round {round}");
    }
    assert_sound(stores[1], "free").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_replace_the_same_version_one_is_told_412() {
    let model = S3Model::start().await;
    exactly_one_of_two_wins([&model.store().await, &model.store().await]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn of_two_servers_on_a_real_engine_that_replace_the_same_version_one_is_told_412() {
    let ceph = Ceph::start().await;
    exactly_one_of_two_wins([&ceph.store().await, &ceph.store().await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_publish_at_once_both_are_kept_and_one_is_active() {
    let model = S3Model::start().await;
    both_of_two_are_kept([&model.store().await, &model.store().await]).await;
    let services = Services::over(&model.store().await);
    assert!(log(&services, "free").await.len() >= 10 && services.heads.current(&name("free")).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Ceph: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn of_two_servers_on_a_real_engine_that_publish_at_once_both_are_kept() {
    let ceph = Ceph::start().await;
    both_of_two_are_kept([&ceph.store().await, &ceph.store().await]).await;
}
