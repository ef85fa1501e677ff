//! Mirrors whose addresses come from a document that others wrote, such as a catalog.
//!
//! Nothing that such a document says may make a client ask servers that its author could not reach. An address is used if
//! it is a public one, or of the same kind as that of the server which the user named: loopback beside loopback, a private
//! network beside a private network. That is judged by the addresses that are connected to, so what a name resolves to
//! later does not matter. Mirrors get no token, and none is asked in clear text where the server is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Url, redirect};

use super::sources::Sources;
use super::{Client, ClientError, RetryPolicy, build, builder, parse_base, read_redirects};

/// Maximum number of mirrors that are asked.
const MAX_MIRRORS: usize = 16;
/// Why an address is not used.
const PRIVATE: &str = "it is not a public address, and the server that was named is of another kind";

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// It is no address of a single host that means the same everywhere: a group, or one of the local link, such as those of
    /// the metadata of cloud machines. Never used.
    Nowhere,
    Loopback,
    Private,
    Public,
}

impl Reach {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, third, _] = address.octets();
        match (first, second, third) {
            (127, ..) => Self::Loopback,
            (0 | 224..=255, ..) | (169, 254, _) => Self::Nowhere,
            (10, ..) | (100, 64..=127, _) | (172, 16..=31, _) | (192, 0, 0) | (192, 168, _) | (198, 18..=19, _) => {
                Self::Private
            }
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(address) = address.to_ipv4_mapped() {
            return Self::of_v4(address);
        }
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0, 0, 0, 0, 0, 0, _, _] | [0xff00..=0xffff | 0xfe80..=0xfebf, ..] => Self::Nowhere,
            // Unique local and site-local addresses; those that stand for an IPv4 address.
            [0xfc00..=0xfdff | 0xfec0..=0xfeff | 0x2002, ..] | [0x64, 0xff9b, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    /// Whether such an address may be used beside a server of the kind `own`.
    fn is_allowed(self, own: Self) -> bool {
        self == Self::Public || (self == own && self != Self::Nowhere)
    }
}

impl Client {
    /// The same client, which reads what has a digest from these mirrors as well, wherever the server or one of them
    /// fails. Addresses that cannot be used are left out, with a warning.
    #[must_use]
    pub async fn with_mirrors(&self, addresses: &[String]) -> Self {
        self.with_sources(self.mirrors(addresses).await)
    }

    /// The same client, which reads what has a digest from these servers as well, after those that it has already. Each of
    /// them is asked with its own token, if it has one.
    #[must_use]
    pub fn with_sources(&self, others: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = match &self.sources {
            Some(sources) => sources.clients().cloned().collect(),
            None => vec![self.clone()],
        };
        let before = all.len();
        for other in others {
            if all.iter().all(|known| known.base != other.base) {
                all.push(other);
            }
        }
        // What is known of those that failed is not lost.
        if all.len() == before {
            return self.clone();
        }
        Self { sources: Some(Arc::new(Sources::new(all))), ..self.clone() }
    }

    /// Clients for mirrors of this client's server, without a token and without retries.
    pub async fn mirrors(&self, addresses: &[String]) -> Vec<Self> {
        let mut mirrors: Vec<Self> = Vec::new();
        if addresses.is_empty() {
            return mirrors;
        }
        let own = reach_of(&self.base).await;
        for address in addresses.iter().take(MAX_MIRRORS) {
            match self.mirror(address, own) {
                Ok(mirror) if mirror.base == self.base || mirrors.iter().any(|other| other.base == mirror.base) => {}
                Ok(mirror) => mirrors.push(mirror),
                Err(error) => tracing::warn!("the mirror {address:?} is not used: {error}"),
            }
        }
        mirrors
    }

    fn mirror(&self, address: &str, own: Reach) -> Result<Self, ClientError> {
        let base = parse_base(address)?;
        if base.scheme() == "http" && self.base.scheme() == "https" {
            return Err(ClientError::Setup("the server is asked by https, and it is not.".into()));
        }
        if literal(&base).is_some_and(|address| !Reach::of(address).is_allowed(own)) {
            return Err(ClientError::Setup(format!("{PRIVATE}.")));
        }
        let guarded = || builder().dns_resolver(Arc::new(Guarded(own)));
        let reader = build(&base, || guarded().redirect(redirects(own)))?;
        let writer = build(&base, || guarded().redirect(redirect::Policy::none()))?;
        Ok(Self {
            base,
            credential: None,
            reader,
            writer,
            policy: RetryPolicy::new(0),
            sources: None,
            is_mirror: true,
            ..self.clone()
        })
    }
}

