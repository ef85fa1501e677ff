//! Records of wares, between servers of one store.

use larder::protocol::{WareRecord, WareRecords};
use tokio::time::{Duration, advance};

use crate::support::store::*;

#[tokio::test(start_paused = true)]
async fn what_another_server_computes_is_seen_within_a_minute() {
    let disk = FsBackend::new();
    let (one, other) = (WareRecords::new(disk.store()), WareRecords::new(disk.store()));
    let blob = larder::domain::Digest::of(b"tar");
    assert_eq!(one.get(blob).await.unwrap(), None);
    let ware = "tar:374jJkBopVnrYNgyGbvDPY5QGRhB7jCHG4B3awKmHtzXdPon6vUYUAgCTCLnDDsGLM".parse().unwrap();
    let record = WareRecord::new(ware, 2);
    other.add(blob, &record).await.unwrap();
    assert_eq!(other.get(blob).await.unwrap().as_deref(), Some(&record));
    assert_eq!(one.get(blob).await.unwrap(), None, "asked for once a minute");
    advance(Duration::from_secs(61)).await;
    assert_eq!(one.get(blob).await.unwrap().as_deref(), Some(&record));
}
