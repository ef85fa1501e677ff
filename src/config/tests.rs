use super::*;
use crate::domain::Reads;

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
        ("[[names]]\nmatch = []", "at least one name pattern"),
        ("[[names]]\nmatch = [\"a b\"]", "not a name pattern"),
        ("[[access.tokens]]\nid = \"ci\"\nsha256 = \"\"\nactions = []\nuntil = 2040-01-01", "with its offset"),
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
fn the_servers_own_ids_cannot_be_configured() {
    let problems = |id: &str| {
        let hash = "0".repeat(64);
        let text = format!("[[access.tokens]]\nid = {id:?}\nsha256 = \"{hash}\"\nactions = [\"read\"]\n");
        match from_text(&text) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Invalid(problems)) => problems,
            Err(error) => panic!("{error}"),
        }
    };
    for id in ["admin", "collector", "anonymous", "Admin", " admin ", "larder", "larder:admin", "LARDER:x"] {
        let [problem] = &problems(id)[..] else { panic!("{id} is taken") };
        assert!(problem.contains(&format!("{id:?}")) && problem.contains("call it something else"), "{problem}");
    }
    for id in ["ci", "administrator", "larder-ci", "token:admin"] {
        assert_eq!(problems(id), Vec::<String>::new(), "{id}");
    }
}

#[test]
fn tables_that_are_no_more_are_answered_with_what_to_write() {
    let both = "[[access.policies]]\nnames = [\"a\"]\n[[collector.retention]]\nnames = [\"a\"]\nkeep_last = 1\n";
    let from_file = from_text(both).unwrap_err().to_string();
    let from_variable = from_env(&[("LARDER__ACCESS__POLICIES", "[]")]).unwrap_err().to_string();
    for part in ["access.policies", "collector.retention", "keep_last", "[[names]] with match"] {
        assert!(from_file.contains(part), "{part}: {from_file}");
    }
    assert!(from_variable.contains("access.policies") && from_variable.contains("[[names]]"), "{from_variable}");
    assert!(!from_variable.contains("collector.retention"), "{from_variable}");
}

#[test]
fn rules_of_names_and_limits_of_tokens_are_read_from_every_source() {
    let rules = "[{ match = [\"a/**\"], read = \"token\" }, { match = [\"**\"], keep_last = 5 }]";
    let config = from_env(&[("LARDER__NAMES", rules)]).unwrap();
    assert_eq!((config.names.len(), config.names[0].read, config.names[1].keep_last), (2, Some(Reads::Token), Some(5)));
    for until in ["2040-01-31T18:00:00Z", "\"2040-01-31T20:00:00+02:00\""] {
        let hash = "0".repeat(64);
        let text = format!("id = \"ci\"\nsha256 = \"{hash}\"\nactions = [\"host\", \"attest\"]\nuntil = {until}\n");
        let config = from_text(&format!("[[access.tokens]]\n{text}")).unwrap();
        assert_eq!(config.access.tokens[0].until, Some("2040-01-31T18:00:00Z".parse().unwrap()));
    }
}

#[test]
fn a_server_takes_over_tokens_policies_and_the_log_filter_and_nothing_else() {
    let running = Config::default();
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[store]\ntype = \"s3\"\nbucket = \"b\"\n[log]\nfilter = \"warn\"\n\
                format = \"text\"\n[access]\nblob_reads = \"token\"\n[[names]]\nmatch = [\"**\"]\nkeep_last = 1\n";
    let newer = from_text(text).unwrap();
    let next = running.reloaded(&newer);
    assert_eq!(running.differences(&next), ["access.blob_reads", "log.filter", "names"]);
    let left = next.differences(&newer);
    assert!(left.contains(&"server.listen".to_owned()) && left.contains(&"store.type".to_owned()), "{left:?}");
    assert!(left.contains(&"log.format".to_owned()) && !left.contains(&"names".to_owned()), "{left:?}");
    assert_eq!(newer.differences(&newer), Vec::<String>::new());
}

#[test]
fn settings_without_effect_are_remarked() {
    let hash = "0".repeat(64);
    let token = |id: &str, more: &str| {
        format!("[[access.tokens]]\nid = {id:?}\nsha256 = \"{hash}\"\nactions = [\"read\"]\n{more}\n")
    };
    let text = format!(
        "{}{}[[names]]\nmatch = [\"**\"]\nread = \"token\"\n[[names]]\nmatch = [\"a\"]\nread = \"public\"\n\
         [[names]]\nmatch = [\"b\"]\n",
        token("old", "until = 2001-01-01T00:00:00Z"),
        token("other", "")
    );
    let remarks = from_text(&text).unwrap().remarks("2026-01-01T00:00:00Z".parse().unwrap());
    let expected = ["rule 3", "read in rule 2", "\"old\" ended", "\"old\" and \"other\""];
    assert_eq!(remarks.len(), expected.len(), "{remarks:#?}");
    assert!(remarks.iter().zip(expected).all(|(remark, part)| remark.contains(part)), "{remarks:#?}");
}

#[test]
fn the_default_is_spelled_and_read_back() {
    for rules in [vec![], vec![NameRule { matches: vec!["a".parse().unwrap()], ..NameRule::default() }]] {
        let config = Config { names: rules, ..Config::default() };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }
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

#[test]
fn earlier_files_have_a_window_and_a_bounded_number_of_versions() {
    let earlier = |table: &str| {
        let config = from_text(&format!("[[names]]\nmatch = [\"**\"]\nearlier_files = {table}\n"))?;
        let policy = config.policies().of(&"main".parse().unwrap()).earlier_files;
        Ok::<_, ConfigError>((policy.window.as_secs(), policy.versions, policy.is_on()))
    };
    assert_eq!(earlier("{}").unwrap(), (7 * 24 * 3600, 20, true));
    assert_eq!(earlier("{ for = \"90s\", versions = 100 }").unwrap(), (90, 100, true));
    assert_eq!(earlier("{ for = 0 }").unwrap(), (0, 20, false));
    for wrong in ["{ versions = 0 }", "{ versions = 101 }"] {
        let message = earlier(wrong).unwrap_err().to_string();
        assert!(message.contains("versions in earlier_files must be 1 to 100"), "{message}");
    }
    assert!(earlier("{ days = 7 }").is_err() && earlier("5").is_err());
}
