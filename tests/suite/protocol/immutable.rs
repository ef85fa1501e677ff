//! Publishers of a site at the same time, whose releases have other bytes in a file that clients keep.

use futures_util::future::join_all;
use larder::domain::{Digest, State};
use larder::service::publish::PublishOptions;
use larder::service::{PublishError, Receipt};
use serde_json::json;

use super::replies::{HEADS, history};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::store::*;

const HASHED: &str = "assets/a-CjL4fkWS.js";

/// Uploads and publishes a site with this script.
async fn publish(services: &Services, script: &str, wish: PublishOptions) -> Result<Receipt, PublishError> {
    let files = [("index.html", format!("page of {script}")), (HASHED, script.to_owned())];
    let mut artifacts = Vec::new();
    for (name, text) in files {
        artifacts.push(json!({"name": name, "blob": Digest::of(text.as_bytes()), "size": text.len()}));
        services.upload(&text.into()).await.unwrap();
    }
    let manifest = json!({"kind": "static", "entrypoint": "index.html", "artifacts": artifacts});
    services.publish.publish(&name("main"), manifest.to_string().into(), wish, &*ACTOR).await
}

fn is_refused_because_of(result: &Result<Receipt, PublishError>, version: u64) -> bool {
    matches!(result, Err(PublishError::Immutable(changed)) if changed.files == [(HASHED.parse().unwrap(), version)])
}

#[tokio::test]
async fn a_publish_is_compared_with_what_overtakes_it() {
    for wish in [activate(), stage()] {
        let backend = FsBackend::quick();
        let faulty = FaultyStore::over(&backend.store());
        let rival = Services::over(&backend.store());
        // Between its preparation and its commit, long after it was compared with what was published.
        faulty.script(Rule::on(Op::Create).key(HEADS).nth(2).run(move || {
            let (rival, wish) = (rival.clone(), wish.clone());
            async move {
                publish(&rival, "two", wish).await.unwrap();
            }
        }));
        let services = Services::over(&faulty.store());
        assert!(is_refused_because_of(&publish(&services, "one", activate()).await, 2));
        let states: Vec<_> = history(&backend.store()).await.into_iter().map(|(_, state)| state).collect();
        assert!(matches!(states[..], [State::Active | State::Ready]), "the loser's version is given up: {states:?}");
        // The same bytes are no contradiction, whoever comes first.
        publish(&services, "two", activate()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_publishers_with_other_bytes_one_succeeds() {
    for _ in 0..5 {
        let backend = FsBackend::quick();
        let publishers = ["one", "two", "three", "four"].map(|script| {
            let services = Services::over(&backend.store());
            tokio::spawn(async move { publish(&services, script, activate()).await })
        });
        let ends: Vec<_> = join_all(publishers).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<u64> = ends.iter().flatten().map(|receipt| receipt.row.number).collect();
        let [winner] = winners[..] else { panic!("{ends:?}") };
        let refused = ends.iter().filter(|end| is_refused_because_of(end, winner)).count();
        assert_eq!(refused, 3, "{ends:?}");
    }
}
