//! A local issuer of identity tokens: what GitHub, GitLab and the like are to jobs. Runs on a thread of its own, so that
//! tests of processes can use it as well.

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use larder::clock::{Clock as _, SystemClock};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::process::read_head;

/// The audience of tokens unless a test says otherwise.
pub const AUDIENCE: &str = "https://larder.example.org";

/// An RSA key of nobody: `ring` signs with such keys, but makes none.
const RSA_KEY: &str = "\
    MIIEowIBAAKCAQEAtZ6c5EXjzpQl9D3S+5fndESv8x4PpjKBa2IQbdFLNZ8olQQeY+PONaLvOnQ+WE69ODF77Z3XEqStWRKbJ9on\
    7LmadKzfRpq1FXUzh9xbReTZ98PR3x9kfoM4V7wtN2qhcaZS3qx7klPJDx5pru4FQ6zSVcgpLOaC4Agg8T7qBT5xyhDQGW0l9bNp\
    7IL9to2AEaFqzfadO4G2FEBs0x/X9yAvo6Fkqd1XYpf5/O8b9B1C9vIeYZPRFXBi5tTQlBJqiiNrzF5MDAh/E+E5HR2dWJs4VCMD\
    4LmtN5gfswK9kF+351uOfB9rDBiNuxNMKKptyfFOA4q88zkS1BVFvFf4tQIDAQABAoIBABCnj6AQN6RvKe7Uh4cqRh9/l/ntmQZG\
    zd7kwnhrj5/GbVCC7O2Ai52YCCN+WuQ6rjfbs89VoM4VG09WeTNlmjEnUP5fhucA01e5JGVSQ+1sH7/MbW+uP4cpbc5/006oYM8c\
    7y77tqYzuDWCdrMDoSh0TeJvZTU4mypDnI+60vdxe611oUOE9WaMWoHxYhBZo1wuU1LX4tenYlrrTiSAVbZVzxUx0govilu0Lv3I\
    O7umZayAy8fsT4cupQ73s9DGlYH0HUxu2ppSPQq3TK+K3M1AgpALnkhuKVaZmCBHqhHuZzxGwrHHxnriVS86d3x3YeJ2Vvl8m2gX\
    xDg2sRDBmyECgYEA2pHGhFOcmsOIZ1RJ7o2+VjThhGg/pAlLoUv/pAsejRVkyCW2MHSxdqHzR3IgZORqWFi2oDwXWIBMQ44ee9sO\
    v/TUNj2QK/hmx+DQ/T9e6Z/P39V5SCvXA9O/31rpzaXX4mEXqJ83RNrzgko1V9OsEEZ5M9rjy74TbsoAy3DOtNUCgYEA1LjumysB\
    i3uzoN/FG9J80E8SwHe+7mVfLTscOPAci7fusfD/+IoAM/o+dIsIPgaRHLz9MUqS9DNfYvRc4rNwNr+f8SI3wTnb6NlGVjgtYHiO\
    A2Sz69xlmv3ZF/pOh/lrZ2GRVKV/3sVDlYoJIOGSHvHMMTYevc4mUdZ6GnP5pGECgYBo9EMtW7EBqA8h/xmZUbsqTi5UlHKq5EPK\
    6mGRdj1vZeyFJ4a68e4dl1ro3easS/q8/ayEeRaEyubUMbR1qRUGHByjByDp3FgOdugkE4ASE0mQpEOe4l5XWiDysgc/Vvm5nQHt\
    WLcDe1gfIl9HEz+2eQDOY7erKFTQiHOlPUAlGQKBgQDFDS6S9Kqwr/185+zqUfim6qjfO83VfnhFKP2CzQJUdyUZFru3WvbHL2fN\
    g8E129Vuvq74izFIH5Kb0ut8YWZwgOBDekQVrWhF8YeTdOSr+eDrycxVj8tbYQ1KhedbVDQnBx2eQNUL4sYxbzX3jJ1UJv7VE2I0\
    xxN+OeTQPmCh4QKBgEGy8gJ4EIQ9r/sNeyYhi+5v0Ma4fLofvCZzkUe1CzEUEisl49b/3GGJ8nzfd7bSLDZGZ+UzwBaRL3CoxWyt\
    wVLPaBmXjaQLnz5/YcVVJfVqtj0lZ1kO7rj/WO8n3qrZ6tFNVOlxWVQ8xFG9oYMcIcvyV6kUDGpjTME1GstC+XwQ";

/// How the issuer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// As it should.
    Well,
    /// With this status.
    Status(u16),
    /// With something else than JSON.
    Garbage,
    /// With a body that never ends.
    Endless,
    /// As if it were another issuer.
    AsAnother,
    /// Not at all.
    Never,
}

