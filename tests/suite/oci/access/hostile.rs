//! Requests that are meant to harm: none is more than an error, and none costs more than a stated bound.

use larder::domain::Digest;

use super::{basic, some_tokens};
use crate::oci::image::{Image, MANIFEST};
use crate::oci::registry::Registry;
use crate::support::raw::Raw;
use crate::support::server::TestServer;

/// Names that no repository can have.
const NAMES: [&str; 21] = [
    "A",
    "a//b",
    "a/",
    "-a",
    "a-",
    "a__.b",
    "a@b",
    "@untagged",
    "a/@untagged/00",
    "a%00b",
    "a%2f%2e%2e",
    "a:b",
    "é",
    "%ff",
    "a%20b",
    "a%0d%0ab",
    "*",
    "a*",
    "**",
    "!a",
    "con%5Caux",
];

/// Addresses with repository names, tags and digests that nobody can have.
fn impossible() -> Vec<String> {
    let mut paths = Vec::new();
    let long = "a".repeat(300);
    let long_name = long.as_str();
    for name in NAMES.iter().copied().chain([long_name]) {
        paths.push(format!("/v2/{name}/tags/list"));
        paths.push(format!("/v2/{name}/manifests/x"));
        paths.push(format!("/v2/{name}/blobs/uploads/"));
        paths.push(format!("/v2/{name}/referrers/{}", Digest::of(b"x")));
    }
    for tag in [".x", "-x", "@untagged", "a@b", "%00", "a%2Fb", "a+b", "%ff", "é", &long, "a%0ab", "!x"] {
        paths.push(format!("/v2/team/app/manifests/{tag}"));
    }
    let hex = "a".repeat(64);
    for digest in [
        "sha256:",
        "sha256:x",
        &format!("sha256:{}", &hex[1..]),
        &format!("sha256:{hex}a"),
        &format!("SHA256:{hex}"),
        &format!("sha256:{}", hex.to_uppercase()),
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        ":",
        "a:b:c",
        "sha256:../../x",
        &format!("sha512:{hex}"),
        &format!("sha512:{hex}{}", hex.to_uppercase()),
        &format!("sha256:%00{}", &hex[1..]),
        &format!("sha256%3A{}%2F", &hex[1..]),
    ] {
        for kind in ["manifests", "blobs", "referrers"] {
            paths.push(format!("/v2/team/app/{kind}/{digest}"));
        }
    }
    paths
}

#[tokio::test]
async fn names_that_nobody_can_have_are_refused_by_every_method() {
    let server = TestServer::with(some_tokens).await;
    let registry = Registry::of(&server).with_token("secret of ci");
    for path in impossible() {
        for method in ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"] {
            let answer = registry.ask(method, &path, &[("content-type", MANIFEST)], "{}").await;
            let status = answer.status.as_u16();
            assert!([400, 401, 403, 404, 405, 415].contains(&status), "{method} {path}: {status} {}", answer.text());
        }
    }
    // Clients take these out of addresses.
    for path in ["/v2/../tags/list", "/v2/a/../../etc/tags/list", "/v2/%2e%2e/manifests/x", "/v2/team/app/manifests/.."]
    {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.head);
    }
}

#[tokio::test]
async fn parameters_cannot_do_harm() {
    let server = TestServer::with(some_tokens).await;
    let registry = Registry::of(&server).with_token("secret of ci");
    let digest = Digest::of(b"x");
    let many = "&tag=x".repeat(500);
    for (method, path) in [
        ("GET", "/v2/team/app/tags/list?n=-1"),
        ("GET", "/v2/team/app/tags/list?n=18446744073709551616"),
        ("GET", "/v2/team/app/tags/list?n=1&n=2"),
        ("GET", "/v2/team/app/tags/list?last=%00%ff../../x"),
        ("GET", "/v2/team/app/tags/list?last=%3Cscript%3E%22&n=1"),
        ("GET", "/v2/_catalog?n=99999999999&last=%22%3E"),
        ("GET", "/v2/_catalog?last=../.."),
        ("GET", &format!("/v2/team/app/referrers/{digest}?artifactType=%22%0d%0aX:%20y")),
        ("GET", &format!("/v2/team/app/referrers/{digest}?last=%ff&artifactType={}", "a".repeat(4000))),
        ("POST", "/v2/team/app/blobs/uploads/?mount=x&from=../../etc"),
        ("POST", &format!("/v2/team/app/blobs/uploads/?mount={digest}&from=%00")),
        ("POST", "/v2/team/app/blobs/uploads/?digest=sha256:x"),
        ("POST", "/v2/team/app/blobs/uploads/?digest-algorithm=md5"),
        ("PUT", &format!("/v2/team/app/manifests/{digest}?tag=..")),
        ("PUT", &format!("/v2/team/app/manifests/{digest}?x=y{many}")),
        ("GET", "/v2/team/app/blobs/uploads/AAAA.99999999999999999999"),
        ("PATCH", "/v2/team/app/blobs/uploads/..%2F..%2Fx"),
        ("GET", "/v2/token?scope=%00%ff"),
    ] {
        let answer = registry.ask(method, path, &[("content-type", MANIFEST)], "{}").await;
        let status = answer.status.as_u16();
        assert!(status < 500, "{method} {path}: {status} {}", answer.text());
        let text = format!("{:?}", answer.headers);
        assert!(!text.contains("<script>") && !answer.headers.contains_key("x"), "{text}");
    }
}

