//! A client of the registry protocol that sends exactly what it is told, and checks what holds for every answer.

use larder::domain::{AnyDigest, Digest, Sha512};
use reqwest::header::HeaderMap;
use reqwest::{Body, Method};
use serde_json::Value;

use super::image::Image;
use crate::support::server::{Answer, TestServer};

/// A registry and who asks it.
#[derive(Debug, Clone)]
pub struct Registry {
    http: reqwest::Client,
    /// Scheme and host.
    base: String,
    token: Option<String>,
}

impl Registry {
    /// With the admin token.
    pub fn of(server: &TestServer) -> Self {
        let base = format!("http://{}", server.address);
        Self { http: server.http.clone(), base, token: Some(server.token.clone()) }
    }

    /// The same without a token.
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The same with this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request; `path` begins with `/v2`.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        // What a client may do with Location: it is a path, and whoever follows it stays on its host.
        assert!(path.starts_with("/v2"), "{path}");
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = self.token.as_ref().filter(|_| !headers.iter().any(|(name, _)| *name == "authorization")) {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a complete body").to_vec();
        let answer = Answer { status, headers, body };
        check(&method, path, &answer);
        answer
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub async fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path, &[], "").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path, &[], "").await
    }

    /// Begins an upload and returns where it goes on.
    pub async fn begin(&self, repository: &str) -> String {
        let answer = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], "").await.expect(202);
        location(&answer)
    }

    /// Puts a blob in the way of most clients that know its digest: POST, then PUT with the bytes.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.push_blob_as(repository, digest.into(), bytes).await;
        digest
    }

    async fn push_blob_as(&self, repository: &str, digest: AnyDigest, bytes: &[u8]) {
        let upload = self.begin(repository).await;
        let answer = self.ask("PUT", &with_digest(&upload, digest), &[OCTETS], bytes.to_vec()).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }

    /// Pushes an image with everything that it names, all by SHA-512 as [`Image::in_sha512`] names it, under these tags.
    pub async fn push_in_sha512(&self, repository: &str, tags: &[&str], image: &Image) {
        for one in image.all() {
            for blob in &one.blobs {
                self.push_blob_as(repository, AnyDigest::Sha512(Sha512::of(blob)), blob).await;
            }
            let query: Vec<String> =
                tags.iter().filter(|_| one.digest() == image.digest()).map(|tag| format!("tag={tag}")).collect();
            let reference = format!("{}?{}", one.sha512(), query.join("&"));
            let answer = self.put_manifest(repository, &reference, &one.media_type, &one.manifest).await.expect(201);
            assert_eq!(answer.header("docker-content-digest"), one.sha512().to_string());
            assert!(self.get(&location(&answer)).await.expect(200).body == one.manifest);
        }
    }

    pub async fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.ask("PUT", &path, &[("content-type", media_type)], bytes.to_vec()).await
    }

    /// Pushes everything that a manifest names, children by digest.
    pub async fn push_content(&self, repository: &str, image: &Image) {
        for one in image.all() {
            for blob in &one.blobs {
                self.push_blob(repository, blob).await;
            }
            if one.digest() != image.digest() {
                let answer =
                    self.put_manifest(repository, &one.digest().to_string(), &one.media_type, &one.manifest).await;
                answer.expect(201);
            }
        }
    }

    /// Pushes an image with everything that it names.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) {
        self.push_content(repository, image).await;
        let answer = self.put_manifest(repository, tag, &image.media_type, &image.manifest).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), image.digest().to_string());
    }

    /// Asserts that a manifest is there, the same by HEAD and by GET, and that so is everything it names.
    pub async fn assert_pulls(&self, repository: &str, reference: &str, image: &Image) {
        self.assert_manifest(repository, reference, image.digest().into(), image).await;
        for bytes in &image.blobs {
            self.assert_blob(repository, bytes).await;
        }
        for child in &image.children {
            Box::pin(self.assert_pulls(repository, &child.digest().to_string(), child)).await;
        }
    }

    /// The same of what was pushed by SHA-512, and is named so.
    pub async fn assert_pulls_in_sha512(&self, repository: &str, reference: &str, image: &Image) {
        self.assert_manifest(repository, reference, AnyDigest::Sha512(image.sha512()), image).await;
        for bytes in &image.blobs {
            self.assert_blob_as(repository, AnyDigest::Sha512(Sha512::of(bytes)), bytes).await;
        }
        for child in &image.children {
            Box::pin(self.assert_pulls_in_sha512(repository, &child.sha512().to_string(), child)).await;
        }
    }

    async fn assert_manifest(&self, repository: &str, reference: &str, digest: AnyDigest, image: &Image) {
        let (digest, path) = (digest.to_string(), format!("/v2/{repository}/manifests/{reference}"));
        let etag = format!("\"{}\"", image.digest());
        let got = self.get(&path).await.expect(200);
        assert_eq!(got.text(), String::from_utf8_lossy(&image.manifest), "{path}");
        for answer in [&got, &self.head(&path).await.expect(200)] {
            assert_eq!(answer.header("docker-content-digest"), digest, "{path}");
            assert_eq!(answer.header("content-type"), image.media_type, "{path}");
            assert_eq!(answer.header("content-length"), image.manifest.len().to_string(), "{path}");
            assert_eq!(answer.header("etag"), etag, "{path}");
        }
    }

    /// Asserts that a blob is there, the same by HEAD and by GET.
    pub async fn assert_blob(&self, repository: &str, bytes: &[u8]) {
        self.assert_blob_as(repository, Digest::of(bytes).into(), bytes).await;
    }

    /// The same under this digest.
    pub async fn assert_blob_as(&self, repository: &str, digest: AnyDigest, bytes: &[u8]) {
        let digest = digest.to_string();
        let path = format!("/v2/{repository}/blobs/{digest}");
        let got = self.get(&path).await.expect(200);
        assert!(got.body == bytes, "{path} has other bytes");
        for answer in [&got, &self.head(&path).await.expect(200)] {
            assert_eq!(answer.header("docker-content-digest"), digest, "{path}");
            assert_eq!(answer.header("content-length"), bytes.len().to_string(), "{path}");
        }
    }

    /// One page of tags, and where the next one is.
    pub async fn tags(&self, path: &str) -> (Vec<String>, Option<String>) {
        let answer = self.get(path).await.expect(200);
        let list = answer.json()["tags"].as_array().expect("a list, even if it is empty").clone();
        (list.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect(), next(&answer.headers))
    }

    /// The descriptors of what refers to a manifest.
    pub async fn referrers(&self, repository: &str, digest: impl Into<AnyDigest>, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v2/{repository}/referrers/{}{query}", digest.into())).await.expect(200);
        assert_eq!(answer.header("content-type"), super::image::INDEX);
        let index = answer.json();
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&2.into(), &super::image::INDEX.into()));
        index["manifests"].as_array().expect("a list, even if it is empty").clone()
    }
}

