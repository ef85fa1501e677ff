//! Attaching under failures, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder::domain::attestation::{MEDIA_TYPE, NewAttachment, Requirement};
use larder::domain::policy::{Policies, PolicyKeys, PolicyRule};
use larder::domain::{Author, Digest, LivePolicies, Subject};
use larder::layout::marker;
use larder::protocol::AsOf;
use larder::service::Attachments;

use crate::support::collecting::{collect, findings, greedy};
use crate::support::faulty::{FaultyStore, Op, Rule};
use crate::support::services::*;
use crate::support::signing::Signer;
use crate::support::store::*;

fn attachments(services: &Services) -> Attachments {
    let (heads, blobs) = (Arc::clone(&services.heads), Arc::clone(&services.blobs));
    Attachments::new(heads, blobs, Arc::clone(&services.resolve))
}

async fn attach(services: &Services, bytes: &Bytes, by: &Subject) -> Result<bool, String> {
    let sent = (bytes.clone(), "application/spdx+json", None);
    let attached = attachments(services).attach(&target("main@1"), sent, &Author::from(by)).await;
    attached.map(|attached| attached.unchanged).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_failure_of_any_call_leaves_nothing_wrong_and_attaching_again_heals_it() {
    let bytes = Bytes::from("x".repeat(5000));
    for lost_reply in [false, true] {
        for nth in 1.. {
            let backend = FsBackend::quick();
            let plain = backend.store();
            marker::open(&*plain).await.unwrap();
            Services::over(&plain).release("main", &Release::new("v1", 1)).await.unwrap();
            let faulty = FaultyStore::over(&plain);
            let rule = Rule::any().nth(nth);
            faulty.script(if lost_reply { rule.lose_reply() } else { rule.fail() });
            let result = attach(&Services::over(&faulty.store()), &bytes, &ACTOR).await;
            let calls = faulty.total();
            // Whatever happened, the collector finds nothing to complain about but bytes that are not there yet.
            let after = Services::over(&plain);
            attach(&after, &bytes, &ACTOR).await.unwrap();
            collect(&plain, greedy()).await.unwrap();
            assert_eq!(findings(&plain).await, [], "call {nth}");
            let found = attachments(&after).list(&target("main@1"), AsOf::Now).await.unwrap().1;
            assert_eq!(found.attachments.len(), 1, "call {nth}");
            assert!(after.blobs.stat(Digest::of(&bytes)).await.unwrap().is_some(), "call {nth}");
            if calls < nth {
                assert_eq!(result, Ok(false));
                break;
            }
        }
    }
}

#[tokio::test]
async fn an_attached_blob_lives_as_long_as_its_version() {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.unwrap();
    let services = Services::over(&store);
    services.release("main", &Release::new("v1", 1)).await.unwrap();
    let bytes = Bytes::from("x".repeat(5000));
    attach(&services, &bytes, &ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert!(services.blobs.stat(Digest::of(&bytes)).await.unwrap().is_some());
    services.release("main", &Release::new("v2", 1)).await.unwrap();
    services.versions.retire(&target("main@1"), String::new(), &*ACTOR).await.unwrap();
    collect(&store, greedy()).await.unwrap();
    assert!(services.blobs.stat(Digest::of(&bytes)).await.unwrap().is_none());
}

#[tokio::test]
async fn sixty_four_attestations_keep_the_head_small() {
    let backend = FsBackend::quick();
    let store = backend.store();
    marker::open(&*store).await.unwrap();
    let services = Services::over(&store);
    let release = Release::new("v1", 1);
    services.release("main", &release).await.unwrap();
    let (signer, manifest) = (Signer::new(), release.manifest());
    for number in 0..64 {
        let by = Subject::token(&format!("signer-{}", number / 16)).unwrap();
        let text = Bytes::from(signer.state(&manifest, &format!("scope=** serial={}", number + 1)));
        let sent = (text, MEDIA_TYPE, None);
        attachments(&services).attach(&target("main@1"), sent, &Author::from(&by)).await.unwrap();
    }
    let head = services.heads.current(&log_name("main")).await.unwrap().unwrap();
    let size = serde_json::to_vec(&*head).unwrap().len();
    assert!(size < 4 << 10, "the head has {size} bytes");
}

/// The calls of a publish of a new release under these policies.
async fn costs(policies: LivePolicies, signer: Option<&Signer>) -> (usize, usize) {
    let backend = FsBackend::quick();
    let plain = backend.store();
    marker::open(&*plain).await.unwrap();
    let faulty = FaultyStore::over(&plain);
    let clock = Services::over(&plain).clock;
    let services = Services::with_policies(&faulty.store(), clock, Duration::ZERO, policies);
    let release = |label: &str| Release::new(label, 1);
    let publish = async |label: &str, serial: u64| {
        let release = release(label);
        services.upload_all(&release).await.unwrap();
        faulty.reset();
        let manifest = release.manifest();
        match signer {
            Some(signer) => {
                let text = signer.state(&manifest, &format!("scope=** serial={serial}"));
                let signature = NewAttachment::new(text.as_bytes(), MEDIA_TYPE, None).unwrap();
                let sent = (manifest, signature);
                let by = Author::from(&*ACTOR);
                services.publish.publish_signed(&name("main"), sent, activate(), &by).await.unwrap();
            }
            None => drop(services.publish_only("main", &release, activate()).await.unwrap()),
        }
    };
    publish("v1", 1).await;
    publish("v2", 2).await;
    (faulty.calls(Op::Create), faulty.total() - faulty.calls(Op::Write))
}

#[tokio::test]
async fn a_signature_costs_one_more_create_and_others_nothing() {
    let signer = Signer::new();
    let requirement = Requirement::new(1, true, vec![signer.public()], vec![]).unwrap();
    let keys = PolicyKeys { signatures: Some(Arc::new(requirement)), ..PolicyKeys::default() };
    let rule = PolicyRule { matches: vec!["**".parse().unwrap()], keys };
    let strict = || LivePolicies::from(Policies::new(vec![rule.clone()]));
    let (creates, total) = costs(LivePolicies::default(), None).await;
    let (signed_creates, signed_total) = costs(strict(), Some(&signer)).await;
    assert_eq!(signed_creates, creates + 1, "the annex");
    // The manifest that is verified may be read once more.
    assert!(signed_total <= total + 2, "{signed_total} calls instead of {total}");
    let (unsigned, _) = costs(LivePolicies::default(), Some(&signer)).await;
    assert_eq!(unsigned, creates + 1);
}
