//! Errors for people and scripts, and the exit codes, which are a stable contract.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::client::{ClientError, ErrorKind, without_os_code};
use crate::domain::text::{Escaped, escape_json};

/// Exit codes of unsuccessful commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Any failure without a code of its own.
    Failure = 1,
    /// Invalid command line or configuration.
    Usage = 2,
    /// It does not exist, or no longer does.
    NotFound = 3,
    /// The token is missing, unknown, or lacks the permission.
    Auth = 4,
    /// A stated precondition does not hold.
    Precondition = 5,
    /// Bytes do not match their digest, or required signatures are missing.
    Integrity = 6,
    /// Still unavailable after all retries.
    Unavailable = 7,
    /// Partial success, or problems were found.
    Partial = 8,
    /// Interrupted by SIGINT.
    Interrupted = 130,
    /// The reader of stdout has closed the pipe (SIGPIPE).
    PipeClosed = 141,
    /// Terminated by SIGTERM.
    Terminated = 143,
}

/// Why a command failed.
#[derive(Debug, Clone)]
pub struct CliError {
    exit: Exit,
    code: Cow<'static, str>,
    detail: String,
    /// What to do about it, as far as it depends on how the command was called.
    hint: Option<String>,
    members: Map<String, Value>,
}

impl CliError {
    /// An error with a stable `code` for programs, and a sentence for people that names the remedy.
    #[must_use]
    pub fn new(exit: Exit, code: &'static str, detail: impl Into<String>) -> Self {
        Self { exit, code: code.into(), detail: detail.into(), hint: None, members: Map::new() }
    }

    /// An invalid command line.
    #[must_use]
    pub fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "USAGE", detail)
    }

    /// An outcome that only the exit code tells: there is nothing to say that was not said already.
    #[must_use]
    pub(super) fn silent(exit: Exit, code: &'static str) -> Self {
        Self::new(exit, code, "")
    }

    /// An I/O error of a local file or stream; `action` completes "Cannot …".
    #[must_use]
    pub fn io(action: impl fmt::Display, error: &io::Error) -> Self {
        let error_text = without_os_code(&error.to_string());
        let failed = Self::new(Exit::Failure, "IO", format!("Cannot {action}: {error_text}."));
        Self { hint: advice_of_system(error), ..failed }
    }

    /// Replaces the sentence for people.
    #[must_use]
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Replaces the hint.
    #[must_use]
    pub(super) fn with_hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// A number that the error has for programs, such as the status of the server's answer.
    pub(super) fn member(&self, member: &str) -> Option<u64> {
        self.members.get(member)?.as_u64()
    }

    /// The `name` of each entry of a list that the error has for programs.
    pub(super) fn names(&self, member: &str) -> Vec<String> {
        let entries = self.members.get(member).and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|entry| entry["name"].as_str()).map(str::to_owned).collect()
    }

    /// Replaces the exit code.
    #[must_use]
    pub(super) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Adds a member for programs.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.members.insert(member.to_owned(), value.into());
        self
    }

    /// Whether this is the error with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// What happened, without lists and hints.
    pub(super) fn sentence(&self) -> &str {
        self.detail.lines().next().unwrap_or_default()
    }

    /// The exit code of the process.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the error to stderr and returns the exit code.
    #[must_use]
    pub fn report(&self, json: bool) -> ExitCode {
        // Such as for the reader that closed the pipe, who does not expect a message.
        if !self.detail.is_empty() {
            let text = if json {
                escape_json(&self.json().to_string()).into_owned()
            } else {
                format!("larder: error: {}", Escaped::lines(&self.to_string()))
            };
            // If stderr is closed too, only the exit code remains.
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

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  {hint}"))
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
        if let ClientError::NoSource { failures, .. } = &error {
            let source = |(server, reason): &(String, String)| json!({"server": server, "reason": reason});
            members.insert("sources".into(), failures.iter().map(source).collect());
        }
        let mut hint = error.problem().and_then(|problem| hint(problem.status)).map(str::to_owned);
        if let ClientError::Io { source, .. } = &error {
            hint = advice_of_system(source);
        }
        Self { exit, code: error.code().to_owned().into(), detail: without_os_code(&error.to_string()), hint, members }
    }
}

/// Advice about an error of the system that says what is wrong, but not what to do.
fn advice_of_system(error: &io::Error) -> Option<String> {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Make room, or choose another place, and run this again: what is complete is not transferred again."
        }
        io::ErrorKind::PermissionDenied => "Run this as a user who may, or choose another place.",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// Advice that depends on how the request was made, which the server cannot know.
fn hint(status: u16) -> Option<&'static str> {
    match status {
        401 => Some("Give a token: set LARDER_TOKEN or LARDER_TOKEN_FILE, or use --token-file FILE."),
        403 => Some("Use a token whose grants cover this action and this name."),
        412 => Some("Somebody else changed the name: look at its versions, then decide again."),
        428 => Some("Use --expect with the digest of the active manifest, `none` to create, or `any` to replace."),
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
