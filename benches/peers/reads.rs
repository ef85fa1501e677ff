//! The loads that only read, and the proof that all peers answer them with the same bytes.

use std::collections::HashMap;
use std::fs;

use super::cores::Cores;
use super::fixtures::{Blob, Fixtures, IMAGE, IMAGE_TAG, Maker, NAME, TAG};
use super::load::plan::{Answer, Bodies, Exchange, Plan, Step, Until};
use super::process::carry_out;
use super::results::Work;
use super::servers::{Kind, Peer, image_path};

/// Connections over which blobs are uploaded before anything is measured.
const UPLOADS: usize = 4;
/// Different ranges that are read in turn.
const RANGES: u64 = 64;

/// Puts everything that is read where a peer has it.
pub(crate) fn plant(peer: &Peer, cores: &Cores, maker: &Maker, fixtures: &Fixtures) {
    if peer.kind == Kind::Nginx {
        let files = peer.root.join("files");
        let image = image_path(IMAGE_TAG);
        let above_image = image[1..].rsplit_once('/').expect("a path").0.to_owned();
        let directories = ["blobs".to_owned(), format!("manifests/{NAME}"), format!("refs/{NAME}/{TAG}"), above_image];
        for directory in directories {
            fs::create_dir_all(files.join(directory)).expect("a directory");
        }
        for blob in fixtures.blobs() {
            let path = files.join(&peer.blob("GET", &blob.digest)[1..]);
            maker.write(&blob, &mut fs::File::create_new(path).expect("a new file"));
        }
        fs::write(files.join(&image[1..]), &fixtures.image).expect("space on the disk");
        return fs::write(files.join(&peer.manifest(TAG)[1..]), &fixtures.manifest).expect("space on the disk");
    }
    let mut blobs = fixtures.blobs();
    if peer.kind == Kind::Engine {
        blobs.retain(|blob| blob.length > fixtures.small[0].length);
    }
    let uploads = blobs.iter().map(|blob| peer.upload(blob)).collect();
    carry_out(cores, &Plan::once(peer.address, UPLOADS, uploads));
    if peer.kind != Kind::Engine {
        let publish = peer.publish(TAG, fixtures.manifest.clone());
        carry_out(cores, &Plan::once(peer.address, 1, vec![publish]));
        let push = peer.push_manifest(IMAGE_TAG, fixtures.image.clone());
        carry_out(cores, &Plan::once(peer.address, 1, vec![push]));
    }
}

/// A file at nginx that is as large as Larder's whole answer to a request for a ref.
pub(crate) fn plant_ref(nginx: &Peer, proof: &Proof) {
    let answer = &proof.answers[&Work::GetRef][0];
    let path = nginx.root.join("files/refs").join(NAME).join(TAG).join(Fixtures::file());
    let bytes = vec![b'x'; usize::try_from(answer.head + answer.length).expect("a short answer")];
    fs::write(path, bytes).expect("space on the disk");
}

/// The requests of each load to a peer.
pub(crate) struct Requests {
    exchanges: HashMap<Work, Vec<Exchange>>,
    /// What becomes of the answers, while they are measured.
    pub bodies: Bodies,
}

