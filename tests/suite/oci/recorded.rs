//! The requests of clients that no package brings to every machine, in their order and with their headers, as recorded
//! between them and a registry.

mod containerd;
mod docker;
mod go;

use larder::domain::Digest;

use super::registry::{Registry, location, refused, with_digest};

/// What clients of images accept.
const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// Reads a challenge and asserts that it is one that every client can follow: an absolute address on the same host.
#[track_caller]
fn realm(challenge: &str) -> String {
    let (_, rest) = challenge.split_once("realm=\"").expect("a realm");
    let (realm, rest) = rest.split_once('"').expect("the end of the realm");
    let (_, service) = rest.split_once("service=\"").expect("a service");
    let (service, _) = service.split_once('"').expect("the end of the service");
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    let path = realm.strip_prefix(&format!("http://{service}")).expect("the host of the service");
    format!("{path}?service={service}")
}

/// Asks for a token with these scopes, as user `x` with a password or as nobody. Returns one that asks with it.
async fn log_in(registry: &Registry, password: Option<&str>, challenge: &str, scopes: &[&str]) -> Registry {
    let mut path = realm(challenge);
    for scope in scopes {
        path = format!("{path}&scope={}", scope.replace(':', "%3A").replace(',', "%2C").replace('/', "%2F"));
    }
    let basic = password.map(basic);
    let headers: Vec<_> = basic.iter().map(|value| ("authorization", value.as_str())).collect();
    let answer = registry.ask("GET", &path, &headers, "").await.expect(200).json();
    let token = answer["token"].as_str().expect("a token");
    assert_eq!(answer["access_token"], token);
    assert!(answer["expires_in"].as_u64().unwrap() >= 60, "{answer:#}");
    registry.with_token(token)
}

fn basic(password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("x:{password}")))
}

/// Asks without a token and returns the challenge.
async fn challenge(registry: &Registry, method: &str, path: &str) -> String {
    let answer = registry.anonymous().ask(method, path, &[], "").await.expect(401);
    answer.header("www-authenticate").to_owned()
}

/// A challenge for a request that was refused names what would have been needed.
#[track_caller]
fn asks_for_push(challenge: &str, repository: &str) {
    let scope = format!("scope=\"repository:{repository}:pull,push\"");
    assert!(challenge.contains(&scope), "{challenge}");
}

fn manifest(repository: &str, reference: impl std::fmt::Display) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

fn blob(repository: &str, digest: impl std::fmt::Display) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

/// POST, then one PATCH with all bytes, then PUT without a body. `announced`: whether the PATCH says how long it is.
async fn upload_by_patch(registry: &Registry, begin: &str, bytes: &[u8], announced: bool) {
    let upload = location(&registry.ask("POST", begin, &[], "").await.expect(202));
    let body = if announced {
        reqwest::Body::from(bytes.to_vec())
    } else {
        let pieces: Vec<_> =
            bytes.chunks(1000).map(|piece| Ok::<_, String>(bytes::Bytes::copy_from_slice(piece))).collect();
        reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
    };
    let answer = registry.ask("PATCH", &upload, &[], body).await.expect(202);
    // Docker takes the size that it writes into the manifest from here.
    assert_eq!(answer.header("range"), format!("0-{}", bytes.len() - 1));
    let digest = Digest::of(bytes);
    let answer = registry.ask("PUT", &with_digest(&location(&answer), digest), &[], "").await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
}

/// POST, then PUT with all bytes.
async fn upload_by_put(registry: &Registry, begin: &str, bytes: &[u8]) {
    let upload = location(&registry.ask("POST", begin, &[], "").await.expect(202));
    let headers = [super::registry::OCTETS];
    registry.ask("PUT", &with_digest(&upload, Digest::of(bytes)), &headers, bytes.to_vec()).await.expect(201);
}

/// A registry refuses the wrong password when it is asked for a token, which is how logging in fails.
async fn assert_wrong_password_is_refused(registry: &Registry, challenge: &str) {
    let wrong = basic("larder_wrong");
    let answer = registry.ask("GET", &realm(challenge), &[("authorization", &wrong)], "").await;
    refused(answer, 401, "UNAUTHORIZED");
}
