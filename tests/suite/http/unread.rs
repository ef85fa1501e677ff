//! Answers that come before the body of their request was read: clients that send everything first see them all the same.

use std::process::Command;
use std::time::Duration;

use larder::domain::Digest;
use reqwest::Method;
use tokio::time::{Instant, timeout};

use crate::support::raw::Raw;
use crate::support::server::TestServer;

/// Nothing that is refused is large enough to be refused for that alone.
const LARGE: usize = 50 << 20;

/// Requests whose body nobody wants: method, path, whether they bring the token, further headers, and their answer.
fn unwanted(present: Digest) -> Vec<(Method, String, bool, &'static str, u16)> {
    let of = |method: Method, path: &str, token: bool, headers: &'static str, status: u16| {
        (method, path.to_owned(), token, headers, status)
    };
    vec![
        of(Method::PUT, "/manifests/main", false, "", 401),
        of(Method::PUT, "/manifests/main", true, "content-encoding: gzip\r\n", 415),
        of(Method::PUT, "/manifests/main", true, "if-match: unquoted\r\n", 400),
        of(Method::PUT, "/manifests/main@1", true, "", 400),
        of(Method::POST, "/manifests/main", true, "", 405),
        of(Method::PATCH, "/manifests", false, "", 405),
        of(Method::DELETE, "/manifests/none", true, "", 404),
        of(Method::POST, "/sessions/main", false, "", 401),
        of(Method::POST, "/versions/main@1/promote", false, "authorization: Bearer wrong\r\n", 401),
        of(Method::POST, "/versions/main@1/copy", true, "content-encoding: br\r\n", 415),
        of(Method::POST, "/versions/main@1/frobnicate", true, "", 404),
        of(Method::PATCH, "/versions/main@1/promote", true, "", 405),
        of(Method::PUT, "/blobs/nonsense", true, "", 400),
        of(Method::PUT, &format!("/blobs/{present}"), false, "", 401),
        of(Method::PUT, &format!("/blobs/{}", Digest::of(b"other")), false, "", 401),
        of(Method::POST, "/blobs/missing", false, "", 401),
        of(Method::POST, "/uploads", false, "", 401),
        of(Method::PATCH, "/uploads/none", true, "", 404),
        of(Method::POST, "/nothing/at/all", false, "", 404),
        of(Method::OPTIONS, "/manifests/main", false, "", 204),
        of(Method::GET, "/livez", false, "", 200),
        of(Method::GET, "/manifests/main", false, "", 200),
        of(Method::GET, "/refs/main/file", false, "", 307),
    ]
}

async fn server() -> (TestServer, Digest) {
    let server = TestServer::start().await;
    server.publish("main", &[("file", b"content")]).await;
    // From now on it is answered from memory.
    server.get("/manifests/main").await.expect(200);
    (server, Digest::of(b"content"))
}

