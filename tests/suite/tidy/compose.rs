//! `config/compose.yaml` and what belongs to it: what can be said of them without containers.

use std::collections::BTreeMap;

use larder::config::{Config, Store, load};

use super::read;

/// The values that `compose.env.example` asks for, as somebody fills them in.
fn filled_in() -> BTreeMap<String, String> {
    let example = read("config/compose.env.example");
    let names = example.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let names = names.map(|line| line.strip_suffix('=').unwrap_or_else(|| panic!("{line:?} gives a secret away")));
    names.map(|name| (name.to_owned(), "0123456789abcdef".repeat(4))).collect()
}

/// The text with `${NAME:?…}` filled in, and nothing left that is to be.
fn interpolated() -> String {
    let mut text = read("config/compose.yaml").replace("$$", "\0");
    let values = filled_in();
    while let Some(start) = text.find("${") {
        let end = start + text[start..].find('}').expect("a closing brace");
        let (name, message) = text[start + 2..end].split_once(":?").expect("a variable that must be set");
        assert!(!message.is_empty());
        let value = values.get(name).unwrap_or_else(|| panic!("compose.env.example does not ask for {name}")).clone();
        text.replace_range(start..=end, &value);
    }
    assert!(!text.contains('$'), "a $ that compose would take for a variable");
    text.replace('\0', "$")
}

/// A line as a mapping's entry.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once(": ")?;
    Some((key, value.trim_matches(['"', '\''])))
}

/// The blocks below `services:` or at the top level, by their names.
fn blocks(text: &str, indent: usize) -> BTreeMap<String, Vec<String>> {
    let (mut found, mut current) = (BTreeMap::<String, Vec<String>>::new(), None);
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        let depth = line.len() - line.trim_start().len();
        if depth < indent {
            current = None;
        } else if depth == indent {
            current = line.trim().split(':').next().map(str::to_owned);
        }
        if let Some(name) = &current {
            found.entry(name.clone()).or_default().push(line.to_owned());
        }
    }
    found
}

fn services() -> BTreeMap<String, Vec<String>> {
    let text = interpolated();
    let (_, services) = text.split_once("\nservices:\n").expect("services");
    blocks(services.split("\nvolumes:\n").next().unwrap(), 2)
}

#[test]
fn every_key_in_it_is_one_that_the_server_knows() {
    let text = interpolated();
    let variables: Vec<(String, String)> = text
        .lines()
        .filter_map(entry)
        .filter(|(key, _)| key.starts_with("LARDER__"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    assert!(variables.len() >= 6, "{variables:?}");
    let config: Config = load(None, variables).unwrap();
    let Store::S3(bucket) = config.store else { panic!("not a bucket") };
    assert_eq!((bucket.bucket.as_str(), bucket.endpoint.as_deref()), ("larder", Some("http://engine:9000")));
    assert_eq!(config.access.tokens.len(), 1);
    let patience = config.server.drain_delay.std() + config.server.drain_timeout.std();
    assert!(text.contains("stop_grace_period: 40s") && patience.as_secs() < 40, "{patience:?}");
}

#[test]
fn what_servers_are_told_is_what_the_others_are_told() {
    let (text, services) = (interpolated(), services());
    let of = |service: &str, wanted: &str| {
        let block: &Vec<String> = services.get(service).unwrap_or_else(|| panic!("no service {service}"));
        assert!(block.iter().any(|line| line.contains(wanted)), "{service} has no {wanted}: {block:#?}");
    };
    for server in ["larder-1", "larder-2"] {
        of(server, "<<: *larder");
        assert!(read("config/Caddyfile").contains(&format!("{server}:8080")), "{server} gets no requests");
    }
    of("engine", "RUSTFS_ADDRESS: \":9000\"");
    of("bucket", "http://engine:9000/larder");
    // The image's command keeps everything in /data, which is gone with the container.
    assert!(text.contains("command: [serve, --listen, \"0.0.0.0:8080\"]"));
    assert!(text.contains("test: [CMD, larder, healthcheck, --url, \"http://127.0.0.1:8080/readyz\"]"));
    assert!(read("config/Caddyfile").contains("health_uri /readyz"));
}

#[test]
fn everything_in_it_is_confined_restarted_and_asked_how_it_is() {
    let text = interpolated();
    let top = blocks(&text, 0);
    for wanted in ["read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", "restart: unless-stopped"] {
        assert!(top["x-hardened"].iter().any(|line| line.contains(wanted)), "{wanted}");
    }
    let larder = top["x-larder"].concat();
    assert!(
        larder.contains("<<: *hardened") && larder.contains("healthcheck:") && larder.contains("user: \"65532:65532\"")
    );
    for (name, block) in services() {
        let block = block.concat();
        if block.contains("<<: *larder") {
            continue;
        }
        assert!(block.contains("<<: *hardened"), "{name}");
        assert!(block.contains("user: \"") && !block.contains("user: \"0"), "{name} runs as root");
        assert!(block.contains("healthcheck:") || name == "bucket", "{name} is not asked how it is");
        let image = block.split("image: ").nth(1).unwrap().split_whitespace().next().unwrap();
        assert!(image.split_once(':').is_some_and(|(_, tag)| tag.starts_with(|c: char| c.is_ascii_digit())), "{image}");
    }
}

#[test]
fn it_is_yaml_as_far_as_a_reader_of_lines_can_tell() {
    for line in read("config/compose.yaml").lines() {
        let depth = line.len() - line.trim_start().len();
        assert!(!line.contains('\t') && depth % 2 == 0 && line.trim_end() == line, "{line:?}");
    }
    assert!(read(".gitignore").lines().any(|line| line == "/config/compose.env"), "secrets could be committed");
}

#[test]
fn what_the_load_balancer_is_told_is_in_balance() {
    let caddyfile = read("config/Caddyfile");
    let count = |letter| caddyfile.matches(letter).count();
    assert_eq!(count('{'), count('}'));
    assert!(!caddyfile.contains("request_buffers"), "bodies would be held");
}