#[tokio::test]
async fn floods_of_headers_and_scopes_are_bounded() {
    let server = TestServer::with(some_tokens).await;
    let token = basic("x", "secret of ci");
    let floods = [
        "x-forwarded-proto: https,\r\n".repeat(90),
        format!("forwarded: {}\r\n", "proto=http;".repeat(1500)),
        format!("x-forwarded-proto: {}\r\n", ",".repeat(12_000)),
        format!("authorization: Basic {}\r\n", "QUFB".repeat(3000)),
        format!("authorization: Bearer {}\r\n", "a".repeat(12_000)),
        format!("authorization: {token}\r\nauthorization: {token}\r\n"),
    ];
    for flood in floods {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET /v2/ HTTP/1.1\r\nhost: assets.example\r\n{flood}\r\n")).await;
        let answer = raw.answer().await;
        assert!([200, 400, 401, 431].contains(&answer.status), "{}", answer.head);
    }
    let mut raw = Raw::connect(server.address).await;
    let scopes = "&scope=repository:team/app:pull".repeat(1500);
    raw.send(format!("GET /v2/token?service=x{scopes} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let status = raw.answer().await.status;
    assert!([200, 414, 431].contains(&status), "{status}");
    // A host that is none gets no challenge that a client could be led astray with.
    for host in ["a\",realm=\"http://evil", "user@evil", "a,b"] {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET /v2/ HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        let answer = raw.answer().await;
        assert!([400, 401].contains(&answer.status), "{}", answer.head);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(!challenge.contains("evil") && !challenge.contains(','), "{challenge}");
    }
}

#[tokio::test]
async fn a_mount_takes_nothing_that_the_caller_could_not_read() {
    use larder::domain::{Permission, Reads};
    let server = TestServer::with(|config| {
        config.access.blob_reads = Reads::Token;
        config.access.tokens = vec![
            super::token("root", &[Permission::Admin], &["**"]),
            super::token("ci", &[Permission::Publish], &["team/app/*"]),
            super::token("both", &[Permission::Publish, Permission::Read], &["team/app/*"]),
        ];
        let private = vec!["private/**".parse().unwrap()];
        let rule = larder::config::NameRule { matches: private, read: Some(Reads::Token), ..Default::default() };
        config.names = vec![rule];
    })
    .await;
    let root = Registry::of(&server).with_token("secret of root");
    let blob = root.push_blob("private/x", b"private").await;
    for id in ["ci", "both"] {
        let caller = root.with_token(&format!("secret of {id}"));
        for (digest, from) in [(blob, "&from=private/x"), (Digest::of(b"unknown"), "&from=private/x")] {
            let path = format!("/v2/team/app/blobs/uploads/?mount={digest}{from}");
            let answer = caller.ask("POST", &path, &[], "").await.expect(202);
            assert!(answer.headers.contains_key("location"));
        }
    }
    // The same for nobody: no upload is begun.
    let path = format!("/v2/team/app/blobs/uploads/?mount={blob}&from=private/x");
    root.anonymous().ask("POST", &path, &[], "").await.expect(401);
}

#[tokio::test]
async fn preconditions_are_told_in_words_that_clients_show() {
    use larder::domain::Cas;
    let server = TestServer::with(|config| {
        let strict = vec!["team/app/*".parse().unwrap()];
        let rule = larder::config::NameRule { matches: strict, cas: Some(Cas::Required), ..Default::default() };
        config.names = vec![rule];
    })
    .await;
    let registry = Registry::of(&server);
    let image = Image::of("strict");
    registry.push_content("team/app", &image).await;
    let path = "/v2/team/app/manifests/1";
    let put = async |headers: &[(&str, &str)]| {
        let headers = [&[("content-type", MANIFEST)], headers].concat();
        registry.ask("PUT", path, &headers, image.manifest.clone()).await
    };
    let error = crate::oci::registry::refused(put(&[]).await, 403, "DENIED");
    assert!(error["message"].as_str().unwrap().contains("If-Match"), "{error}");
    put(&[("if-none-match", "*")]).await.expect(201);
    let etag = registry.get(path).await.header("etag").to_owned();
    // The same again is no change, whatever it states; another image has to know what it replaces.
    put(&[("if-match", &etag)]).await.expect(201);
    let other = Image::of("other");
    registry.push_content("team/app", &other).await;
    for (expected, status) in [(other.digest().to_string(), 412), (image.digest().to_string(), 201)] {
        let etag = format!("\"{expected}\"");
        let headers = [("content-type", MANIFEST), ("if-match", &*etag)];
        registry.ask("PUT", path, &headers, other.manifest.clone()).await.expect(status);
    }
    // What has no tag has no state that could be expected.
    let digest = format!("/v2/team/app/manifests/{}", image.digest());
    registry.ask("PUT", &digest, &[("content-type", MANIFEST)], image.manifest.clone()).await.expect(201);
}

#[tokio::test]
async fn an_immutable_tag_takes_the_same_image_again_and_no_other() {
    use larder::domain::policy::Tags;
    let server = TestServer::with(|config| {
        let fixed = vec!["team/app/v*".parse().unwrap()];
        let rule = larder::config::NameRule { matches: fixed, tags: Some(Tags::Immutable), ..Default::default() };
        config.names = vec![rule];
    })
    .await;
    let registry = Registry::of(&server);
    let (first, second) = (Image::of("first"), Image::of("second"));
    registry.push("team/app", "v1", &first).await;
    registry.push("team/app", "v1", &first).await;
    registry.push_content("team/app", &second).await;
    let answer = registry.put_manifest("team/app", "v1", MANIFEST, &second.manifest).await;
    let error = crate::oci::registry::refused(answer, 403, "DENIED");
    assert!(error["message"].as_str().unwrap().contains("immutable"), "{error}");
    registry.assert_pulls("team/app", "v1", &first).await;
    registry.push("team/app", "latest", &first).await;
    registry.push("team/app", "latest", &second).await;
    registry.delete("/v2/team/app/manifests/v1").await.expect(202);
    registry.push("team/app", "v1", &second).await;
}
