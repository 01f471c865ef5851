//! XFORWARD: a trusted relay says whose message it passes on (Postfix's XFORWARD_README).
//!
//! Taken only where the listener's configuration says so and the client is trusted; anybody else is told that there is no such
//! command. What was said is good for one transaction. Values are xtext (RFC 3461 section 4).

use std::net::IpAddr;
use std::sync::Arc;

use super::Session;
use crate::smtp::Answer;

/// Longest name that is kept.
const NAME_OCTETS: usize = 255;

impl Session {
    pub(super) fn takes_xforward(&self) -> bool {
        self.config.xforward && self.info.trusted
    }

    pub(super) fn xforward(&mut self, attributes: &str) {
        if !self.takes_xforward() {
            return self.wrong(&Answer::new(502, (5, 5, 1), "the command is not offered"));
        }
        if self.envelope.is_some() {
            return self.wrong(&Answer::new(503, (5, 5, 1), "not within a transaction"));
        }
        let mut client = self.info.client;
        let mut helo = None;
        for attribute in attributes.split_ascii_whitespace() {
            let Some((name, value)) = attribute.split_once('=') else {
                return self.wrong(&Answer::new(501, (5, 5, 4), "NAME=value is expected"));
            };
            let Some(value) = decoded(value) else {
                return self.wrong(&Answer::new(501, (5, 5, 4), "a value is not xtext"));
            };
            let available =
                !value.is_empty() && !value.eq_ignore_ascii_case("[UNAVAILABLE]") && !value.eq_ignore_ascii_case("[TEMPUNAVAIL]");
            match name.to_ascii_uppercase().as_str() {
                "ADDR" if available => match address(&value) {
                    Some(address) => client = Some(address),
                    None => return self.wrong(&Answer::new(501, (5, 5, 4), "ADDR is not an address")),
                },
                "ADDR" => client = None,
                "HELO" if available => helo = Some(value.chars().filter(|c| !c.is_control()).take(NAME_OCTETS).collect()),
                "NAME" | "PORT" | "PROTO" | "HELO" | "IDENT" | "SOURCE" => {}
                _ => return self.wrong(&Answer::new(501, (5, 5, 4), "the attribute is not offered")),
            }
        }
        let info = Arc::make_mut(&mut self.info);
        info.client = client;
        if let Some(helo) = helo {
            info.helo = helo;
        }
        self.answer(&Answer::new(250, (2, 0, 0), "noted"));
    }

    /// The transaction is over: the next one may be of another client.
    pub(super) fn forget_client(&mut self) {
        if self.info.client.is_some() {
            Arc::make_mut(&mut self.info).client = None;
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix("IPV6:").or_else(|| text.strip_prefix("IPv6:")).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// `+2B` is `+` (RFC 3461 section 4).
fn decoded(text: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'+' {
            let pair = [rest.next()?, rest.next()?];
            octets.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_only_addresses_are_addresses() {
        assert_eq!(decoded("a+2Bb").as_deref(), Some("a+b"));
        for text in ["+", "+2", "+zz", "+ff"] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(address("IPV6:2001:db8::1"), "2001:db8::1".parse().ok());
        assert_eq!(address("::ffff:192.0.2.1"), "192.0.2.1".parse().ok());
        assert_eq!(address("mail.example"), None);
    }
}
