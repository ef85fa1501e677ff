use std::collections::HashSet;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::ToSpan as _;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;

const URL: &str = "https://issuer.example";

fn new_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap()
}

/// An issuer and a store in memory.
#[derive(Debug)]
struct World {
    keys: StdMutex<Vec<(String, EcdsaKeyPair)>>,
    down: StdMutex<bool>,
    fetches: AtomicU32,
    marks: StdMutex<HashSet<String>>,
}

impl World {
    fn new() -> Arc<Self> {
        let keys = StdMutex::new(vec![("first".to_owned(), new_key())]);
        Arc::new(Self { keys, down: StdMutex::default(), fetches: AtomicU32::new(0), marks: StdMutex::default() })
    }

    fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    fn rotate(&self, id: &str) {
        *self.keys.lock().unwrap() = vec![(id.to_owned(), new_key())];
    }

    /// A token of the newest key.
    fn token(&self, at: Timestamp, claims: &Value) -> String {
        let keys = self.keys.lock().unwrap();
        let (id, key) = keys.last().unwrap();
        let mut all =
            json!({"iss": URL, "aud": "here", "sub": "job", "iat": at.as_second(), "exp": at.as_second() + 300});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "kid": id})), part(&all));
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[async_trait]
impl KeylessBackend for World {
    async fn fetch(&self, url: &str, _: usize) -> Result<Bytes, String> {
        if *self.down.lock().unwrap() {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            return Err("down".to_owned());
        }
        if url.ends_with("/openid-configuration") {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            return Ok(json!({"issuer": URL, "jwks_uri": "keys"}).to_string().into());
        }
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys: Vec<_> = self
            .keys
            .lock()
            .unwrap()
            .iter()
            .map(|(id, key)| {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]), "kid": id})
            })
            .collect();
        Ok(json!({ "keys": keys }).to_string().into())
    }

    async fn ticket_key(&self, id: Option<&str>) -> Result<Option<TicketKey>, String> {
        Ok(id.is_none_or(|id| id == "k").then(|| TicketKey::new("k", &[7; 32])))
    }

    async fn use_once(&self, id: &str) -> Result<bool, String> {
        Ok(self.marks.lock().unwrap().insert(id.to_owned()))
    }

    async fn revoke(&self, id: &str) -> Result<(), String> {
        self.marks.lock().unwrap().insert(id.to_owned());
        Ok(())
    }

    async fn is_revoked(&self, id: &str) -> Result<bool, String> {
        if *self.down.lock().unwrap() {
            return Err("the store is down".to_owned());
        }
        Ok(self.marks.lock().unwrap().contains(id))
    }
}

fn config(rules: &str) -> config::Access {
    let text = format!("audience = 'here'\n[[issuers]]\nid = 'ci'\nurl = '{URL}'\nalgorithms = ['ES256']\n{rules}");
    toml::from_str(&text).unwrap()
}

const RULE: &str = "[[rules]]\nid = 'r'\nissuer = 'ci'\nclaims = { sub = 'job' }\n\
                    grants = [{ actions = ['publish'], names = ['a/*'] }]\n";

fn keyless(world: &Arc<World>, rules: &str) -> Keyless {
    let backend = Arc::<World>::clone(world);
    Keyless::new(Arc::new(KeylessParts::new(backend, None)), &config(rules))
}

fn start() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

