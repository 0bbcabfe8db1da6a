//! Addresses of servers as people write them: `HOST`, `HOST:PORT`, `[IPV6]:PORT`.
//!
//! May not: look names up.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::ServerName;
use thiserror::Error;

/// Port of HTTPS.
pub(super) const HTTPS: u16 = 443;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Name, or address without brackets.
    pub host: String,
    /// Port; that of HTTPS where none was written.
    pub port: Option<u16>,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum AddressError {
    #[error("`{0}` names no host; write HOST, HOST:PORT or [IPV6]:PORT")]
    NoHost(String),
    #[error("`{0}` is a URL; write its host alone, as HOST or HOST:PORT")]
    Url(String),
    #[error("`{0}` has no port from 1 to 65535 behind its colon; write HOST:PORT")]
    Port(String),
    #[error("`{0}` has several colons and is no IPv6 address; write those as [IPV6]:PORT")]
    Colons(String),
    #[error(
        "`{0}` is neither an IP address nor a DNS name; names beyond ASCII are written as DNS knows them (xn--…)"
    )]
    Name(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let shown = || text.escape_debug().to_string();
        if text.contains('/') {
            return Err(AddressError::Url(shown()));
        }
        let port = |digits: &str| {
            let port = digits.parse().ok().filter(|port| *port != 0);
            let written = digits.bytes().all(|digit| digit.is_ascii_digit());
            let port = port.filter(|_| written);
            port.map(Some).ok_or_else(|| AddressError::Port(shown()))
        };
        if let Some(rest) = text.strip_prefix('[') {
            let (host, behind) = rest
                .split_once(']')
                .ok_or_else(|| AddressError::Colons(shown()))?;
            if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
                return Err(AddressError::Colons(shown()));
            }
            let port = match behind.strip_prefix(':') {
                Some(digits) => port(digits)?,
                None if behind.is_empty() => None,
                None => return Err(AddressError::Port(shown())),
            };
            let host = host.to_owned();
            return Ok(Self { host, port });
        }
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self {
                host: text.to_owned(),
                port: None,
            });
        }
        let (host, port) = match text.split_once(':') {
            Some((_, behind)) if behind.contains(':') => {
                return Err(AddressError::Colons(shown()));
            }
            Some((host, digits)) => (host, port(digits)?),
            None => (text, None),
        };
        if host.is_empty() {
            return Err(AddressError::NoHost(shown()));
        }
        server_name(host)?;
        let host = host.to_owned();
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port.unwrap_or(HTTPS);
        if self.host.contains(':') {
            write!(formatter, "[{}]:{port}", self.host)
        } else {
            write!(formatter, "{}:{port}", self.host)
        }
    }
}

/// The name that a certificate must be for.
pub(super) fn server_name(host: &str) -> Result<ServerName<'static>, AddressError> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| AddressError::Name(host.escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects")]

    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, port, shown) in [
            ("acme.example", "acme.example", None, "acme.example:443"),
            (
                "acme.example:8443",
                "acme.example",
                Some(8443),
                "acme.example:8443",
            ),
            ("192.0.2.1", "192.0.2.1", None, "192.0.2.1:443"),
            ("192.0.2.1:1", "192.0.2.1", Some(1), "192.0.2.1:1"),
            ("::1", "::1", None, "[::1]:443"),
            ("[::1]", "::1", None, "[::1]:443"),
            (
                "[2001:db8::1]:65535",
                "2001:db8::1",
                Some(65535),
                "[2001:db8::1]:65535",
            ),
        ] {
            let read: Address = text.parse().unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port), "{text}");
            assert_eq!(read.to_string(), shown);
        }
    }

    #[test]
    fn what_names_no_server_is_told_with_what_to_write() {
        let said = |text: &str| text.parse::<Address>().unwrap_err();
        let shown = |text: &str| text.to_owned();
        for (text, error) in [
            ("", AddressError::NoHost(shown(""))),
            (":443", AddressError::NoHost(shown(":443"))),
            (
                "https://a.example",
                AddressError::Url(shown("https://a.example")),
            ),
            ("a.example:", AddressError::Port(shown("a.example:"))),
            ("a.example:0", AddressError::Port(shown("a.example:0"))),
            ("a.example:+1", AddressError::Port(shown("a.example:+1"))),
            (
                "a.example:65536",
                AddressError::Port(shown("a.example:65536")),
            ),
            ("[::1]443", AddressError::Port(shown("[::1]443"))),
            ("[::1", AddressError::Colons(shown("[::1"))),
            (
                "[a.example]:1",
                AddressError::Colons(shown("[a.example]:1")),
            ),
            ("::1::", AddressError::Colons(shown("::1::"))),
            ("a..example", AddressError::Name(shown("a..example"))),
            (
                "bücher.example",
                AddressError::Name(shown("bücher.example")),
            ),
            ("a b", AddressError::Name(shown("a b"))),
            ("a\u{1b}[2J", AddressError::Name(shown("a\\u{1b}[2J"))),
        ] {
            assert_eq!(said(text), error, "{text}");
        }
    }
}
