//! Files for container clients, and what they push for everybody else.

use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};

use super::image::{EMPTY, INDEX, Image, MANIFEST, descriptor};
use super::registry::Registry;
use crate::support::process::{Larder, larder};
use crate::support::server::{TestServer, send};

const TITLE: &str = "org.opencontainers.image.title";
const BROWSER: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

/// An artifact of files, as oras pushes them.
fn artifact(files: &[(&str, &str)]) -> Image {
    let layer = |(title, text): &(&str, &str)| {
        let mut layer = descriptor("text/plain", text.as_bytes());
        layer["annotations"] = json!({ TITLE: title });
        layer
    };
    let layers: Vec<Value> = files.iter().map(layer).collect();
    let mut artifact = Image::artifact(b"", &json!({"layers": layers}));
    artifact.blobs = files.iter().map(|(_, text)| text.as_bytes().to_vec()).chain([b"{}".to_vec()]).collect();
    artifact
}

/// Two tools of one name, for amd64 and arm64.
fn tools() -> Image {
    Image::index(
        vec![artifact(&[("tool", "for amd64"), ("LICENSE", "free")]), artifact(&[("tool", "for arm64")])],
        &json!({}),
    )
}

/// Publishes in the native way, everything before what names it.
async fn publish(server: &TestServer, name: &str, image: &Image) {
    for one in image.all() {
        for blob in one.blobs.iter().chain([&one.manifest]) {
            server.put_blob(blob).await;
        }
    }
    server.put(&format!("/manifests/{name}"), image.manifest.clone()).await.expect(201);
}

/// What a path of files leads to.
async fn follow(server: &TestServer, path: &str) -> String {
    let redirect = send(server.anonymous(Method::GET, path)).await.expect(307);
    server.get(redirect.header("location")).await.expect(200).text()
}

/// A command that asks this server, without stopping it from answering.
fn command(server: &TestServer, arguments: &str) -> Larder {
    larder(arguments).env("LARDER_SERVER", server.url("")).env("LARDER_TOKEN", &server.token)
}

#[tokio::test]
async fn files_that_container_clients_push_are_files_for_everybody() {
    let server = TestServer::start().await;
    let image = artifact(&[("notes.txt", "notes"), ("../evil", "x"), ("dir/b c", "b")]);
    let image = image.with(&json!({"annotations": {"org.opencontainers.image.version": "1.2"}}));
    Registry::of(&server).push("team/docs", "v1", &image).await;
    assert_eq!(follow(&server, "/refs/team/docs/v1/notes.txt").await, "notes");
    assert_eq!(follow(&server, "/refs/team/docs/v1@1/dir/b%20c").await, "b");
    server.get("/refs/team/docs/v1@1/evil").await.problem(404, "FILE_UNKNOWN");
    let sums = server.get("/refs/team/docs/v1/SHA256SUMS").await.expect(200).text();
    assert_eq!(sums, format!("{}  dir/b c\n{}  notes.txt\n", Digest::of(b"b").hex(), Digest::of(b"notes").hex()));
    let sum = server.get("/refs/team/docs/v1/notes.txt.sha256").await.expect(200).text();
    assert_eq!(sum, format!("{}  notes.txt\n", Digest::of(b"notes").hex()));
    let row = server.get("/versions/team/docs/v1@1").await.expect(200).json();
    assert_eq!((&row["kind"], &row["label"], &row["version_number"]), (&json!("oci"), &json!("1.2"), &json!(1)));
    assert_eq!(row["artifact_sha256"], image.digest().hex());
    assert_eq!(row["artifact_manifest"], json!({"files": 2, "total_bytes": 2 + 5 + 1 + 1, "entrypoint": null}));
}

