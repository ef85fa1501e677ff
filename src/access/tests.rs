use jiff::{SignedDuration, Timestamp};
use sha2::Digest as _;

use super::*;
use crate::clock::ManualClock;
use crate::domain::policy::PolicyKeys;
use crate::domain::{PolicyRule, Subject};

const SURFACE: &str = "native";

fn token(names: &str, actions: &[Permission]) -> config::Token {
    config::Token {
        id: "ci".into(),
        sha256: hex::encode(sha2::Sha256::digest("secret")),
        actions: actions.to_vec(),
        names: vec![names.parse().unwrap()],
        surfaces: None,
        until: None,
    }
}

fn policies() -> Policies {
    let rule = |pattern: &str, read, cas| PolicyRule {
        matches: vec![pattern.parse().unwrap()],
        keys: PolicyKeys { read: Some(read), cas, ..PolicyKeys::default() },
    };
    Policies::new(vec![
        rule("open/*", Reads::Public, Some(Cas::Required)),
        rule("**", Reads::Token, Some(Cas::Optional)),
    ])
}

fn configured(token: config::Token) -> config::Access {
    config::Access { blob_reads: Reads::Token, tokens: vec![token], ..config::Access::default() }
}

fn access_at(token: config::Token, now: Timestamp) -> (Access, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(now));
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    (Access::new(&configured(token), policies().into(), Some("root"), shared), clock)
}

fn access(names: &str, actions: &[Permission]) -> Access {
    access_at(token(names, actions), Timestamp::UNIX_EPOCH).0
}

async fn identify(access: &Access, token: &str) -> Option<Caller> {
    match access.identify(&Credentials::Bearer(token), SURFACE).await {
        Identity::Known(caller) => Some(caller),
        Identity::NotMine => None,
        Identity::Refused(why) | Identity::Unavailable(why) => panic!("{why}"),
    }
}

#[tokio::test]
async fn a_token_reaches_as_far_as_its_grant() {
    let access = access("miren/*", &[Permission::Publish, Permission::Read]);
    let caller = identify(&access, "secret").await.unwrap();
    let (inside, outside) = ("miren/main".parse().unwrap(), "other/main".parse().unwrap());
    assert_eq!(caller.subject().to_string(), "token:ci");
    assert!(caller.may(Permission::Publish, &inside));
    assert!(caller.may(Permission::Upload, &inside), "publish includes upload");
    assert!(caller.may(Permission::Attest, &inside), "publish includes attest");
    assert!(!caller.may(Permission::Promote, &inside));
    assert!(!caller.may(Permission::Publish, &outside));
    assert!(access.may_read(&caller, &inside) && !access.may_read(&caller, &outside));
    assert!(access.may_read_blobs(&caller) && !access.may_read_blobs(&Caller::anonymous()));
}

#[tokio::test]
async fn what_is_untagged_is_for_those_who_may_read_or_publish_a_tag() {
    let access = access("miren/app/v*", &[Permission::Publish, Permission::Read]);
    let caller = identify(&access, "secret").await.unwrap();
    for (repository, may) in [("miren/app", true), ("miren", false), ("miren/app/x", false), ("other", false)] {
        let name = repository.parse().unwrap();
        assert_eq!(caller.may_in_repository(Permission::Publish, &name), may, "{repository}");
        assert!(!caller.may_in_repository(Permission::Retire, &name), "{repository}");
        let log = name.untagged(crate::domain::Digest::of(b"x"));
        assert_eq!(access.may_read_log(&caller, &log), may, "{repository}");
        assert!(!access.is_public_log(&log) && !access.may_read_log(&Caller::anonymous(), &log), "{repository}");
    }
    for (tag, may) in [("miren/app/v1", true), ("miren/app/main", false), ("open/main", true)] {
        assert_eq!(access.may_read_log(&caller, &tag.parse().unwrap()), may, "{tag}");
    }
    assert!(access.may_read_log(&Caller::anonymous(), &"open/@untagged/00".parse().unwrap()));
}

