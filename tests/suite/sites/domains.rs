//! Domains that are attached through the API: two servers on one store, and a name server on a real socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use larder::clock::SystemClock;
use larder::config::{self, Token};
use larder::domain::Digest;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{ADMIN, DOCS, Page, READER, Sites, configure};
use crate::support::dns::NameServer;
use crate::support::faulty::FaultyStore;
use crate::support::server::{Answer, TestServer, send};
use crate::support::store::FsBackend;

const SHOP: &str = "shop.example.com";
/// A token for the hosts of `acme/**`, and one for those of others.
const ACME: &str = "the token of acme";
const OTHER: &str = "the token of others";

/// A store, the DNS, and two servers.
struct World {
    directory: TempDir,
    dns: NameServer,
    one: Sites,
    other: Sites,
}

async fn server(directory: &Path, dns: &NameServer) -> Sites {
    let server = TestServer::on(directory, |config| {
        configure(config);
        config.domains.name_servers = vec![dns.address];
        config.heads.max_staleness = config::Duration::from_secs(1);
        let rule = "match = ['acme/**']\nearlier_files = { for = '7days', versions = 20 }";
        config.names.push(toml::from_str(rule).unwrap());
        config.names.push(toml::from_str("match = ['secret/**']\nread = 'token'").unwrap());
        for (id, token, names) in [("acme", ACME, "acme/**"), ("other", OTHER, "other/**")] {
            let hash = Digest::of(token.as_bytes()).hex();
            let text = format!("id = '{id}'\nsha256 = '{hash}'\nactions = ['host']\nnames = ['{names}']");
            config.access.tokens.push(toml::from_str::<Token>(&text).unwrap());
        }
    });
    let mut server = server.await;
    ADMIN.clone_into(&mut server.token);
    Sites(server)
}

impl World {
    async fn start() -> Self {
        let (directory, dns) = (TempDir::new().unwrap(), NameServer::start().await);
        let (one, other) = (server(directory.path(), &dns).await, server(directory.path(), &dns).await);
        one.publish("acme/app", &[("index.html", "first"), ("assets/a-CjL4fkWS.js", "a")], json!({})).await;
        Self { directory, dns, one, other }
    }

    /// Attaches a host through the first server.
    async fn attach(&self, host: &str, body: Value) -> Value {
        let claimed = put(&self.one, ACME, host, body).await.expect(202).json();
        let challenge = &claimed["challenge"];
        self.dns.set(challenge["record"].as_str().unwrap(), &[challenge["text"].as_str().unwrap()]);
        verify(&self.one, ACME, host).await.expect(200).json()
    }
}

async fn ask(sites: &Sites, method: Method, token: &str, path: &str) -> Answer {
    send(sites.0.anonymous(method, path).bearer_auth(token)).await
}

async fn put(sites: &Sites, token: &str, host: &str, body: Value) -> Answer {
    let request = sites.0.anonymous(Method::PUT, &format!("/sites/{host}")).bearer_auth(token);
    send(request.body(body.to_string())).await
}

async fn verify(sites: &Sites, token: &str, host: &str) -> Answer {
    ask(sites, Method::POST, token, &format!("/sites/{host}/verify")).await
}

async fn show(sites: &Sites, token: &str, host: &str) -> Answer {
    ask(sites, Method::GET, token, &format!("/sites/{host}")).await
}

/// What a host answers at the latest after the staleness that is allowed.
async fn soon(sites: &Sites, host: &str, is_it: impl Fn(&Page) -> bool) -> Page {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let page = sites.get(host, "/").await;
        if is_it(&page) {
            return page;
        }
        assert!(Instant::now() < deadline, "{host} stays {}\n{}", page.head, page.text());
        sleep(Duration::from_millis(50)).await;
    }
}

async fn certificate(sites: &Sites, host: &str) -> u16 {
    sites.0.get(&format!("/tls/ask?domain={host}")).await.status.as_u16()
}

