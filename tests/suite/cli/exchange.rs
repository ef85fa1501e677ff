//! A stand-in for keyless publishing: an issuer of ID tokens and the exchange of a server, in front of a real server whose
//! admin token stands behind every token that the exchange issues.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::fake::{Act, Fake, Request, answer};
use crate::support::process::ServerProcess;

/// What a job shows to its issuer.
pub const JOB_SECRET: &str = "job-request-secret";

/// How the stand-in behaves.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Lifetime of the issued tokens in seconds.
    pub expires_in: u64,
    /// The audience to ask for instead of its own address.
    pub audience: Option<&'static str>,
    /// Why no identity is accepted.
    pub refusal: Option<&'static str>,
    /// Why the issuer gives no ID token.
    pub withheld: Option<u16>,
    /// How long an upload takes.
    pub upload: Duration,
    /// Whether the reply to the first exchange is lost.
    pub loses_reply: bool,
    /// Whether the issuer is down after the first ID token, for three requests.
    pub falters: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            expires_in: 900,
            audience: None,
            refusal: None,
            withheld: None,
            upload: Duration::ZERO,
            loses_reply: false,
            falters: false,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    id_tokens: usize,
    asked: usize,
    used: Vec<String>,
    /// Issued tokens, until when they are valid.
    valid: Vec<(String, Instant)>,
    issued: usize,
    revoked: usize,
}

/// The stand-in.
#[derive(Debug)]
pub struct Exchange {
    pub fake: Fake,
    state: Arc<Mutex<State>>,
}

impl Exchange {
    pub fn before(server: &ServerProcess, rules: Rules) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (address, token, inner) = (server.address, server.token(), Arc::clone(&state));
        let fake = Fake::start(move |request, _| match (request.method.as_str(), request.path.as_str()) {
            ("GET", path) if path.starts_with("/id-token?") => id_token(request, &rules, &inner),
            ("GET", "/auth/oidc/audience") => {
                let audience = rules.audience.map_or_else(|| own(request), str::to_owned);
                reply(200, &json!({ "audience": audience }))
            }
            ("POST", "/auth/oidc/token") => exchange(request, &rules, &inner),
            ("DELETE", "/auth/oidc/token") => revoke(request, &inner),
            _ => pass_on(request, &rules, &inner, address, &token),
        });
        Self { fake, state }
    }

    pub fn url(&self) -> String {
        self.fake.url()
    }

    /// The variables of a job of GitHub Actions that may ask for ID tokens.
    pub fn github(&self) -> [(&'static str, String); 4] {
        [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/id-token?api-version=2.0", self.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", JOB_SECRET.to_owned()),
            ("LARDER_SERVER", self.url()),
        ]
    }

    /// How many tokens were issued.
    pub fn issued(&self) -> usize {
        self.state.lock().unwrap().issued
    }

    /// How many tokens were revoked.
    pub fn revoked(&self) -> usize {
        self.state.lock().unwrap().revoked
    }

    /// How many tokens could still be used.
    pub fn usable(&self) -> usize {
        let now = Instant::now();
        self.state.lock().unwrap().valid.iter().filter(|(_, until)| *until > now).count()
    }
}

fn reply(status: u16, body: &Value) -> Act {
    answer(status, &[("content-type", "application/json")], body.to_string().as_bytes())
}

fn problem(status: u16, code: &str, detail: &str) -> Act {
    reply(status, &json!({ "status": status, "code": code, "detail": detail }))
}

fn own(request: &Request) -> String {
    format!("http://{}", request.header("host").unwrap())
}

fn bearer(request: &Request) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

/// What GitHub's issuer does: an ID token for the audience that is asked for.
fn id_token(request: &Request, rules: &Rules, state: &Mutex<State>) -> Act {
    assert_eq!(bearer(request), Some(JOB_SECRET));
    if let Some(status) = rules.withheld {
        return reply(status, &json!({ "message": "not now" }));
    }
    let audience = request.path.split_once("audience=").unwrap().1;
    let mut state = state.lock().unwrap();
    state.asked += 1;
    if rules.falters && (2..5).contains(&state.asked) {
        return reply(503, &json!({ "message": "later" }));
    }
    state.id_tokens += 1;
    reply(200, &json!({ "value": format!("id.{}.{audience}", state.id_tokens) }))
}

/// Accepts each ID token once, and only those for its audience.
fn exchange(request: &Request, rules: &Rules, state: &Mutex<State>) -> Act {
    assert_eq!(bearer(request), None, "the ID token alone has to convince");
    let question: Value = serde_json::from_slice(&request.body).unwrap();
    let id_token = question["token"].as_str().unwrap().to_owned();
    if let Some(refusal) = rules.refusal {
        return problem(403, "FORBIDDEN", refusal);
    }
    let audience: String = own(request).replace(':', "%3A").replace('/', "%2F");
    if id_token.starts_with("id.") && !id_token.ends_with(&audience) {
        return problem(403, "FORBIDDEN", &format!("The token is for another audience: {id_token}."));
    }
    let mut state = state.lock().unwrap();
    if state.used.contains(&id_token) {
        return problem(403, "FORBIDDEN", "The token was used before.");
    }
    state.used.push(id_token);
    if rules.loses_reply && state.used.len() == 1 {
        return Act::Close;
    }
    state.issued += 1;
    let token = format!("access-{}", state.issued);
    state.valid.push((token.clone(), Instant::now() + Duration::from_secs(rules.expires_in)));
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let (lifetime, kind) = (json!(rules.expires_in), json!(kind));
    let answer =
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime, "issued_token_type": kind });
    reply(200, &answer)
}

fn is_valid(token: &str, state: &State) -> bool {
    state.valid.iter().any(|(valid, until)| valid == token && *until > Instant::now())
}

fn revoke(request: &Request, state: &Mutex<State>) -> Act {
    let mut state = state.lock().unwrap();
    let token = bearer(request).unwrap_or_default();
    if !is_valid(token, &state) {
        return problem(401, "UNAUTHORIZED", "This needs a token that is known.");
    }
    state.valid.retain(|(valid, _)| valid != token);
    state.revoked += 1;
    answer(204, &[], b"")
}

/// The real server, which knows nothing of the issued tokens.
fn pass_on(request: &Request, rules: &Rules, state: &Mutex<State>, address: SocketAddr, admin: &str) -> Act {
    let mut request = request.clone();
    if let Some(token) = bearer(&request).map(str::to_owned) {
        if !is_valid(&token, &state.lock().unwrap()) {
            return problem(401, "UNAUTHORIZED", "The token is unknown or has expired.");
        }
        for (name, value) in &mut request.headers {
            if name.eq_ignore_ascii_case("authorization") {
                *value = format!("Bearer {admin}");
            }
        }
    }
    if request.is("PUT", "/blobs/") {
        std::thread::sleep(rules.upload);
    }
    Act::Answer(request.pass_on(address))
}
