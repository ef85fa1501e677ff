//! A server behind a proxy that publishes it below a path: every address that it hands out leads back to it.

use std::net::SocketAddr;

use larder::domain::Digest;
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::support::process::{Larder, larder};
use crate::support::server::{Answer, TestServer, manifest, send};

/// A proxy on this listener that serves `server` below `/larder` and nothing else, one request per connection. It removes
/// that path from requests, or passes it on.
fn proxy(listener: TcpListener, server: SocketAddr, strips: bool) {
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, strips));
        }
    });
}

async fn forward(mut client: TcpStream, server: SocketAddr, strips: bool) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let (line, headers) = head.split_once("\r\n").unwrap();
    let (method, rest) = line.split_once(' ').unwrap();
    let Some(below) = rest.strip_prefix("/larder").filter(|below| below.starts_with(['/', ' ', '?'])) else {
        return client.write_all(b"HTTP/1.1 421 Elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    };
    let path = match (strips, below.starts_with('/')) {
        (true, true) => below.to_owned(),
        (true, false) => format!("/{below}"),
        (false, _) => rest.to_owned(),
    };
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(format!("{method} {path}\r\nconnection: close\r\n{headers}").as_bytes()).await?;
    copy_bidirectional(&mut client, &mut upstream).await.map(drop)
}

/// A server that knows its address behind the proxy, which is returned.
async fn behind_proxy(strips: bool) -> (TestServer, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/larder", listener.local_addr().unwrap());
    let server = TestServer::with(|config| config.server.public_url = Some(format!("{url}/").parse().unwrap())).await;
    proxy(listener, server.address, strips);
    (server, url)
}

async fn ask(server: &TestServer, method: Method, url: &str) -> Answer {
    send(server.http.request(method, url)).await
}

/// The target of a `Link` with this relation.
fn link(answer: &Answer, relation: &str) -> String {
    let link = answer.header("link");
    assert!(link.contains(&format!("rel=\"{relation}\"")), "{link}");
    link.trim_start_matches('<').split('>').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_in_a_header_leads_back() {
    for strips in [true, false] {
        let (server, url) = behind_proxy(strips).await;
        let with_token = |method: Method, url: &str| server.http.request(method, url).bearer_auth(&server.token);
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));

        let stored = send(with_token(Method::PUT, &format!("{url}/blobs/{one}")).body("one")).await.expect(201);
        assert_eq!(stored.header("location"), format!("{url}/blobs/{one}"));
        let create = with_token(Method::POST, &format!("{url}/uploads?digest={two}")).header("upload-complete", "?0");
        let upload = send(create).await.expect(201).header("location").to_owned();
        assert!(upload.starts_with(&format!("{url}/uploads/")), "{upload}");
        let append = with_token(Method::PATCH, &upload).header("upload-offset", 0).header("upload-complete", "?1");
        let append = append.header("content-type", "application/partial-upload").body("two");
        let blob = send(append).await.expect(201).header("location").to_owned();
        assert_eq!(ask(&server, Method::GET, &blob).await.expect(200).text(), "two");
        let done = send(with_token(Method::HEAD, &upload)).await.expect(204);
        assert_eq!(done.header("location"), blob);

        let body = manifest(&[("one", b"one"), ("two", b"two")]).to_string();
        let published = send(with_token(Method::PUT, &format!("{url}/manifests/a/main")).body(body.clone())).await;
        let version = published.expect(201).header("location").to_owned();
        assert_eq!(version, format!("{url}/manifests/a/main@1"));
        let answer = ask(&server, Method::GET, &version).await.expect(200);
        ask(&server, Method::GET, &link(&answer, "version-history")).await.expect(200);
        let session = send(with_token(Method::POST, &format!("{url}/sessions/b")).body(body)).await.expect(201);
        let location = session.header("location").to_owned();
        assert_eq!(session.json()["location"], location);
        send(with_token(Method::PUT, &location)).await.expect(201);

        // Twice: the second answer comes from memory.
        for _ in 0..2 {
            let answer = ask(&server, Method::GET, &format!("{url}/refs/a/main/one")).await.expect(307);
            assert_eq!(answer.text().trim_end(), answer.header("location"));
            assert_eq!(ask(&server, Method::GET, answer.header("location")).await.expect(200).text(), "one");
            ask(&server, Method::GET, &link(&answer, "describedby")).await.expect(200);
        }
        let page = ask(&server, Method::GET, &format!("{url}/manifests?limit=1")).await.expect(200);
        let next = ask(&server, Method::GET, &link(&page, "next")).await.expect(200);
        assert_eq!(next.json()["manifests"][0]["name"], "b");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_a_page_and_of_a_description_leads_back() {
    for strips in [true, false] {
        let (server, url) = behind_proxy(strips).await;
        for content in ["one", "two"] {
            server.publish("a/main", &[("file", content.as_bytes())]).await;
        }
        server.publish("b", &[("file", b"one")]).await;
        let mut links = 0;
        for path in ["", "/", "/manifests?limit=1", "/versions/a/main?limit=1"] {
            let request = server.http.get(format!("{url}{path}")).header("accept", "text/html");
            let page = send(request).await.expect(200).text();
            for rest in page.split("href=\"").skip(1) {
                let target = rest.split('"').next().unwrap().replace("&amp;", "&");
                // The icon is in the page, as is where its content begins.
                if target.starts_with("data:image/svg+xml") || target == "#main" {
                    continue;
                }
                assert!(target.starts_with(&format!("{url}/")), "{target}");
                let status = ask(&server, Method::GET, &target).await.status.as_u16();
                let redirects = target.contains("/refs/") && !target.ends_with("/SHA256SUMS");
                assert_eq!(status, if redirects { 307 } else { 200 }, "{target}");
                links += 1;
            }
            assert!(!page.contains("THIS-HOST"), "{page}");
        }
        assert!(links >= 15, "{links}");
        let index = ask(&server, Method::GET, &url).await.expect(200).json();
        for key in ["manifests", "manifest", "versions", "ref", "blob", "description"] {
            assert!(index[key].as_str().unwrap().starts_with(&format!("{url}/")), "{index}");
        }
        let description: Value = ask(&server, Method::GET, &format!("{url}/openapi.json")).await.expect(200).json();
        assert_eq!(description["servers"][0]["url"], url);
    }
}

async fn run(command: Larder) -> String {
    tokio::task::spawn_blocking(move || command.ok().stdout).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_publishes_and_fetches_through_the_proxy() {
    for strips in [true, false] {
        let (server, url) = behind_proxy(strips).await;
        let folder = tempfile::TempDir::new().unwrap();
        std::fs::write(folder.path().join("file.txt"), "content").unwrap();
        let command = |arguments: &str| {
            let command = larder(arguments).env("LARDER_SERVER", &url).env("LARDER_TOKEN", &server.token);
            command.env("NO_PROXY", "*").within(&folder)
        };
        run(command("publish a/main file.txt")).await;
        run(command("fetch a/main --output out")).await;
        assert_eq!(std::fs::read_to_string(folder.path().join("out/file.txt")).unwrap(), "content");
        assert!(run(command("ls")).await.contains("a/main"));
    }
}

#[tokio::test]
async fn headers_that_anybody_can_send_change_no_address() {
    let (server, url) = behind_proxy(true).await;
    server.publish("main", &[("file", b"one")]).await;
    let plain = TestServer::start().await;
    plain.publish("main", &[("file", b"one")]).await;
    for (header, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil.example"),
        ("x-forwarded-proto", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/evil.example"),
    ] {
        let asked = async |server: &TestServer| {
            let answer = send(server.anonymous(Method::GET, "/refs/main/file").header(header, value)).await.expect(307);
            answer.header("location").to_owned()
        };
        assert!(asked(&server).await.starts_with(&format!("{url}/blobs/")), "{header}");
        assert!(asked(&plain).await.starts_with("/blobs/"), "{header}");
    }
}

#[tokio::test]
async fn no_path_of_a_public_url_can_be_mistaken_for_one_of_the_servers_own() {
    let server = TestServer::start().await;
    let description = server.get("/openapi.json").await.json();
    let mut checked = 0;
    for path in description["paths"].as_object().unwrap().keys() {
        let Some(first) = path.split('/').nth(1).filter(|first| !first.is_empty()) else { continue };
        for url in [format!("https://example.org/{first}"), format!("https://example.org/{first}/more")] {
            let mut config = larder::config::Config::default();
            config.server.public_url = Some(url.parse().unwrap());
            let problems = config.validate().unwrap_err();
            assert!(problems[0].contains("server.public_url") && problems[0].contains(first), "{problems:?}");
            checked += 1;
        }
    }
    assert!(checked >= 24, "{checked}");
    let mut config = larder::config::Config::default();
    config.server.public_url = Some("https://example.org/larder/refs".parse().unwrap());
    config.validate().unwrap();
    assert!(Url::parse(config.server.public_url.unwrap().as_str()).is_ok());
}