#[tokio::test]
async fn the_native_surface_takes_images_by_their_shape() {
    let server = TestServer::start().await;
    let image = Image::of("hello");
    server.put("/manifests/team/app/v0", image.manifest.clone()).await.problem(409, "MANIFEST_BLOB_UNKNOWN");
    publish(&server, "team/app/v1", &image).await;
    let got = send(server.anonymous(Method::GET, "/manifests/team/app/v1").header("accept", "application/json")).await;
    let got = got.expect(200);
    assert_eq!((got.header("content-type"), &got.body), (MANIFEST, &image.manifest));
    assert_eq!(server.head("/manifests/team/app/v1").await.expect(200).header("content-type"), MANIFEST);
    Registry::of(&server).assert_pulls("team/app", "v1", &image).await;
    server.post("/versions/team/app/v1@1/copy", &json!({"to": "team/app/latest"})).await.expect(201);
    Registry::of(&server).assert_pulls("team/app", "latest", &image).await;
    let row = server.get("/versions/team/app/v1@1").await.json();
    let bytes: usize = image.blobs.iter().map(Vec::len).sum();
    assert_eq!(row["artifact_manifest"], json!({"files": 0, "total_bytes": bytes, "entrypoint": null}));
    // An index calls a text a manifest.
    let text = server.put_blob(b"no manifest").await;
    let child = json!({"mediaType": MANIFEST, "digest": text, "size": 11});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}).to_string();
    let problem = server.put("/manifests/team/app/v2", index).await.problem(422, "MANIFEST_INVALID");
    assert!(problem["detail"].as_str().unwrap().contains(&text.to_string()), "{problem}");
    let old = json!({"schemaVersion": 1, "mediaType": EMPTY, "fsLayers": []}).to_string();
    server.put("/manifests/team/app/v2", old).await.problem(400, "MANIFEST_INVALID");
}

