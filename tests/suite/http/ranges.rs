//! Several ranges in one request: `multipart/byteranges`, and when the whole is sent instead.

use larder::domain::Digest;
use reqwest::Method;

use crate::support::server::{Answer, TestServer, send};
use crate::support::store::pattern;

/// Larger than what a file system store holds in memory of one file.
const SIZE: usize = 300_000;

async fn ask(server: &TestServer, digest: Digest, range: &str) -> Answer {
    send(server.anonymous(Method::GET, &format!("/blobs/{digest}/a.txt")).header("range", range)).await
}

/// The parts of a multipart body, each with its `Content-Range`, taken apart as RFC 2046 says.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary =
        answer.header("content-type").strip_prefix("multipart/byteranges; boundary=").expect("the boundary last");
    assert!(boundary.len() >= 16 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{boundary}");
    let delimiter = format!("\r\n--{boundary}");
    let body = [b"\r\n", answer.body.as_slice()].concat();
    let (mut rest, mut parts) = (body.as_slice(), Vec::new());
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    rest = &rest[find(rest, delimiter.as_bytes()).expect("a first boundary") + delimiter.len()..];
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, delimiter.as_bytes()).expect("a boundary behind each part");
        let head = find(part, b"\r\n\r\n").expect("a head");
        let fields = String::from_utf8(part[..head].to_vec()).unwrap().to_ascii_lowercase();
        let field =
            |name: &str| fields.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()));
        assert_eq!(field("content-type:").as_deref(), Some("text/plain"), "{fields}");
        parts.push((field("content-range:").expect("where it is from"), part[head + 4..end].to_vec()));
        rest = &part[end + delimiter.len()..];
    }
    assert_eq!(rest, b"--\r\n", "the last boundary ends the body");
    parts
}

#[tokio::test]
async fn several_ranges_come_in_the_order_asked() {
    let server = TestServer::start().await;
    let bytes = pattern(SIZE);
    let digest = server.put_blob(&bytes).await;
    for (range, wanted) in [
        ("bytes=0-1,3-4", vec![(0, 1), (3, 4)]),
        ("bytes=200000-299999, 5-5 ,100000-199999", vec![(200_000, 299_999), (5, 5), (100_000, 199_999)]),
        ("bytes=-10,0-9", vec![(299_990, 299_999), (0, 9)]),
        ("bytes=0-9,,10-19,", vec![(0, 9), (10, 19)]),
        // What cannot be satisfied is left out.
        ("bytes=0-9,300000-,20-29", vec![(0, 9), (20, 29)]),
    ] {
        let answer = ask(&server, digest, range).await.expect(206);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "{range}");
        assert!(!answer.headers.contains_key("content-range"), "{range}: only the parts have one");
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("content-disposition"), "attachment; filename=\"a.txt\"");
        assert!(answer.header("content-security-policy").contains("sandbox"));
        let found = parts(&answer);
        let expected: Vec<_> = wanted
            .iter()
            .map(|(first, last)| (format!("bytes {first}-{last}/{SIZE}"), bytes[*first..=*last].to_vec()))
            .collect();
        assert!(found == expected, "{range}: {:?}", found.iter().map(|(range, _)| range).collect::<Vec<_>>());
    }
    let one = ask(&server, digest, "bytes=0-1,3-4").await;
    let other = ask(&server, digest, "bytes=0-1,3-4").await;
    assert_ne!(one.header("content-type"), other.header("content-type"), "nobody can foresee the boundary");
}

#[tokio::test]
async fn a_single_range_that_is_left_is_a_plain_part() {
    let server = TestServer::start().await;
    let bytes = pattern(SIZE);
    let digest = server.put_blob(&bytes).await;
    for range in ["bytes=5-6,300000-", "bytes=400000-,5-6,-0", "bytes=,5-6"] {
        let answer = ask(&server, digest, range).await.expect(206);
        assert_eq!((answer.header("content-range"), answer.body.as_slice()), ("bytes 5-6/300000", &bytes[5..7]));
        assert_eq!(answer.header("content-type"), "text/plain");
    }
    let refused = ask(&server, digest, "bytes=300000-,-0,999999999999999999999-").await.expect(416);
    assert_eq!(refused.header("content-range"), "bytes */300000");
}

#[tokio::test]
async fn absurd_ranges_get_the_whole() {
    let server = TestServer::start().await;
    let bytes = pattern(SIZE);
    let digest = server.put_blob(&bytes).await;
    let many =
        |count: usize, step: usize| (0..count).map(|at| format!("{0}-{0}", at * step)).collect::<Vec<_>>().join(",");
    let all = (0..500).map(|_| "0-").collect::<Vec<_>>().join(",");
    for range in [
        "0-,0-".to_owned(),
        "0-9,5-14".to_owned(),
        "5-14,100-200,0-9".to_owned(),
        "-1,-1".to_owned(),
        all,
        many(1001, 2),
        // Each byte costs more than a hundred of framing.
        many(1000, 2).split(',').map(|range| format!("{range}x")).collect::<Vec<_>>().join(","),
        "0-1,x".to_owned(),
        "0-1,9-5".to_owned(),
        ",".to_owned(),
    ] {
        let shown = &range[..range.len().min(30)];
        let answer = ask(&server, digest, &format!("bytes={range}")).await.expect(200);
        assert!(answer.body == bytes, "{shown}");
        assert_eq!(answer.header("content-length"), SIZE.to_string(), "{shown}");
    }
    let thousand = ask(&server, digest, &format!("bytes={}", many(1000, 300))).await.expect(206);
    assert_eq!(parts(&thousand).len(), 1000);
    // Of a small file, the whole is shorter than so many parts.
    let small = server.put_blob(&bytes[..1000]).await;
    assert_eq!(ask(&server, small, &format!("bytes={}", many(100, 10))).await.expect(200).body, &bytes[..1000]);
    let two = server.anonymous(Method::GET, &format!("/blobs/{digest}"));
    let twice = send(two.header("range", "bytes=0-1").header("range", "bytes=3-4")).await;
    assert_eq!(twice.expect(200).body.len(), SIZE, "two fields are no list");
}

#[tokio::test]
async fn conditions_hold_for_several_ranges_too() {
    let server = TestServer::start().await;
    let digest = server.put_blob(b"0123456789").await;
    let path = format!("/blobs/{digest}/a.txt");
    let several = |method: Method| server.anonymous(method, &path).header("range", "bytes=0-1,3-4");
    let held = send(several(Method::GET).header("if-range", format!("\"{digest}\""))).await.expect(206);
    assert_eq!(parts(&held).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), [b"01", b"34"]);
    for other in ["\"other\"".to_owned(), format!("W/\"{digest}\""), "Wed, 21 Oct 2099 07:28:00 GMT".to_owned()] {
        assert_eq!(send(several(Method::GET).header("if-range", &other)).await.expect(200).body, b"0123456789");
    }
    send(several(Method::GET).header("if-none-match", format!("\"{digest}\""))).await.expect(304);
    let plain = send(several(Method::HEAD)).await.expect(200);
    assert_eq!((plain.header("content-length"), plain.header("content-type")), ("10", "text/plain"));
}
