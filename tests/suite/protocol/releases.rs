//! What lists of releases cost at the store.

use bytes::Bytes;
use larder::domain::Digest;
use larder::layout::LayoutKey;
use larder::service::versions::releases::ReleaseQuery;

use crate::support::faulty::FaultyStore;
use crate::support::services::{AsOf, Release, Services, activate, name};
use crate::support::store::FsBackend;

/// Versions of the name.
const VERSIONS: usize = 1_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_listed_with_few_reads() {
    let backend = FsBackend::quick();
    let (writer, main) = (Services::over(&backend.store()), name("main"));
    let file = Bytes::from("the same for all");
    backend.plant(&LayoutKey::Blob(Digest::of(&file), 0).key(), &file);
    for version in 1..=VERSIONS {
        let release = Release { label: format!("v{version}"), files: vec![("a".to_owned(), file.clone())] };
        writer.publish_only("main", &release, activate()).await.unwrap();
    }
    let faulty = FaultyStore::over(&backend.store());
    let reader = Services::over(&faulty.store());
    let listed = async || reader.versions.release_labels(&main, None, AsOf::Now).await.unwrap().labels;
    let labels = listed().await;
    let expected: Vec<_> =
        (1..=VERSIONS).map(|version| (version as u64, format!("v{version}").into_boxed_str())).collect();
    assert!(labels == expected, "{} labels", labels.len());
    let head = reader.heads.current(&main).await.unwrap().unwrap();
    let cold = faulty.total();
    assert!(cold <= head.segments.len() + 6, "{cold} calls for {} segments", head.segments.len());
    faulty.reset();
    listed().await;
    assert_eq!(faulty.total(), 1, "a look for a newer head: {}", faulty.breakdown());
    // A page of the newest releases reads the segments that they are in.
    let fresh = Services::over(&faulty.store());
    faulty.reset();
    let query = ReleaseQuery { before: None, after: None, limit: 20, with_yanked: false, fresh: AsOf::Now };
    let page = fresh.versions.releases(&main, query).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (20, Some(VERSIONS as u64 - 19)));
    assert!(faulty.total() <= 8, "{}", faulty.breakdown());
    let between = ReleaseQuery { after: Some(VERSIONS as u64 - 5), ..query };
    let page = fresh.versions.releases(&main, between).await.unwrap();
    assert_eq!((page.rows.len(), page.next), (5, None));
    let number = fresh.versions.release_number(&main, "v700", AsOf::Now).await.unwrap();
    assert_eq!(number, Some(700));
}