/// The address of a host that is stated as such.
fn literal(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// The kind of the server's address: that of all that its name resolves to, else public.
async fn reach_of(url: &Url) -> Reach {
    if let Some(address) = literal(url) {
        return Reach::of(address);
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    let Ok(addresses) = resolve(host).await else { return Reach::Public };
    let mut kinds = addresses.iter().map(|address| Reach::of(address.ip()));
    let first = kinds.next().unwrap_or(Reach::Public);
    if kinds.all(|kind| kind == first) { first } else { Reach::Public }
}

async fn resolve(host: String) -> std::io::Result<Vec<SocketAddr>> {
    let resolved = tokio::task::spawn_blocking(move || (&*host, 0).to_socket_addrs().map(Iterator::collect)).await;
    resolved.map_err(std::io::Error::other)?
}

/// Redirects as for other reads, but to no address that would not be asked directly. Names are judged by the resolver.
fn redirects(own: Reach) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        if literal(attempt.url()).is_some_and(|address| !Reach::of(address).is_allowed(own)) {
            return attempt.error(PRIVATE);
        }
        read_redirects().redirect(attempt)
    })
}

/// Resolves names to addresses that may be used beside a server of this kind.
#[derive(Debug)]
struct Guarded(Reach);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let own = self.0;
        Box::pin(async move {
            let mut addresses = resolve(name.as_str().to_owned()).await?;
            addresses.retain(|address| Reach::of(address.ip()).is_allowed(own));
            if addresses.is_empty() {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_public_private_or_loopback() {
        for (text, reach) in [
            ("127.0.0.1", Reach::Loopback),
            ("127.9.9.9", Reach::Loopback),
            ("::1", Reach::Loopback),
            ("::ffff:127.0.0.1", Reach::Loopback),
            ("10.1.2.3", Reach::Private),
            ("172.16.0.1", Reach::Private),
            ("172.32.0.1", Reach::Public),
            ("192.168.1.1", Reach::Private),
            ("169.254.169.254", Reach::Nowhere),
            ("100.64.0.1", Reach::Private),
            ("::ffff:10.0.0.1", Reach::Private),
            ("fd00::1", Reach::Private),
            ("fe80::1", Reach::Nowhere),
            ("::ffff:169.254.169.254", Reach::Nowhere),
            ("fec0::1", Reach::Private),
            ("64:ff9b::a00:1", Reach::Private),
            ("2002:a00:1::", Reach::Private),
            ("0.0.0.0", Reach::Nowhere),
            ("::", Reach::Nowhere),
            ("::7f00:1", Reach::Nowhere),
            ("224.0.0.1", Reach::Nowhere),
            ("255.255.255.255", Reach::Nowhere),
            ("ff02::1", Reach::Nowhere),
            ("93.184.216.34", Reach::Public),
            ("2606:4700::1", Reach::Public),
        ] {
            assert_eq!(Reach::of(text.parse().unwrap()), reach, "{text}");
        }
        assert!(!Reach::Nowhere.is_allowed(Reach::Nowhere));
    }

    #[tokio::test]
    async fn a_catalog_leads_to_public_addresses_or_to_those_of_the_same_kind() {
        let used = async |server: &str, mirror: &str| {
            let client = Client::new(server, Some("secret".parse().unwrap()), RetryPolicy::default()).unwrap();
            let mirrors = client.mirrors(&[mirror.to_owned()]).await;
            assert!(mirrors.iter().all(|mirror| !mirror.has_token()));
            mirrors.len() == 1
        };
        for (server, mirror, wanted) in [
            ("https://93.184.216.34", "https://mirror.example/", true),
            ("https://93.184.216.34", "http://mirror.example/", false),
            ("https://93.184.216.34", "https://10.0.0.1/", false),
            ("https://93.184.216.34", "https://[::1]/", false),
            ("https://93.184.216.34", "https://93.184.216.34/", false),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081/", true),
            ("http://127.0.0.1:8080", "http://[::1]:8081/", true),
            ("http://127.0.0.1:8080", "http://192.168.0.1/", false),
            ("http://192.168.0.1", "http://10.0.0.1/", true),
            ("http://192.168.0.1", "http://127.0.0.1/", false),
            ("http://127.0.0.1:8080", "http://user:secret@127.0.0.1:8081/", false),
            ("http://127.0.0.1:8080", "ftp://127.0.0.1/", false),
        ] {
            assert_eq!(used(server, mirror).await, wanted, "{server} {mirror}");
        }
    }

    #[tokio::test]
    async fn names_are_judged_by_what_they_resolve_to() {
        let resolved = async |own| Guarded(own).resolve("localhost".parse().unwrap()).await.map(Iterator::count);
        assert!(resolved(Reach::Public).await.is_err());
        assert!(resolved(Reach::Private).await.is_err());
        assert!(resolved(Reach::Loopback).await.unwrap() > 0);
    }
}
