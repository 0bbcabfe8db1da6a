//! Address ranges, and which of them are reserved.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// An address range without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(IpNet);

impl Cidr {
    /// Reads a range.
    ///
    /// # Errors
    /// When the text is not `ADDRESS/LENGTH`, or has bits set beyond the length (a typing error that would open another
    /// range than the one written).
    pub fn parse(text: &str) -> Result<Self, String> {
        let net: IpNet = text.parse().map_err(|_| {
            format!("`{text}` is not an address range like 203.0.113.0/24 or 2001:db8::/48")
        })?;
        if net.trunc() != net {
            return Err(format!(
                "`{text}` has bits set beyond its length; did you mean {}?",
                net.trunc()
            ));
        }
        Ok(Self(net))
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Whether the other range lies within this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (IpNet::V4(mine), IpNet::V4(theirs)) => mine.contains(&theirs),
            (IpNet::V6(mine), IpNet::V6(theirs)) => mine.contains(&theirs),
            _ => false,
        }
    }

    /// Whether the address lies within this range.
    #[must_use]
    pub fn contains_address(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Ranges that are nobody's vendor (IANA special-purpose registries): what lies there is this cluster, this machine, or
/// a way round, such as IPv4 written as IPv6.
const RESERVED: [(&str, &str); 22] = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private addresses: pods, services, nodes"),
    ("100.64.0.0/10", "shared addresses of carriers and clouds"),
    ("127.0.0.0/8", "loopback"),
    (
        "169.254.0.0/16",
        "link-local, with the clouds' metadata service",
    ),
    ("172.16.0.0/12", "private addresses: pods, services, nodes"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.168.0.0/16", "private addresses: pods, services, nodes"),
    ("198.18.0.0/15", "benchmarking"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved, with the broadcast address"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::ffff:0:0/96", "IPv4 written as IPv6"),
    ("64:ff9b::/96", "IPv4 behind a translator"),
    ("64:ff9b:1::/48", "IPv4 behind a local translator"),
    ("100::/64", "discard"),
    ("2002::/16", "IPv4 behind 6to4"),
    ("fc00::/7", "unique local addresses: pods, services, nodes"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
];

/// The reserved range that shares an address with `cidr`, and what it is for.
#[must_use]
pub fn reserved_range(cidr: &Cidr) -> Option<(Cidr, &'static str)> {
    RESERVED.iter().find_map(|(range, what)| {
        let range = Cidr::parse(range).ok()?;
        range.overlaps(cidr).then_some((range, *what))
    })
}
