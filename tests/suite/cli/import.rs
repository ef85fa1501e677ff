//! `larder import`: old trees, releases APIs and lists become names, whole, once, and only what agrees with its checksums.

mod flat;
mod github;
mod list;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use larder::domain::Digest;
use serde_json::Value;

use super::fake::{Act, Fake, Request, answer};
use crate::support::process::ServerProcess;

/// Paths and bodies of a file server, which a test may change.
type Site = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A file server; every file is of one day. `instead` may answer otherwise.
fn site(
    files: BTreeMap<String, Vec<u8>>,
    instead: impl Fn(&Request) -> Option<Act> + Send + Sync + 'static,
) -> (Fake, Site) {
    let site: Site = Arc::new(Mutex::new(files));
    let served = Arc::clone(&site);
    let fake = Fake::start(move |request, _| {
        if let Some(act) = instead(request) {
            return act;
        }
        let files = served.lock().unwrap();
        let Some(bytes) = files.get(&request.path) else { return answer(404, &[], b"nothing here") };
        let (length, modified) = (bytes.len().to_string(), ("last-modified", "Wed, 05 Nov 2025 08:00:00 GMT"));
        if request.method == "HEAD" {
            return answer(200, &[modified, ("content-length", &length)], b"");
        }
        match request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()) {
            Some(from) => {
                let from: usize = from;
                let range = format!("bytes {from}-{}/{length}", bytes.len() - 1);
                answer(206, &[modified, ("content-range", &range)], &bytes[from..])
            }
            None => answer(200, &[modified], bytes),
        }
    });
    (fake, site)
}

/// A channel as the old publisher wrote it: files, checksums, `version.json`.
fn channel(path: &str, version: &str, files: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut artifacts = Vec::new();
    for (name, bytes) in files {
        let hex = Digest::of(bytes).hex();
        all.insert(format!("{path}/{name}"), bytes.to_vec());
        all.insert(format!("{path}/{name}.sha256"), format!("{hex}  build/{name}\n").into_bytes());
        artifacts.push(serde_json::json!({"name": name, "sha256": hex, "size": bytes.len()}));
    }
    let document = serde_json::json!({
        "version": version, "commit": "abc1234", "branch": "main", "build_date": "2025-11-05T07:55:00Z",
        "artifacts": artifacts,
    });
    all.insert(format!("{path}/version.json"), document.to_string().into_bytes());
    all
}

/// Writes a site into a directory.
fn write(directory: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (path, bytes) in files {
        let path = directory.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The names of the files of what is active.
fn names(server: &ServerProcess, name: &str) -> Vec<String> {
    let manifest = server.larder(&format!("get {name}")).ok().json();
    manifest["artifacts"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// The codes of all troubles, with the files they are about.
fn troubles(report: &Value) -> Vec<String> {
    let releases = report["releases"].as_array().unwrap().iter();
    let all = releases.flat_map(|release| release["troubles"].as_array().unwrap());
    all.map(|trouble| format!("{} {}", trouble["code"].as_str().unwrap(), trouble["file"].as_str().unwrap_or("-")))
        .collect()
}

/// The actions, one for each release.
fn actions(report: &Value) -> Vec<&str> {
    report["releases"].as_array().unwrap().iter().map(|release| release["action"].as_str().unwrap()).collect()
}
