//! The guide: its configuration is valid, and what it says of hosts is so.

use larder::config::Config;

use crate::readme::{blocks, transcript};
use crate::support::process::ServerProcess;

const GUIDE: &str = include_str!("../../../docs/sites.md");

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
    std::fs::write(file.path(), configuration().replacen("api_hosts = [", own, 1)).unwrap();
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
