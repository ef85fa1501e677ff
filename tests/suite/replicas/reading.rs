//! What readers of one server see of what another one publishes.

use std::time::Duration;

use larder::domain::Digest;
use reqwest::Method;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::replicas::Replicas;
use crate::support::server::{TestServer, send};
use crate::support::services::assert_sound;
use crate::support::store::Store;

/// Published a moment before it is asked for, `max_staleness` is not over yet, but that is all.
const SLACK: Duration = Duration::from_secs(4);

/// The version of `main` that a server shows.
async fn version(server: &TestServer, fresh: bool) -> u64 {
    let request = server.anonymous(Method::GET, "/manifests/main");
    let request = if fresh { request.header("cache-control", "no-cache") } else { request };
    send(request).await.expect(200).header("larder-version").parse().unwrap()
}

async fn seen_in_time(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let servers = [replicas.start(&stores[0]).await, replicas.start(&stores[1]).await];
    for round in 0..4_u64 {
        let (writer, reader) = (&servers[usize::from(round % 2 == 1)], &servers[usize::from(round % 2 == 0)]);
        let bytes = format!("round {round}").into_bytes();
        writer.publish("main", &[("f", &bytes)]).await;
        let published = Instant::now();
        assert_eq!(version(writer, false).await, round + 1, "one's own at once");
        if round >= 2 {
            assert_eq!(version(reader, true).await, round + 1, "at once when asked for");
        }
        while version(reader, false).await != round + 1 {
            assert!(published.elapsed() < Duration::from_secs(1) + SLACK, "round {round}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let blob = reader.get(&format!("/blobs/{}", Digest::of(&bytes))).await.expect(200);
        assert_eq!(blob.body, bytes);
        let followed = reader.get("/refs/main/f").await.expect(307);
        assert!(followed.header("location").contains(&Digest::of(&bytes).to_string()));
    }
    assert_sound(&stores[0], "main").await;
}

everywhere!(what_one_server_publishes_the_others_show_in_time_and_at_once_when_asked, seen_in_time);

async fn never_back_in_time(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let short = |config: &mut larder::config::Config| config.heads.max_staleness = "20ms".parse().unwrap();
    let servers = [replicas.with(&stores[0], short).await, replicas.with(&stores[1], short).await];
    servers[0].publish("main", &[("f", b"0")]).await;
    let stop = CancellationToken::new();
    let reading = (0..6).map(|at| {
        let (server, stop) = (&servers[at % 2], &stop);
        async move {
            let (mut newest, mut seen) = (0, 0);
            while !stop.is_cancelled() {
                let found = version(server, at >= 4).await;
                assert!(found >= newest, "version {found} after {newest}");
                seen += u64::from(found > newest);
                newest = found;
            }
            seen
        }
    });
    let publishing = async {
        for round in 1..25 {
            servers[round % 2].publish("main", &[("f", round.to_string().as_bytes())]).await;
        }
        stop.cancel();
    };
    let (seen, ()) = tokio::join!(futures_util::future::join_all(reading), publishing);
    assert!(seen.iter().all(|seen| *seen > 2), "all have read meanwhile: {seen:?}");
    assert_sound(&stores[1], "main").await;
}

everywhere!(no_reader_of_a_server_goes_back_in_time_while_both_publish, never_back_in_time);

async fn changes_are_seen(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let [one, other] = [replicas.start(&stores[0]).await, replicas.start(&stores[1]).await];
    one.publish("main", &[("f", b"1")]).await;
    other.publish("main", &[("f", b"2")]).await;
    send(one.request(Method::POST, "/versions/main@previous/promote")).await.expect(200);
    assert_eq!(version(&other, true).await, 1, "a rollback through the other one");
    let pin = |server: &TestServer, method| send(server.request(method, "/versions/main@2/pin"));
    assert!(pin(&other, Method::PUT).await.status.is_success());
    send(one.request(Method::DELETE, "/manifests/main")).await.problem(409, "VERSION_PINNED");
    assert!(pin(&one, Method::DELETE).await.status.is_success());
    assert!(send(other.request(Method::DELETE, "/manifests/main")).await.status.is_success());
    let gone = send(one.anonymous(Method::GET, "/manifests/main").header("cache-control", "no-cache")).await;
    gone.problem(410, "MANIFEST_DELETED");
}

everywhere!(promotions_pins_and_deletions_are_seen_through_every_server, changes_are_seen);

async fn seen_from_elsewhere(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let [one, other] = [replicas.start(&stores[0]).await, replicas.start(&stores[1]).await];
    one.publish("main", &[("f", b"1")]).await;
    one.publish("main", &[("f", b"2")]).await;
    let mut after = other.get("/versions/main").await.json()["generation"].as_u64().unwrap();
    for (change, version) in [("previous", 1), ("2", 2), ("previous", 1)] {
        let waiting = other.anonymous(Method::GET, &format!("/versions/main@active?wait=50s&after={after}"));
        let waiting = tokio::spawn(async move { (send(waiting).await.expect(200), Instant::now()) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        send(one.request(Method::POST, &format!("/versions/main@{change}/promote"))).await.expect(200);
        let changed = Instant::now();
        let (answer, told) = waiting.await.unwrap();
        assert_eq!(answer.json()["number"], version);
        let took = told.saturating_duration_since(changed);
        assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
        after = answer.header("larder-generation").parse().unwrap();
    }
}

everywhere!(what_changes_through_another_server_is_told_in_time, seen_from_elsewhere);
