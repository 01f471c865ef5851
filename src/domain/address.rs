//! Mail addresses, parsed once at the edge and never validated again inside.
//!
//! An [`EmailAddress`] cannot hold a control character, white space outside quotes, or a line end, so it can
//! be written into a command or a header without care. Its domain is kept as lower-case A-labels (IDNA, RFC 5890),
//! its local part as it was given (RFC 5321 section 2.4); comparison ignores case, because no receiver in use
//! distinguishes two mailboxes by case and people type both.
//! The envelope is not the header: what MAIL said is a [`ReversePath`], which may be null.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest local part in octets (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_OCTETS: usize = 64;
/// Longest path in octets without the angle brackets (RFC 5321 section 4.5.3.1.3).
pub const ADDRESS_OCTETS: usize = 254;

/// One mailbox, `local@domain`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress {
    text: String,
    at: usize,
}

/// Why a text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or nothing before or behind it.
    #[error("\"{0}\" is not a mail address: it needs the form name@domain")]
    Form(String),
    /// A character that the unquoted local part may not have.
    #[error("\"{0}\" is not a mail address: the part before @ has a character that is not allowed")]
    LocalPart(String),
    /// The domain is not a host name, not even after IDNA.
    #[error("\"{0}\" is not a mail address: the part behind @ is not a domain name")]
    Domain(String),
    /// Longer than the protocol allows.
    #[error("\"{0}\" is too long for a mail address (64 octets before @, 254 in all)")]
    Length(String),
}

impl EmailAddress {
    /// The local part, as given.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain in lower-case A-labels.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// `local@domain`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form used as a key: all lower case.
    pub fn key(&self) -> String {
        self.text.to_lowercase()
    }
}

/// The addresses in what people paste from a mail program: mailboxes with or without names (RFC 5322 section 3.4), between commas,
/// semicolons, blanks or line ends. What is no address is given as it is, to be named as wrong.
pub fn pasted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut piece, mut quoted, mut escaped, mut angle) = (String::new(), false, false, false);
    for c in text.chars().chain(['\n']) {
        let ends = match c {
            // A quote that nobody closed ends with its line.
            '\n' => true,
            ',' | ';' => !quoted && !angle,
            _ => false,
        };
        if ends {
            mailboxes_of(&std::mem::take(&mut piece), &mut found);
            (quoted, escaped, angle) = (false, false, false);
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            _ => {}
        }
        piece.push(c);
    }
    found
}

/// The addresses of a piece without separators: `"Dan, D." <dan@example.org> eva@example.org`.
fn mailboxes_of(piece: &str, found: &mut Vec<String>) {
    let words = |text: &str, named: Option<&str>, found: &mut Vec<String>| {
        // A name is no address, unless it has the form of one and is not that which it names.
        let own = text.split_whitespace().filter(|word| match named {
            None => true,
            Some(address) => word.parse::<EmailAddress>().is_ok() && !word.eq_ignore_ascii_case(address),
        });
        found.extend(own.map(ToOwned::to_owned));
    };
    let mut rest = piece;
    while let Some((name, (address, behind))) = rest.split_once('<').and_then(|(name, behind)| Some((name, behind.split_once('>')?))) {
        let unquoted = name.split('"').step_by(2).collect::<Vec<_>>().join(" ");
        words(&unquoted, Some(address.trim()), found);
        found.push(address.trim().to_owned());
        rest = behind;
    }
    words(rest, None, found);
}

/// Is `c` an atext character (RFC 5322 section 3.2.3), or non-ASCII without controls (RFC 6531 section 3.3)?
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace() && !is_invisible(c))
}

/// Bidirectional controls and zero-width characters, which make two addresses look alike.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}')
}

