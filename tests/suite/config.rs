//! The files in `config/`: they must say what the code does.

use std::fs;
use std::path::{Path, PathBuf};

use larder::config::{Bucket, Config, NameRule, Size, Store, Token, load};
use larder::domain::NamePolicy;
use toml::{Table, Value};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn default_toml() -> String {
    fs::read_to_string(directory().join("default.toml")).unwrap()
}

/// The file with its commented-out settings switched on: `#key`, as opposed to `# prose`.
fn uncommented(text: &str) -> String {
    let is_setting = |line: &str| line.starts_with('#') && !line[1..].is_empty() && !line[1..].starts_with(' ');
    text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

/// Every key below `value`, as `section.key`. Keys of the tables in a list count as keys below the list.
fn keys(prefix: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                found.push(path.clone());
                keys(&path, value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|item| keys(prefix, item, found)),
        _ => {}
    }
}

#[test]
fn default_toml_is_the_default() {
    let parsed = load(Some(&directory().join("default.toml")), []).unwrap();
    assert_eq!(parsed, Config::default());
}

#[test]
fn default_toml_shows_every_key_there_is() {
    let mut config = Config::default();
    // Lists are empty by default; one entry each makes their keys visible.
    let token = "id = 'x'\nsha256 = 'x'\nactions = ['admin']\nsurfaces = ['x']\nuntil = 2040-01-01T00:00:00Z";
    config.access.tokens.push(toml::from_str::<Token>(token).unwrap());
    let issuer = "id = 'x'\nkind = 'github'\nurl = 'x'";
    config.access.issuers.push(toml::from_str(issuer).unwrap());
    let rule = "id = 'x'\nissuer = 'x'\naudience = ['x']\njti = 'once'\nclaims = { repository_id = '1' }\n\
                grants = [{ actions = ['publish'], names = ['x'], surfaces = ['x'] }]";
    config.access.rules.push(toml::from_str(rule).unwrap());
    config.access.audience = Some("x".to_owned());
    config.names.push(NameRule::setting_all(vec!["**".parse().unwrap()], &NamePolicy::default()));
    let assets = "deprecated = 2040-01-01T00:00:00Z\nsunset = 2040-01-01T00:00:00Z\n[[paths]]\nname = 'x'\naliases = { 'runtime-' = 'miren-' }";
    config.assets = toml::from_str(assets).unwrap();
    let site = "id = 'x'\nhosts = ['a']\nredirect_hosts = ['b']\nname = 'x'\nnames = ['x']\n[previews]\ndomain = 'c'";
    config.sites.push(toml::from_str(site).unwrap());
    let mut wanted = Vec::new();
    keys("", &Value::try_from(&config).unwrap(), &mut wanted);
    assert!(wanted.iter().any(|key| key == "names.prepared_for"), "{wanted:?}");

    let mut shown = Vec::new();
    keys("", &Value::Table(uncommented(&default_toml()).parse::<Table>().unwrap()), &mut shown);
    let missing: Vec<_> = wanted.iter().filter(|key| !shown.contains(key)).collect();
    assert!(missing.is_empty(), "config/default.toml does not show {missing:?}");
}

#[test]
fn the_rule_in_default_toml_sets_what_holds_without_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), uncommented(&default_toml()).replace("api_hosts = []", "api_hosts = [\"example.org\"]"))
        .unwrap();
    let rules = load(Some(file.path()), []).unwrap().names;
    assert_eq!(rules, [NameRule::setting_all(vec!["nightly/**".parse().unwrap()], &NamePolicy::default())]);
}

#[test]
fn the_settings_that_are_commented_out_are_valid() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Sites need hosts for the interface, none of which is the default.
    let hosts = "api_hosts = [\"example.org\"]";
    fs::write(file.path(), uncommented(&default_toml()).replace("api_hosts = []", hosts)).unwrap();
    let config = load(Some(file.path()), []).unwrap();
    assert_eq!((config.access.tokens.len(), config.names.len()), (1, 1));
}

