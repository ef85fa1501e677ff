use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::clock::SystemClock;
use crate::domain::head::Change;
use crate::domain::manifest::{Descriptor, Kind};
use crate::domain::version::Summary;
use crate::domain::{Expect, Subject};
use crate::protocol::Heads;
use crate::store::FsStore;
use crate::store::fs::{Step, Steps};

/// Counts objects opened.
#[derive(Debug, Default)]
struct Opened(AtomicUsize);

impl Steps for Opened {
    fn before(&self, step: Step) -> io::Result<()> {
        self.0.fetch_add(usize::from(step == Step::Open), Ordering::Relaxed);
        Ok(())
    }
}

fn digest_of(number: u64) -> Digest {
    Digest::of(format!("manifest {number}").as_bytes())
}

/// A head with this many archived versions before its own, in segments of the largest size.
async fn long_history(store: &Arc<dyn ObjectStore>, versions: u64) -> Head {
    let heads = Heads::new(Arc::clone(store), Arc::new(SystemClock));
    let manifest = Descriptor { digest: digest_of(0), size: 10 };
    let kind = Kind::default();
    let summary = Summary {
        manifest,
        media_type: None,
        label: None,
        label_cut: false,
        kind,
        files: 1,
        total_bytes: 1,
        entrypoint: None,
        source: None,
        subject: None,
        pushed_as: None,
    };
    let prepare = Change::Prepare { summary, from: None, annex: None, expect: Expect::Anything };
    let changed = heads.change(&"main".parse().unwrap(), &prepare, &Subject::token("tester").unwrap()).await.unwrap();
    let mut head = (*changed.head).clone();
    let template = VersionRow { state: State::Archived, ..changed.row.unwrap() };
    let row = |number: u64| {
        let mut row = VersionRow { number, ..template.clone() };
        row.summary.manifest.digest = digest_of(number);
        row
    };
    let segments = Segments::new(Arc::clone(store));
    let all: Vec<u64> = (1..=versions).collect();
    for numbers in all.chunks(MAX_ROWS) {
        let rows = numbers.iter().map(|number| row(*number)).collect();
        head.segments.push(segments.write(&head, rows, MAX_TIER).await.unwrap());
    }
    head
}

#[tokio::test]
async fn looking_for_a_digest_reads_a_long_history_once() {
    let directory = tempfile::TempDir::new().unwrap();
    let opened = Arc::new(Opened::default());
    let fs = FsStore::with_steps(directory.path(), Arc::clone(&opened) as Arc<dyn Steps>).unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(fs);
    // More rows than are kept in memory.
    let versions = 2 * REMEMBERED_ROWS + 10;
    let mut head = long_history(&store, versions).await;
    let segments = Segments::new(store);
    assert_eq!(segments.best(&head, Digest::of(b"nothing")).await.unwrap(), None);
    let before = opened.0.load(Ordering::Relaxed);
    for at in 0..1000 {
        assert_eq!(segments.best(&head, Digest::of(format!("nothing {at}").as_bytes())).await.unwrap(), None);
    }
    assert_eq!(opened.0.load(Ordering::Relaxed), before, "nothing is read again");
    for number in [2, versions / 2, versions] {
        let row = segments.best(&head, digest_of(number)).await.unwrap().expect("a version");
        assert_eq!(row.number, number);
    }
    // A row of the head shadows that of a segment; and a readable version is preferred to a newer one that is not.
    let mut retired = segments.row(&head, 7).await.unwrap().unwrap();
    retired.state = State::Retired;
    head.rows.insert(0, retired);
    assert_eq!(segments.best(&head, digest_of(7)).await.unwrap().unwrap().state, State::Retired);
    let mut again = head.rows[0].clone();
    (again.number, again.state) = (versions + 5, State::Retired);
    again.summary.manifest.digest = digest_of(8);
    head.rows.push(again);
    assert_eq!(segments.best(&head, digest_of(8)).await.unwrap().unwrap().number, 8);
    let page = segments.newest(&head, 1000, 10).await.unwrap();
    assert!(page.iter().map(|row| row.number).eq((990..1000).rev()), "a page clones no more than it shows");
}