#[tokio::test]
async fn a_domain_serves_once_its_record_is_there_on_all_servers() {
    let world = World::start().await;
    let (one, other) = (&world.one, &world.other);
    one.get(SHOP, "/").await.expect(421);
    let claimed = put(one, ACME, SHOP, json!({"name": "acme/app", "reason": "launch"})).await.expect(202).json();
    assert_eq!(
        (&claimed["state"], &claimed["source"], &claimed["by"]),
        (&json!("pending"), &json!("api"), &json!("token:acme"))
    );
    let record = claimed["challenge"]["record"].as_str().unwrap();
    assert_eq!(record, "_larder-challenge.shop.example.com");
    let early = verify(one, ACME, SHOP).await.expect(202).json();
    assert!(early["problem"].as_str().unwrap().contains("no TXT record"), "{early:#}");
    world.dns.set(record, &["v=spf1 -all", "larder=wrong"]);
    let wrong = verify(one, ACME, SHOP).await.expect(202).json();
    assert!(wrong["problem"].as_str().unwrap().contains("none of the 2"), "{wrong:#}");
    one.get(SHOP, "/").await.expect(421);
    assert_eq!(certificate(one, SHOP).await, 404);
    world.dns.set(record, &["v=spf1 -all", claimed["challenge"]["text"].as_str().unwrap()]);
    assert_eq!(verify(one, ACME, SHOP).await.expect(200).json()["state"], "live");
    assert_eq!(one.get(SHOP, "/").await.expect(200).text(), "first");
    assert_eq!(soon(other, SHOP, |page| page.status == 200).await.text(), "first");
    assert_eq!(certificate(other, SHOP).await, 200);
    assert_eq!(certificate(other, "shop.example.net").await, 404);
    // A restarted server.
    let third = server(world.directory.path(), &world.dns).await;
    assert_eq!(third.get("SHOP.example.com.", "/").await.expect(200).text(), "first");
    // The interface is not there, and what everybody asks by address is.
    one.get(SHOP, "/manifests/acme/app").await.expect(404);
    one.get(SHOP, "/livez").await.expect(404);
    let names = world.dns.asked_for();
    assert!(names.iter().all(|name| name == record), "{names:?}");
}

#[tokio::test]
async fn a_domain_is_pointed_and_detached_and_the_history_says_by_whom_and_why() {
    let world = World::start().await;
    let (one, other) = (&world.one, &world.other);
    world.attach(SHOP, json!({"name": "acme/app", "reason": "launch"})).await;
    one.publish("acme/app", &[("index.html", "second"), ("assets/b-BTV8LsEM.js", "b")], json!({})).await;
    assert_eq!(one.get(SHOP, "/").await.text(), "second");
    let tag = show(other, ACME, SHOP).await.header("etag").to_owned();
    put(other, ACME, SHOP, json!({"name": "acme/app@9"})).await.problem(404, "VERSION_UNKNOWN");
    let pointed = put(other, ACME, SHOP, json!({"name": "acme/app@1", "reason": "the new one is broken"})).await;
    assert_eq!(pointed.expect(200).json()["state"], "live");
    assert_eq!(other.get(SHOP, "/").await.text(), "first");
    // What was cached there goes, too.
    assert_eq!(soon(one, SHOP, |page| page.text() == "first").await.status, 200);
    // Pages of both versions may still be open.
    for (path, text) in [("/assets/b-BTV8LsEM.js", "b"), ("/assets/a-CjL4fkWS.js", "a")] {
        assert_eq!(one.load(SHOP, path).await.expect(200).text(), text, "{path}");
    }
    one.navigate(SHOP, "/assets/b-BTV8LsEM.js").await.expect(404);
    let shown = show(one, ACME, SHOP).await.json();
    let changes: Vec<_> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            format!("{} {} {}", change["action"].as_str().unwrap(), change["name"].as_str().unwrap(), change["reason"])
        })
        .collect();
    assert_eq!(changes, ["point acme/app@1 \"the new one is broken\"", "attach acme/app \"launch\""]);
    // Preconditions.
    let delete = |tag: String| {
        let request = one.0.anonymous(Method::DELETE, &format!("/sites/{SHOP}?reason=sold")).bearer_auth(ACME);
        send(request.header("if-match", tag))
    };
    delete(tag).await.problem(412, "PRECONDITION_FAILED");
    let current = show(one, ACME, SHOP).await.header("etag").to_owned();
    delete(current).await.expect(204);
    one.get(SHOP, "/").await.expect(421);
    soon(other, SHOP, |page| page.status == 421).await;
    let gone = show(one, ACME, SHOP).await.expect(200).json();
    assert_eq!((&gone["state"], &gone["history"][0]["reason"]), (&json!("detached"), &json!("sold")));
    one.0.get(&format!("/sites/{SHOP}")).await.problem(404, "HOST_UNKNOWN");
    ask(one, Method::DELETE, ACME, &format!("/sites/{SHOP}")).await.problem(404, "HOST_UNKNOWN");
}

