//! Who may do what under `/v2/`, and how clients find out.

mod crowds;
mod hostile;
mod login;
mod matrix;

use larder::config::{Config, Token};
use larder::domain::{Digest, Permission};

/// A token `secret of ID` with these actions for these names.
pub(super) fn token(id: &str, actions: &[Permission], names: &[&str]) -> Token {
    Token {
        id: id.into(),
        sha256: Digest::of(format!("secret of {id}").as_bytes()).hex(),
        actions: actions.to_vec(),
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        surfaces: None,
        until: None,
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// One who may do everything in `team/app`, one who may only read what is private, and one whose time is over.
fn some_tokens(config: &mut Config) {
    let over = Some("2001-01-01T00:00:00Z".parse().unwrap());
    config.access.tokens = vec![
        token("ci", &[Permission::Publish, Permission::Read], &["team/app/*"]),
        token("reader", &[Permission::Read], &["**"]),
        Token { until: over, ..token("old", &[Permission::Admin], &["**"]) },
    ];
}