/// The `[store]` section for a bucket, which `default.toml` describes in lines that begin with `#` and three spaces.
fn bucket_section() -> String {
    let lines = default_toml().lines().filter_map(|line| line.strip_prefix("#   ")).collect::<Vec<_>>().join("\n");
    format!("[store]\n{lines}\n")
}

#[test]
fn default_toml_describes_every_key_of_a_bucket_with_its_default() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bucket_section()).unwrap();
    let Store::S3(described) = load(Some(file.path()), []).unwrap().store else { panic!("not a bucket") };
    let without_default = Bucket {
        bucket: "releases".to_owned(),
        prefix: "larder".to_owned(),
        region: Some("eu-central-1".to_owned()),
        endpoint: Some("https://s3.example.org".to_owned()),
        path_style: Some(true),
        sign_bodies: Some(true),
        ..Bucket::default()
    };
    assert_eq!(*described, without_default);

    let mut wanted = Vec::new();
    keys("", &Value::try_from(Store::S3(described)).unwrap(), &mut wanted);
    let mut shown = Vec::new();
    keys("", &bucket_section().parse::<Table>().unwrap()["store"], &mut shown);
    assert_eq!(wanted.len(), 17, "{wanted:?}");
    assert!(wanted.iter().all(|key| shown.contains(key)), "{wanted:?}");
}

#[test]
fn all_problems_with_a_bucket_are_named_at_once() {
    let bad = Bucket {
        bucket: "a/b".to_owned(),
        prefix: "/larder".to_owned(),
        endpoint: Some("s3.example.org".to_owned()),
        part_size: Size::from_bytes(1),
        parts_at_once: 0,
        memory: Size::from_bytes(0),
        give_up_after: "0s".parse().unwrap(),
        ..Bucket::default()
    };
    let config = Config { store: Store::S3(Box::new(bad)), ..Config::default() };
    let problems = config.validate().unwrap_err();
    for key in ["bucket", "prefix", "endpoint", "part_size", "parts_at_once", "memory", "give_up_after"] {
        assert!(problems.iter().any(|problem| problem.starts_with(&format!("store.{key} "))), "{key}: {problems:#?}");
    }
    assert_eq!(problems.len(), 7, "{problems:#?}");
}

#[test]
fn a_bucket_can_be_configured_by_variables_alone() {
    let variables =
        [("TYPE", "s3"), ("BUCKET", "releases"), ("PATH_STYLE", "true"), ("PARTS_AT_ONCE", "2"), ("MEMORY", "64MiB")];
    let variables = variables.map(|(key, value)| (format!("LARDER__STORE__{key}"), value.to_owned()));
    let Store::S3(bucket) = load(None, variables).unwrap().store else { panic!("not a bucket") };
    assert_eq!((bucket.bucket.as_str(), bucket.path_style, bucket.parts_at_once), ("releases", Some(true), 2));
    assert_eq!(bucket.memory.bytes(), 64 << 20);
}

#[test]
fn keys_of_the_other_kind_of_store_are_mistakes() {
    for text in ["type = 's3'\nbucket = 'b'\npath = '/data'", "type = 'fs'\npath = '/data'\nbucket = 'b'"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("[store]\n{text}")).unwrap();
        let error = load(Some(file.path()), []).unwrap_err().to_string();
        assert!(error.contains("unknown field"), "{text}: {error}");
    }
}

#[test]
fn every_file_can_be_used() {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        load(Some(&file), []).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

#[test]
fn the_readme_names_only_variables_that_work() {
    let readme = fs::read_to_string(directory().join("README.md")).unwrap();
    let words = readme.split(['`', ' ']).filter(|word| word.starts_with("LARDER__") && word.contains('='));
    let variables: Vec<_> = words.filter_map(|word| word.split_once('=')).collect();
    assert!(variables.len() >= 5, "{variables:?}");
    let mut known = Vec::new();
    keys("", &Value::try_from(Config::default()).unwrap(), &mut known);
    keys("store", &Value::try_from(Store::S3(Box::default())).unwrap(), &mut known);
    for (name, _) in variables {
        let key = name.trim_start_matches("LARDER__").to_ascii_lowercase().replace("__", ".");
        assert!(known.contains(&key), "{name} sets no key");
    }
}
