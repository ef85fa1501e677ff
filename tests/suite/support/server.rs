//! A real server on a real socket over a temporary directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::clock::{Clock, SystemClock};
use larder::config::{self, Config};
use larder::domain::Digest;
use larder::lifecycle::Shutdown;
use larder::server::{self, Server, ServerError};
use larder::store::PartStore;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct TestServer {
    pub address: SocketAddr,
    pub data: PathBuf,
    pub token: String,
    pub shutdown: Shutdown,
    pub http: reqwest::Client,
    task: JoinHandle<Result<(), ServerError>>,
    /// Removed with the server.
    directory: Option<TempDir>,
}

/// An answer whose form was checked.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    /// Asserts the status and returns the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// Asserts a problem of this status and code, and returns its body.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let body = self.expect(status).json();
        assert_eq!(body["code"], code, "{body:#}");
        body
    }
}

impl TestServer {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with a changed configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let mut server = Self::on(directory.path(), change).await;
        server.directory = Some(directory);
        server
    }

    /// A server on an existing directory.
    pub async fn on(data: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let store = server::open_store(&config::Store::Fs { path: data.to_owned() }).await.unwrap();
        Self::over(data, store, Arc::new(SystemClock), change).await
    }

    /// A server on any store and clock; `data` is where its admin token is.
    pub async fn over(
        data: &Path,
        store: Arc<dyn PartStore>,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config { store: config::Store::Fs { path: data.to_owned() }, ..Config::default() };
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::default();
        let server = Server::over(store, clock, config).await.expect("the server starts");
        let task = tokio::spawn(server.serve(listener, shutdown.clone()));
        let http = larder::client::http_client_builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let mut server =
            Self { address, data: data.to_owned(), token: String::new(), shutdown, http, task, directory: None };
        server.get("/livez").await.expect(200);
        let token = std::fs::read_to_string(data.join("admin.token")).unwrap_or_default();
        token.trim().clone_into(&mut server.token);
        server
    }

    /// Stops softly and waits for the end.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.shutdown.soft.cancel();
        self.task.await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the admin token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.token)
    }

    pub fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.anonymous(Method::GET, path)).await
    }

    pub async fn head(&self, path: &str) -> Answer {
        send(self.anonymous(Method::HEAD, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        send(self.request(Method::PUT, path).body(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn put_blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let answer = self.put(&format!("/blobs/{digest}"), bytes.to_vec()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        digest
    }

    /// Uploads files and publishes them; returns the receipt.
    pub async fn publish(&self, name: &str, files: &[(&str, &[u8])]) -> Value {
        for (_, bytes) in files {
            self.put_blob(bytes).await;
        }
        let answer = self.put(&format!("/manifests/{name}"), manifest(files).to_string()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()
    }
}

/// A manifest of these files.
pub fn manifest(files: &[(&str, &[u8])]) -> Value {
    let artifacts: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()}))
        .collect();
    json!({ "artifacts": artifacts })
}

/// Sends a request and checks what holds for every answer.
pub async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let url = response.url().clone();
    let body = response.bytes().await.expect("a complete body").to_vec();
    let answer = Answer { status, headers, body };
    assert!(!answer.header("x-request-id").is_empty(), "{url}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{url}");
    if status.is_client_error() || status.is_server_error() {
        check_problem(&answer, &url);
    }
    answer
}

fn check_problem(answer: &Answer, url: &reqwest::Url) {
    if matches!(url.path(), "/readyz") {
        return;
    }
    assert_eq!(answer.header("cache-control"), "no-store", "{url}");
    if answer.header("content-type").starts_with("text/html") {
        // Only where a browser asked for it; who expects a problem finds no JSON here.
        assert!(answer.body.is_empty() || answer.text().contains(answer.header("x-request-id")), "{url}");
        return;
    }
    assert_eq!(answer.header("content-type"), "application/problem+json", "{url} {answer:?}");
    if answer.body.is_empty() {
        return;
    }
    let body = answer.json();
    assert_eq!(body["status"], answer.status.as_u16(), "{url}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.ends_with('.') && detail.len() > 20, "{detail}");
    let kind = body["type"].as_str().unwrap();
    let registered = kind.starts_with("https://iana.org/assignments/http-problem-types#");
    assert!(registered || kind.starts_with("urn:larder:problem:"), "{kind}");
    assert!(body["instance"].as_str().unwrap().ends_with(answer.header("x-request-id")));
}
