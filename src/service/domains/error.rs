//! Why a domain cannot be attached, verified or detached.

use crate::domain::Digest;
use crate::domain::attached::HostRefusal;
use crate::domain::hosts::HostRole;
use crate::protocol::HostChangeError;
use crate::store::StoreError;

/// Why a domain cannot be attached, verified or detached.
#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    /// It is no name that the DNS could have a record for.
    #[error("this is no domain name")]
    NoDomain,
    /// The host would redirect to itself.
    #[error("a host cannot redirect to itself")]
    Loop,
    /// No hosts are configured, so that all of them are the interface's.
    #[error("all hosts are this interface's")]
    Unbound,
    /// The configuration says what the host is.
    #[error("this is {0}")]
    Configured(&'static str),
    /// The state of the host does not allow it.
    #[error(transparent)]
    Refused(#[from] HostRefusal),
    /// The precondition does not hold; holds the current tag.
    #[error("the precondition does not hold")]
    Precondition(Option<Digest>),
    /// Too many look-ups are in progress.
    #[error("too many look-ups are in progress")]
    Busy,
    /// The DNS does not say whether the record is there.
    #[error("{0}")]
    Unanswered(String),
    /// Other writers kept changing the hosts.
    #[error("the hosts are being changed by too many writers at once")]
    Contended,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DomainError {
    /// The error for hosts whose role the configuration says; `None` for others.
    #[must_use]
    pub fn configured(role: &HostRole) -> Option<Self> {
        match role {
            HostRole::Unlisted => None,
            HostRole::Api => Some(Self::Configured("a host of this interface")),
            HostRole::Site(_) | HostRole::Redirect(_) => Some(Self::Configured("a host of [[sites]]")),
            HostRole::Preview(..) => Some(Self::Configured("below a domain for previews")),
        }
    }
}

impl From<HostChangeError<Self>> for DomainError {
    fn from(error: HostChangeError<Self>) -> Self {
        match error {
            HostChangeError::Refused(error) => error,
            HostChangeError::Contended => Self::Contended,
            HostChangeError::Store(error) => Self::Store(error),
        }
    }
}
