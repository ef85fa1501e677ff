//! The loads that only read, and the proof that all peers answer them with the same bytes.

use std::collections::HashMap;
use std::fs;

use super::fixtures::{Blob, Maker};
use super::fixtures::{Fixtures, NAME};
use super::load::plan::{Answer, Exchange, Plan, Step, Until};
use super::process::{Cores, Load};
use super::servers::{Kind, Peer};

/// Connections over which blobs are uploaded before anything is measured.
const UPLOADS: usize = 4;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Read {
    Large,
    Small,
    Range,
    Head,
    Manifest,
    NotModified,
    Ref,
}

impl Read {
    pub(crate) const ALL: [Self; 7] =
        [Self::Large, Self::Small, Self::Range, Self::Head, Self::Manifest, Self::NotModified, Self::Ref];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Large => "GET blob 100 MiB",
            Self::Small => "GET blob 64 KiB",
            Self::Range => "GET range 1 MiB of 1 GiB",
            Self::Head => "HEAD blob",
            Self::Manifest => "GET manifest",
            Self::NotModified => "GET manifest, 304",
            Self::Ref => "GET ref",
        }
    }
}

/// Puts everything that is read where a peer has it.
pub(crate) fn plant(peer: &Peer, cores: &Cores, maker: &Maker, fixtures: &Fixtures) {
    if peer.kind == Kind::Nginx {
        let files = peer.root.join("files");
        for directory in ["blobs".to_owned(), format!("manifests/{NAME}"), format!("refs/{NAME}")] {
            let directory = files.join(directory);
            fs::create_dir_all(directory.parent().expect("below the files")).expect("a directory");
        }
        fs::create_dir_all(files.join("blobs")).expect("a directory");
        for blob in fixtures.blobs() {
            let path = files.join(&peer.blob(&blob.digest)[1..]);
            maker.write(&blob, &mut fs::File::create_new(path).expect("a new file"));
        }
        return fs::write(files.join(&peer.manifest()[1..]), &fixtures.manifest).expect("space on the disk");
    }
    let uploads = fixtures.blobs().iter().map(|blob: &Blob| peer.upload(blob)).collect();
    Load::start(cores, &Plan::once(peer.address, UPLOADS, uploads)).finish();
    Load::start(cores, &Plan::once(peer.address, 1, vec![peer.publish(&fixtures.manifest)])).finish();
}

/// The requests of each load to a peer.
pub(crate) struct Requests(HashMap<Read, Vec<Exchange>>);

impl Requests {
    /// Makes them, and asks each of them once. The answers must be those of `first`, if that is given.
    pub(crate) fn prove(peer: &Peer, cores: &Cores, fixtures: &Fixtures, first: Option<&Proof>) -> (Self, Proof) {
        let mut proof = Proof { answers: HashMap::new() };
        let mut requests = HashMap::new();
        for read in Read::ALL {
            let steps = steps(read, peer, fixtures, &proof);
            if steps.is_empty() {
                continue;
            }
            let exchanges: Vec<Exchange> = steps.into_iter().map(Into::into).collect();
            let mut plan = Plan::once(peer.address, 1, exchanges.clone());
            plan.keep = true;
            let answers = Load::start(cores, &plan).finish().answers;
            let seen = |answers: &[Answer]| -> Vec<(u64, String)> {
                answers.iter().map(|answer| (answer.length, answer.digest.clone())).collect()
            };
            if let Some(others) = first.and_then(|first| first.answers.get(&read)).filter(|_| read != Read::Ref) {
                let same = seen(&answers) == seen(others);
                assert!(same, "{}: {} does not answer the same bytes as Larder", read.name(), peer.kind.name());
            }
            proof.answers.insert(read, answers);
            requests.insert(read, exchanges);
        }
        (Self(requests), proof)
    }

    /// What a load asks for. `None` if the peer has no such thing.
    pub(crate) fn of(&self, read: Read, connections: usize, until: Until, peer: &Peer) -> Option<Plan> {
        let exchanges = self.0.get(&read)?.clone();
        Some(Plan { address: peer.address, connections, exchanges, until, keep: false })
    }
}

/// What a peer answered.
pub(crate) struct Proof {
    answers: HashMap<Read, Vec<Answer>>,
}

fn steps(read: Read, peer: &Peer, fixtures: &Fixtures, proof: &Proof) -> Vec<Step> {
    let blob = |method: &str, blob: &Blob| peer.ask(method, &peer.blob(&blob.digest), &[], 200, Some(blob.length));
    match read {
        Read::Large => vec![blob("GET", &fixtures.large)],
        Read::Small => fixtures.small.iter().map(|small| blob("GET", small)).collect(),
        Read::Head => vec![blob("HEAD", &fixtures.small[0])],
        Read::Range => {
            let (range, path) = (fixtures.range, peer.blob(&fixtures.huge.digest));
            let ranges = fixtures.huge.length / range;
            // Far apart, and none twice.
            let starts = (0..ranges.min(64)).map(|at| at * 37 % ranges * range);
            let fields = starts.map(|start| [("range", format!("bytes={start}-{}", start + range - 1))]);
            fields.map(|fields| peer.ask("GET", &path, &fields, 206, Some(range))).collect()
        }
        Read::Manifest => {
            let length = Some(fixtures.manifest.len() as u64);
            vec![peer.ask("GET", &peer.manifest(), &peer.manifest_fields(), 200, length)]
        }
        Read::NotModified => {
            let mut fields = peer.manifest_fields();
            fields.push(("if-none-match", proof.answers[&Read::Manifest][0].headers["etag"].clone()));
            vec![peer.ask("GET", &peer.manifest(), &fields, 304, None)]
        }
        Read::Ref => {
            let path = format!("/refs/{NAME}/{}", Fixtures::file());
            match peer.kind {
                Kind::Larder => vec![peer.ask("GET", &path, &[], 307, None)],
                Kind::Nginx => vec![peer.ask("GET", &path, &[], 200, None)],
                Kind::Registry => Vec::new(),
            }
        }
    }
}

/// A file at nginx that is as large as Larder's whole answer to a request for a ref.
pub(crate) fn plant_ref(nginx: &Peer, proof: &Proof) {
    let answer = &proof.answers[&Read::Ref][0];
    let path = nginx.root.join("files/refs").join(NAME).join(Fixtures::file());
    fs::create_dir_all(path.parent().expect("below the files")).expect("a directory");
    let bytes = vec![b'x'; usize::try_from(answer.head + answer.length).expect("a short answer")];
    fs::write(path, bytes).expect("space on the disk");
}
