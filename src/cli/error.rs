//! Errors as people and scripts see them, and the exit codes, which are a contract.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::client::{ClientError, ErrorKind};

/// How a command ends when it does not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Anything that has no code of its own.
    Failure = 1,
    /// The command line (or the configuration) is wrong.
    Usage = 2,
    /// Not there, or there no more.
    NotFound = 3,
    /// Token missing, unknown or without the right.
    Auth = 4,
    /// A stated precondition does not hold.
    Precondition = 5,
    /// Bytes do not match their digest.
    Integrity = 6,
    /// Unavailable after all retries.
    Unavailable = 7,
    /// Done in part, or problems were found.
    Partial = 8,
    /// SIGINT.
    Interrupted = 130,
    /// Nobody reads our output any more (SIGPIPE).
    PipeClosed = 141,
    /// SIGTERM.
    Terminated = 143,
}

/// Why a command did not succeed.
#[derive(Debug, Clone)]
pub struct CliError {
    exit: Exit,
    code: Cow<'static, str>,
    detail: String,
    members: Map<String, Value>,
}

impl CliError {
    /// An error with a stable `code` for programs and a sentence for people that says what to do.
    #[must_use]
    pub fn new(exit: Exit, code: &'static str, detail: impl Into<String>) -> Self {
        Self { exit, code: code.into(), detail: detail.into(), members: Map::new() }
    }

    /// The command line is wrong.
    #[must_use]
    pub fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "USAGE", detail)
    }

    /// A local file or stream failed; `action` completes "Cannot …".
    #[must_use]
    pub fn io(action: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(Exit::Failure, "IO", format!("Cannot {action}: {error}."))
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the error to stderr and gives the process's exit code.
    #[must_use]
    pub fn report(&self, json: bool) -> ExitCode {
        // Whoever closed our output does not want to hear from us.
        if self.exit != Exit::PipeClosed {
            let text =
                if json { self.json().to_string() } else { format!("larder: error: {}", harmless(&self.detail)) };
            // With stderr gone, the exit code is all that is left to say.
            let _ = writeln!(io::stderr(), "{text}");
        }
        ExitCode::from(self.exit as u8)
    }

    fn json(&self) -> Value {
        let mut error = self.members.clone();
        error.insert("code".into(), json!(self.code));
        error.insert("detail".into(), json!(self.detail.lines().next().unwrap_or_default()));
        error.insert("exit_code".into(), json!(self.exit as u8));
        json!({ "error": error })
    }
}

/// Text that may come from elsewhere, for a terminal: lines, but nothing that steers it.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for CliError {}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let exit = match error.kind() {
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Auth => Exit::Auth,
            ErrorKind::Precondition => Exit::Precondition,
            ErrorKind::Integrity => Exit::Integrity,
            ErrorKind::Unavailable => Exit::Unavailable,
            ErrorKind::Failure => Exit::Failure,
        };
        if let ClientError::Io { source, .. } = &error
            && source.kind() == io::ErrorKind::BrokenPipe
        {
            return Self::new(Exit::PipeClosed, "PIPE_CLOSED", "");
        }
        let mut members = error.problem().map(|problem| problem.members.clone()).unwrap_or_default();
        if let Some(problem) = error.problem() {
            members.insert("status".into(), json!(problem.status));
        }
        let mut detail = error.to_string();
        if let Some(hint) = error.problem().and_then(|problem| hint(problem.status)) {
            detail = format!("{detail}\n  {hint}");
        }
        Self { exit, code: error.code().to_owned().into(), detail, members }
    }
}

/// What to do about an answer, where the server cannot know how it was asked.
fn hint(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("Give a token: set LARDER_TOKEN or LARDER_TOKEN_FILE, or use --token-file FILE."),
        403 => Some("Use a token whose grants cover this action and this name."),
        412 => Some("Somebody else changed the name: look at `larder versions NAME`, then decide again."),
        428 => Some("Use --expect with the ETag of the active manifest, `none` to create, or `any` to replace."),
        _ => None,
    }
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::new(Exit::Failure, "FAILURE", format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Problem;

    #[test]
    fn a_refusal_keeps_code_members_and_exit_code() {
        let body = br#"{"code":"PRECONDITION_FAILED","detail":"It changed.","current_etag":"\"x\""}"#;
        let error = CliError::from(ClientError::Refused(Box::new(Problem::read(412, "", body, None))));
        assert_eq!(error.exit(), Exit::Precondition);
        assert_eq!(
            error.json(),
            json!({"error": {"code": "PRECONDITION_FAILED", "detail": "It changed.", "exit_code": 5, "status": 412,
                "current_etag": "\"x\""}})
        );
    }

    #[test]
    fn a_closed_pipe_is_no_message() {
        let source = io::Error::from(io::ErrorKind::BrokenPipe);
        let error = CliError::from(ClientError::Io { action: "write".into(), source });
        assert_eq!(error.exit(), Exit::PipeClosed);
    }
}
