//! What is wrong with the document of a catalog.

use axum::http::StatusCode;
use serde_json::Value;

use super::{ApiError, services};
use crate::domain::ManifestName;
use crate::domain::catalog::{Problems, Rule};
use crate::service::catalogs::CatalogReadError;
use crate::service::tuf::TufError;
use crate::wire::Code;

impl From<CatalogReadError> for ApiError {
    fn from(error: CatalogReadError) -> Self {
        let detail = format!("{}.", services::sentence(&error.to_string()).trim_end_matches('.'));
        match error {
            CatalogReadError::Resolve(error) => error.into(),
            CatalogReadError::Busy => Self::busy(),
            CatalogReadError::Unreadable { .. } => Self::new(StatusCode::NOT_FOUND, Code::CatalogDocument, detail),
            CatalogReadError::NoSuchRelease(_) => Self::new(StatusCode::NOT_FOUND, Code::ReleaseUnknown, detail),
            CatalogReadError::NoSuchItem(_) => Self::new(StatusCode::NOT_FOUND, Code::ItemUnknown, detail),
        }
    }
}

impl From<TufError> for ApiError {
    fn from(error: TufError) -> Self {
        match error {
            TufError::Unknown => Self::tuf_unknown(),
            TufError::Busy => Self::busy(),
            TufError::Store(error) => error.into(),
            TufError::ClockBehind { .. } => {
                tracing::error!(%error, "refused to sign a timestamp");
                let detail = format!(
                    "{}. A timestamp would be older than those that clients may have; the server's operator has to set its clock.",
                    services::sentence(&error.to_string()).trim_end_matches('.')
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::ClockSkew, detail).retry_after()
            }
        }
    }
}

impl ApiError {
    pub(in crate::http) fn tuf_unknown() -> Self {
        let detail = "There is no such file of TUF here: the catalog has none, is not shown to clients of TUF, or there is no \
                      catalog. Its author lets it be shown with larder catalog rotate --tuf.";
        Self::new(StatusCode::NOT_FOUND, Code::TufUnknown, detail)
    }

    pub(super) fn rolls_forward() -> Self {
        let detail = "This is a catalog, which never goes back: its readers would refuse it. Publish a new document with a \
                      higher serial instead. Only those who may found it (catalog_founders) may delete it.";
        Self::new(StatusCode::CONFLICT, Code::CatalogRollsForward, detail)
    }

    pub(super) fn listed(number: u64, catalog: &str) -> Self {
        let detail = format!(
            "Version {number} is listed in the catalog {catalog}, whose readers rely on it. Add a hazard there, or take the \
             pin away by force, with a reason (larder pin --remove --catalog {catalog} --force --reason TEXT)."
        );
        Self::new(StatusCode::CONFLICT, Code::ListedInCatalog, detail).with("version", number).with("catalog", catalog)
    }

    pub(super) fn not_founder(name: &ManifestName) -> Self {
        let detail = format!(
            "There is no catalog {name}, and the policy of the name does not let you found one; its operator can add you to \
             catalog_founders."
        );
        Self::forbidden(detail)
    }

    /// All problems of a document: 409 if it only contradicts what is published.
    pub(super) fn catalog(problems: &Problems) -> Self {
        let status = if problems.are_conflicts() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        let rule = problems.rule().unwrap_or(Rule::Document);
        let detail = format!("The catalog is not valid: {}.", problems.to_string().replace('\n', "; "));
        let listed: Value = serde_json::to_value(problems.listed()).unwrap_or_default();
        Self::new(status, code(rule), detail).with("problems", listed).with("more", problems.more())
    }
}

fn code(rule: Rule) -> Code {
    match rule {
        Rule::Document => Code::CatalogDocument,
        Rule::Name => Code::CatalogName,
        Rule::ReleaseName => Code::ReleaseName,
        Rule::ItemName => Code::ItemName,
        Rule::ItemFile => Code::ItemFile,
        Rule::WareId => Code::WareId,
        Rule::Metadata => Code::Metadata,
        Rule::Serial => Code::CatalogSerial,
        Rule::ReleaseChanged => Code::ReleaseChanged,
        Rule::ReleaseRemoved => Code::ReleaseRemoved,
        Rule::Signatures => Code::CatalogSignatures,
        Rule::Targets => Code::CatalogTargets,
    }
}