/// Sends the request with its whole body and a second request behind it; only then looks for the answers.
async fn send_all_first(server: &TestServer, head: &str, body: &[u8], chunked: bool) -> String {
    let mut client = Raw::connect(server.address).await;
    if chunked {
        client.send(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
        for chunk in body.chunks(1 << 20) {
            client.send(format!("{:x}\r\n", chunk.len())).await;
            client.send(chunk).await;
            client.send("\r\n").await;
        }
        client.send("0\r\n\r\n").await;
    } else {
        client.send(format!("{head}content-length: {}\r\n\r\n", body.len())).await;
        client.send(body).await;
    }
    client.send("GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    String::from_utf8(client.rest().await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_everything_first_sees_every_refusal_and_keeps_the_connection() {
    let (server, present) = server().await;
    for (at, (method, path, token, headers, status)) in unwanted(present).into_iter().enumerate() {
        let token = if token { format!("authorization: Bearer {}\r\n", server.token) } else { String::new() };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{token}{headers}");
        let large = if at % 8 == 0 { LARGE } else { 3 << 20 };
        for (length, chunked) in [(1 << 10, false), (1 << 20, true), (large, false)] {
            let answers = send_all_first(&server, &head, &vec![b' '; length], chunked).await;
            assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}, {length}: {answers:.300}");
            assert!(
                answers.ends_with("ok\n"),
                "{method} {path}, {length}: the next request is answered: {answers:.300}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_turns_out_too_large_is_refused_and_not_broken_off() {
    let server = TestServer::with(|config| config.limits.manifest_size = "1KiB".parse().unwrap()).await;
    let token = &server.token;
    for (path, expect) in
        [("/manifests/main", ""), ("/manifests/main", "expect: 100-continue\r\n"), ("/sessions/main", "")]
    {
        let method = if path.starts_with("/sessions") { "POST" } else { "PUT" };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{expect}");
        let answers = send_all_first(&server, &head, &vec![b' '; LARGE], true).await;
        let answers = answers.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&answers);
        assert!(answers.starts_with("HTTP/1.1 413 "), "{answers:.300}");
        assert!(answers.ends_with("ok\n"), "{answers:.300}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_clients_see_every_refusal_too() {
    let (server, present) = server().await;
    let client = larder::client::http_client_builder().http2_prior_knowledge().no_proxy();
    let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (method, path, token, headers, status) in unwanted(present) {
        for length in [1 << 10, 1 << 20, 3 << 20] {
            let mut request = client.request(method.clone(), server.url(&path)).body(vec![b' '; length]);
            if token {
                request = request.bearer_auth(&server.token);
            }
            if let Some((name, value)) = headers.trim().split_once(": ") {
                request = request.header(name, value);
            }
            let response = request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            response.bytes().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_that_waits_for_leave_is_refused_without_its_body() {
    let (server, present) = server().await;
    for (path, status) in [("/manifests/main", 401), ("/nothing", 404), (&format!("/blobs/{present}"), 401)] {
        let mut client = Raw::connect(server.address).await;
        client
            .send(format!("PUT {path} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n"))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{path}");
        // It would wait for long if the body were wanted.
        timeout(Duration::from_secs(4), client.rest()).await.expect("the connection ends at once");
    }
}

#[tokio::test]
async fn a_refused_client_that_listens_is_answered_at_once_and_cannot_stay() {
    let (server, _) = server().await;
    let mut client = Raw::connect(server.address).await;
    client.send("PUT /manifests/main HTTP/1.1\r\nhost: x\r\ncontent-length: 50000000000\r\n\r\nsome").await;
    let began = Instant::now();
    assert_eq!(client.answer().await.status, 401);
    assert!(began.elapsed() < Duration::from_secs(4), "before it is clear that nothing more comes");
    client.rest().await;
}

/// Twenty requests of each kind with each of Python's clients; prints one line per kind.
const PYTHON: &str = r#"
import http.client, sys, urllib.error, urllib.request
port, token = int(sys.argv[1]), sys.argv[2]
try:
    import requests
except ImportError:
    requests = None

def by_http_client(method, path, body, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status

def by_urllib(method, path, body, headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code

def by_requests(method, path, body, headers):
    session = requests.Session()
    session.trust_env = False
    return session.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers).status_code

mine = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
coded = {**mine, "Content-Encoding": "gzip"}
kinds = [("PUT", "/manifests/main", {}, 401), ("PUT", "/manifests/main", coded, 415), ("PATCH", "/manifests", mine, 405),
    ("POST", "/nothing", {}, 404), ("POST", "/sessions/main", {}, 401), ("POST", "/uploads", {}, 401),
    ("PUT", "/manifests/main", mine, None), ("POST", "/blobs/missing", mine, None)]
for client in [by_http_client, by_urllib] + ([by_requests] if requests else []):
    for method, path, headers, wanted in kinds:
        for size, times in [(1 << 10, 20), (1 << 20, 20), (50 << 20, 20 if path == "/nothing" else 2)]:
            seen = []
            for _ in range(times):
                try:
                    seen.append(client(method, path, b" " * size, headers))
                except Exception as error:
                    seen.append(type(error).__name__)
            expected = wanted or (413 if size > 4 << 20 else 400)
            good = sum(status == expected for status in seen)
            print(client.__name__, method, path, size, f"{good} of {times}", "ok" if good == times else set(seen))
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs python3: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn pythons_clients_see_the_status_each_time() {
    let (server, _) = server().await;
    let mut python = Command::new("python3");
    python.args(["-c", PYTHON, &server.address.port().to_string(), &server.token]);
    let output = tokio::task::spawn_blocking(move || python.output().unwrap()).await.unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{lines}\n{}", String::from_utf8_lossy(&output.stderr));
    let bad: Vec<_> = lines.lines().filter(|line| !line.ends_with("ok")).collect();
    assert!(lines.lines().count() >= 48 && bad.is_empty(), "{bad:#?}");
}
