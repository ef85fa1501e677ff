//! The guide: its configuration is valid, and what it says of hosts is so.

use std::fs;
use std::path::Path;

use larder::config::Config;
use serde_json::json;

use super::{ADMIN, Sites};
use crate::readme::{blocks, transcript};
use crate::support::dns::NameServer;
use crate::support::process::ServerProcess;

const GUIDE: &str = include_str!("../../../docs/sites.md");
const COMPLAINTS: &str = include_str!("../../../docs/sites-complaints.md");

/// The configuration of the guide.
fn configuration() -> &'static str {
    GUIDE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn the_configuration_of_the_guide_is_valid() {
    let config: Config = toml::from_str(configuration()).unwrap();
    config.validate().unwrap();
    let hosts = format!("{:?}", config.hosts().find(Some("live-przs1234.pr.example.org")));
    assert!(hosts.contains("pulls"), "{hosts}");
    assert!(config.hosts().has_certificate("docs.example.org"));
}

#[test]
#[ignore = "needs bash: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
fn the_commands_of_the_guide_publish_a_site() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let own = "api_hosts = [\"127.0.0.1\", ";
    fs::write(file.path(), configuration().replacen("api_hosts = [", own, 1)).unwrap();
    let server = ServerProcess::with(&format!("--config {}", file.path().display()));
    let (url, token) = (server.url(), server.token_file());
    let setting = format!("export LARDER_SERVER={url} LARDER_TOKEN_FILE={}", token.display());
    let shown = transcript(&format!("{setting}\n{}", blocks(GUIDE, "sh walkthrough").join("\n")));
    for text in [
        "acme/docs@1 sha256:",
        "\"of\": \"assets/app-CjL4fkWS.js\"",
        "\"fallback\": \"index.html\"",
        "  live   configuration",
        "\nhttps://v1-docs.preview.example.org/\n",
        "\nhttps://docs.example.org/\n",
        "Clients keep these files for a year",
        "assets/app-CjL4fkWS.js (version 1)",
        "acme/docs@2 sha256:",
    ] {
        assert!(shown.contains(text), "{text:?} is missing in\n{shown}");
    }
}

/// `sites::paths::NAME` is in `tests/suite/sites/paths.rs`, `domain::x::tests::NAME` in `src/domain/x.rs` or below it.
fn is_there(test: &str) -> bool {
    let (module, name) = test.rsplit_once("::").unwrap();
    let module = module.replace("::", "/");
    let (root, files) = (Path::new(env!("CARGO_MANIFEST_DIR")), [module.as_str(), module.trim_end_matches("/tests")]);
    let places = files.iter().flat_map(|file| ["src", "tests/suite"].map(|top| root.join(top).join(file)));
    let texts = places.filter_map(|place| fs::read_to_string(place.with_extension("rs")).ok());
    texts.into_iter().any(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn every_complaint_names_tests_that_there_are() {
    let rows: Vec<&str> =
        COMPLAINTS.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).collect();
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!((cells.len(), cells[0]), (5, &*(at + 1).to_string()), "{row}");
        let tests: Vec<&str> = cells[3].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{row}");
        for test in tests {
            assert!(is_there(test), "{test}");
        }
    }
    assert_eq!(rows.len(), 28);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs bash and curl: .ci/run installs it and runs this; by hand: cargo test -- --ignored"]
async fn the_commands_of_the_guide_attach_a_domain() {
    let dns = NameServer::start().await;
    let sites = Sites::with(|config| config.domains.name_servers = vec![dns.address]).await;
    sites.publish("acme/shop", &[("index.html", "the shop")], json!({})).await;
    let setting = format!("export LARDER_SERVER={} LARDER_TOKEN='{ADMIN}'", sites.0.url(""));
    let run = async |block: &str| {
        let script = format!("{setting}\n{block}");
        tokio::task::spawn_blocking(move || transcript(&script)).await.unwrap()
    };
    let steps = blocks(GUIDE, "sh domains");
    let claimed = run(steps[0]).await;
    let text = claimed.split("\"text\":\"").nth(1).unwrap().split('"').next().unwrap();
    dns.set("_larder-challenge.shop.example.com", &[text]);
    let verified = run(steps[1]).await;
    assert!(verified.contains("\"state\":\"live\"") && verified.contains("the shop"), "{verified}");
    let pointed = run(steps[2]).await;
    assert!(pointed.contains("\"action\":\"point\"") && pointed.contains("the new one is broken"), "{pointed}");
    assert_eq!(sites.get("shop.example.com", "/").await.status, 421);
}
