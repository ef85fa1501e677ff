//! What each caller may read under each policy: the same by HEAD and by GET, and nothing that tells what is hidden.

use larder::config::{Config, NameRule};
use larder::domain::{Digest, Permission, Reads};
use serde_json::json;

use super::token;
use crate::oci::image::Image;
use crate::oci::registry::Registry;
use crate::support::server::{Answer, TestServer};

const REPOSITORY: &str = "team/app";

/// Who asks.
const CALLERS: [&str; 5] = ["nobody", "open", "secret", "pusher", "other"];

/// Which tags need a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Private {
    Nothing,
    Secrets,
    Everything,
}

fn configure(config: &mut Config, private: Private, blob_reads: Reads) {
    let read = [Permission::Read];
    config.access.blob_reads = blob_reads;
    config.access.tokens = vec![
        token("root", &[Permission::Admin], &["**"]),
        token("open", &read, &["team/app/open*"]),
        token("secret", &read, &["team/app/secret*"]),
        token("pusher", &[Permission::Publish], &["team/app/*"]),
        token("other", &read, &["other/**"]),
    ];
    let rule = |pattern: &str, read| NameRule {
        matches: vec![pattern.parse().unwrap()],
        read: Some(read),
        ..NameRule::default()
    };
    config.names = match private {
        Private::Nothing => Vec::new(),
        Private::Secrets => vec![rule("team/app/secret*", Reads::Token)],
        Private::Everything => vec![rule("team/**", Reads::Token)],
    };
}

/// What is in the repository.
struct Contents {
    open: Image,
    secret: Image,
    /// Pushed by its digest alone.
    untagged: Image,
}

async fn filled(server: &mut TestServer) -> Contents {
    server.token = "secret of root".into();
    let registry = Registry::of(server);
    let index = |text: &str| Image::index(vec![Image::of(text)], &json!({}));
    let contents = Contents { open: index("open"), secret: index("secret"), untagged: Image::of("untagged") };
    registry.push(REPOSITORY, "open", &contents.open).await;
    registry.push(REPOSITORY, "secret", &contents.secret).await;
    let Image { media_type, manifest, .. } = &contents.untagged;
    registry.push_content(REPOSITORY, &contents.untagged).await;
    let digest = contents.untagged.digest().to_string();
    registry.put_manifest(REPOSITORY, &digest, media_type, manifest).await.expect(201);
    contents
}

fn caller(server: &TestServer, name: &str) -> Registry {
    let registry = Registry::of(server);
    if name == "nobody" { registry.anonymous() } else { registry.with_token(&format!("secret of {name}")) }
}

/// Asks by both methods, which have to agree, but that who finds no manifest by `HEAD` and sent no credentials is asked for
/// some.
async fn ask(registry: &Registry, path: &str) -> Answer {
    let (get, head) = (registry.get(path).await, registry.head(path).await);
    if get.status == 404 && head.status == 401 && path.contains("/manifests/") {
        return get;
    }
    assert_eq!(get.status, head.status, "{path}: {}", get.text());
    for name in ["content-length", "content-type", "docker-content-digest", "etag", "www-authenticate"] {
        assert_eq!(get.headers.get(name), head.headers.get(name), "{name} of {path}");
    }
    get
}

/// Whether a caller may read what the policies make of one tag.
fn may_read(private: Private, who: &str, tag: &str) -> bool {
    let needs_token = match private {
        Private::Nothing => false,
        Private::Secrets => tag == "secret",
        Private::Everything => true,
    };
    !needs_token || who == tag
}

/// What a caller gets who may not read something: somebody else is asked to log in, or told that it is not granted.
fn refusal(who: &str) -> u16 {
    if who == "nobody" { 401 } else { 403 }
}

#[tokio::test]
async fn every_caller_gets_what_the_policies_say_by_head_and_by_get() {
    for private in [Private::Nothing, Private::Secrets, Private::Everything] {
        for blob_reads in [Reads::Public, Reads::Token] {
            let mut server = TestServer::with(|config| configure(config, private, blob_reads)).await;
            let contents = filled(&mut server).await;
            for who in CALLERS {
                let registry = caller(&server, who);
                check_manifests(&registry, &contents, private, who).await;
                check_blobs(&registry, &contents, (private, blob_reads), who).await;
            }
        }
    }
}

