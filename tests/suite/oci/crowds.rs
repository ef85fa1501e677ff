//! Very many tags, referrers and repositories, and repositories that are called like parts of addresses.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use larder::layout::LayoutKey;
use serde_json::{Value, json};

use super::image::{INDEX, Image, MANIFEST};
use super::registry::{Registry, refused};
use crate::support::collecting::marked;
use crate::support::replicas::Replicas;
use crate::support::server::TestServer;
use crate::support::services::{Release, Services, name};

const REPOSITORY: &str = "team/crowd";
/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// Tags with capitals, dots, dashes and underscores, some of which differ in nothing but a capital.
fn tags(number: usize) -> Vec<String> {
    let forms = ["v1.{}", "V1.{}", "{}-Rc.1", "_{}", "release_{}.0-Beta"];
    let all: BTreeSet<String> =
        (0..number).map(|at| forms[at % forms.len()].replace("{}", &(at / forms.len()).to_string())).collect();
    assert_eq!(all.len(), number);
    all.into_iter().collect()
}

/// Gives an image many tags, ten in each request.
async fn tag(registry: &Registry, image: &Image, tags: &[String]) {
    let pushes = tags.chunks(10).map(|tags| async move {
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let reference = format!("{}?{}", image.digest(), query.join("&"));
        registry.put_manifest(REPOSITORY, &reference, MANIFEST, &image.manifest).await.expect(201);
    });
    futures_util::stream::iter(pushes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

/// All pages from this one on, as clients go through them.
async fn pages(registry: &Registry, first: &str) -> Vec<Vec<String>> {
    let (mut all, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let (page, following) = registry.tags(&path).await;
        all.push(page);
        next = following;
        assert!(all.len() < 100, "pages without an end");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_tags_are_listed_in_every_way_that_clients_page() {
    let backend = marked();
    let replicas = Replicas::new();
    let server = replicas.start(&backend.store()).await;
    let registry = Registry::of(&server);
    let (image, expected) = (Image::of("many tags"), tags(3000));
    registry.push_content(REPOSITORY, &image).await;
    tag(&registry, &image, &expected).await;
    let list = format!("/v2/{REPOSITORY}/tags/list");
    // crane; skopeo and the conformance program, which give no number; regctl.
    for (query, least) in [("?n=1000", 1000), ("", 1000), ("?n=100", 100), ("?n=999", 999)] {
        let pages = pages(&registry.anonymous(), &format!("{list}{query}")).await;
        assert_eq!(pages.concat(), expected, "{query}");
        assert!(pages[0].len() >= least, "{query}: {}", pages[0].len());
    }
    // More than a page has is no error, and neither is a page of nothing.
    assert_eq!(pages(&registry, &format!("{list}?n=50000")).await.concat(), expected);
    assert_eq!(registry.tags(&format!("{list}?n=0")).await, (Vec::new(), None));
    // What was last need not be there any more.
    for last in ["V1.9999", "_", "zzz", "0", "release_1.0-Beta"] {
        let rest: Vec<_> = expected.iter().filter(|tag| tag.as_str() > last).cloned().collect();
        let (page, _) = registry.tags(&format!("{list}?last={last}&n=10")).await;
        assert_eq!(page, rest[..rest.len().min(10)], "{last}");
    }
    for query in ["?n=-1", "?n=x", "?last=%FF"] {
        let answer = registry.get(&format!("{list}{query}")).await;
        assert!([200, 400].contains(&answer.status.as_u16()), "{query}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_referrers_are_listed_page_by_page() {
    const REFERRERS: usize = 1000;
    let backend = marked();
    let replicas = Replicas::new();
    let server = replicas.start(&backend.store()).await;
    let registry = &Registry::of(&server);
    let image = Image::of("signed a lot");
    registry.push(REPOSITORY, "latest", &image).await;
    registry.push_blob(REPOSITORY, b"{}").await;
    registry.push_blob(REPOSITORY, b"signature").await;
    // Half a page of annotations each: no answer may have all of them.
    let filler = "x".repeat(8000);
    let referrers: Vec<Image> = (0..REFERRERS)
        .map(|at| {
            let annotations = json!({"number": at.to_string(), "filler": filler});
            let members = json!({"subject": image.descriptor(), "annotations": annotations});
            Image::artifact(b"signature", &members)
        })
        .collect();
    let pushes = referrers.iter().map(|one| async move {
        let digest = one.digest().to_string();
        registry.put_manifest(REPOSITORY, &digest, MANIFEST, &one.manifest).await.expect(201);
    });
    futures_util::stream::iter(pushes).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let mut found = BTreeSet::new();
    let (mut next, mut pages) = (Some(format!("/v2/{REPOSITORY}/referrers/{}", image.digest())), 0);
    while let Some(path) = next {
        let answer = registry.anonymous().get(&path).await.expect(200);
        assert_eq!(answer.header("content-type"), INDEX);
        // containerd takes no more.
        assert!(answer.body.len() <= 4 << 20, "{} bytes", answer.body.len());
        let index = answer.json();
        for entry in index["manifests"].as_array().unwrap() {
            assert_eq!(entry["annotations"]["filler"], filler.as_str());
            assert!(found.insert(entry["digest"].as_str().unwrap().to_owned()), "listed twice");
        }
        next = super::registry::next(&answer.headers);
        pages += 1;
    }
    assert!(pages > 1 && pages < 100, "{pages} pages");
    let expected: BTreeSet<String> = referrers.iter().map(|one| one.digest().to_string()).collect();
    assert_eq!(found, expected);
}

/// However few of them a client wants, one request reads only so many.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_over_large_referrers_costs_a_page_at_a_time() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let image = Image::of("described at length");
    registry.push(REPOSITORY, "latest", &image).await;
    let filler = "x".repeat(7 << 19);
    for at in 0..20 {
        let artifact_type = if at == 7 { "application/vnd.example.wanted" } else { "application/vnd.example.other" };
        let members = json!({"subject": image.descriptor(), "artifactType": artifact_type,
            "annotations": {"number": at.to_string(), "filler": filler}});
        let referrer = Image::artifact(b"long", &members);
        registry.push(REPOSITORY, &referrer.digest().to_string(), &referrer).await;
    }
    let first = format!("/v2/{REPOSITORY}/referrers/{}?artifactType=application/vnd.example.wanted", image.digest());
    let (mut next, mut found, mut pages) = (Some(first), 0, 0);
    while let Some(path) = next {
        let answer = registry.anonymous().get(&path).await.expect(200);
        assert_eq!(answer.header("oci-filters-applied"), "artifactType");
        found += answer.json()["manifests"].as_array().unwrap().len();
        next = super::registry::next(&answer.headers);
        pages += 1;
    }
    assert_eq!(found, 1);
    assert!((2..10).contains(&pages), "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_repositories_are_listed_page_by_page() {
    const REPOSITORIES: usize = 10_000;
    let backend = marked();
    let services = Services::over(&backend.store());
    services.release("r/first/latest", &Release::new("v1", 1)).await.unwrap();
    let mut head = serde_json::to_value(&*services.head("r/first/latest").await).unwrap();
    head["generation"] = 1.into();
    let mut expected: BTreeSet<String> = ["r/first".to_owned()].into();
    for at in 0..REPOSITORIES - 1 {
        let repository = format!("r/{}/n{at}", at % 10);
        let tagged = name(&format!("{repository}/latest"));
        head["name"] = tagged.as_str().into();
        backend.plant(&LayoutKey::Name(tagged.clone().into()).key(), b"");
        backend.plant(&LayoutKey::Head(tagged.into(), 1).key(), head.to_string().as_bytes());
        expected.insert(repository);
    }
    let replicas = Replicas::new();
    let server = replicas.start(&backend.store()).await;
    let registry = Registry::of(&server);
    for first in ["/v2/_catalog", "/v2/_catalog?n=1000", "/v2/_catalog?n=100000"] {
        let (mut found, mut next) = (Vec::new(), Some(first.to_owned()));
        while let Some(path) = next {
            let answer = registry.get(&path).await.expect(200);
            let page = answer.json()["repositories"].as_array().expect("a list").clone();
            assert!(!page.is_empty() && page.len() <= 1000, "{path}: {}", page.len());
            found.extend(page.into_iter().map(|name| name.as_str().unwrap().to_owned()));
            next = super::registry::next(&answer.headers);
        }
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
        assert_eq!(found.len(), REPOSITORIES, "{first}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
    let none = registry.get("/v2/_catalog?n=0").await.expect(200).json();
    assert_eq!(none, json!({"repositories": []}));
}

#[tokio::test]
async fn repositories_may_be_called_like_parts_of_addresses() {
    let server = TestServer::start().await;
    let registry = Registry::of(&server);
    let repositories = [
        "blobs/uploads/manifests",
        "manifests",
        "blobs",
        "tags/list",
        "blobs/uploads",
        "referrers/tags",
        "v2",
        "a/blobs/uploads",
    ];
    for repository in repositories {
        let image = Image::index(vec![Image::of(repository)], &json!({}));
        registry.push(repository, "list", &image).await;
        registry.assert_pulls(repository, "list", &image).await;
        assert_eq!(registry.tags(&format!("/v2/{repository}/tags/list")).await, (vec!["list".to_owned()], None));
        let note = Image::artifact(repository.as_bytes(), &json!({"subject": image.descriptor()}));
        registry.push(repository, &note.digest().to_string(), &note).await;
        assert_eq!(registry.referrers(repository, image.digest(), "").await.len(), 1);
        let upload = registry.begin(repository).await;
        assert_eq!(registry.get(&upload).await.expect(204).header("range"), "0-0");
    }
    let catalog = registry.get("/v2/_catalog").await.expect(200).json();
    let found: BTreeSet<&str> = catalog["repositories"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(found, repositories.into());
    for repository in repositories {
        registry.delete(&format!("/v2/{repository}/manifests/list")).await.expect(202);
        refused(registry.get(&format!("/v2/{repository}/manifests/list")).await, 404, "MANIFEST_UNKNOWN");
    }
}
