//! Uploads in chunks that one server begins, a second one takes in and a third one completes.

use larder::domain::Digest;

use crate::oci::registry::{OCTETS, Registry, location, refused, with_digest};
use crate::support::replicas::Replicas;
use crate::support::server::TestServer;
use crate::support::store::{Store, keys, pattern};

const REPOSITORY: &str = "team/app";

async fn goes_on_elsewhere(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let (one, other) = (replicas.start(&stores[0]).await, replicas.start(&stores[1]).await);
    // So that all of them have the same token.
    let of = |server: &TestServer| Registry::of(server);
    for chunk in [3_000_000, 1_300_000] {
        let bytes = pattern(3_000_000);
        let digest = Digest::of(&bytes);
        let mut upload = of(&one).begin(REPOSITORY).await;
        for (at, piece) in bytes.chunks(chunk).enumerate() {
            let registry = of(if at % 2 == 0 { &other } else { &one });
            let answer = registry.ask("PATCH", &upload, &[OCTETS], piece.to_vec()).await.expect(202);
            upload = location(&answer);
            let seen = of(&one).get(&upload).await.expect(204);
            assert_eq!(seen.header("range"), answer.header("range"));
        }
        let third = replicas.start(&stores[1]).await;
        of(&third).ask("PUT", &with_digest(&upload, digest), &[], "").await.expect(201);
        for server in [&one, &other] {
            of(server).assert_blob(REPOSITORY, &bytes).await;
            of(server).ask("PUT", &with_digest(&upload, digest), &[], "").await.expect(201);
        }
        assert_eq!(keys(&stores[0], "tmp/", None, None).await, Vec::<String>::new());
    }
}

everywhere!(an_upload_in_chunks_goes_on_at_another_server, goes_on_elsewhere);

/// Two servers append at one offset at once: one takes it, the other says where the upload is.
async fn one_of_two_appends(stores: [Store; 2]) {
    let replicas = Replicas::new();
    let (one, other) = (replicas.start(&stores[0]).await, replicas.start(&stores[1]).await);
    for round in 0..5 {
        let bytes = format!("{round}").repeat(500_000).into_bytes();
        let upload = Registry::of(&one).begin(REPOSITORY).await;
        let append =
            async |server: &TestServer| Registry::of(server).ask("PATCH", &upload, &[OCTETS], bytes.clone()).await;
        let (first, second) = tokio::join!(append(&one), append(&other));
        // Both are taken if one was so quick that the other followed it.
        let taken = usize::from(first.status == 202) + usize::from(second.status == 202);
        let mut newest = first.header("location").to_owned();
        for answer in [first, second].into_iter().filter(|answer| answer.status != 202) {
            assert_eq!(answer.header("range"), format!("0-{}", bytes.len() - 1));
            newest = location(&answer);
            refused(answer, 416, "BLOB_UPLOAD_INVALID");
        }
        let state = Registry::of(&other).get(&newest).await.expect(204);
        assert_eq!(state.header("range"), format!("0-{}", taken * bytes.len() - 1));
        let whole = bytes.repeat(taken);
        let path = with_digest(&location(&state), Digest::of(&whole));
        Registry::of(&one).ask("PUT", &path, &[], "").await.expect(201);
        Registry::of(&other).assert_blob(REPOSITORY, &whole).await;
    }
}

everywhere!(of_two_appends_through_two_servers_one_is_taken, one_of_two_appends);
