//! Tokens that are genuine, but of somebody who may not, and how the refusal helps those who should.

use serde_json::{Value, json};

use super::{access, exchange, publish, server};
use crate::support::issuer::TestIssuer;
use crate::support::server::TestServer;

/// What is in the way of the rule.
async fn in_the_way(server: &TestServer, issuer: &TestIssuer, changes: Value) -> Value {
    let mut claims = TestIssuer::github("v1");
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let problem = exchange(server, &issuer.token(&claims)).await.problem(403, "DENIED");
    assert_eq!(problem["error"], "access_denied");
    for mismatch in problem["rules"][0]["mismatches"].as_array().into_iter().flatten() {
        let (claim, detail) = (mismatch["claim"].as_str().unwrap(), problem["detail"].as_str().unwrap());
        assert!(detail.contains(claim), "{claim} is not in {detail}");
    }
    problem["rules"].clone()
}

#[tokio::test]
async fn a_refusal_names_the_claim_what_it_is_and_what_it_should_be() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let rules = in_the_way(&server, &issuer, json!({"ref": "refs/heads/main"})).await;
    assert_eq!(
        rules,
        json!([{"rule": "runtime-release", "mismatches": [
            {"claim": "ref", "expected": "\"refs/tags/v*\"", "actual": "refs/heads/main"}]}])
    );
    let rules = in_the_way(&server, &issuer, json!({"aud": "https://github.com/mirendev"})).await;
    assert_eq!(rules[0]["mismatches"][0]["claim"], "aud");
    let workflow = "mirendev/runtime/.github/workflows/test.yml@refs/tags/v1";
    let rules = in_the_way(&server, &issuer, json!({"workflow_ref": workflow, "job_workflow_ref": workflow})).await;
    assert_eq!(rules[0]["mismatches"][0]["actual"], ".github/workflows/test.yml");
}

#[tokio::test]
async fn a_repository_that_was_created_again_under_the_name_is_another_one() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let rules = in_the_way(&server, &issuer, json!({"repository_id": "1000009"})).await;
    assert_eq!(rules[0]["mismatches"][0]["claim"], "repository_id");
    // Renamed, it keeps its id; the rule says the old name as well, so it says what changed.
    let rules = in_the_way(&server, &issuer, json!({"repository": "mirendev/engine"})).await;
    assert_eq!(rules[0]["mismatches"][0]["actual"], "mirendev/engine");
    let caps = json!({"repository": "MirenDev/Runtime"});
    let mut claims = TestIssuer::github("v1");
    claims.as_object_mut().unwrap().extend(caps.as_object().unwrap().clone());
    exchange(&server, &issuer.token(&claims)).await.expect(200);
}

#[tokio::test]
async fn a_stranger_learns_nothing_of_the_rules() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let stranger = json!({"repository": "evil/runtime", "repository_id": "666", "repository_owner_id": "13"});
    let rules = in_the_way(&server, &issuer, stranger).await;
    assert_eq!(rules, json!([]));
}

#[tokio::test]
async fn pull_requests_and_runs_after_others_publish_only_where_a_rule_lists_them() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    for event in ["pull_request", "pull_request_target", "workflow_run", "issue_comment", "schedule"] {
        let rules = in_the_way(&server, &issuer, json!({"event_name": event})).await;
        assert_eq!(rules[0]["mismatches"][0]["claim"], "event_name", "{event}");
    }
    let fork = json!({"event_name": "pull_request", "ref": "refs/pull/7/merge", "head_ref": "main"});
    in_the_way(&server, &issuer, fork).await;
    let rule = |events: &str| access(&issuer, &format!("{}event_name = {events}\n", super::RULE));
    let (all, listed) = (rule(r#"["*"]"#), rule(r#"["push", "workflow_run"]"#));
    let starred = TestServer::with(|config| config.access = all).await;
    in_the_way(&starred, &issuer, json!({"event_name": "pull_request"})).await;
    let listing = TestServer::with(|config| config.access = listed).await;
    let mut claims = TestIssuer::github("v1");
    claims["event_name"] = json!("workflow_run");
    exchange(&listing, &issuer.token(&claims)).await.expect(200);
    in_the_way(&listing, &issuer, json!({"event_name": "pull_request"})).await;
}

#[tokio::test]
async fn a_reusable_workflow_of_somebody_else_works_only_where_a_rule_names_it() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let called = "other/actions/.github/workflows/publish.yml@refs/heads/main";
    let rules = in_the_way(&server, &issuer, json!({ "job_workflow_ref": called })).await;
    assert_eq!(rules[0]["mismatches"][0]["claim"], "job_workflow_ref");
    let named = access(&issuer, &format!("{}job_workflow_ref = \"{called}\"\n", super::RULE));
    let naming = TestServer::with(|config| config.access = named).await;
    let mut claims = TestIssuer::github("v1");
    claims["job_workflow_ref"] = json!(called);
    exchange(&naming, &issuer.token(&claims)).await.expect(200);
    in_the_way(&naming, &issuer, json!({"job_workflow_ref": "evil/x/.github/workflows/y.yml@refs/heads/main"})).await;
}

#[tokio::test]
async fn no_value_of_a_claim_reaches_another_name() {
    let issuer = TestIssuer::start();
    let open = super::RULE.replace("refs/tags/v*", "**");
    let open = access(&issuer, &open);
    let server = TestServer::with(|config| config.access = open).await;
    server.put_blob(b"a").await;
    for branch in ["../other", "a/../../b", "*", "**", "x*", "a b", "a@1", "{ref}", "-x", "a//b", ""] {
        let mut claims = TestIssuer::github("v1");
        claims["ref"] = json!(format!("refs/heads/{branch}"));
        let answer = exchange(&server, &issuer.token(&claims)).await.expect(200).json();
        let names: Vec<_> = answer["rules"].as_array().unwrap().iter().map(|rule| &rule["names"]).collect();
        assert_eq!(names, [&json!(["miren/latest"])], "{branch}: the grant without a claim in it still counts");
    }
}

#[tokio::test]
async fn all_rules_that_hold_count_together() {
    let issuer = TestIssuer::start();
    let second = super::RULE.replace("runtime-release", "latest").replace("{ref_name}", "latest");
    let both = access(&issuer, &format!("{}{second}", super::RULE));
    let server = TestServer::with(|config| config.access = both).await;
    server.put_blob(b"a").await;
    let token = super::exchanged(&server, &issuer.token(&TestIssuer::github("v1"))).await;
    for name in ["miren/v1", "miren/latest"] {
        publish(&server, &token, name).await.expect(201);
    }
    publish(&server, &token, "miren/other").await.problem(403, "DENIED");
}
