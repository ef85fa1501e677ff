//! `Last-Modified`: when a name became as it is, and what is asked with it.

use std::time::{Duration, SystemTime};

use reqwest::Method;

use crate::support::server::{Answer, TestServer, send};

/// Asks until the answer has a date.
async fn dated(server: &TestServer, path: &str) -> Answer {
    let dated = async {
        loop {
            let answer = server.get(path).await;
            if answer.headers.contains_key("last-modified") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), dated).await.expect("a date after some seconds")
}

fn time(answer: &Answer) -> SystemTime {
    httpdate::parse_http_date(answer.header("last-modified")).unwrap()
}

#[tokio::test]
async fn a_name_has_the_date_of_its_activation_and_a_rollback_is_newer() {
    let server = TestServer::start().await;
    server.publish("main", &[("a", b"one")]).await;
    // An answer that is remembered without a date gets one later.
    for path in ["/manifests/main", "/refs/main/a"] {
        assert!(!server.get(path).await.headers.contains_key("last-modified"), "{path}: too early");
    }
    let first = dated(&server, "/manifests/main").await;
    assert_eq!(dated(&server, "/refs/main/a").await.header("last-modified"), first.header("last-modified"));
    let head = server.head("/manifests/main").await;
    assert_eq!(head.header("last-modified"), first.header("last-modified"));
    let age = time(&first).elapsed().expect("a date in the past");
    assert!(age < Duration::from_mins(2), "{age:?}");
    server.publish("main", &[("a", b"two")]).await;
    let second = dated(&server, "/manifests/main").await;
    assert!(time(&second) > time(&first));
    send(server.request(Method::POST, "/versions/main@1/promote")).await.expect(200);
    assert!(!server.get("/manifests/main").await.headers.contains_key("last-modified"));
    let third = dated(&server, "/manifests/main").await;
    assert_eq!(third.header("larder-version"), "1");
    assert!(time(&third) > time(&second), "a rollback is newer than what it takes back");
    // What changes nothing that readers see does not make it newer.
    send(server.request(Method::PUT, "/versions/main@1/pin")).await.expect(200);
    assert_eq!(server.get("/manifests/main").await.header("last-modified"), third.header("last-modified"));
    assert_eq!(dated(&server, "/manifests/main@active").await.header("last-modified"), third.header("last-modified"));
    for path in ["/manifests/main@1", "/refs/main@2/a", "/versions/main"] {
        assert!(!server.get(path).await.headers.contains_key("last-modified"), "{path}");
    }
    let blob = server.get("/refs/main/a").await.header("location").to_owned();
    assert!(!server.get(&blob).await.expect(200).headers.contains_key("last-modified"));
}

#[tokio::test]
async fn if_modified_since_is_honoured_where_there_is_a_date() {
    let server = TestServer::start().await;
    server.publish("main", &[("a", b"one")]).await;
    let now = dated(&server, "/manifests/main").await;
    let (date, etag) = (now.header("last-modified").to_owned(), now.header("etag").to_owned());
    let shifted = |seconds: i64| {
        let by = Duration::from_secs(seconds.unsigned_abs());
        httpdate::fmt_http_date(if seconds < 0 { time(&now) - by } else { time(&now) + by })
    };
    let (earlier, later) = (shifted(-1), shifted(3600));
    let cases: Vec<(Vec<(&str, &str)>, u16)> = vec![
        (vec![("if-modified-since", &date)], 304),
        (vec![("if-modified-since", &later)], 304),
        (vec![("if-modified-since", &earlier)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        (vec![("if-modified-since", "")], 200),
        (vec![("if-modified-since", &date), ("if-modified-since", &date)], 200),
        // The entity tag wins.
        (vec![("if-modified-since", &date), ("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", &earlier), ("if-none-match", &etag)], 304),
        (vec![("if-unmodified-since", &date)], 200),
        (vec![("if-unmodified-since", &later)], 200),
        (vec![("if-unmodified-since", &earlier)], 412),
        (vec![("if-unmodified-since", "yesterday")], 200),
        (vec![("if-unmodified-since", &earlier), ("if-match", &etag)], 200),
        (vec![("if-unmodified-since", &earlier), ("if-modified-since", &date)], 412),
    ];
    for method in [Method::GET, Method::HEAD] {
        for (fields, status) in &cases {
            // From memory and from a handler.
            for extra in [None, Some(("cache-control", "no-cache"))] {
                let mut request = server.anonymous(method.clone(), "/manifests/main");
                for (name, value) in fields.iter().copied().chain(extra) {
                    request = request.header(name, value);
                }
                let answer = send(request).await;
                assert_eq!(answer.status.as_u16(), *status, "{method} {fields:?} {extra:?}");
                if *status == 304 {
                    assert_eq!((answer.header("last-modified"), answer.header("etag")), (&*date, &*etag));
                }
            }
        }
    }
    // Whoever holds a date of this version learns of the next one at once, though it has no date yet.
    server.publish("main", &[("a", b"two")]).await;
    send(server.anonymous(Method::GET, "/manifests/main").header("if-modified-since", &date)).await.expect(200);
    send(server.anonymous(Method::GET, "/manifests/main").header("if-modified-since", &later)).await.expect(200);
}

#[tokio::test]
async fn a_date_decides_nothing_about_a_redirect_or_a_blob() {
    let server = TestServer::start().await;
    server.publish("main", &[("a", b"one")]).await;
    let answer = dated(&server, "/refs/main/a").await.expect(307);
    let (date, location) = (answer.header("last-modified").to_owned(), answer.header("location").to_owned());
    // A file that was saved a moment ago may be of the version before (RFC 9110 section 13.1: only what would be a 2xx
    // is judged).
    for field in ["if-modified-since", "if-unmodified-since"] {
        for value in [&date, "Wed, 21 Oct 2099 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            send(server.anonymous(Method::GET, "/refs/main/a").header(field, value)).await.expect(307);
            send(server.anonymous(Method::GET, &location).header(field, value)).await.expect(200);
        }
    }
}