impl Requests {
    /// Makes them, and asks each of them once. Blobs must be themselves, and everything what `first` saw, if that is
    /// given.
    pub(crate) fn prove(peer: &Peer, cores: &Cores, fixtures: &Fixtures, first: Option<&Proof>) -> (Self, Proof) {
        let (mut proof, mut requests) = (Proof { answers: HashMap::new() }, HashMap::new());
        for work in Work::READS {
            let steps = steps(work, peer, fixtures, &proof);
            if steps.is_empty() {
                continue;
            }
            let exchanges: Vec<Exchange> = steps.into_iter().map(Into::into).collect();
            let mut plan = Plan::once(peer.address, 1, exchanges.clone());
            plan.bodies = Bodies::Keep;
            let answers = carry_out(cores, &plan).answers;
            let wrong = format!("{work:?}: {} does not answer the right bytes", peer.kind.name());
            match work {
                Work::GetLarge => assert_eq!(answers[0].digest, fixtures.large.digest.to_string(), "{wrong}"),
                Work::GetSmall => fixtures.small.iter().zip(&answers).for_each(|(blob, answer)| {
                    assert_eq!(answer.digest, blob.digest.to_string(), "{wrong}");
                }),
                Work::GetMany => fixtures.many.iter().zip(&answers).for_each(|(blob, answer)| {
                    assert_eq!(answer.digest, blob.digest.to_string(), "{wrong}");
                }),
                // The one answers a redirect, the other a file of that size.
                Work::GetRef => {}
                _ => {
                    let others = first.and_then(|first| first.answers.get(&work));
                    assert!(others.is_none_or(|others| seen(others) == seen(&answers)), "{wrong}");
                }
            }
            proof.answers.insert(work, answers);
            requests.insert(work, exchanges);
        }
        (Self { exchanges: requests, bodies: Bodies::Drop }, proof)
    }

    /// What a load asks for. `None` if the peer has no such thing.
    pub(crate) fn of(&self, work: Work, connections: usize, until: Until, peer: &Peer) -> Option<Plan> {
        let exchanges = self.exchanges.get(&work)?.clone();
        Some(Plan { address: peer.address, connections, exchanges, until, bodies: self.bodies })
    }
}

fn seen(answers: &[Answer]) -> Vec<(u64, &str)> {
    answers.iter().map(|answer| (answer.length, answer.digest.as_str())).collect()
}

/// What a peer answered.
pub(crate) struct Proof {
    answers: HashMap<Work, Vec<Answer>>,
}

fn steps(work: Work, peer: &Peer, fixtures: &Fixtures, proof: &Proof) -> Vec<Step> {
    if peer.kind == Kind::Engine && !matches!(work, Work::GetLarge | Work::GetRange) {
        return Vec::new();
    }
    let blob =
        |method: &str, blob: &Blob| peer.ask(method, &peer.blob(method, &blob.digest), &[], 200, Some(blob.length));
    match work {
        Work::GetLarge => vec![blob("GET", &fixtures.large)],
        Work::GetSmall => fixtures.small.iter().map(|small| blob("GET", small)).collect(),
        Work::GetMany => fixtures.many.iter().map(|blob_of_many| blob("GET", blob_of_many)).collect(),
        Work::HeadTag => {
            let accept = [("accept", IMAGE.to_owned())];
            vec![peer.ask("HEAD", &image_path(IMAGE_TAG), &accept, 200, Some(fixtures.image.len() as u64))]
        }
        Work::HeadBlob => vec![blob("HEAD", &fixtures.small[0])],
        Work::GetRange => {
            let (range, path) = (fixtures.range, peer.blob("GET", &fixtures.huge.digest));
            let ranges = fixtures.huge.length / range;
            // Far apart, and none twice.
            let starts = (0..ranges.min(RANGES)).map(|at| at * 37 % ranges * range);
            let fields = starts.map(|start| [("range", format!("bytes={start}-{}", start + range - 1))]);
            fields.map(|fields| peer.ask("GET", &path, &fields, 206, Some(range))).collect()
        }
        Work::GetManifest => {
            let length = Some(fixtures.manifest.len() as u64);
            vec![peer.ask("GET", &peer.manifest(TAG), &peer.manifest_fields(), 200, length)]
        }
        Work::NotModified => {
            let mut fields = peer.manifest_fields();
            fields.push(("if-none-match", proof.answers[&Work::GetManifest][0].headers["etag"].clone()));
            vec![peer.ask("GET", &peer.manifest(TAG), &fields, 304, None)]
        }
        Work::GetRef => {
            let path = format!("/refs/{NAME}/{TAG}/{}", Fixtures::file());
            match peer.kind {
                Kind::Larder => vec![peer.ask("GET", &path, &[], 307, None)],
                Kind::Nginx => vec![peer.ask("GET", &path, &[], 200, None)],
                _ => Vec::new(),
            }
        }
        _ => panic!("{work:?} is no read"),
    }
}