fn is_quoted_local(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|l| l.strip_suffix('"')) else {
        return false;
    };
    if local.len() < 2 {
        return false;
    }
    let mut escaped = false;
    for c in inner.chars() {
        if c.is_control() || is_invisible(c) {
            return false;
        }
        match (escaped, c) {
            (false, '"') => return false,
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    !escaped
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shown = || text.chars().filter(|c| !c.is_control()).take(80).collect::<String>();
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| AddressError::Form(shown()))?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Form(shown()));
        }
        let dots_well_placed = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
        let plain = dots_well_placed && local.chars().all(|c| c == '.' || is_atext(c));
        if !plain && !is_quoted_local(local) {
            return Err(AddressError::LocalPart(shown()));
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain(shown()))?;
        let host_name = domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        });
        if !host_name {
            return Err(AddressError::Domain(shown()));
        }
        if local.len() > LOCAL_PART_OCTETS || local.len() + 1 + domain.len() > ADDRESS_OCTETS {
            return Err(AddressError::Length(shown()));
        }
        Ok(Self { at: local.len(), text: format!("{local}@{domain}") })
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.text
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for EmailAddress {}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.text.is_ascii() && other.text.is_ascii() {
            let lower = |text: &str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
            if self.text.len() == other.text.len() && self.text.eq_ignore_ascii_case(&other.text) {
                return Ordering::Equal;
            }
            return lower(&self.text).cmp(&lower(&other.text));
        }
        self.key().cmp(&other.key())
    }
}

impl Hash for EmailAddress {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

/// What `MAIL FROM` said (RFC 5321 section 4.1.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: a notification, which is never answered.
    Null,
    /// Where failures are to be reported.
    Path(EmailAddress),
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Path(address) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_are_taken_out_of_what_people_paste() {
        for (text, expected) in [
            ("dan@example.org", "dan@example.org"),
            ("\"Dan\" <dan@example.org>", "dan@example.org"),
            (
                "Dan Example <dan@example.org>, \"Eva, E.\" <eva@example.org>;gus@example.org",
                "dan@example.org eva@example.org gus@example.org",
            ),
            ("a@example.org b@example.org\nc@example.org\r\nd@example.org", "a@example.org b@example.org c@example.org d@example.org"),
            ("dan@example.org <dan@example.org> eva@example.org", "dan@example.org eva@example.org"),
            ("eva@example.org Dan <dan@example.org>", "eva@example.org dan@example.org"),
            ("\"open quote <dan@example.org>\neva@example.org", "dan@example.org eva@example.org"),
            ("nobody, Dan <dan@example.org", "nobody Dan <dan@example.org"),
            ("", ""),
        ] {
            assert_eq!(pasted(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn forms_in_use_are_accepted_and_kept() {
        for text in ["ana@example.org", "o'neil+x@EXAMPLE.org", "\"a b\"@example.org", "josé@example.org", "a@bücher.example"] {
            let address: EmailAddress = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(address.local(), text.rsplit_once('@').unwrap().0);
        }
        assert_eq!("a@BÜCHER.example".parse::<EmailAddress>().unwrap().domain(), "xn--bcher-kva.example");
    }

    #[test]
    fn addresses_compare_without_regard_to_case() {
        let a: EmailAddress = "Ana@Example.org".parse().unwrap();
        let b: EmailAddress = "ana@example.ORG".parse().unwrap();
        assert_eq!(a, b);
        assert_eq!(a.as_str(), "Ana@example.org");
    }

    #[test]
    fn hostile_forms_are_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        for text in [
            "",
            "ana",
            "@example.org",
            "ana@",
            "a b@example.org",
            "a..b@example.org",
            ".a@example.org",
            "a\r\nRCPT TO:<b@c>@example.org",
            "a@exa mple.org",
            "a@example..org",
            "a@-x.org",
            "<a@example.org>",
            "a@b@example.org",
            "a\u{202e}b@example.org",
            "\"a\r\n\"@example.org",
            "a@[127.0.0.1]",
            "a@example.org\n",
            &long,
        ] {
            assert!(text.parse::<EmailAddress>().is_err(), "{text:?} was taken");
        }
    }
}
