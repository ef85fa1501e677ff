//! What goes over the wire, where two ways to say or to ask the same could differ.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::{DOCS, Sites};
use crate::support::process::{ServerProcess, exchange};

/// An `e` with an accent as one character and as two: the names of one file.
const COMPOSED: &str = "caf\u{e9}.js";
const DECOMPOSED: &str = "cafe\u{301}.js";

#[tokio::test]
async fn a_head_of_what_is_unchanged_is_that_of_its_get() {
    let sites = Sites::with(|config| {
        config.names.push(toml::from_str("match = ['acme/**']\nearlier_files = { for = '7days' }").unwrap());
    })
    .await;
    let earlier = [("index.html", "earlier"), ("assets/b-BTV8LsEM.js", "b")];
    sites.publish("acme/docs", &earlier, json!({})).await;
    let files = [("index.html", "start"), ("assets/a-CjL4fkWS.js", "a")];
    sites.publish("acme/docs", &files, json!({"fallback": "index.html"})).await;
    // Not from the cache, and then from there.
    for round in 0..2 {
        for (path, text) in [("/", "start"), ("/assets/a-CjL4fkWS.js", "a"), ("/assets/b-BTV8LsEM.js", "b")] {
            let held = super::tag(text);
            let fields = [("if-none-match", &*held)];
            for methods in [["HEAD", "GET"], ["GET", "HEAD"]] {
                let [first, second] = methods.map(|method| sites.ask(method, DOCS, path, &fields));
                let (first, second) = (first.await.expect(304), second.await.expect(304));
                assert_eq!(first.lasting(), second.lasting(), "{path}, {round}");
                assert_eq!((first.find("content-length"), first.body.len()), (None, 0), "{path}, {round}");
            }
        }
    }
}

#[tokio::test]
async fn an_address_in_another_spelling_is_the_same_host() {
    let sites = Sites::with(|config| config.server.api_hosts.push("[::1]".parse().unwrap())).await;
    for host in ["[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]", "[0:0:0:0:0:0:0:1]:80", "[::0001]", "127.0.0.1:1"] {
        for _ in 0..2 {
            sites.get(host, "/manifests").await.expect(200);
        }
    }
    for host in ["[::2]", "[0:0:0:0:0:0:0:2]", "[::1", "::1"] {
        let page = sites.get(host, "/manifests").await;
        assert!(matches!(page.status, 400 | 421), "{host}: {}", page.head);
    }
}

#[tokio::test]
async fn an_earlier_file_is_found_in_whatever_form_its_name_was_written() {
    let sites = Sites::with(|config| {
        config.names.push(toml::from_str("match = ['acme/**']\nearlier_files = { for = '7days' }").unwrap());
    })
    .await;
    sites.publish("acme/docs", &[("index.html", "1"), (DECOMPOSED, "one")], json!({})).await;
    assert_eq!(sites.load(DOCS, "/caf%C3%A9.js").await.expect(200).text(), "one");
    sites.publish("acme/docs", &[("index.html", "2")], json!({})).await;
    let earlier = sites.load(DOCS, "/caf%C3%A9.js").await.expect(200);
    assert_eq!((earlier.text().as_str(), earlier.header("larder-version")), ("one", "1"));
    for path in ["/refs/acme/docs@active/caf%C3%A9.js", "/refs/acme/docs@active/cafe%CC%81.js"] {
        sites.0.get(path).await.expect(307);
    }
    // The one of the version that was archived last, whichever form it has.
    sites.publish("acme/docs", &[("index.html", "3"), (COMPOSED, "three")], json!({})).await;
    sites.publish("acme/docs", &[("index.html", "4")], json!({})).await;
    assert_eq!(sites.load(DOCS, "/caf%C3%A9.js").await.expect(200).text(), "three");
    sites.promote("acme/docs@1").await;
    sites.promote("acme/docs@4").await;
    assert_eq!(sites.load(DOCS, "/caf%C3%A9.js").await.expect(200).text(), "one");
}

/// A circle that only one value of `:x` closes is not found when the rules are checked. Browsers end it; the server
/// answers each request once, and at once.
#[tokio::test]
async fn rules_that_lead_in_a_circle_for_one_value_cost_one_answer_a_request() {
    let sites = Sites::start().await;
    let circle = "/a/:x /:x/b 302\n/c/:y /:y/c 302\n/b/:z /a/:z 302\n";
    let rules = format!("{circle}/same/:x /:x/same 302\n/force/:x /:x/force 307!\n/loop/* /loop/:splat 200\n");
    let files = [("index.html", "start"), ("_redirects", &*rules)];
    sites.publish("acme/docs", &files, json!({})).await;
    for (path, status, to) in [
        ("/a/c", 302, Some("/c/b")),
        ("/c/b", 302, Some("/b/c")),
        ("/b/c", 302, Some("/a/c")),
        ("/a/other", 302, Some("/other/b")),
        ("/other/b", 404, None),
        // What leads to itself is passed over.
        ("/same/same", 404, None),
        ("/force/force", 404, None),
        ("/force/other", 307, Some("/other/force")),
        ("/loop/x", 404, None),
    ] {
        let page = sites.get(DOCS, path).await.expect(status);
        assert_eq!(page.find("location"), to, "{path}");
        let kept = if to.is_some() { "no-cache" } else { "no-store" };
        assert_eq!(page.header("cache-control"), kept, "{path}");
    }
}

#[test]
fn a_preview_of_a_retired_version_is_gone_in_a_server_that_was_started_again() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("larder.toml");
    let hash = larder::domain::Digest::of(b"operator").hex();
    let text = format!(
        "[server]\napi_hosts = ['127.0.0.1']\n[[sites]]\nid = 'docs'\nhosts = ['docs.example.org']\nname = 'acme/docs'\n\
         [sites.previews]\ndomain = 'preview.example.org'\nread = 'public'\n\
         [[access.tokens]]\nid = 'operator'\nsha256 = '{hash}'\nactions = ['admin']\n"
    );
    std::fs::write(&file, text).unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "operator").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let site = directory.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let mut server = ServerProcess::with(&format!("--config {}", file.display()));
    for text in ["one", "two"] {
        std::fs::write(site.join("index.html"), text).unwrap();
        let larder = server.larder("publish acme/docs --kind static").arg(&site);
        larder.env("LARDER_TOKEN_FILE", &token).ok();
    }
    let see = |server: &ServerProcess, host: &str| {
        let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let reply = exchange(server.address, &head, &[]).unwrap();
        (reply.status, reply.header("x-robots-tag").map(str::to_owned))
    };
    let noindex = || Some("noindex".to_owned());
    assert_eq!(see(&server, "v1-docs.preview.example.org"), (200, noindex()));
    let larder = server.larder("delete acme/docs@1 --yes");
    larder.env("LARDER_TOKEN_FILE", &token).ok();
    for _ in 0..2 {
        assert_eq!(see(&server, "v1-docs.preview.example.org"), (410, noindex()));
        assert_eq!(see(&server, "v2-docs.preview.example.org"), (200, noindex()));
        assert_eq!(see(&server, "v3-docs.preview.example.org"), (404, noindex()));
        assert_eq!(see(&server, "docs.example.org"), (200, None));
        server.kill();
        server.address.set_port(crate::support::process::free_port());
        server.restart();
    }
}
