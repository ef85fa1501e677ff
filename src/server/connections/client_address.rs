//! Whom a connection counts for.

use std::net::IpAddr;

/// An IPv4 address, the /64 prefix of an IPv6 address (one customer of a provider has at least that many), or the
/// number of a connection that carries requests of many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientAddress(u128);

/// IPv4 addresses are below this, prefixes of IPv6 have zeros there.
const UNNAMED: u128 = 1 << 63;

impl ClientAddress {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_ipv6_mapped().to_bits()),
            IpAddr::V6(address) => Self(address.to_bits() & !u128::from(u64::MAX)),
        }
    }

    /// The address of one connection whose client is not known, which shares it with no other.
    pub(super) fn unnamed(number: u64) -> Self {
        Self(UNNAMED | u128::from(number))
    }

    /// As two halves, for atomics.
    pub(super) fn halves(self) -> (u64, u64) {
        let low = u64::try_from(self.0 & u128::from(u64::MAX)).unwrap_or_default();
        (u64::try_from(self.0 >> 64).unwrap_or_default(), low)
    }

    pub(super) fn from_halves((high, low): (u64, u64)) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddress {
        ClientAddress::of(text.parse().unwrap())
    }

    #[test]
    fn a_prefix_of_ipv6_is_one_client_and_each_ipv4_address_another() {
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("::1"), client("0.0.0.0"));
        assert_ne!(ClientAddress::unnamed(1), ClientAddress::unnamed(2));
        for one in [client("2001:db8::1"), client("192.0.2.1"), client("::1"), ClientAddress::unnamed(7)] {
            assert_eq!(ClientAddress::from_halves(one.halves()), one);
        }
    }
}
