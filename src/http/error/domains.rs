//! Mapping of errors of domains to responses.

use axum::http::StatusCode;

use super::ApiError;
use super::services::sentence;
use crate::domain::attached::{HostRefusal, MAX_HOSTS};
use crate::domain::site::HostName;
use crate::service::DomainError;
use crate::wire::Code;

impl ApiError {
    /// The text is no domain.
    pub(in crate::http) fn host_invalid() -> Self {
        let detail = "This is no domain: write a name such as docs.example.org, without a port; no address, and no single \
                      label.";
        Self::bad_request(Code::HostInvalid, detail)
    }

    /// Nothing is known of the host, as far as the caller may know.
    pub(in crate::http) fn host_unknown(host: &HostName) -> Self {
        let detail = format!("There is no host {host} here that you may see; PUT /sites/{host} attaches one.");
        Self::new(StatusCode::NOT_FOUND, Code::HostUnknown, detail)
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let taken = |detail: String| Self::new(StatusCode::CONFLICT, Code::HostTaken, detail);
        match error {
            DomainError::NoDomain => Self::host_invalid(),
            DomainError::Loop => Self::bad_request(Code::RequestInvalid, "A host cannot redirect to itself."),
            DomainError::Unbound => taken(
                "All hosts are this interface's: its operator has to list its own in server.api_hosts first.".to_owned(),
            ),
            DomainError::Configured(what) => {
                taken(format!("The configuration of this server says what this host is ({what}); only that can change it."))
            }
            DomainError::Refused(HostRefusal::Taken) => taken(
                "The host belongs to a name that you may not attach hosts to. Whoever may has to detach it, or its TXT record \
                 has to go."
                    .to_owned(),
            ),
            DomainError::Refused(HostRefusal::Absent) => {
                let detail = "There is no such host that you may change; PUT attaches one.";
                Self::new(StatusCode::NOT_FOUND, Code::HostUnknown, detail)
            }
            DomainError::Refused(HostRefusal::Full) => {
                let detail = format!("As many hosts are attached as can be, {MAX_HOSTS} at most; detach some first.");
                Self::new(StatusCode::CONFLICT, Code::HostLimit, detail)
            }
            DomainError::Precondition(current) => {
                let detail = match current {
                    Some(digest) => format!("The precondition does not hold: the current ETag is \"{digest}\"."),
                    None => "The precondition does not hold: the host is nobody's.".to_owned(),
                };
                Self::new(StatusCode::PRECONDITION_FAILED, Code::PreconditionFailed, detail)
                    .with("current_etag", current.map(|digest| format!("\"{digest}\"")))
            }
            DomainError::Busy => Self::busy(),
            DomainError::Contended => Self::unavailable("the hosts are being changed by others"),
            DomainError::Unanswered(why) => Self::unavailable(&sentence(&why)),
            DomainError::Store(error) => error.into(),
        }
    }
}
