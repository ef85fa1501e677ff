//! Hosts that serve releases as sites.

use reqwest::Method;

use super::{Client, ClientError, ErrorKind, because};
use crate::domain::ManifestName;
use crate::domain::site::HostName;
use crate::wire::sites::{SiteHost, SitePage, SiteRequest};

impl Client {
    /// One page of the hosts, or of those of one name.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn sites(&self, name: Option<&ManifestName>, after: Option<&str>) -> Result<SitePage, ClientError> {
        let mut url = self.url("sites");
        let given = [("name", name.map(|name| name.as_str())), ("after", after)];
        for (key, value) in given {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(key, value);
            }
        }
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// A host, with its last changes.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn site(&self, host: &HostName) -> Result<SiteHost, ClientError> {
        let url = self.url(&format!("sites/{host}"));
        self.answer(|| self.request(Method::GET, url.clone())).await?.json()
    }

    /// Attaches a host to a name, or changes what it serves. It may have to be verified before it does.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn point_site(&self, host: &HostName, request: &SiteRequest) -> Result<SiteHost, ClientError> {
        let url = self.url(&format!("sites/{host}"));
        self.answer(|| self.request(Method::PUT, url.clone()).json(request)).await?.json()
    }

    /// Looks for the TXT record of a host now. The answer says whether it was found.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn verify_site(&self, host: &HostName) -> Result<SiteHost, ClientError> {
        let url = self.url(&format!("sites/{host}/verify"));
        self.answer(|| self.request(Method::POST, url.clone())).await?.json()
    }

    /// Detaches a host.
    ///
    /// # Errors
    /// The server's refusal, or the transport's failure.
    pub async fn detach_site(&self, host: &HostName, reason: Option<&str>) -> Result<(), ClientError> {
        let url = because(self.url(&format!("sites/{host}")), reason);
        let mut retries = self.policy.start();
        match self.answer_within(&mut retries, || self.request(Method::DELETE, url.clone())).await {
            // The first attempt did it, and its reply was lost.
            Err(error) if retries.repeated() && error.kind() == ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }
}