#[tokio::test]
async fn a_host_has_one_owner_and_the_configuration_comes_first() {
    let world = World::start().await;
    let one = &world.one;
    let app = || json!({"name": "acme/app"});
    for (host, status, code) in [
        (DOCS, 409, "HOST_TAKEN"),
        ("www.docs.example.org", 409, "HOST_TAKEN"),
        ("releases.example.org", 409, "HOST_TAKEN"),
        ("v1-docs.preview.example.org", 409, "HOST_TAKEN"),
        ("preview.example.org", 409, "HOST_TAKEN"),
        ("_larder-challenge.shop.example.com", 400, "HOST_INVALID"),
        ("127.0.0.1", 400, "HOST_INVALID"),
        ("localhost", 400, "HOST_INVALID"),
        ("shop.example.com:443", 400, "HOST_INVALID"),
        ("a..example.com", 400, "HOST_INVALID"),
    ] {
        let problem = put(one, ACME, host, app()).await.problem(status, code);
        assert_eq!(problem["status"], status, "{host}");
    }
    send(one.0.anonymous(Method::PUT, &format!("/sites/{SHOP}")).body(app().to_string()))
        .await
        .problem(401, "UNAUTHORIZED");
    put(one, READER, SHOP, app()).await.problem(403, "DENIED");
    put(one, OTHER, SHOP, app()).await.problem(403, "DENIED");
    put(one, ADMIN, SHOP, json!({"name": "secret/app"})).await.problem(400, "REQUEST_INVALID");
    world.attach(SHOP, app()).await;
    put(one, OTHER, SHOP, json!({"name": "other/app"})).await.problem(409, "HOST_TAKEN");
    verify(one, OTHER, SHOP).await.problem(404, "HOST_UNKNOWN");
    ask(one, Method::DELETE, OTHER, &format!("/sites/{SHOP}")).await.problem(409, "HOST_TAKEN");
    ask(one, Method::DELETE, ADMIN, &format!("/sites/{DOCS}")).await.problem(409, "HOST_TAKEN");
    // Both names, once both belong to the caller: the old one serves until the new one is proven.
    one.publish("other/app", &[("index.html", "other")], json!({})).await;
    let claimed = put(one, ADMIN, SHOP, json!({"name": "other/app"})).await.expect(202).json();
    assert_eq!((&claimed["name"], &claimed["state"]), (&json!("acme/app"), &json!("live")));
    let challenge = &claimed["pending"][0]["challenge"];
    assert_eq!(one.get(SHOP, "/").await.text(), "first");
    world.dns.set(challenge["record"].as_str().unwrap(), &[challenge["text"].as_str().unwrap()]);
    verify(one, ADMIN, SHOP).await.expect(200);
    assert_eq!(one.get(SHOP, "/").await.text(), "other");
}

