//! `larder import github`

use larder::clock::{Clock as _, SystemClock};
use larder::domain::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{actions, names, troubles};
use crate::cli::fake::{Act, Fake, answer};
use crate::support::process::ServerProcess;

const TOKEN: &str = "hub-secret-token";

fn asset(files: &Fake, api: &str, name: &str, bytes: &[u8], digest: Option<&[u8]>) -> Value {
    json!({
        "name": name, "size": bytes.len(), "state": "uploaded", "content_type": "application/zip",
        "digest": digest.map(|of| Digest::of(of).to_string()),
        "url": format!("{api}/asset/{name}"), "browser_download_url": format!("{}/{name}", files.url()),
    })
}

fn release(tag: &str, day: u32, more: &Value, assets: &[Value]) -> Value {
    let mut release = json!({
        "tag_name": tag, "name": format!("Release {tag}"), "draft": false, "prerelease": false, "target_commitish": "main",
        "html_url": format!("https://hub.example.org/o/r/releases/tag/{tag}"), "assets": assets,
        "published_at": format!("2025-10-{day:02}T10:00:00Z"),
    });
    release.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    release
}

/// The host of the files: each has its own name as content.
fn files() -> Fake {
    Fake::start(|request, _| answer(200, &[], request.path.trim_start_matches('/').as_bytes()))
}

/// An API with two pages. Its own addresses of assets lead on to the other host, as those of large ones do.
fn api(files: &Fake, first: impl Fn(&str) -> Value, second: impl Fn(&str) -> Value) -> Fake {
    let (base, host) = (std::sync::Arc::new(std::sync::OnceLock::<String>::new()), files.url());
    let (own, pages) = (base.clone(), [first("API"), second("API")]);
    let api = Fake::start(move |request, _| {
        let own = own.get().unwrap();
        if let Some(name) = request.path.strip_prefix("/asset/") {
            return answer(302, &[("location", &format!("{host}/{name}"))], b"");
        }
        let page = usize::from(request.path.ends_with("page=2"));
        let body = pages[page].to_string().replace("API", own);
        let link = format!("<{own}/repos/o/r/releases?per_page=100&page=2>; rel=\"next\"");
        let headers: &[(&str, &str)] = if page == 0 { &[("link", &link)] } else { &[] };
        answer(200, headers, body.as_bytes())
    });
    base.set(api.url()).unwrap();
    api
}

#[test]
fn releases_of_all_pages_become_names_with_their_tags_and_times() {
    let (server, files) = (ServerProcess::start(), files());
    let api = api(
        &files,
        |api| {
            json!([
                release(
                    "v3",
                    3,
                    &json!({"draft": true, "published_at": null}),
                    &[asset(&files, api, "d", b"d", Some(b"d"))]
                ),
                release("v2-rc", 2, &json!({"prerelease": true}), &[asset(&files, api, "c", b"c", Some(b"c"))]),
            ])
        },
        |api| {
            json!([release(
                "v1",
                1,
                &json!({}),
                &[
                    asset(&files, api, "a", b"a", Some(b"a")),
                    // Of the time before there were digests.
                    asset(&files, api, "old", b"old", None),
                ]
            )])
        },
    );
    let run = |more: &str| server.larder(&format!("import github o/r --api {} --json {more}", api.url())).ok().json();
    assert_eq!(actions(&run("")), ["imported"]);
    assert_eq!(names(&server, "r/v1"), ["a", "old"]);
    let row = server.larder("versions r/v1@active --json").ok().json();
    assert_eq!((&row["label"], &row["from"]["published_at"]), (&json!("v1"), &json!("2025-10-01T10:00:00Z")));
    assert_eq!(row["from"]["url"], "https://hub.example.org/o/r/releases/tag/v1");
    assert_eq!(actions(&run("--prereleases --drafts")), ["present", "imported", "imported"]);
    // Readers see no draft.
    assert_eq!(server.states("r/v3"), ["ready"]);
    server.larder("get r/v3").exits(3);
    assert_eq!(actions(&run("--prereleases --drafts")), ["present"; 3]);
    assert_eq!(run("--tag v2-rc,none")["releases"], json!([]));
}

