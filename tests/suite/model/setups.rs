//! The setups that are checked, each at a small bound and at a larger one.

use super::copies::{Bytes, Copies};
use super::manifests::Manifest;
use super::properties::{BURIED, COLLECTED, HEALED, LATE, MISSED, PUT_BACK, REFUSED, RESCUED, SKIPPED};
use super::setup::{Broken, DIGESTS, Op, Setup};

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Small,
    Large,
}

/// The digest of a blob.
const BLOB: u8 = 0;
/// The digest of another, or of a manifest that refers to the first.
const OTHER: u8 = 1;

pub fn setup(title: &'static str) -> Setup {
    Setup {
        title,
        names: 1,
        hidden: 0,
        by_digest: false,
        manifests: Vec::new(),
        stock: [Copies::default(); DIGESTS],
        scripts: [Vec::new(), Vec::new()],
        runs: [1, 1, 0],
        expiry: true,
        young: true,
        follows: false,
        same_length: false,
        slow_copies: true,
        reaches: &[],
        broken: Broken::Nothing,
    }
}

pub fn stock(blob: Option<Bytes>) -> [Copies; DIGESTS] {
    let mut stock = [Copies::default(); DIGESTS];
    stock[usize::from(BLOB)] = blob.map_or(Copies::default(), Copies::of);
    stock
}

/// Two publishers, each with a name of its own, share a blob that is there from the start and unreferenced.
pub fn shared(bound: Bound) -> Setup {
    let publish = |name, manifest| Op::Publish { name, manifest };
    let mut setup = Setup {
        names: 2,
        manifests: vec![Manifest::flat(1 << BLOB), Manifest::flat(0)],
        stock: stock(Some(Bytes::Good)),
        scripts: [vec![publish(0, 0)], vec![Op::Upload { digest: BLOB }, publish(1, 0)]],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE],
        ..setup("two names share a blob")
    };
    if bound == Bound::Large {
        setup.scripts[0].push(publish(0, 1));
        setup.runs = [2, 1, 0];
    }
    setup
}

/// Two publishers race for one name.
pub fn rivals(bound: Bound) -> Setup {
    let publish = |manifest| Op::Publish { name: 0, manifest };
    let mut setup = Setup {
        manifests: vec![Manifest::flat(1 << BLOB), Manifest::flat(1 << BLOB)],
        stock: stock(Some(Bytes::Good)),
        scripts: [vec![publish(0)], vec![publish(1)]],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE],
        ..setup("two publishers, one name")
    };
    if bound == Bound::Large {
        setup.scripts[0].extend([Op::Rollback { name: 0 }, Op::Delete { name: 0 }]);
        setup.runs = [2, 1, 0];
    }
    setup
}

/// A manifest has bytes of its own, which may be collected like any others.
pub fn manifests(bound: Bound) -> Setup {
    let publish = |name| Op::Publish { name, manifest: 0 };
    let mut setup = Setup {
        manifests: vec![Manifest::stored(OTHER, 1 << BLOB)],
        stock: stock(Some(Bytes::Good)),
        scripts: [vec![publish(0)], vec![]],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE, PUT_BACK],
        ..setup("a manifest with bytes of its own")
    };
    if bound == Bound::Large {
        setup.names = 2;
        setup.scripts[1] = vec![publish(1)];
    }
    setup
}

/// The manifest was doomed and copied once before, so that readers have to list its generations.
pub fn moved(bound: Bound) -> Setup {
    let mut setup = Setup {
        manifests: vec![Manifest::stored(BLOB, 1 << OTHER)],
        title: "a manifest in its second generation",
        ..manifests(bound)
    };
    (setup.stock[0], setup.stock[1]) = (Copies::moved(), Copies::of(Bytes::Good));
    setup
}

/// A session: prepare, upload what is missing, commit; and somebody uploads the same blob.
pub fn sessions(bound: Bound) -> Setup {
    let session = Op::Session { name: 0, manifest: 0 };
    let mut setup = Setup {
        manifests: vec![Manifest::stored(OTHER, 1 << BLOB)],
        scripts: [vec![session], vec![]],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, LATE, PUT_BACK],
        ..setup("a session and an upload")
    };
    if bound == Bound::Large {
        setup.scripts[1] = vec![session];
        setup.young = false;
    }
    setup
}

/// A blob is damaged, and two clients upload it.
pub fn damage(bound: Bound) -> Setup {
    let upload = Op::Upload { digest: BLOB };
    let mut setup = Setup {
        manifests: vec![Manifest::flat(1 << BLOB)],
        stock: stock(Some(Bytes::Damaged)),
        scripts: [vec![upload, Op::Publish { name: 0, manifest: 0 }], vec![upload]],
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE, BURIED],
        ..setup("a damaged blob")
    };
    if bound == Bound::Large {
        setup.runs = [2, 1, 0];
    }
    setup
}

/// A session uploads a damaged blob while three collectors are at it.
pub fn healing(bound: Bound) -> Setup {
    let mut setup = Setup {
        manifests: vec![Manifest::flat(1 << BLOB)],
        stock: stock(Some(Bytes::Damaged)),
        scripts: [vec![Op::Session { name: 0, manifest: 0 }], vec![]],
        runs: [1, 1, 1],
        expiry: false,
        reaches: &[COLLECTED, RESCUED, HEALED, LATE, BURIED],
        ..setup("a damaged blob and three collectors")
    };
    if bound == Bound::Large {
        setup.expiry = true;
    }
    setup
}

/// Versions of one name follow each other and share a blob, which is not looked at when the active one has it.
pub fn follows(bound: Bound) -> Setup {
    let publish = |manifest| Op::Publish { name: 0, manifest };
    let mut setup = Setup {
        manifests: vec![Manifest::flat(1 << BLOB), Manifest::flat(1 << BLOB), Manifest::flat(0)],
        stock: stock(Some(Bytes::Good)),
        scripts: [vec![publish(0), publish(1)], vec![publish(2)]],
        follows: true,
        reaches: &[COLLECTED, RESCUED, HEALED, REFUSED, MISSED, LATE, SKIPPED],
        ..setup("versions that follow each other")
    };
    if bound == Bound::Large {
        setup.scripts[1].push(Op::Rollback { name: 0 });
        setup.runs = [2, 1, 0];
    }
    setup
}

/// The same, while somebody discards the blob because its bytes are damaged, which no publisher can tell.
pub fn discards(bound: Bound) -> Setup {
    let publish = |manifest| Op::Publish { name: 0, manifest };
    let discard = Op::Discard { digest: BLOB };
    let mut setup = Setup {
        manifests: vec![Manifest::flat(1 << BLOB), Manifest::flat(1 << BLOB)],
        stock: stock(Some(Bytes::Damaged)),
        scripts: [vec![publish(0), publish(1)], vec![discard]],
        follows: true,
        same_length: true,
        reaches: &[COLLECTED, RESCUED, HEALED, MISSED, SKIPPED, BURIED],
        ..setup("a blob that is discarded")
    };
    if bound == Bound::Large {
        setup.scripts[1].push(discard);
        setup.runs = [2, 1, 0];
    }
    setup
}