/// What clients say that bytes are.
pub const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// Where an upload goes on: always a path, so that no proxy in front of the server can be the reason for a wrong address.
#[track_caller]
pub fn location(answer: &Answer) -> String {
    let location = answer.header("location");
    assert!(location.starts_with("/v2/"), "{location}");
    location.to_owned()
}

/// The address of the request that completes an upload.
pub fn with_digest(upload: &str, digest: impl std::fmt::Display) -> String {
    let sign = if upload.contains('?') { '&' } else { '?' };
    // As Go's `url.Values` writes it.
    format!("{upload}{sign}digest={}", digest.to_string().replace(':', "%3A"))
}

/// The path of the next page. Clients use only path and query of it.
pub fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get("link")?.to_str().unwrap();
    let (address, relation) = link.split_once(">;").unwrap();
    assert!(relation.contains("rel=\"next\""), "{link}");
    Some(address.trim_start_matches('<').to_owned())
}

#[track_caller]
fn check(method: &Method, path: &str, answer: &Answer) {
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0", "{method} {path} {answer:?}");
    assert!(!answer.header("x-request-id").is_empty(), "{method} {path}");
    // Lengths of HEAD and GET have to agree.
    assert!(!answer.headers.contains_key("content-encoding"), "{method} {path} {answer:?}");
    if let Some(location) = answer.headers.get("location") {
        assert!(location.as_bytes().starts_with(b"/v2/"), "{method} {path} {answer:?}");
    }
    if !(answer.status.is_client_error() || answer.status.is_server_error()) {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/json", "{method} {path} {answer:?}");
    if method == Method::HEAD {
        assert!(answer.body.is_empty(), "{path}");
        return;
    }
    let errors = answer.json()["errors"].as_array().expect("errors").clone();
    assert!(!errors.is_empty());
    for error in errors {
        let code = error["code"].as_str().expect("a code");
        assert!(!code.is_empty() && code.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{code}");
        assert!(!error["message"].as_str().expect("a message").is_empty());
    }
}

/// Asserts a refusal with a status and a code of the specification.
#[track_caller]
pub fn refused(answer: Answer, status: u16, code: &str) -> Value {
    let body = answer.expect(status).json();
    assert_eq!(body["errors"][0]["code"], code, "{body:#}");
    body["errors"][0].clone()
}
