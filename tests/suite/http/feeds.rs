//! Lists of releases, and their notes.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{Answer, TestServer, manifest, send};

/// Publishes a version with this label and notes.
async fn release(server: &TestServer, name: &str, label: &str, notes: Option<&str>) -> Value {
    let bytes = format!("{name} {label}");
    server.put_blob(bytes.as_bytes()).await;
    let mut document = manifest(&[("tool-linux-amd64.tar.gz", bytes.as_bytes())]);
    document["version"] = json!(label);
    if let Some(notes) = notes {
        document["metadata"] = json!({ "notes": notes });
    }
    server.put(&format!("/manifests/{name}"), document.to_string()).await.expect(201).json()
}

async fn three() -> TestServer {
    let server = TestServer::start().await;
    release(&server, "acme/tool", "v1.0.0", Some("First.")).await;
    release(&server, "acme/tool", "v1.1.0", None).await;
    release(&server, "acme/tool", "v1.2.0", Some("* Fixes <b>&amp;</b>\n* More")).await;
    server
}

async fn lines(server: &TestServer, path: &str) -> Vec<String> {
    server.get(path).await.expect(200).text().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn labels_are_listed_oldest_first() {
    let server = three().await;
    let text = server.get("/feeds/acme/tool/versions.txt").await.expect(200);
    assert_eq!(text.text(), "v1.0.0\nv1.1.0\nv1.2.0\n");
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(text.header("cache-control"), "no-cache, no-transform");
    assert_eq!(text.header("content-location"), "/feeds/acme/tool@3/versions.txt");
    let again = server.anonymous(Method::GET, "/feeds/acme/tool/versions.txt");
    send(again.header("if-none-match", text.header("etag"))).await.expect(304);
    let json = server.get("/feeds/acme/tool/versions.json").await.expect(200);
    assert_eq!(json.json(), json!({"versions": ["v1.0.0", "v1.1.0", "v1.2.0"]}));
    assert_eq!(lines(&server, "/feeds/acme/tool@2/versions.txt").await, ["v1.0.0", "v1.1.0"]);
    assert!(server.head("/feeds/acme/tool/versions.txt").await.expect(200).body.is_empty());
    server.get("/feeds/acme/tool/other.txt").await.problem(404, "NOT_FOUND");
    server.get("/feeds/acme/none/versions.txt").await.problem(404, "MANIFEST_UNKNOWN");
    server.get("/feeds/acme").await.problem(400, "NAME_INVALID");
    server.delete("/manifests/acme/tool").await.expect(200);
    server.get("/feeds/acme/tool/versions.txt").await.problem(410, "MANIFEST_DELETED");
}

#[tokio::test]
async fn only_what_was_released_under_a_label_is_listed() {
    let server = TestServer::start().await;
    for label in ["v1", "v2", "two words", "line\nbreak", "v2"] {
        release(&server, "main", label, None).await;
        // Other bytes, so that the same label is published again.
        server.publish("main", &[("unlabelled", label.as_bytes())]).await;
    }
    let digest = server.put_blob(b"staged").await;
    let staged = json!({"version": "v3-staged", "artifacts": [{"name": "a", "blob": digest, "size": 6}]});
    server.put("/manifests/main?activate=false", staged.to_string()).await.expect(201);
    assert_eq!(lines(&server, "/feeds/main/versions.txt").await, ["v1", "v2"]);
    server.delete("/manifests/main@1?reason=broken").await.expect(200);
    assert_eq!(lines(&server, "/feeds/main/versions.txt").await, ["v2"]);
}

/// Programs put what is listed behind an `@`: `@2` is the second version, whatever its label is.
#[tokio::test]
async fn every_listed_label_selects_the_version_with_this_label() {
    let server = TestServer::start().await;
    for label in ["v1.0.0", "3", "20261129", "main:abc1234", "a/b", "stable", "1.4", "1.4.0", "nightly"] {
        release(&server, "main", label, None).await;
    }
    let listed = lines(&server, "/feeds/main/versions.txt").await;
    assert_eq!(listed, ["v1.0.0", "1.4.0", "nightly"]);
    for label in listed {
        let answer = server.get(&format!("/manifests/main@{label}")).await.expect(200);
        assert_eq!(answer.header("larder-label"), label);
    }
    assert_eq!(server.get("/feeds/main/index.json").await.json().as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn the_index_has_files_and_digests() {
    let server = three().await;
    let answer = server.get("/feeds/acme/tool/index.json").await.expect(200);
    let entries = answer.json();
    let newest = &entries[0];
    assert_eq!(
        (&newest["version"], &newest["number"], &newest["yanked"]),
        (&json!("v1.2.0"), &json!(3), &json!(false))
    );
    assert_eq!(newest["files"], json!(["tool-linux-amd64.tar.gz"]));
    let digest = larder::domain::Digest::of(b"acme/tool v1.2.0");
    assert_eq!(newest["digests"]["tool-linux-amd64.tar.gz"], json!(digest));
    let file = format!("{}{}", newest["files_url"].as_str().unwrap(), "tool-linux-amd64.tar.gz");
    assert_eq!(file, server.url("/refs/acme/tool@3/tool-linux-amd64.tar.gz"), "addresses are absolute");
    let date = newest["date"].as_str().unwrap();
    assert!(newest["published_at"].as_str().unwrap().starts_with(date) && date.len() == 10);
    let notes = send(server.http.get(newest["notes_url"].as_str().unwrap())).await.expect(200);
    assert!(notes.text().contains("Fixes"));
    assert_eq!(entries.as_array().unwrap().len(), 3);
    assert!(answer.headers.get("link").is_none());
    let older = server.get("/feeds/acme/tool/index.json?before=2").await.expect(200).json();
    assert_eq!((older.as_array().unwrap().len(), &older[0]["version"]), (1, &json!("v1.0.0")));
    server.get("/feeds/acme/tool/index.json?before=x").await.problem(400, "QUERY_INVALID");
}

#[tokio::test]
async fn long_indexes_have_pages() {
    let server = TestServer::start().await;
    for number in 1..=25 {
        release(&server, "main", &format!("v{number}"), None).await;
    }
    let (mut path, mut found, mut pages) = ("/feeds/main/index.json".to_owned(), Vec::new(), 0);
    loop {
        let answer = server.get(&path).await.expect(200);
        let entries = answer.json();
        found.extend(entries.as_array().unwrap().iter().map(|entry| entry["version"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(link) = answer.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
        assert!(link.ends_with("rel=\"next\""), "{link}");
    }
    let expected: Vec<_> = (1..=25).rev().map(|number| format!("v{number}")).collect();
    assert_eq!((found, pages), (expected, 2));
}

#[tokio::test]
async fn a_rollback_makes_no_entry_new() {
    let server = three().await;
    let ids = |answer: &Answer| {
        let text = answer.text();
        let between = |tag: &str| {
            let open = format!("<{tag}>");
            let parts = text.split(&open).skip(1);
            parts.map(|rest| rest.split('<').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (between("id"), between("updated"))
    };
    let before = server.get("/feeds/acme/tool/atom.xml").await.expect(200);
    assert_eq!(before.header("content-type"), "application/atom+xml; charset=utf-8");
    let (found, _) = ids(&before);
    assert_eq!(found.len(), 4);
    assert_eq!(found[0], server.url("/feeds/acme/tool/atom.xml"));
    assert!(found[1].starts_with("tag:127.0.0.1,20") && found[1].ends_with(":acme/tool@3"), "{found:?}");
    let text = before.text();
    assert!(text.contains("* Fixes &lt;b&gt;&amp;amp;&lt;/b&gt;\n* More</content>"), "{text}");
    send(server.request(Method::POST, "/versions/acme/tool@1/promote")).await.expect(200);
    assert_eq!(ids(&server.get("/feeds/acme/tool/atom.xml").await.expect(200)), ids(&before));
}

#[tokio::test]
async fn addresses_begin_with_the_public_url_if_there_is_one() {
    let server = TestServer::with(|config| {
        config.server.public_url = Some("https://example.org/larder".parse().unwrap());
    })
    .await;
    release(&server, "main", "v1", None).await;
    let atom = server.get("/feeds/main/atom.xml").await.expect(200);
    assert_eq!(atom.header("content-location"), "https://example.org/larder/feeds/main@1/atom.xml");
    let text = atom.text();
    assert!(text.contains("<id>tag:example.org,20"), "{text}");
    assert!(text.contains("href=\"https://example.org/larder/versions/main@1\""), "{text}");
    let index = server.get("/feeds/main/index.json").await.expect(200).json();
    assert_eq!(index[0]["files_url"], "https://example.org/larder/refs/main@1/");
}

#[tokio::test]
async fn an_answer_for_one_host_is_not_given_to_another() {
    let server = TestServer::start().await;
    release(&server, "main", "v1", None).await;
    for host in ["one.example", "two.example:8080", "one.example"] {
        for path in ["/feeds/main/atom.xml", "/feeds/main/index.json"] {
            let answer = send(server.anonymous(Method::GET, path).header("host", host)).await.expect(200);
            assert!(answer.text().contains(&format!("http://{host}/")), "{path} {}", answer.text());
        }
    }
}

#[tokio::test]
async fn notes_are_those_of_all_releases_in_between() {
    let server = three().await;
    let all = server.get("/feeds/acme/tool/notes?since=v1.0.0").await.expect(200);
    assert_eq!(all.header("content-type"), "text/markdown; charset=utf-8");
    let text = all.text();
    let headings: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).map(|line| &line[3..9]).collect();
    assert_eq!(headings, ["v1.2.0", "v1.1.0"]);
    assert!(
        text.contains("* Fixes <b>&amp;</b>\n* More\n") && !text.contains("First."),
        "as they were written: {text}"
    );
    assert_eq!(server.get("/feeds/acme/tool/notes?since=1").await.expect(200).text(), text, "a number will do");
    let up_to = server.get("/feeds/acme/tool@2/notes?since=v1.0.0").await.expect(200).text();
    assert!(up_to.starts_with("## v1.1.0 (") && !up_to.contains("v1.2.0"), "{up_to}");
    let own = server.get("/feeds/acme/tool@1/notes").await.expect(200).text();
    assert!(own.starts_with("## v1.0.0 (") && own.ends_with("\n\nFirst.\n\n"), "{own}");
    assert_eq!(server.get("/feeds/acme/tool/notes?since=v1.2.0").await.expect(200).text(), "", "nothing is new");
    server.get("/feeds/acme/tool/notes?since=v9").await.problem(404, "VERSION_UNKNOWN");
    server.get("/feeds/acme/tool@9/notes").await.problem(404, "VERSION_UNKNOWN");
}

#[tokio::test]
async fn long_notes_end_somewhere() {
    let server = TestServer::start().await;
    let notes = "line\n".repeat(12_000);
    for number in 1..=8 {
        release(&server, "main", &format!("v{number}"), Some(&notes)).await;
    }
    let text = server.get("/feeds/main/notes?since=v1").await.expect(200).text();
    assert!(text.len() < 400 << 10, "{}", text.len());
    assert!(text.ends_with("\nNotes of older releases are left out.\n"));
    let atom = server.get("/feeds/main/atom.xml").await.expect(200).text();
    assert!(atom.len() < 400 << 10, "{}", atom.len());
    assert_eq!(atom.matches("<entry>").count(), 8);
}

#[tokio::test]
async fn private_names_keep_their_lists() {
    let server = TestServer::with(|config| {
        let matches = vec!["main".parse().unwrap()];
        let read = Some(larder::domain::Reads::Token);
        config.names = vec![larder::config::NameRule { matches, read, ..Default::default() }];
    })
    .await;
    release(&server, "main", "v1", None).await;
    for format in ["versions.txt", "versions.json", "index.json", "atom.xml", "notes"] {
        let path = format!("/feeds/main/{format}");
        let own = send(server.request(Method::GET, &path)).await.expect(200);
        assert!(own.header("cache-control").starts_with("private"), "{format}");
        server.get(&path).await.expect(401);
    }
}
