//! What users notice of a bucket that is gone, closed, slow or shaky, and that it passes.

mod clocks;
mod engines;
mod transfers;

use std::time::Duration;

use larder::domain::Digest;
use larder::store::s3::S3Settings;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::deployment::{Deployment, client, url};
use crate::support::process::{free_port, larder, until};
use crate::support::replicas::Replicas;
use crate::support::s3::{Fault, S3Model};
use crate::support::server::{Answer, TestServer, manifest, send};
use crate::support::services::assert_sound;
use crate::support::store::{FsBackend, Store};

/// Calls end soon.
fn hasty(settings: &mut S3Settings) {
    settings.timeouts.attempt = Duration::from_millis(200);
    settings.timeouts.give_up = Duration::from_millis(300);
}

/// Whatever a client may ask of a server on which `main` has the one file `bytes`.
async fn ask_everything(server: &TestServer) -> Vec<(String, Answer)> {
    let blob = format!("/blobs/{}", Digest::of(b"bytes"));
    let mut answers = Vec::new();
    for path in ["/manifests/main", "/refs/main/f", "/versions/main", "/manifests/other", "/manifests", &blob] {
        for method in [Method::GET, Method::HEAD] {
            let request = server.anonymous(method.clone(), path).header("cache-control", "no-cache");
            answers.push((format!("{method} {path}"), send(request).await));
        }
    }
    let part = server.anonymous(Method::GET, &blob).header("range", "bytes=1-2");
    answers.push(("GET of a range".to_owned(), send(part).await));
    answers.push(("PUT of a blob".to_owned(), server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await));
    let body = manifest(&[("f", b"bytes"), ("again", b"bytes")]).to_string();
    answers.push(("PUT of a manifest".to_owned(), server.put("/manifests/main", body).await));
    let question = json!({"digests": [Digest::of(b"bytes")]});
    answers.push(("POST of digests".to_owned(), server.post("/blobs/missing", &question).await));
    answers.push(("POST of an upload".to_owned(), send(upload_of(server)).await));
    answers
}

fn upload_of(server: &TestServer) -> reqwest::RequestBuilder {
    let path = format!("/uploads?digest={}", Digest::of(b"large"));
    server.request(Method::POST, &path).header("upload-complete", "?0").header("upload-length", 5)
}

