//! What servers sign for a catalog, by clocks that stand still: the same everywhere, forward only.

use std::sync::Arc;

use jiff::SignedDuration;
use larder::clock::{Clock as _, ManualClock, SystemClock};
use larder::protocol::KeyRing;
use larder::service::Tuf;
use larder::service::tuf::{TufContent, TufError, TufFile};
use larder::store::FsStore;
use serde_json::Value;

use super::*;
use crate::support::services::{AsOf, Services};
use crate::support::store::Store;

/// What one of several servers has over the directory of another.
struct Replica {
    clock: Arc<ManualClock>,
    tuf: Tuf,
}

impl Replica {
    /// A server whose clock is this far ahead.
    fn of(server: &ServerProcess, ahead: SignedDuration) -> Self {
        let store: Store = Arc::new(FsStore::open(&server.data).unwrap());
        let clock = Arc::new(ManualClock::new(SystemClock.now() + ahead));
        let catalogs = Services::with_clock(&store, Arc::clone(&clock)).catalogs(&store);
        let keys = KeyRing::new(store, Arc::clone(&clock) as Arc<dyn larder::clock::Clock>);
        let tuf = Tuf::new(Arc::new(catalogs), keys, Arc::clone(&clock) as _);
        Self { clock, tuf }
    }

    async fn file(&self, file: TufFile) -> Result<TufContent, TufError> {
        self.tuf.file(&NAME.parse().unwrap(), file, AsOf::Now).await
    }

    async fn made(&self, file: TufFile) -> Vec<u8> {
        match self.file(file).await.unwrap() {
            TufContent::Made(bytes) => bytes.to_vec(),
            TufContent::Stored(digest) => panic!("{digest} is stored"),
        }
    }

    async fn timestamp(&self) -> Value {
        serde_json::from_slice::<Value>(&self.made(TufFile::Timestamp).await).unwrap()["signed"].clone()
    }
}

#[tokio::test]
async fn all_servers_of_a_store_sign_the_same_and_store_nothing() {
    let (server, _) = shown();
    let later = SignedDuration::from_hours(1);
    let (one, other) = (Replica::of(&server, later), Replica::of(&server, later));
    other.clock.advance(one.clock.now().duration_since(other.clock.now()));
    for file in [TufFile::Timestamp, TufFile::Snapshot(2)] {
        assert_eq!(one.made(file).await, other.made(file).await);
    }
    let sent = server.get(&format!("/tuf/{NAME}/metadata/2.snapshot.json")).unwrap().body;
    assert_eq!(one.made(TufFile::Snapshot(2)).await, sent);
    let before = one.timestamp().await;
    one.clock.advance(SignedDuration::from_secs(60));
    let after = one.timestamp().await;
    assert_eq!(after["version"].as_u64().unwrap(), before["version"].as_u64().unwrap() + 1);
    assert_eq!(after["version"].as_i64().unwrap(), one.clock.now().as_second() / 60 + 2, "the minute and the serial");
    assert_eq!(after["meta"], before["meta"]);
    let expires: jiff::Timestamp = after["expires"].as_str().unwrap().parse().unwrap();
    let valid = expires.duration_since(one.clock.now());
    assert!(valid <= SignedDuration::from_hours(24) && valid > SignedDuration::from_hours(23), "{valid}");
}

#[tokio::test]
async fn a_change_on_another_server_is_seen_and_rolls_forward() {
    let (server, author) = shown();
    let replica = Replica::of(&server, SignedDuration::from_mins(5));
    let before = replica.timestamp().await;
    assert_eq!(before["meta"]["snapshot.json"]["version"], 2);
    author.add(&server, "v1.1", "");
    let after = replica.timestamp().await;
    assert_eq!(after["meta"]["snapshot.json"]["version"], 3);
    // In the same minute: clients ignore what changes under a version that they have.
    assert_eq!(after["version"].as_u64().unwrap(), before["version"].as_u64().unwrap() + 1);
    assert!(matches!(replica.file(TufFile::Snapshot(1)).await, Err(TufError::Unknown)));
    replica.made(TufFile::Snapshot(2)).await;
    assert!(matches!(replica.file(TufFile::Targets(3)).await, Ok(TufContent::Stored(_))));
}

#[tokio::test]
async fn a_clock_that_is_behind_what_is_stored_signs_no_time() {
    let (server, _) = shown();
    let replica = Replica::of(&server, SignedDuration::from_mins(-3));
    assert!(matches!(replica.file(TufFile::Timestamp).await, Err(TufError::ClockBehind { .. })));
    // What has no time in it is there all the same.
    replica.made(TufFile::Snapshot(2)).await;
    replica.clock.advance(SignedDuration::from_mins(4));
    replica.made(TufFile::Timestamp).await;
}