#[derive(Debug)]
enum SigningKey {
    Curve(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

#[derive(Debug)]
struct State {
    key: SigningKey,
    kid: String,
    answers: Answers,
}

/// A running issuer.
#[derive(Debug)]
pub struct TestIssuer {
    url: String,
    state: Arc<Mutex<State>>,
    requests: Arc<AtomicU32>,
    serial: AtomicU32,
}

impl TestIssuer {
    /// An issuer that signs with ES256, with a key made for it.
    pub fn start() -> Self {
        Self::with_key(SigningKey::Curve(new_curve_key()))
    }

    /// An issuer that signs with RS256, as the public ones do.
    pub fn with_rsa() -> Self {
        let der = STANDARD.decode(RSA_KEY).unwrap();
        Self::with_key(SigningKey::Rsa(RsaKeyPair::from_der(&der).unwrap()))
    }

    fn with_key(key: SigningKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { key, kid: "key-1".to_owned(), answers: Answers::Well }));
        let requests = Arc::new(AtomicU32::new(0));
        let (shared, counted, own) = (state.clone(), requests.clone(), url.clone());
        // Ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::Relaxed);
                let (shared, own) = (shared.clone(), own.clone());
                thread::spawn(move || answer(&stream, &shared, &own));
            }
        });
        Self { url, state, requests, serial: AtomicU32::new(0) }
    }

    /// The value of `iss`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests it got.
    pub fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Changes how it answers.
    pub fn answers(&self, answers: Answers) {
        self.state.lock().unwrap().answers = answers;
    }

    /// Signs with a new key from now on; the old one is not published any more.
    pub fn rotate(&self, kid: &str) {
        let mut state = self.state.lock().unwrap();
        state.key = SigningKey::Curve(new_curve_key());
        kid.clone_into(&mut state.kid);
    }

    /// The claims of a job on GitHub that was started by a tag: repository 1000001 of owner 2000002.
    pub fn github(tag: &str) -> Value {
        let workflow = format!("mirendev/runtime/.github/workflows/release.yml@refs/tags/{tag}");
        json!({
            "sub": format!("repo:mirendev/runtime:ref:refs/tags/{tag}"),
            "repository": "mirendev/runtime", "repository_id": "1000001",
            "repository_owner": "mirendev", "repository_owner_id": "2000002",
            "workflow_ref": workflow, "job_workflow_ref": workflow,
            "ref": format!("refs/tags/{tag}"), "ref_type": "tag", "sha": "abc1234", "event_name": "push",
            "run_id": "17", "run_attempt": "1", "runner_environment": "github-hosted",
        })
    }

    /// A token with these claims; `iss`, `aud`, `jti` and times are added where they are missing.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with_header(&self.header(), claims)
    }

    /// The same, with another header. The signature is right for its text, whatever it says.
    pub fn token_with_header(&self, header: &Value, claims: &Value) -> String {
        let signed = self.unsigned(header, claims);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())))
    }

    /// Header and claims without a signature.
    pub fn unsigned(&self, header: &Value, claims: &Value) -> String {
        let now = now();
        let jti = format!("{}-{}", self.url, self.serial.fetch_add(1, Ordering::Relaxed));
        let mut all = json!({"iss": self.url, "aud": AUDIENCE, "jti": jti, "iat": now, "nbf": now, "exp": now + 300});
        let claims = claims.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(claims);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}", part(header), part(&all))
    }

    /// The usual header.
    pub fn header(&self) -> Value {
        let state = self.state.lock().unwrap();
        let algorithm = if matches!(state.key, SigningKey::Rsa(_)) { "RS256" } else { "ES256" };
        json!({"alg": algorithm, "typ": "JWT", "kid": state.kid})
    }

    /// The public key, as the issuer publishes it.
    pub fn public_key(&self) -> Value {
        public_key(&self.state.lock().unwrap())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.state.lock().unwrap().key {
            SigningKey::Curve(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// The time in tokens.
pub fn now() -> i64 {
    let now: Timestamp = SystemClock.now();
    now.as_second()
}

fn new_curve_key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap()
}

fn public_key(state: &State) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match &state.key {
        SigningKey::Curve(key) => {
            let point = key.public_key().as_ref();
            json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]), "kid": state.kid,
                "use": "sig", "alg": "ES256"})
        }
        SigningKey::Rsa(key) => {
            let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
            json!({"kty": "RSA", "n": text(&public.n), "e": text(&public.e), "kid": state.kid,
                "use": "sig", "alg": "RS256"})
        }
    }
}

/// Answers one request and closes the connection. The API of a platform is here as well: one repository.
fn answer(stream: &TcpStream, state: &Mutex<State>, url: &str) {
    let Ok((first, _)) = read_head(&mut BufReader::new(stream)) else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (answers, key) = {
        let state = state.lock().unwrap();
        (state.answers, public_key(&state))
    };
    let issuer = if answers == Answers::AsAnother { "https://somebody.example" } else { url };
    let document = match path.as_str() {
        "/.well-known/openid-configuration" => Some(json!({"issuer": issuer, "jwks_uri": format!("{url}/keys")})),
        "/keys" => Some(json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "shared"}, key]})),
        "/repos/mirendev/runtime" => {
            Some(json!({"id": 1_000_001, "full_name": "mirendev/runtime", "owner": {"id": 2_000_002}}))
        }
        _ => None,
    };
    let mut stream = stream;
    let _ = match (answers, document) {
        (Answers::Never, _) => {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        (Answers::Endless, _) => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b' '; 4096]).is_ok() {}
            Ok(())
        }
        (Answers::Garbage, _) => stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>"),
        (Answers::Status(status), _) => {
            write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        (_, None) => write!(stream, "HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        (_, Some(document)) => {
            let body = document.to_string();
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
        }
    };
}