#[tokio::test]
async fn other_tokens_are_nobody_and_the_admin_may_everything() {
    let access = access("miren/*", &[Permission::Publish]);
    for wrong in ["", "secre", "secret ", "SECRET"] {
        assert_eq!(identify(&access, wrong).await, None);
    }
    let admin = identify(&access, "root").await.unwrap();
    assert!(admin.may(Permission::Retire, &"any/name".parse().unwrap()));
    assert!(admin.may(Permission::Host, &"any/name".parse().unwrap()));
    assert!(Caller::anonymous().is_anonymous() && !admin.is_anonymous());
    assert!(!Caller::anonymous().may(Permission::Read, &"main".parse().unwrap()));
}

#[tokio::test]
async fn a_password_is_no_token() {
    let access = access("**", &[Permission::Read]);
    let password = Credentials::Basic { user: "ci".into(), password: "secret".into() };
    assert_eq!(access.identify(&password, SURFACE).await, Identity::NotMine);
}

#[tokio::test]
async fn a_grant_ends_in_time_and_holds_on_its_surfaces() {
    let now = Timestamp::UNIX_EPOCH;
    let until = Some(now + SignedDuration::from_secs(10));
    let limited = config::Token { surfaces: Some(vec!["oci".into()]), until, ..token("**", &[Permission::Publish]) };
    let (access, clock) = access_at(limited, now);
    for (surface, may) in [("oci", true), (SURFACE, false)] {
        let Identity::Known(caller) = access.identify(&Credentials::Bearer("secret"), surface).await else {
            panic!("not known on {surface}")
        };
        assert_eq!(caller.may(Permission::Publish, &"main".parse().unwrap()), may, "{surface}");
        assert_eq!(caller.may_somewhere(Permission::Upload), may, "{surface}");
    }
    clock.advance(SignedDuration::from_secs(10));
    let refused = access.identify(&Credentials::Bearer("secret"), "oci").await;
    assert!(matches!(&refused, Identity::Refused(why) if why.contains("ci")), "{refused:?}");
}

#[tokio::test]
async fn the_first_provider_that_decides_is_the_last_to_be_asked() {
    let access = access("**", &[Permission::Read]);
    let scope = Scope { surface: SURFACE, at: Timestamp::UNIX_EPOCH };
    let caller = Caller::new("other:x".parse().unwrap(), Arc::default(), scope);
    let (not_mine, known) = (Identity::NotMine, Identity::Known(caller));
    let refused = Identity::Refused("no".to_owned());
    for (chain, decided) in [
        (vec![], &not_mine),
        (vec![&not_mine, &not_mine], &not_mine),
        (vec![&not_mine, &known, &refused], &known),
        (vec![&refused, &known], &refused),
    ] {
        let providers = chain.into_iter().cloned().map(AnyProvider::Fixed).collect();
        *access.rules.write().unwrap() = Arc::new(Rules { providers, blob_reads: Reads::Public });
        assert_eq!(access.identify(&Credentials::Bearer("secret"), SURFACE).await, *decided);
    }
}

#[tokio::test]
async fn nobody_can_be_configured_who_is_one_of_the_servers_own() {
    for id in ["admin", "collector", "anonymous", "larder:admin"] {
        let forged = config::Token { id: id.to_owned(), ..token("**", &[Permission::Publish]) };
        let (access, _) = access_at(forged, Timestamp::UNIX_EPOCH);
        let caller = identify(&access, "secret").await.unwrap();
        assert!(!caller.subject().is_own() && !caller.is_anonymous());
        for own in [Subject::admin(), Subject::collector(), Subject::anonymous()] {
            assert_ne!(caller.subject(), own, "{id}");
        }
    }
}

#[tokio::test]
async fn rules_are_replaced_together_and_counted() {
    let access = access("**", &[Permission::Read]);
    let (before, open) = (access.epoch(), "open/main".parse().unwrap());
    assert!(access.is_public(&open) && access.needs_precondition(&open) && !access.blobs_are_public());
    assert!(!access.is_public(&"main".parse().unwrap()));
    let next = config::Access { blob_reads: Reads::Public, ..config::Access::default() };
    access.replace(&next, Policies::default(), Some("other root"));
    assert_ne!(access.epoch(), before);
    assert!(access.is_public(&"main".parse().unwrap()) && !access.needs_precondition(&open));
    assert!(access.blobs_are_public());
    for (token, known) in [("secret", false), ("root", false), ("other root", true)] {
        assert_eq!(identify(&access, token).await.is_some(), known, "{token}");
    }
}
