//! Look-ups of TXT records, by the name servers of the configuration or of this machine.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use crate::service::TxtLookup;

/// Time limit for one question to one name server.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// Records of one name that are read, and bytes of each: those of a domain that is to be verified are few and short.
const MAX_RECORDS: usize = 64;
const MAX_TEXT: usize = 512;

/// The resolver of a server.
#[derive(Debug)]
pub(super) struct DnsLookup(Result<TokioResolver, String>);

impl DnsLookup {
    /// Asks these name servers; if there are none, those of the machine's `/etc/resolv.conf`.
    pub(super) fn new(name_servers: &[SocketAddr]) -> Self {
        let builder = if name_servers.is_empty() {
            TokioResolver::builder_tokio().map_err(|error| format!("this machine names no name servers: {error}"))
        } else {
            let servers = name_servers.iter().map(|address| server(*address)).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|builder| {
            let mut builder = builder;
            set(builder.options_mut());
            builder.build().map_err(|error| format!("the name servers cannot be asked: {error}"))
        });
        Self(resolver)
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn set(options: &mut ResolverOpts) {
    // Who has just set a record must not be told for minutes that there is none.
    options.cache_size = 0;
    options.timeout = ANSWERED_WITHIN;
    options.attempts = 1;
}

#[async_trait]
impl TxtLookup for DnsLookup {
    async fn texts(&self, name: &str) -> Result<Vec<String>, String> {
        let resolver = self.0.as_ref().map_err(Clone::clone)?;
        // The dot keeps search domains out of it.
        let found = match resolver.txt_lookup(format!("{name}.")).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(format!("the DNS does not answer for {name}: {error}")),
        };
        let texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(text) => Some(text.txt_data.concat()),
            _ => None,
        });
        let short = texts.filter(|text| text.len() <= MAX_TEXT);
        Ok(short.take(MAX_RECORDS).map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }
}