async fn check_manifests(registry: &Registry, contents: &Contents, private: Private, who: &str) {
    let unknown = ask(registry, &manifest(Digest::of(b"unknown"))).await;
    for (tag, image) in [("open", &contents.open), ("secret", &contents.secret)] {
        let may = may_read(private, who, tag);
        let answer = ask(registry, &manifest(tag)).await;
        assert_eq!(answer.status.as_u16(), if may { 200 } else { refusal(who) }, "{tag} for {who}, {private:?}");
        for digest in [image.digest(), image.children[0].digest()] {
            let answer = ask(registry, &manifest(digest)).await;
            // The child was pushed by its digest as well, so whoever may read what is untagged gets it, too.
            if may || (digest != image.digest() && may_read_untagged(private, who)) {
                assert_eq!(answer.status, 200, "{digest} of {tag} for {who}, {private:?}");
            } else {
                assert_same(&answer, &unknown, &digest.to_string());
            }
        }
    }
    let answer = ask(registry, &manifest(contents.untagged.digest())).await;
    if may_read_untagged(private, who) {
        assert_eq!(answer.status, 200, "untagged for {who}, {private:?}");
    } else {
        assert_same(&answer, &unknown, &contents.untagged.digest().to_string());
    }
}

fn may_read_untagged(private: Private, who: &str) -> bool {
    private == Private::Nothing || ["open", "secret"].contains(&who)
}

/// Asserts that an answer about something hidden is that about something that never existed.
fn assert_same(hidden: &Answer, unknown: &Answer, digest: &str) {
    assert_eq!(hidden.status, unknown.status, "{}", hidden.text());
    assert_eq!(hidden.headers.contains_key("www-authenticate"), unknown.headers.contains_key("www-authenticate"));
    let text = |answer: &Answer| {
        let error = answer.json()["errors"][0].clone();
        let text = format!("{} {}", error["code"], error["message"]).replace(digest, "IT");
        text.replace(&Digest::of(b"unknown").to_string(), "IT").replace("team/none", "IT")
    };
    assert_eq!(text(hidden), text(unknown));
}

async fn check_blobs(registry: &Registry, contents: &Contents, (private, reads): (Private, Reads), who: &str) {
    let sees_repository = private != Private::Everything || ["open", "secret"].contains(&who);
    let sees_blobs = reads == Reads::Public || ["open", "secret", "other"].contains(&who);
    for (bytes, there) in [(&contents.secret.children[0].blobs[0][..], true), (b"unknown", false)] {
        let path = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(bytes));
        let expected = match (sees_repository && sees_blobs, there) {
            (true, true) => 200,
            (true, false) => 404,
            (false, _) => refusal(who),
        };
        assert_eq!(registry.get(&path).await.status, expected, "{path} for {who}, {private:?}, {reads:?}");
        // Pushers have to learn what they must upload, whether they may read it or not.
        let expected = if who == "pusher" { if there { 200 } else { 404 } } else { expected };
        assert_eq!(registry.head(&path).await.status, expected, "HEAD {path} for {who}, {private:?}, {reads:?}");
    }
}

fn manifest(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

#[tokio::test]
async fn lists_show_nothing_that_may_not_be_read() {
    for private in [Private::Nothing, Private::Secrets, Private::Everything] {
        let mut server = TestServer::with(|config| configure(config, private, Reads::Public)).await;
        let contents = filled(&mut server).await;
        let admin = Registry::of(&server);
        let subject = |image: &Image, text: &str| {
            Image::artifact(text.as_bytes(), &json!({"subject": image.descriptor(), "annotations": {"about": text}}))
        };
        admin.push(REPOSITORY, "secret-notes", &subject(&contents.open, "hush")).await;
        admin.push(REPOSITORY, "open-notes", &subject(&contents.open, "said")).await;
        for who in CALLERS {
            let registry = caller(&server, who);
            let sees = |tag: &str| may_read(private, who, tag);
            let lists = format!("/v2/{REPOSITORY}/tags/list");
            let answer = ask(&registry, &lists).await;
            if sees("open") || sees("secret") {
                assert_eq!(answer.text().contains("\"open\""), sees("open"), "{who}, {private:?}");
                assert_eq!(answer.text().contains("\"secret\""), sees("secret"), "{who}, {private:?}");
            } else {
                assert_eq!(answer.status, refusal(who), "{who}, {private:?}");
                assert_same(&answer, &ask(&registry, "/v2/team/none/tags/list").await, REPOSITORY);
            }
            let path = format!("/v2/{REPOSITORY}/referrers/{}", contents.open.digest());
            let answer = ask(&registry, &path).await;
            let text = answer.text();
            // Both are tags, so only what is said of tags counts.
            assert_eq!(text.contains("hush"), sees("secret"), "{who}, {private:?}: {text}");
            assert_eq!(text.contains("said"), sees("open"), "{who}, {private:?}: {text}");
            let catalog = registry.get("/v2/_catalog").await;
            if catalog.status == 200 {
                let shown = catalog.text().contains(REPOSITORY);
                assert_eq!(shown, sees("open") || sees("secret"), "{who}, {private:?}: {}", catalog.text());
            } else {
                assert_eq!(catalog.status, 401, "{}", catalog.text());
            }
        }
    }
}
