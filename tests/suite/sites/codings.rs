//! Compressed variants: which one is sent, and that nobody mixes it up with the file.

use serde_json::json;

use super::{DOCS, Page, Sites, manifest, tag};

const PLAIN: &str = "plain text, plain text, plain text, plain text";
const BR: &str = "plain in br";
const GZIP: &str = "plain in gzip, longer";

/// A script with variants, and one without.
async fn start() -> Sites {
    let sites = Sites::start().await;
    publish(&sites, PLAIN).await;
    sites
}

async fn publish(sites: &Sites, plain: &str) -> u64 {
    let files = [("index.html", "start"), ("a.js", plain), ("a.js.br", BR), ("a.js.gz", GZIP), ("b.js", "b")];
    let mut manifest = manifest(&files, json!({}));
    for (at, coding) in [(2, "br"), (3, "gzip")] {
        manifest["artifacts"][at]["encoding"] = json!(coding);
        manifest["artifacts"][at]["of"] = json!("a.js");
    }
    for (_, text) in files {
        sites.0.put_blob(text.as_bytes()).await;
    }
    sites.put_manifest("acme/docs", "", &manifest).await
}

async fn ask(sites: &Sites, codings: &str, more: &[(&str, &str)]) -> Page {
    let fields: Vec<_> = [("accept-encoding", codings)].into_iter().chain(more.iter().copied()).collect();
    sites.ask("GET", DOCS, "/a.js", &fields).await
}

#[tokio::test]
async fn each_client_gets_the_smallest_of_what_it_likes_best() {
    let sites = start().await;
    // Twice, so that answers from the cache are looked at as well.
    for _ in 0..2 {
        for (codings, coding, text) in [
            ("br, gzip", Some("br"), BR),
            ("gzip, deflate, br, zstd", Some("br"), BR),
            ("gzip", Some("gzip"), GZIP),
            ("zstd, gzip;q=0.5", Some("gzip"), GZIP),
            ("zstd", None, PLAIN),
            ("gzip, br;q=0.1", Some("gzip"), GZIP),
            ("identity, br;q=0.5", None, PLAIN),
            ("br;q=0", None, PLAIN),
            ("", None, PLAIN),
        ] {
            let page = ask(&sites, codings, &[]).await.expect(200);
            assert_eq!((page.find("content-encoding"), page.text().as_str()), (coding, text), "{codings}");
            assert_eq!(page.header("etag"), tag(text), "{codings}");
            assert_eq!(page.header("vary").to_ascii_lowercase(), "accept-encoding", "{codings}");
            assert_eq!(page.header("content-length"), text.len().to_string());
            assert!(page.header("content-type").starts_with("text/javascript"), "{codings}");
            assert_eq!(page.header("cache-control").contains("no-transform"), coding.is_some(), "{codings}");
        }
        assert_eq!(sites.get(DOCS, "/a.js").await.expect(200).text(), PLAIN);
    }
    let other = sites.ask("GET", DOCS, "/b.js", &[("accept-encoding", "br")]).await.expect(200);
    assert_eq!((other.find("content-encoding"), other.find("vary"), &*other.text()), (None, None, "b"));
}

#[tokio::test]
async fn a_tag_is_of_one_representation() {
    let sites = start().await;
    for (codings, held, status) in [
        ("br", BR, 304),
        ("identity", BR, 200),
        ("identity", PLAIN, 304),
        ("br", PLAIN, 200),
        ("gzip", BR, 200),
        ("gzip", GZIP, 304),
    ] {
        for _ in 0..2 {
            let page = ask(&sites, codings, &[("if-none-match", &tag(held))]).await.expect(status);
            assert_eq!(page.header("vary").to_ascii_lowercase(), "accept-encoding", "{codings} {held}");
        }
    }
    // From the cache as well, a 304 says nothing of bytes that it does not have.
    ask(&sites, "br", &[]).await.expect(200);
    let unchanged = ask(&sites, "br", &[("if-none-match", &tag(BR))]).await.expect(304);
    assert_eq!(unchanged.find("content-encoding"), None);
    // A release with another script and the same variant is a mistake of its publisher, and still no reason to mix.
    publish(&sites, "another text").await;
    assert_eq!(ask(&sites, "identity", &[]).await.expect(200).text(), "another text");
}

#[tokio::test]
async fn parts_are_of_the_file_unless_the_client_names_the_variant() {
    let sites = start().await;
    for _ in 0..2 {
        let part = ask(&sites, "br", &[("range", "bytes=0-9")]).await.expect(206);
        assert_eq!((part.text().as_str(), part.find("content-encoding")), (&PLAIN[..10], None));
        assert_eq!(
            (part.header("etag"), &*part.header("vary").to_ascii_lowercase()),
            (&*tag(PLAIN), "accept-encoding")
        );
        let part = ask(&sites, "br", &[("range", "bytes=0-4"), ("if-range", &tag(BR))]).await.expect(206);
        assert_eq!((part.text().as_str(), part.find("content-encoding")), (&BR[..5], Some("br")));
        let part = ask(&sites, "br", &[("range", "bytes=0-4"), ("if-range", &tag(PLAIN))]).await.expect(206);
        assert_eq!((part.text().as_str(), part.find("content-encoding")), (&PLAIN[..5], None));
        // The tag of neither: all of what the client would get without a range.
        let whole = ask(&sites, "br", &[("range", "bytes=0-4"), ("if-range", "\"other\"")]).await.expect(200);
        assert!([BR, PLAIN].contains(&whole.text().as_str()), "{}", whole.head);
    }
}

#[tokio::test]
async fn a_head_of_a_variant_is_that_of_its_get() {
    let sites = start().await;
    for codings in ["br", "gzip", "identity"] {
        let fields = [("accept-encoding", codings)];
        let (get, head) = (ask(&sites, codings, &[]).await, sites.ask("HEAD", DOCS, "/a.js", &fields).await);
        assert_eq!(get.lasting(), head.lasting(), "{codings}");
    }
}

#[tokio::test]
async fn variants_are_not_pages_of_their_own() {
    let sites = start().await;
    for path in ["/a.js.br", "/a.js.gz"] {
        sites.get(DOCS, path).await.expect(404);
    }
    // Where releases are downloaded they are files like others.
    sites.0.get("/refs/acme/docs@active/a.js.br").await.expect(307);
}