#[tokio::test]
async fn lists_show_to_each_caller_what_it_may_see() {
    let world = World::start().await;
    let one = &world.one;
    world.attach(SHOP, json!({"name": "acme/app"})).await;
    put(one, ACME, "waits.example.com", json!({"name": "acme/app"})).await.expect(202);
    let hosts = async |token: Option<&str>, path: &str| {
        let request = one.0.anonymous(Method::GET, path);
        let page =
            send(token.map_or(request.try_clone().unwrap(), |token| request.bearer_auth(token))).await.expect(200);
        let page = page.json();
        let names = page["sites"].as_array().unwrap().iter().map(|site| site["host"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), page["next"].as_str().map(str::to_owned), page)
    };
    let configured = ["blog.example.org", "docs.example.org", "manual.example.org"];
    let (anonymous, _, page) = hosts(None, "/sites").await;
    assert_eq!(anonymous, [&configured[..], &[SHOP, "www.docs.example.org"]].concat());
    let shop = &page["sites"][3];
    assert!(shop["challenge"].is_null() && shop["by"].is_null() && shop["history"].is_null(), "{shop:#}");
    assert_eq!(
        page["sites"][1]["previews"],
        json!({"domain": "preview.example.org", "label": "docs", "read": "token"})
    );
    assert_eq!(page["sites"][4]["redirect_to"], "docs.example.org");
    let (own, ..) = hosts(Some(ACME), "/sites").await;
    assert!(own.contains(&"waits.example.com".to_owned()), "{own:?}");
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (names, next, _) = hosts(Some(ACME), &format!("/sites?limit=2{after}")).await;
        assert!(names.len() <= 2);
        all.extend(names);
        let Some(next) = next else { break };
        after = format!("&after={next}");
    }
    assert_eq!(all, own);
    one.0.get("/sites?after=a..b").await.problem(400, "HOST_INVALID");
}

#[tokio::test]
async fn the_policy_makes_one_of_a_domain_and_its_www_lead_to_the_other() {
    let world = World::start().await;
    for host in ["example.com", "www.example.com"] {
        world.attach(host, json!({"name": "acme/app", "redirect_policy": "apex"})).await;
    }
    assert_eq!(world.one.get("example.com", "/").await.expect(200).text(), "first");
    let www = world.one.get("www.example.com", "/a?b").await.expect(308);
    assert_eq!(www.header("location"), "https://example.com/a?b");
    for host in ["example.com", "www.example.com"] {
        put(&world.one, ACME, host, json!({"name": "acme/app", "redirect_policy": "www"})).await.expect(200);
        // Half way, each leads to the other: browsers must arrive all the same.
        assert_eq!(world.one.get("www.example.com", "/").await.expect(200).text(), "first");
    }
    assert_eq!(world.one.get("example.com", "/").await.expect(308).header("location"), "https://www.example.com/");
    world.one.get("www.example.com", "/").await.expect(200);
    let both = json!({"name": "acme/app", "redirect_policy": "www", "redirect_to": "a.example.com"});
    put(&world.one, ACME, "example.com", both).await.problem(400, "REQUEST_INVALID");
    let itself = json!({"name": "acme/app", "redirect_to": "example.com"});
    put(&world.one, ACME, "example.com", itself).await.problem(400, "REQUEST_INVALID");
}

#[tokio::test]
async fn a_name_server_that_does_not_answer_is_no_answer() {
    let world = World::start().await;
    world.attach(SHOP, json!({"name": "acme/app"})).await;
    world.dns.be_silent_about("_larder-challenge.shop.example.com");
    verify(&world.one, ACME, SHOP).await.problem(503, "UNAVAILABLE");
    assert_eq!(show(&world.one, ACME, SHOP).await.json()["state"], "live");
}

#[tokio::test]
async fn who_may_attach_no_hosts_causes_no_request_to_the_store() {
    let disk = FsBackend::quick();
    let faulty = FaultyStore::over(&disk.store());
    let place = TempDir::new().unwrap();
    let change = |config: &mut config::Config| {
        configure(config);
        config.collector.enabled = false;
        config.heads.max_staleness = config::Duration::from_secs(3600);
    };
    let server = TestServer::over(place.path(), faulty.store(), Arc::new(SystemClock), change).await;
    let paths = ["/sites", "/sites?name=acme/docs", "/sites/docs.example.org"];
    for path in paths {
        server.get(path).await.expect(200);
    }
    faulty.reset();
    for _ in 0..20 {
        for path in paths {
            server.get(path).await.expect(200);
        }
        let absent = server.get("/sites/nobody.example.org").await;
        assert_eq!(absent.status, 404);
    }
    assert_eq!(faulty.total(), 0, "{}", faulty.breakdown());
    // Who may, sees what others have changed just now.
    for _ in 0..3 {
        send(server.anonymous(Method::GET, "/sites").bearer_auth(ADMIN)).await.expect(200);
    }
    assert!(faulty.total() >= 3, "{}", faulty.breakdown());
}
