//! Releases as sites under their own hosts: what visitors, browsers and hostile clients get.

mod browser;
mod bucket;
mod caching;
mod caddy;
mod codings;
mod commands;
mod complaints;
mod docs;
mod domains;
mod earlier;
mod hosts;
mod immutable;
mod many;
mod model;
mod pages;
mod paths;
mod previews;
mod reactivated;
mod replicas;
mod rules;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use larder::config::{Config, Site, Token};
use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::server::{TestServer, send};

const DOCS: &str = "docs.example.org";
const BLOG: &str = "blog.example.org";
/// The admin token, and one that may only read.
const ADMIN: &str = "the token of the operator";
const READER: &str = "the token of a reader";

const SITES: &str = r#"
    [[sites]]
    id = "docs"
    hosts = ["docs.example.org", "manual.example.org"]
    redirect_hosts = ["www.docs.example.org"]
    name = "acme/docs"
    [sites.previews]
    domain = "preview.example.org"
    [[sites]]
    id = "blog"
    hosts = ["blog.example.org"]
    name = "acme/blog"
    [sites.previews]
    domain = "preview.example.org"
    read = "public"
    [[sites]]
    id = "pulls"
    names = ["pr/**"]
    [sites.previews]
    domain = "pr.example.org"
    on_demand = true
"#;

fn configure(config: &mut Config) {
    #[derive(serde::Deserialize)]
    struct Sites {
        sites: Vec<Site>,
    }
    config.sites = toml::from_str::<Sites>(SITES).unwrap().sites;
    config.server.api_hosts = vec!["127.0.0.1".parse().unwrap(), "releases.example.org".parse().unwrap()];
    for (id, token, action) in [("operator", ADMIN, "admin"), ("reader", READER, "read")] {
        let hash = Digest::of(token.as_bytes());
        let text = format!("id = '{id}'\nsha256 = '{}'\nactions = ['{action}']", hash.hex());
        config.access.tokens.push(toml::from_str::<Token>(&text).unwrap());
    }
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Page {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Page {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The head without what differs from one answer to the next.
    fn lasting(&self) -> Vec<&str> {
        let changing = ["date:", "x-request-id:"];
        let mut lines: Vec<_> = self
            .head
            .lines()
            .filter(|line| !changing.iter().any(|name| line.to_ascii_lowercase().starts_with(name)))
            .collect();
        lines.sort_unstable();
        lines
    }
}

/// Sends a request head as it is, and reads to the end of the connection.
async fn exchange(address: SocketAddr, head: &str) -> Page {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all
    };
    let all = timeout(Duration::from_secs(20), talk).await.expect("an answer in time");
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Page { status, head, body: all[end + 4..].to_vec() }
}

/// A server with sites.
struct Sites(TestServer);

impl Sites {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut server = TestServer::with(|config| {
            configure(config);
            change(config);
        })
        .await;
        ADMIN.clone_into(&mut server.token);
        Self(server)
    }

    /// Publishes files as a static release with these settings of the site. Returns the number of the version.
    async fn publish(&self, name: &str, files: &[(&str, &str)], settings: Value) -> u64 {
        self.put(name, "", files, settings).await
    }

    async fn stage(&self, name: &str, files: &[(&str, &str)]) -> u64 {
        self.put(name, "?activate=false", files, json!({})).await
    }

    async fn put(&self, name: &str, query: &str, files: &[(&str, &str)], settings: Value) -> u64 {
        for (_, text) in files {
            self.0.put_blob(text.as_bytes()).await;
        }
        self.put_manifest(name, query, &manifest(files, settings)).await
    }

    async fn put_manifest(&self, name: &str, query: &str, manifest: &Value) -> u64 {
        let answer = self.0.put(&format!("/manifests/{name}{query}"), manifest.to_string()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()["version"].as_u64().unwrap()
    }

    async fn promote(&self, target: &str) {
        send(self.0.request(Method::POST, &format!("/versions/{target}/promote"))).await.expect(200);
    }

    /// GET as a program sends it.
    async fn get(&self, host: &str, path: &str) -> Page {
        self.ask("GET", host, path, &[]).await
    }

    /// GET of something that a page needs, as a browser sends it.
    async fn load(&self, host: &str, path: &str) -> Page {
        self.ask("GET", host, path, &[("sec-fetch-mode", "no-cors"), ("accept", "*/*")]).await
    }

    /// GET of a page that somebody goes to.
    async fn navigate(&self, host: &str, path: &str) -> Page {
        self.ask("GET", host, path, &[("sec-fetch-mode", "navigate"), ("accept", "text/html,*/*;q=0.8")]).await
    }

    async fn ask(&self, method: &str, host: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let fields = fields.concat();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{fields}connection: close\r\n\r\n");
        exchange(self.0.address, &head).await
    }
}

/// A static release of these files.
fn manifest(files: &[(&str, &str)], settings: Value) -> Value {
    let artifacts: Vec<Value> = files
        .iter()
        .map(|(name, text)| {
            let bytes = text.as_bytes();
            json!({"name": name, "blob": Digest::of(bytes), "size": bytes.len()})
        })
        .collect();
    let mut manifest = json!({"kind": "static", "entrypoint": files[0].0, "artifacts": artifacts});
    if settings != json!({}) {
        manifest["site"] = settings;
    }
    manifest
}

/// The tag of a text that is sent as it is.
fn tag(text: &str) -> String {
    format!("\"{}\"", Digest::of(text.as_bytes()))
}