#[test]
fn a_file_that_has_not_the_digest_of_the_api_is_left_out() {
    let (server, files) = (ServerProcess::start(), files());
    let api = api(
        &files,
        |api| {
            json!([release(
                "v1",
                1,
                &json!({}),
                &[
                    asset(&files, api, "good", b"good", Some(b"good")),
                    asset(&files, api, "torn", b"torn", Some(b"evil")),
                ]
            )])
        },
        |_| json!([release("v1.0+build", 2, &json!({}), &[])]),
    );
    let output = server.larder(&format!("import github o/r --name tools --api {} --json", api.url())).exits(8);
    let report = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(troubles(&report), ["TORN_PAIR torn", "NAME_INVALID -"]);
    assert_eq!(names(&server, "tools/v1"), ["good"]);
}

#[test]
fn the_token_goes_to_the_api_only_and_is_never_shown() {
    let (server, files) = (ServerProcess::start(), files());
    let api = api(
        &files,
        |api| json!([release("v1", 1, &json!({}), &[asset(&files, api, "a", b"a", Some(b"a"))])]),
        |_| json!([]),
    );
    let command = format!("import github o/r --api {} --json", api.url());
    let output = server.larder(&command).env("LARDER_IMPORT_TOKEN", TOKEN).env("LARDER_LOG", "trace").ok();
    assert!(!output.stdout.contains(TOKEN) && !output.stderr.contains(TOKEN), "{output:#?}");
    let bearer = format!("Bearer {TOKEN}");
    assert!(api.requests().iter().all(|request| request.header("authorization") == Some(&bearer)));
    assert!(!files.requests().is_empty());
    assert!(files.requests().iter().all(|request| request.header("authorization").is_none()));
    // The token of the environment for GitHub is not for another API.
    let before = api.requests().len();
    server.larder(&command).env("GITHUB_TOKEN", TOKEN).ok();
    assert!(api.requests()[before..].iter().all(|request| request.header("authorization").is_none()));
    let file = TempDir::new().unwrap();
    std::fs::write(file.path().join("token"), TOKEN).unwrap();
    server.larder(&format!("{command} --api-token-file token")).within(&file).exits(4).says("chmod 600");
}

fn limited(seconds: i64) -> Act {
    let reset = (SystemClock.now().as_second() + seconds).to_string();
    answer(
        403,
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &reset)],
        br#"{"message":"API rate limit exceeded"}"#,
    )
}

#[test]
fn rate_limits_are_waited_out_if_that_does_not_take_too_long() {
    let server = ServerProcess::start();
    let api = Fake::start(|_, before| if before == 0 { limited(1) } else { answer(200, &[], b"[]") });
    server.larder(&format!("import github o/r --api {}", api.url())).ok().says("rate limit");
    let requests = api.requests();
    assert_eq!(requests.len(), 2);
    assert!((requests[1].at - requests[0].at).as_millis() >= 1000);
    let api = Fake::start(|_, _| limited(3600));
    let output = server.larder(&format!("import github o/r --api {} --json", api.url())).exits(7);
    assert_eq!(output.error()["code"], "RATE_LIMITED");
    assert_eq!(api.requests().len(), 1);
}

#[test]
fn what_is_wrong_with_the_api_is_said() {
    let server = ServerProcess::start();
    for (status, body, exit, said) in [
        (404, "{}", 3, "There is no repository o/r"),
        (401, r#"{"message":"Bad credentials"}"#, 1, "Bad credentials"),
        (200, "<html>", 1, "is no page of releases"),
    ] {
        let api = Fake::start(move |_, _| answer(status, &[], body.as_bytes()));
        server.larder(&format!("import github o/r --api {}", api.url())).exits(exit).says(said);
    }
}
