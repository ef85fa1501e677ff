//! Issuers that are down, slow, or answer nonsense.

use serde_json::json;

use super::{exchange, on, server};
use crate::support::issuer::{Answers, TestIssuer};

#[tokio::test]
async fn an_issuer_that_does_not_answer_as_it_should_is_no_reason_to_trust_anybody() {
    for answers in [Answers::Status(500), Answers::Status(302), Answers::Garbage, Answers::Endless, Answers::AsAnother]
    {
        let issuer = TestIssuer::start();
        let server = server(&issuer).await;
        issuer.answers(answers);
        let problem = exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.problem(503, "UNAVAILABLE");
        assert!(problem["detail"].as_str().unwrap().contains(issuer.url()), "{answers:?}: {problem}");
    }
}

#[tokio::test]
async fn keys_that_are_known_stay_in_use_while_the_issuer_is_down() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
    issuer.answers(Answers::Status(500));
    for _ in 0..3 {
        exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
    }
}

#[tokio::test]
async fn a_new_server_takes_the_keys_of_today() {
    let issuer = TestIssuer::start();
    let first = server(&issuer).await;
    let old = issuer.token(&TestIssuer::github("v1"));
    exchange(&first, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
    issuer.rotate("key-2");
    let second = on(&first.data, &issuer).await;
    exchange(&second, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
    exchange(&second, &old).await.problem(401, "UNAUTHORIZED");
    let same_id = issuer.token_with_header(&json!({"alg": "ES256", "kid": "key-1"}), &TestIssuer::github("v1"));
    exchange(&first, &same_id).await.problem(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_silent_issuer_holds_a_request_for_a_few_seconds_only() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    issuer.answers(Answers::Never);
    let began = tokio::time::Instant::now();
    exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.problem(503, "UNAVAILABLE");
    assert!(began.elapsed() < std::time::Duration::from_secs(12), "{:?}", began.elapsed());
}
