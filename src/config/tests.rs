use super::*;

fn from_env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load(None, pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
}

fn from_text(text: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    load(Some(file.path()), [])
}

#[test]
fn nothing_configured_is_the_default() {
    assert_eq!(from_env(&[("LARDER_TOKEN", "x"), ("PATH", "/bin")]).unwrap(), Config::default());
}

#[test]
fn the_environment_overrides_the_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[server]\nlisten = \"0.0.0.0:80\"\nmax_connections = 7\n").unwrap();
    let env =
        [("LARDER__SERVER__MAX_CONNECTIONS", "9"), ("LARDER__STORE__PATH", "/data"), ("LARDER__STORE__TYPE", "fs")];
    let config = load(Some(file.path()), env.map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap();
    assert_eq!(config.server.listen.port(), 80);
    assert_eq!(config.server.max_connections, 9);
    assert_eq!(config.store, Store::Fs { path: "/data".into() });
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (text, part) in [
        ("[server]\nlissten = \"x\"", "lissten"),
        ("[server]\nlisten = \"nowhere\"", "listen"),
        ("[server]\nidle_timeout = \"soon\"", "not a duration"),
        ("[limits]\nblob_size = \"big\"", "not a size"),
        ("[store]\ntype = \"tape\"", "tape"),
        ("[server]\nmax_connections = 0", "server.max_connections"),
        ("[[access.policies]]\nnames = []", "at least one name pattern"),
        ("[[access.policies]]\nnames = [\"a b\"]", "not a name pattern"),
    ] {
        let message = from_text(text).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
    let message = from_env(&[("LARDER__SERVER__LISSTEN", "x")]).unwrap_err().to_string();
    assert!(message.contains("lissten"), "{message}");
}

#[test]
fn all_problems_with_tokens_are_named_at_once() {
    let text = "[[access.tokens]]\nid = \"ci\"\nsha256 = \"secret\"\nactions = []\n\
                [[access.tokens]]\nid = \"ci\"\nsha256 = \"secret\"\nactions = [\"admin\"]\n";
    let ConfigError::Invalid(problems) = from_text(text).unwrap_err() else { panic!("not validated") };
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems.iter().all(|problem| !problem.contains("secret")));
}

#[test]
fn the_default_is_spelled_and_read_back() {
    let text = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
}

#[test]
fn numbers_need_no_quotes_and_mistakes_show_no_secrets() {
    let env = [
        ("LARDER__SERVER__MIN_RATE", "0"),
        ("LARDER__LIMITS__MANIFEST_SIZE", "512"),
        ("LARDER__SERVER__DRAIN_DELAY", "0"),
    ];
    let config = from_env(&env).unwrap();
    assert_eq!((config.server.min_rate.bytes(), config.limits.manifest_size.bytes()), (0, 512));
    let message = from_text("[[access.tokens]]\nid = \"ci\"\ntoken = \"S3cretPlain\"\n").unwrap_err().to_string();
    assert!(message.contains("line 3") && message.contains("token") && !message.contains("S3cretPlain"), "{message}");
}
