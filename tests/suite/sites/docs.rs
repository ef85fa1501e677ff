//! The guide: its configuration is valid, and what it says of hosts is so.

use larder::config::Config;

#[test]
fn the_configuration_of_the_guide_is_valid() {
    let guide = include_str!("../../../docs/sites.md");
    let block = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config: Config = toml::from_str(block).unwrap();
    config.validate().unwrap();
    let hosts = format!("{:?}", config.hosts().find(Some("live-przs1234.pr.example.org")));
    assert!(hosts.contains("pulls"), "{hosts}");
    assert!(config.hosts().has_certificate("docs.example.org"));
}