/// Every request is answered with this problem and nothing else while `broken`, and served again after `mend`.
async fn passes(model: &S3Model, store: &Store, problem: (u16, &str), broken: impl Fn(), mend: impl Fn()) {
    let server = Replicas::new().start(store).await;
    server.publish("main", &[("f", b"bytes")]).await;
    let keys = model.keys();
    broken();
    for (asked, answer) in ask_everything(&server).await {
        assert_eq!(answer.status.as_u16(), problem.0, "{asked}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("retry-after"), problem.1 == "UNAVAILABLE", "{asked}: {answer:?}");
        if !answer.body.is_empty() {
            assert_eq!(answer.json()["code"], problem.1, "{asked}");
        }
    }
    let ready = server.get("/readyz").await.expect(503);
    assert!(ready.text().contains("the store cannot be used"), "{}", ready.text());
    server.get("/livez").await.expect(200);
    mend();
    assert_eq!(model.keys(), keys, "nothing was written, nothing is gone");
    server.get("/readyz").await.expect(200);
    for (asked, answer) in ask_everything(&server).await {
        let expected = if asked.contains("other") { 404 } else { 200 };
        let (status, absent) = (answer.status.as_u16(), expected == 404);
        assert!(if absent { status == 404 } else { (200..400).contains(&status) }, "{asked}: {answer:?}");
    }
    server.stop().await.unwrap();
    assert_sound(store, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_vanishes_is_told_as_such_and_all_is_well_when_it_is_back() {
    let model = S3Model::start().await;
    let store = model.store_with(hasty).await;
    let gone = |gone| model.quirks(|quirks| quirks.without_bucket = gone);
    passes(&model, &store, (503, "STORE_DENIED"), || gone(true), || gone(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_out_of_reach_is_told_as_such_and_all_is_well_when_it_is_back() {
    for fault in [Fault::Reset, Fault::Answer(503, "SlowDown"), Fault::Answer(500, "InternalError")] {
        let model = S3Model::start().await;
        let store = model.store_with(hasty).await;
        passes(&model, &store, (503, "UNAVAILABLE"), || model.fail_all(fault), || model.heal()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_are_told_as_such_and_new_ones_are_all_it_takes() {
    for fault in [Fault::Answer(403, "AccessDenied"), Fault::Answer(400, "ExpiredToken"), Fault::Answer(401, "")] {
        let model = S3Model::start().await;
        let store = model.store_with(hasty).await;
        passes(&model, &store, (503, "STORE_DENIED"), || model.fail_all(fault), || model.heal()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_that_credentials_have_expired() {
    let model = S3Model::start().await;
    let (deployment, port) = (Deployment::on(&model.settings()), free_port());
    let server = tokio::task::spawn_blocking(move || deployment.serve(port)).await.unwrap();
    model.fail_all(Fault::Answer(400, "ExpiredToken"));
    let asked = tokio::task::spawn_blocking(move || {
        larder(&format!("healthcheck --url {}/readyz", url(port))).exits(7).says("not ready");
        server.signal(Signal::TERM);
        server.wait()
    });
    let output = asked.await.unwrap();
    assert!(output.stderr.contains("ExpiredToken"), "{output:#?}");
    assert!(output.stderr.contains("the credentials have expired"), "{output:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_whose_every_answer_takes_long_makes_everything_slow_and_breaks_nothing() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let server = Replicas::new().start(&store).await;
    server.publish("main", &[("f", b"bytes")]).await;
    model.fail_all(Fault::Slow(Duration::from_millis(300)));
    for (asked, answer) in ask_everything(&server).await {
        assert!(answer.status.as_u16() < 400 || asked.contains("other"), "{asked}: {answer:?}");
    }
    server.get("/readyz").await.expect(200);
    server.stop().await.unwrap();
    model.heal();
    assert_sound(&store, "main").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_slower_than_anybody_waits_is_told_in_time() {
    let model = S3Model::start().await;
    let store = model.store_with(hasty).await;
    let server = Replicas::new().start(&store).await;
    server.publish("main", &[("f", b"bytes")]).await;
    model.fail_all(Fault::Slow(Duration::from_secs(60)));
    let began = Instant::now();
    let asked: Vec<_> = (0..20)
        .map(|_| server.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache"))
        .map(send)
        .collect();
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.header("retry-after"), "2");
        answer.problem(503, "UNAVAILABLE");
    }
    server.put(&format!("/blobs/{}", Digest::of(b"new")), "new").await.problem(503, "UNAVAILABLE");
    server.get("/readyz").await.expect(503);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    model.heal();
    server.get("/readyz").await.expect(200);
    server.get("/manifests/main").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_does_not_wait_for_an_engine_that_is_silent() {
    let model = S3Model::start().await;
    let store = model.store().await;
    let server = Replicas::new().start(&store).await;
    model.fail_all(Fault::Slow(Duration::from_secs(60)));
    let began = Instant::now();
    let ready = server.get("/readyz").await.expect(503);
    assert!(ready.text().contains("does not answer in time"), "{}", ready.text());
    assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
}

/// Publishes with the real client, and verifies all that is stored.
fn publishes_through_a_storm(deployment: &Deployment, port: u16, heal: impl Fn()) {
    for round in 0..6 {
        let files = TempDir::new().unwrap();
        for file in 0..4 {
            std::fs::write(files.path().join(format!("f{file}")), format!("{file} of {round}")).unwrap();
        }
        let large = vec![u8::try_from(round).unwrap(); 11 << 20];
        if round % 3 == 0 {
            std::fs::write(files.path().join("large"), large).unwrap();
        }
        let name = if round % 2 == 0 { "even" } else { "odd" };
        client(&url(port), &format!("publish {name} . --resumable-from 6MiB")).within(&files).ok();
    }
    heal();
    let totals = deployment.larder("verify --json").ok().json()["totals"].clone();
    assert_eq!((&totals["names"], &totals["findings"]), (&json!(2), &json!(0)), "{totals}");
    deployment.larder("collect --once --min-age 0s").ok();
    deployment.larder("verify").ok();
    let output = client(&url(port), "versions even --json").ok().json();
    assert_eq!(output["versions"].as_array().unwrap().len(), 3, "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_succeed_while_three_of_ten_requests_to_the_engine_fail() {
    let model = std::sync::Arc::new(S3Model::start().await);
    let (deployment, port) = (Deployment::on(&model.settings()), free_port());
    let shared = std::sync::Arc::clone(&model);
    let publishing = move || {
        let _server = deployment.serve(port);
        shared.fail_percent(30, 4_711);
        publishes_through_a_storm(&deployment, port, || shared.heal());
    };
    tokio::task::spawn_blocking(publishing).await.unwrap();
    // Few aborts fail in all of their attempts, and what they leave is the collector's, after `uploads_for`.
    assert!(model.open_uploads() <= 1, "{}", model.open_uploads());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_while_its_engine_is_away_says_so() {
    let model = S3Model::start().await;
    let mut settings = model.settings();
    hasty(&mut settings);
    model.fail_all(Fault::Answer(503, "SlowDown"));
    let deployment = Deployment::on(&settings);
    let serve = move || deployment.larder("serve --listen 127.0.0.1:0").exits(7).says("SlowDown");
    tokio::task::spawn_blocking(serve).await.unwrap();
}