#[tokio::test]
async fn an_index_has_the_files_of_its_manifests_by_platform() {
    let server = TestServer::start().await;
    publish(&server, "team/tools/v1", &tools()).await;
    for (path, text) in [
        ("/refs/team/tools/v1/tool", "for amd64"),
        ("/refs/team/tools/v1/LICENSE", "free"),
        ("/refs/team/tools/v1@1/linux-arm64/tool", "for arm64"),
        ("/refs/team/tools/v1@1/linux-amd64/tool", "for amd64"),
        ("/refs/team/tools/v1?os=linux&arch=arm64", "for arm64"),
    ] {
        assert_eq!(follow(&server, path).await, text, "{path}");
    }
    let sums = server.get("/refs/team/tools/v1/SHA256SUMS").await.text();
    assert!(sums.contains("  linux-amd64/tool\n") && sums.contains("  linux-arm64/tool\n"), "{sums}");
    let row = server.get("/versions/team/tools/v1@1").await.json();
    let bytes = "for amd64".len() + "free".len() + "{}".len() + "for arm64".len() + "{}".len();
    assert_eq!(row["artifact_manifest"], json!({"files": 3, "total_bytes": bytes, "entrypoint": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_reads_what_container_clients_push() {
    let server = TestServer::start().await;
    publish(&server, "team/tools/v1", &tools()).await;
    publish(&server, "team/docs/v1", &artifact(&[("notes.txt", "one")])).await;
    publish(&server, "team/docs/v1", &artifact(&[("notes.txt", "two"), ("more.txt", "more")])).await;
    Registry::of(&server).push("team/image", "v1", &Image::of("an image")).await;
    tokio::task::block_in_place(|| {
        let output = tempfile::tempdir().unwrap();
        command(&server, "fetch team/tools/v1").within(&output).ok();
        for (file, text) in [("linux-amd64/tool", "for amd64"), ("linux-arm64/tool", "for arm64"), ("LICENSE", "free")]
        {
            assert_eq!(std::fs::read_to_string(output.path().join(file)).unwrap(), text, "{file}");
        }
        assert_eq!(command(&server, "get team/tools/v1 tool").ok().stdout, "for amd64");
        assert_eq!(command(&server, "get team/tools/v1 linux-arm64/tool").ok().stdout, "for arm64");
        assert_eq!(command(&server, "get team/tools/v1 --os linux --arch arm64").ok().stdout, "for arm64");
        let manifest = command(&server, "get team/docs/v1").ok().stdout;
        assert!(manifest.contains("\"schemaVersion\":2"), "{manifest}");
        let diff = command(&server, "diff team/docs/v1@1 2").ok().stdout;
        assert!(diff.contains("more.txt") && diff.contains("notes.txt"), "{diff}");
        let listed = command(&server, "ls --long").ok().stdout;
        assert!(listed.contains("team/docs/v1") && listed.contains("team/tools/v1"), "{listed}");
        let versions = command(&server, "versions team/docs/v1@2").ok().stdout;
        assert!(versions.contains("oci") && versions.contains("2 files"), "{versions}");
        let nothing = "team/image/v1 has no files with names; container clients pull it";
        let fetched = command(&server, "fetch team/image/v1").within(&output).ok();
        assert!(fetched.stderr.contains(nothing), "{}", fetched.stderr);
        let refused = command(&server, "get team/image/v1 tool").exits(3).stderr;
        assert!(refused.contains("has no file tool. It has no files with names"), "{refused}");
        command(&server, "copy team/docs/v1@1 team/docs/old").ok();
        assert_eq!(command(&server, "get team/docs/old notes.txt").ok().stdout, "one");
    });
}

#[tokio::test]
async fn pages_say_how_container_clients_get_a_version() {
    let server = TestServer::start().await;
    publish(&server, "team/app/v1", &Image::layered("arm64", &["one", "two"])).await;
    publish(&server, "team/all/v1", &Image::index(vec![Image::of("a"), Image::of("b")], &json!({}))).await;
    publish(&server, "team/docs/v1", &artifact(&[("notes.txt", "notes")])).await;
    server.publish("team/files/v1", &[("a.txt", b"a")]).await;
    server.publish("single", &[("a.txt", b"a")]).await;
    let page =
        async |path: &str| send(server.anonymous(Method::GET, path).header("accept", BROWSER)).await.expect(200).text();
    let host = server.address;
    let layers = page("/versions/team/app/v1@1").await;
    assert!(layers.contains(&format!("docker pull {host}/team/app:v1")), "{layers}");
    assert!(layers.contains(&format!("docker pull {host}/team/app@sha256:")), "{layers}");
    assert!(
        layers.contains("Contents") && layers.contains("vnd.oci.image.layer.v1.tar") && !layers.contains("SHA256SUMS")
    );
    let platforms = page("/versions/team/all/v1@1").await;
    assert!(platforms.contains("linux/amd64") && platforms.contains("linux/arm64"), "{platforms}");
    let files = page("/versions/team/docs/v1").await;
    assert!(files.contains("notes.txt") && files.contains(&format!("oras pull {host}/team/docs:v1")), "{files}");
    let release = page("/versions/team/files/v1@1").await;
    let rendering = Registry::of(&server).get("/v2/team/files/manifests/v1").await.expect(200);
    let line = format!("oras pull {host}/team/files@{}", rendering.header("docker-content-digest"));
    assert!(release.contains(&line), "{line} in {release}");
    assert!(!page("/versions/single@1").await.contains("oras pull"));
}

#[tokio::test]
async fn a_release_that_went_through_other_registries_is_the_same_release() {
    let server = TestServer::start().await;
    let receipt = server.publish("team/files/v1", &[("a.txt", b"a"), ("dir/b", b"b")]).await;
    let registry = Registry::of(&server);
    let rendering = registry.get("/v2/team/files/manifests/v1").await.expect(200);
    assert_eq!(rendering.header("content-type"), MANIFEST);
    let digest = rendering.header("docker-content-digest");
    assert_eq!(digest, Digest::of(&rendering.body).to_string());
    registry.get(&format!("/v2/team/files/manifests/{digest}")).await.expect(200);
    registry.put_manifest("other/files", "v1", MANIFEST, &rendering.body).await.expect(201);
    let row = server.get("/versions/other/files/v1@1").await.json();
    assert_eq!((&row["manifest"], &row["kind"]), (&receipt["manifest"], &json!("files")));
    assert_eq!(follow(&server, "/refs/other/files/v1@1/dir/b").await, "b");
    // With a byte more it is an artifact like others.
    let spaced = String::from_utf8(rendering.body.clone()).unwrap().replacen(':', ": ", 1);
    registry.put_manifest("other/files", "v2", MANIFEST, spaced.as_bytes()).await.expect(201);
    let row = server.get("/versions/other/files/v2@1").await.json();
    assert_eq!((&row["kind"], &row["artifact_manifest"]["files"]), (&json!("oci"), &json!(2)));
}
