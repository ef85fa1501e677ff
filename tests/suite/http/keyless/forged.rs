//! Tokens that are forged, out of time, for somebody else, or no tokens at all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::{exchange, server};
use crate::support::issuer::{TestIssuer, now};

fn github(changes: &Value) -> Value {
    let mut claims = TestIssuer::github("v1");
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

/// Asserts that a token is refused for this reason, and that the answer holds nothing of it.
async fn is_refused(token: &str, server: &crate::support::server::TestServer, why: &str) {
    let problem = exchange(server, token).await.problem(401, "UNAUTHORIZED");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(why), "{why:?} is not in {detail:?}");
    let secret = token.rsplit('.').next().unwrap();
    assert!(secret.len() < 20 || !problem.to_string().contains(secret), "{problem}");
}

#[tokio::test]
async fn an_algorithm_is_never_taken_from_the_token() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let claims = TestIssuer::github("v1");
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for none in ["none", "None", "NONE"] {
        let token = format!("{}.", issuer.unsigned(&json!({"alg": none, "kid": "key-1"}), &claims));
        is_refused(&token, &server, "header").await;
    }
    // The public key as a shared secret: its bytes, and its text.
    let point = issuer.public_key();
    for secret in [point.to_string().into_bytes(), URL_SAFE_NO_PAD.decode(point["x"].as_str().unwrap()).unwrap()] {
        let signed = issuer.unsigned(&json!({"alg": "HS256", "kid": "key-1"}), &claims);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
        is_refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)), &server, "HS256").await;
    }
    // A shared secret that somebody put among the public keys.
    let signed = issuer.unsigned(&json!({"alg": "HS256", "kid": "shared"}), &claims);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 3]), signed.as_bytes());
    is_refused(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac)), &server, "HS256").await;
    // An algorithm of another family, one of the same family that is not configured, and a key in the header itself.
    is_refused(&issuer.token_with_header(&json!({"alg": "RS256", "kid": "key-1"}), &claims), &server, "RS256").await;
    is_refused(&issuer.token_with_header(&json!({"alg": "ES384", "kid": "key-1"}), &claims), &server, "ES384").await;
    let own = TestIssuer::start();
    let header = json!({"alg": "ES256", "kid": "key-1", "jwk": own.public_key(), "jku": own.url()});
    let forged = own.token_with_header(&header, &github(&json!({"iss": issuer.url()})));
    is_refused(&forged, &server, "signature").await;
    assert_eq!(own.requests(), 0, "nobody is asked but the configured issuer");
    let critical = json!({"alg": "ES256", "kid": "key-1", "crit": ["exp"]});
    is_refused(&issuer.token_with_header(&critical, &claims), &server, "signature").await;
    let good = issuer.token(&claims);
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = part(&github(&json!({"ref": "refs/tags/v9"})));
    is_refused(&format!("{head}.{other}.{signature}"), &server, "iss").await;
    let with_issuer = part(&github(&json!({"iss": issuer.url(), "ref": "refs/tags/v9"})));
    is_refused(&format!("{head}.{with_issuer}.{signature}"), &server, "signature").await;
    exchange(&server, &good).await.expect(200);
}

#[tokio::test]
async fn a_token_counts_only_in_its_time() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let now = now();
    for (times, why) in [
        (json!({"exp": now - 61}), "has expired"),
        (json!({"iat": now - 3700, "exp": now + 300}), "older than"),
        (json!({"nbf": now + 90}), "not valid yet"),
        (json!({"iat": now + 90}), "in the future"),
        (json!({"exp": null}), "no number"),
        (json!({"exp": "soon"}), "no number"),
        (json!({"iat": []}), "no number"),
    ] {
        is_refused(&issuer.token(&github(&times)), &server, why).await;
    }
    // Clocks that differ by less than a minute do no harm.
    for times in [json!({"exp": now - 30}), json!({"nbf": now + 40, "iat": now + 40})] {
        exchange(&server, &issuer.token(&github(&times))).await.expect(200);
    }
}

#[tokio::test]
async fn nobody_is_asked_about_a_token_of_somebody_else() {
    let (issuer, stranger) = (TestIssuer::start(), TestIssuer::start());
    let server = server(&issuer).await;
    is_refused(&stranger.token(&TestIssuer::github("v1")), &server, stranger.url()).await;
    for url in [&format!("{}/", issuer.url()), "https://token.actions.githubusercontent.com", ""] {
        is_refused(&issuer.token(&github(&json!({"iss": url}))), &server, "trusts no issuer").await;
    }
    assert_eq!((issuer.requests(), stranger.requests()), (0, 0));
}

#[tokio::test]
async fn what_is_no_token_is_refused_at_once() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    let good = issuer.token(&TestIssuer::github("v1"));
    let (head, _) = good.split_once('.').unwrap();
    let huge = issuer.token(&github(&json!({"padding": "x".repeat(16 << 10)})));
    let deep = format!("{head}.{}.AAAA", URL_SAFE_NO_PAD.encode("[".repeat(5000)));
    let many: Value =
        (0..200).map(|number| (format!("claim{number}"), json!(number))).collect::<serde_json::Map<_, _>>().into();
    for bad in [
        "",
        "x",
        "a.b.c",
        "eyJ.eyJ.x",
        "eyJhbGciOiJFUzI1NiJ9..",
        "..",
        &good[..good.len() / 2],
        &format!("{good}.x"),
        &huge,
        &deep,
    ] {
        is_refused(bad, &server, "cannot be read").await;
    }
    assert_eq!(issuer.requests(), 0);
    is_refused(&issuer.token(&github(&many)), &server, "too many claims").await;
    let long_kid = json!({"alg": "ES256", "kid": "k".repeat(5000)});
    is_refused(&issuer.token_with_header(&long_kid, &TestIssuer::github("v1")), &server, "key").await;
    is_refused(&issuer.token(&github(&json!({"aud": 5}))), &server, "aud").await;
}

#[tokio::test]
async fn invented_key_ids_make_nobody_fetch_keys() {
    let issuer = TestIssuer::start();
    let server = server(&issuer).await;
    exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
    let asked = issuer.requests();
    assert_eq!(asked, 2, "its description and its keys");
    for number in 0..50 {
        let header = json!({"alg": "ES256", "kid": format!("invented-{number}")});
        let token = issuer.token_with_header(&header, &TestIssuer::github("v1"));
        is_refused(&token, &server, "does not have").await;
    }
    assert_eq!(issuer.requests(), asked);
    exchange(&server, &issuer.token(&TestIssuer::github("v1"))).await.expect(200);
}
