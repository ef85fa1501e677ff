//! Why identity tokens do not count.

/// Why an identity token does not count. Says nothing of it that is secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a signed token, or a claim that must be there is not.
    #[error("the identity token cannot be read: {0}")]
    Malformed(&'static str),
    /// No configured issuer has the value of `iss`.
    #[error("this server trusts no issuer {0:?} of identity tokens; the value of iss must be that of a configured one")]
    Issuer(String),
    /// Signed with an algorithm that is not configured for the issuer.
    #[error("the identity token is signed with {0}, which this server does not accept from its issuer")]
    Algorithm(String),
    /// The issuer has no such key.
    #[error("the identity token is signed with a key that its issuer does not have (any more)")]
    UnknownKey,
    /// The signature does not match.
    #[error("the signature of the identity token is wrong")]
    Signature,
    /// It is not valid yet, or not any more; the text says which claim is off, and by how much.
    #[error("{0}")]
    Time(String),
    /// It was exchanged before.
    #[error("the identity token was used already; ask the issuer for a new one")]
    Used,
    /// It cannot be judged at present.
    #[error("the identity token cannot be checked at present: {0}")]
    Unavailable(String),
}
