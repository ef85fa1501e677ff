//! `[domains]`: hosts that are attached through the API.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize};

/// `[domains]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Domains {
    /// The name servers to ask for TXT records; if there are none, those of the machine.
    #[serde(deserialize_with = "read")]
    pub name_servers: Vec<SocketAddr>,
}

/// The port of name servers (RFC 1035 section 4.2).
const PORT: u16 = 53;

/// Addresses with or without a port.
fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let address = |text: String| {
        let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        let problem =
            || format!("{text:?} is no name server: write an address such as 192.0.2.53 or [2001:db8::53]:5353");
        alone.or_else(|_| text.parse()).map_err(|_| serde::de::Error::custom(problem()))
    };
    texts.into_iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_is_an_address_with_or_without_a_port() {
        let read = |text: &str| toml::from_str::<Domains>(&format!("name_servers = [\"{text}\"]"));
        for (text, address) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(read(text).unwrap().name_servers, [address.parse().unwrap()], "{text}");
        }
        for bad in ["", "dns.example.org", "192.0.2.53:", "192.0.2.53:99999"] {
            assert!(read(bad).unwrap_err().to_string().contains("is no name server"), "{bad}");
        }
    }
}