fn scope(at: Timestamp) -> Scope {
    Scope { surface: "native", at }
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_used_but_not_more_often_than_every_half_minute() {
    let (world, mut at) = (World::new(), start());
    let keyless = keyless(&world, RULE);
    keyless.exchange(&world.token(at, &json!({})), at).await.unwrap();
    world.rotate("second");
    let refused = keyless.exchange(&world.token(at, &json!({"jti": "x"})), at).await.unwrap_err();
    assert_eq!(refused, ExchangeError::Token(TokenError::UnknownKey), "the last fetch was a moment ago");
    at += 31.seconds();
    keyless.exchange(&world.token(at, &json!({"jti": "x"})), at).await.unwrap();
    assert_eq!(world.fetches.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn keys_outlive_an_outage_of_their_issuer_and_are_renewed_after_it() {
    let (world, mut at) = (World::new(), start());
    let keyless = keyless(&world, RULE);
    let old = keyless.exchange(&world.token(at, &json!({})), at).await;
    assert!(old.is_ok());
    world.set_down(true);
    for number in 0..5 {
        at += 2.hours();
        keyless.exchange(&world.token(at, &json!({"jti": number})), at).await.unwrap();
    }
    assert_eq!(world.fetches.load(Ordering::Relaxed), 6, "once for each time that they were not fresh any more");
    // A key that was withdrawn meanwhile stops to count with the first fetch that succeeds.
    let before = world.token(at, &json!({"jti": "late"}));
    world.rotate("second");
    world.set_down(false);
    at += 1.minute();
    assert_eq!(keyless.exchange(&before, at).await.unwrap_err(), ExchangeError::Token(TokenError::UnknownKey));
}

#[tokio::test]
async fn without_keys_a_token_is_neither_good_nor_bad() {
    let (world, mut at) = (World::new(), start());
    world.set_down(true);
    let raw = format!("{RULE}raw_bearer = true\n");
    let keyless = keyless(&world, &raw);
    let token = world.token(at, &json!({}));
    for _ in 0..10 {
        let identity = keyless.identify(&Credentials::Bearer(&token), scope(at)).await;
        assert!(matches!(identity, Identity::Unavailable(_)), "{identity:?}");
    }
    assert_eq!(world.fetches.load(Ordering::Relaxed), 1);
    world.set_down(false);
    at += 6.seconds();
    assert!(matches!(keyless.identify(&Credentials::Bearer(&token), scope(at)).await, Identity::Known(_)));
}

#[tokio::test]
async fn a_token_ends_with_its_time_its_rule_or_its_revocation_seen_elsewhere() {
    let (world, at) = (World::new(), start());
    let first = keyless(&world, RULE);
    let token = first.exchange(&world.token(at, &json!({})), at).await.unwrap().token;
    let seen = async |keyless: &Keyless, at| keyless.identify(&Credentials::Bearer(&token), scope(at)).await;
    assert!(matches!(seen(&first, at).await, Identity::Known(_)));
    assert!(matches!(seen(&first, at + 14.minutes()).await, Identity::Known(_)));
    assert!(matches!(seen(&first, at + 15.minutes()).await, Identity::Refused(_)));
    let renamed = keyless(&world, &RULE.replace("id = 'r'", "id = 's'"));
    assert!(matches!(seen(&renamed, at).await, Identity::Refused(why) if why.contains("removed")));
    let second = keyless(&world, RULE);
    assert!(matches!(seen(&second, at).await, Identity::Known(_)));
    assert!(first.revoke(&token, at).await.unwrap());
    assert!(matches!(seen(&first, at).await, Identity::Refused(_)));
    let later = at + 10.seconds();
    assert!(matches!(seen(&second, later).await, Identity::Refused(_)), "within ten seconds");
}

#[tokio::test]
async fn while_the_store_is_down_nobody_is_let_in_or_turned_away() {
    let (world, at) = (World::new(), start());
    let keyless = keyless(&world, RULE);
    let token = keyless.exchange(&world.token(at, &json!({})), at).await.unwrap().token;
    world.set_down(true);
    let identity = keyless.identify(&Credentials::Bearer(&token), scope(at)).await;
    assert!(matches!(identity, Identity::Unavailable(_)), "{identity:?}");
}

#[tokio::test]
async fn an_identity_for_all_steps_of_a_job_may_be_exchanged_again_where_the_rule_says_so() {
    let (world, at) = (World::new(), start());
    let shared = keyless(&world, &format!("{RULE}jti = 'until_exp'\n"));
    let token = world.token(at, &json!({"jti": "one"}));
    for _ in 0..2 {
        shared.exchange(&token, at).await.unwrap();
    }
    let strict = keyless(&world, RULE);
    strict.exchange(&token, at).await.unwrap();
    assert_eq!(strict.exchange(&token, at).await.unwrap_err(), ExchangeError::Token(TokenError::Used));
    let other_text = world.token(at, &json!({"jti": "one", "more": 1}));
    assert_eq!(strict.exchange(&other_text, at).await.unwrap_err(), ExchangeError::Token(TokenError::Used));
}

#[tokio::test]
async fn what_a_caller_of_a_job_does_is_recorded_with_its_claims() {
    let (world, at) = (World::new(), start());
    let keyless = keyless(&world, RULE);
    let token = keyless.exchange(&world.token(at, &json!({"sha": "abc"})), at).await.unwrap().token;
    let scope = Scope { surface: "assets", at };
    let Identity::Known(caller) = keyless.identify(&Credentials::Bearer(&token), scope).await else {
        panic!("unknown")
    };
    let author = caller.author();
    assert_eq!((author.subject.to_string(), author.via), ("ci:job".to_owned(), Some("assets")));
    assert!(author.claims.contains(&"commit=abc".into()) && author.claims.contains(&"rule=r".into()));
}

proptest! {
    #[test]
    fn no_claims_but_the_pinned_ones_are_granted_anything(
        id in "[0-9]{1,8}",
        reference in "refs/(heads|tags|pull)/[a-z0-9./*-]{0,12}",
        event in "push|release|pull_request|pull_request_target|workflow_run|[a-z_]{1,8}",
    ) {
        let rule = "[[rules]]\nid = 'r'\nissuer = 'ci'\nclaims = { repository_id = '17', ref = 'refs/tags/v*' }\n\
                    grants = [{ actions = ['publish'], names = ['a/{ref_name}'] }]\n";
        let rules: config::Access = config(rule);
        let judge = Judge::new(config::IssuerKind::Github, Some("here"), rules.rules.into_iter());
        let members = json!({"aud": "here", "exp": 1, "iat": 1, "repository_id": id, "ref": reference, "event_name": event});
        let claims = Claims::parse(config::IssuerKind::Github, members.as_object().unwrap()).unwrap();
        let verdict = judge.judge(&claims, start());
        let usual = ["push", "release", "workflow_dispatch"].contains(&event.as_str());
        let tag = reference.strip_prefix("refs/tags/v").filter(|rest| !rest.contains('/'));
        let is_name = tag.is_some_and(|rest| format!("a/v{rest}").parse::<crate::domain::ManifestName>().is_ok());
        prop_assert_eq!(!verdict.granted.is_empty(), id == "17" && usual && is_name);
        for grant in verdict.granted.iter().flat_map(|rule| &rule.grants) {
            prop_assert_eq!(grant.names[0].to_string(), format!("a/v{}", tag.unwrap()));
        }
        if id != "17" {
            prop_assert!(verdict.near.is_empty());
        }
    }
}

/// Whether a rule with these claims grants anything to a token with those.
fn is_granted(kind: config::IssuerKind, rule: &str, members: &Value) -> bool {
    let rule = format!(
        "[[rules]]\nid = 'r'\nissuer = 'ci'\nclaims = {{ {rule} }}\n\
         grants = [{{ actions = ['publish'], names = ['a/{{ref_name}}'] }}]\n"
    );
    let judge = Judge::new(kind, Some("here"), config(&rule).rules.into_iter());
    let mut all = json!({"aud": "here", "exp": 1, "iat": 1});
    all.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let verdict = judge.judge(&Claims::parse(kind, all.as_object().unwrap()).unwrap(), start());
    let uses = if kind == config::IssuerKind::Gitlab { Uses::UntilExp } else { Uses::Once };
    assert!(verdict.granted.iter().all(|rule| rule.uses == uses), "{verdict:?}");
    !verdict.granted.is_empty()
}

#[test]
fn a_merge_request_on_gitlab_publishes_only_where_a_rule_lists_it() {
    let claims = |source: &str| json!({"project_id": "7", "ref": "main", "pipeline_source": source});
    let gitlab = config::IssuerKind::Gitlab;
    for (rule, source, granted) in [
        ("project_id = '7'", "push", true),
        ("project_id = '7'", "schedule", true),
        ("project_id = '7'", "merge_request_event", false),
        ("project_id = '7'", "something_new", false),
        ("project_id = '7', pipeline_source = '*'", "merge_request_event", false),
        ("project_id = '7', pipeline_source = '*'", "something_new", true),
        ("project_id = '7', pipeline_source = ['push', 'merge_request_event']", "merge_request_event", true),
        ("project_id = '8'", "push", false),
    ] {
        assert_eq!(is_granted(gitlab, rule, &claims(source)), granted, "{rule} {source}");
    }
}

#[test]
fn a_build_on_buildkite_publishes_under_its_tag_or_its_branch() {
    let rule = "organization_id = 'o', pipeline_id = 'p'";
    let build = |branch: &str, tag: &str| json!({"organization_id": "o", "pipeline_id": "p", "build_branch": branch, "build_tag": tag});
    let granted = |claims: Value| is_granted(config::IssuerKind::Buildkite, rule, &claims);
    assert!(granted(build("main", "")) && granted(build("main", "v1")));
    assert!(!granted(build("somebody:main", "")), "a branch of a fork is no name");
    let mut other = build("main", "");
    other["organization_id"] = json!("other");
    assert!(!granted(other));
}
