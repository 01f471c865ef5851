//! Which addresses may be called: public ones over TLS, and what the operator allows besides (server-side request forgery).
//!
//! A name is judged by the addresses that it resolves to at the moment of the call, so that a name that changes its address
//! meanwhile (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openidconnect::url::{Host, Url};

use crate::config::Network;

/// Longest address that is taken, in octets.
const URL_OCTETS: usize = 2_000;

/// May this address be called?
pub fn allowed(address: IpAddr, networks: &[Network]) -> bool {
    is_public(address) || networks.iter().any(|network| network.contains(address))
}

/// Reads the address of a receiver.
///
/// # Errors
/// When it is no https address of a host, names a refused address, or is http to anything but an allowed loopback address.
pub fn read(text: &str, networks: &[Network]) -> Result<Url, String> {
    let wrong = |why: &str| format!("\"{}\" {why}", text.escape_debug());
    if text.len() > URL_OCTETS {
        return Err(format!("an address of more than {URL_OCTETS} octets"));
    }
    let url =
        Url::parse(text).map_err(|error| wrong(&format!("is no address: {error}; write it as in https://hooks.example.org/enlace")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("has a user name or password in it; receivers know us by the signature"));
    }
    let literal = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain("localhost")) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Host::Domain(_)) => None,
        None => return Err(wrong("names no host; write it as in https://hooks.example.org/enlace")),
    };
    if let Some(address) = literal.filter(|address| !allowed(*address, networks)) {
        return Err(wrong(&format!("leads to {address}, which is no public address; webhooks.allowed_networks can allow it")));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if literal.is_some_and(|address| address.to_canonical().is_loopback()) => Ok(url),
        "http" => Err(wrong("would send events in the clear; use https (http is for allowed loopback addresses only)")),
        _ => Err(wrong("is no https address")),
    }
}

/// Is it an address of the public internet (IANA's special-purpose registries, RFC 6890)?
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        // Shared address space, protocol assignments, 6to4 relays, benchmarks, multicast, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // NAT64 carries an IPv4 address; everything else outside of 2000::/3 is special.
    if parts[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    let global = parts[0] & 0xe000 == 0x2000;
    // Protocol assignments with Teredo, documentation, 6to4.
    let special = (parts[0] == 0x2001 && (parts[1] < 0x200 || parts[1] == 0xdb8)) || parts[0] == 0x2002 || parts[0] == 0x3fff;
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_called() {
        for (address, public) in [
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("192.0.2.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:93.184.216.34", true),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::5db8:d822", true),
            ("2002:a00:1::1", false),
            ("2001:db8::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(allowed(address.parse().unwrap(), &[]), public, "{address}");
        }
        let networks = ["10.0.0.0/8".parse().unwrap()];
        assert!(allowed("10.1.2.3".parse().unwrap(), &networks) && !allowed("127.0.0.1".parse().unwrap(), &networks));
    }

    #[test]
    fn an_address_is_refused_with_its_reason() {
        let loopback = [Network::LOOPBACK];
        for (text, networks, said) in [
            ("https://hooks.example.org/enlace", &[][..], None),
            ("http://127.0.0.1:9/x", &loopback[..], None),
            ("http://localhost:9/x", &loopback[..], None),
            ("https://127.0.0.1/x", &[][..], Some("no public address")),
            ("https://0x7f.1/x", &[][..], Some("no public address")),
            ("https://[::ffff:127.0.0.1]/x", &[][..], Some("no public address")),
            ("https://localhost/x", &[][..], Some("no public address")),
            ("http://hooks.example.org/x", &loopback[..], Some("in the clear")),
            ("ftp://hooks.example.org/x", &[][..], Some("no https address")),
            ("https://ana:secret@hooks.example.org/", &[][..], Some("user name")),
            ("file:///etc/passwd", &[][..], Some("names no host")),
            ("hooks.example.org", &[][..], Some("is no address")),
        ] {
            match (read(text, networks), said) {
                (Ok(_), None) => {}
                (Err(error), Some(said)) => assert!(error.contains(said), "{text}: {error}"),
                (read, _) => panic!("{text}: {read:?}"),
            }
        }
    }
}
