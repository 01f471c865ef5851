//! The one author of a message, read so strictly that two readers cannot see two of them.
//!
//! The gate asks who wrote a message; if another program could show another author than the one that was asked about,
//! a stranger would post in a member's name. So the value of From is cut into its lexical parts (RFC 5322 sections 3.2.2
//! to 3.4) and only `address`, `<address>`, `phrase <address>` and `address (comment)` are taken; groups, source
//! routes, a second address anywhere outside quotes, and whatever mail-parser reads differently are a doubt.

use mail_parser::{HeaderValue, parsers::MessageStream};

use super::field::{self, Header};
use super::headers::HeaderText;
use crate::domain::address::EmailAddress;

/// The one mailbox of the one From.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Her address.
    pub address: EmailAddress,
    /// Display name, decoded, in one line, without controls; may be empty.
    pub name: String,
}

/// Why a message has not exactly one author; its text goes into `Rule::FromUnclear`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorDoubt {
    /// No From field.
    #[error("there is no From field")]
    Missing,
    /// Several From fields.
    #[error("there are {0} From fields")]
    Fields(usize),
    /// Something else than one plain mailbox.
    #[error("{0}")]
    Form(&'static str),
}

/// Longest From that is read.
const VALUE_OCTETS: usize = 2_000;

/// The one author that the header of `message` names.
///
/// # Errors
/// The doubt, if there is not exactly one From with exactly one mailbox.
pub fn read(message: &[u8], header: &Header) -> Result<Author, AuthorDoubt> {
    let mut fields = header.named("from");
    let Some(field) = fields.next() else {
        return Err(AuthorDoubt::Missing);
    };
    let others = fields.count();
    if others > 0 {
        return Err(AuthorDoubt::Fields(others + 1));
    }
    let value = message.get(field.value.clone()).unwrap_or_default();
    if value.len() > VALUE_OCTETS {
        return Err(AuthorDoubt::Form("the From field is too long"));
    }
    let text = field::unfolded(message, field);
    let address = sole_address(&text)?;
    let name = as_parser_reads(value, &address)?;
    Ok(Author { address, name })
}

/// A lexical part of a structured value.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// Atoms, dots and a quoted local part, without a space between.
    Word(String),
    /// A quoted string that stands alone.
    Quoted,
    /// A comment.
    Comment,
    /// What stands between `<` and `>`.
    Angle(String),
}

fn sole_address(text: &str) -> Result<EmailAddress, AuthorDoubt> {
    let tokens = tokens(text)?;
    let said: Vec<_> = tokens.iter().filter(|token| **token != Token::Comment).collect();
    let candidate = match &said[..] {
        [Token::Word(word)] => word,
        [phrase @ .., Token::Angle(inner)] => {
            if phrase.iter().any(|token| matches!(token, Token::Word(word) if word.contains('@'))) {
                return Err(AuthorDoubt::Form("a second address stands before the angle brackets"));
            }
            if phrase.iter().any(|token| matches!(token, Token::Angle(_))) {
                return Err(AuthorDoubt::Form("there are two addresses in angle brackets"));
            }
            inner
        }
        [] => return Err(AuthorDoubt::Form("the From field is empty")),
        _ => return Err(AuthorDoubt::Form("the From field is not one plain address")),
    };
    plain_address(candidate)
}

fn plain_address(text: &str) -> Result<EmailAddress, AuthorDoubt> {
    const NOT_PLAIN: AuthorDoubt = AuthorDoubt::Form("the From field is not one plain address");
    let (local, domain) = text.rsplit_once('@').ok_or(NOT_PLAIN)?;
    // RFC 2047 section 5 forbids encoded words in an address; a reader that decodes them would see another one.
    if local.contains("=?") || local.contains('@') {
        return Err(NOT_PLAIN);
    }
    let address: EmailAddress = text.parse().map_err(|_| NOT_PLAIN)?;
    // Letters that IDNA maps to ASCII (full-width ones, other dots) would make two texts one domain.
    let shown: Vec<_> = domain.split('.').collect();
    let mapped: Vec<_> = address.domain().split('.').collect();
    let same =
        shown.len() == mapped.len() && shown.iter().zip(&mapped).all(|(shown, mapped)| shown.is_ascii() || mapped.starts_with("xn--"));
    if !same || domain.starts_with('[') {
        return Err(NOT_PLAIN);
    }
    Ok(address)
}

fn tokens(text: &str) -> Result<Vec<Token>, AuthorDoubt> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => {}
            c if c.is_control() || c == '\u{fffd}' && tokens.is_empty() && text.chars().all(|c| c != '<') => {
                return Err(AuthorDoubt::Form("the From field holds control characters"));
            }
            '(' => {
                skip_comment(&mut chars)?;
                tokens.push(Token::Comment);
            }
            '<' => tokens.push(Token::Angle(angle(&mut chars)?)),
            '"' => {
                let mut quoted = quoted(&mut chars)?;
                if matches!(chars.peek(), Some('@' | '.')) {
                    word(&mut quoted, &mut chars)?;
                    tokens.push(Token::Word(quoted));
                } else {
                    tokens.push(Token::Quoted);
                }
            }
            ',' | ';' | ':' | '>' | ')' | '[' | ']' | '\\' => {
                return Err(AuthorDoubt::Form("the From field has characters that need quotes, or several addresses, or a group"));
            }
            c => {
                let mut start = c.to_string();
                word(&mut start, &mut chars)?;
                tokens.push(Token::Word(start));
            }
        }
    }
    Ok(tokens)
}

type Chars<'t> = std::iter::Peekable<std::str::Chars<'t>>;

/// Appends what stands up to the next space or special.
fn word(start: &mut String, chars: &mut Chars<'_>) -> Result<(), AuthorDoubt> {
    while let Some(c) = chars.peek().copied() {
        if c.is_control() && c != '\t' {
            return Err(AuthorDoubt::Form("the From field holds control characters"));
        }
        if c.is_whitespace() || "()<>[]:;,\\\"".contains(c) {
            break;
        }
        start.push(c);
        chars.next();
    }
    // "ann(x)@example.org" and "ann @example.org" are one address to some readers and none to others.
    let glued = matches!(chars.peek(), Some('(' | '"')) || start.ends_with('@') || start.starts_with('@');
    if glued { Err(AuthorDoubt::Form("the From field is not one plain address")) } else { Ok(()) }
}

fn quoted(chars: &mut Chars<'_>) -> Result<String, AuthorDoubt> {
    let mut text = String::from('"');
    while let Some(c) = chars.next() {
        text.push(c);
        match c {
            '"' => return Ok(text),
            '\\' => text.extend(chars.next()),
            c if c.is_control() && c != '\t' => break,
            _ => {}
        }
    }
    Err(AuthorDoubt::Form("a quotation in the From field does not end"))
}

fn skip_comment(chars: &mut Chars<'_>) -> Result<(), AuthorDoubt> {
    let mut depth = 1_u32;
    while let Some(c) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return Ok(()),
            ')' => depth -= 1,
            '\\' => drop(chars.next()),
            c if c.is_control() && c != '\t' => break,
            _ => {}
        }
    }
    Err(AuthorDoubt::Form("a comment in the From field does not end"))
}

fn angle(chars: &mut Chars<'_>) -> Result<String, AuthorDoubt> {
    let mut text = String::new();
    for c in chars.by_ref() {
        match c {
            '>' => return Ok(text.trim().to_owned()),
            '<' | ',' | ';' | ':' | '(' | ')' => return Err(AuthorDoubt::Form("the address is not plain")),
            c => text.push(c),
        }
    }
    Err(AuthorDoubt::Form("an angle bracket in the From field does not end"))
}

/// Asks mail-parser too: it must see the same one address. Gives its display name.
fn as_parser_reads(value: &[u8], address: &EmailAddress) -> Result<String, AuthorDoubt> {
    let line = [value, b"\r\n\r\n"].concat();
    let HeaderValue::Address(parsed) = MessageStream::new(&line).parse_address() else {
        return Err(AuthorDoubt::Form("the From field is not one plain address"));
    };
    let mut mailboxes = parsed.iter();
    match (mailboxes.next(), mailboxes.next()) {
        (Some(mailbox), None) if mailbox.address().and_then(|a| a.parse::<EmailAddress>().ok()).as_ref() == Some(address) => {
            Ok(HeaderText::new(mailbox.name().unwrap_or_default()).as_str().chars().take(200).collect())
        }
        _ => Err(AuthorDoubt::Form("readers could see different addresses in the From field")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author_of(head: &[u8]) -> Result<Author, AuthorDoubt> {
        let message = [head, b"\r\n\r\nbody\r\n"].concat();
        let header = field::split(&message).unwrap();
        read(&message, &header)
    }

    #[test]
    fn honest_forms_are_read() {
        for (head, address, name) in [
            ("From: ann@example.org", "ann@example.org", ""),
            ("from: <ann@example.org>", "ann@example.org", ""),
            ("From: Ann Example <Ann@Example.org>", "ann@example.org", "Ann Example"),
            ("From: \"Example, Ann\" <ann@example.org>", "ann@example.org", "Example, Ann"),
            ("From: \"ann@example.org\" <bob@example.org>", "bob@example.org", "ann@example.org"),
            ("From: ann@example.org (Ann Example)", "ann@example.org", "Ann Example"),
            ("From: Ann E. Example\r\n\t<ann@example.org>", "ann@example.org", "Ann E. Example"),
            ("From: =?utf-8?q?Jos=C3=A9?= <ann@example.org>", "ann@example.org", "José"),
            ("From: O'Neil & Co <o'neil+lists@example.org>", "o'neil+lists@example.org", "O'Neil & Co"),
            ("From: José <jose@example.org>", "jose@example.org", "José"),
            ("From: Ann <ann@bücher.example>", "ann@xn--bcher-kva.example", "Ann"),
            ("From: =?utf-8?q?x=0D=0ABcc=3A_y?= <ann@example.org>", "ann@example.org", "x Bcc: y"),
        ] {
            let author = author_of(head.as_bytes()).unwrap_or_else(|e| panic!("{head}: {e}"));
            assert_eq!(author.address, address.parse().unwrap(), "{head}");
            assert_eq!(author.name, name, "{head}");
        }
    }

    #[test]
    fn no_odd_form_is_taken_for_the_member() {
        let member: EmailAddress = "ann@example.org".parse().unwrap();
        let forms: &[&[u8]] = &[
            b"Subject: none",
            b"From: ann@example.org\r\nFrom: bob@evil.example",
            b"From: bob@evil.example\r\nFrom: ann@example.org",
            b"From: ann@example.org\r\nFROM : bob@evil.example",
            b"From: ann@example.org\r\nFr om: bob@evil.example",
            b"From: ann@example.org\r\n\tx\r\nfrom: bob@evil.example",
            b"From: ann@example.org, bob@evil.example",
            b"From: bob@evil.example, ann@example.org",
            b"From: Ann <ann@example.org>, Bob <bob@evil.example>",
            b"From: Example, Ann <ann@example.org>",
            b"From: ann@example.org <bob@evil.example>",
            b"From: ann@example.org bob@evil.example",
            b"From: <ann@example.org> <bob@evil.example>",
            b"From: <bob@evil.example> ann@example.org",
            b"From: <ann@example.org> bob",
            b"From: members: ann@example.org;",
            b"From: members: ann@example.org, bob@evil.example;",
            b"From: undisclosed: ;",
            b"From: <@evil.example:ann@example.org>",
            b"From: <@evil.example,@b.example:ann@example.org>",
            b"From: ann@example.org.",
            b"From: ann@example.org\0",
            b"From: ann\0@example.org",
            b"From: <ann@example.org\0@evil.example>",
            b"From: =?utf-8?q?ann=40example.org?=",
            b"From: =?utf-8?q?ann?=@example.org",
            b"From: <=?utf-8?b?YW5u?=@example.org>",
            b"From: =?utf-8?q?ann=40example.org=3E?= <bob@evil.example>",
            b"From: ann(comment)@example.org",
            b"From: ann@(comment)example.org",
            b"From: ann @example.org",
            b"From: ann@ example.org",
            b"From: (ann@example.org) bob@evil.example",
            b"From: \"ann@example.org",
            b"From: \"<ann@example.org>\" <bob@evil.example>",
            b"From: ann@example.org (",
            b"From: <ann@example.org",
            b"From: ann@example.org>",
            b"From: <<ann@example.org>>",
            b"From: <ann@example.org>@evil.example",
            b"From: ann@example.org@evil.example",
            b"From: ann@[127.0.0.1]",
            "From: ann@\u{ff45}xample.org".as_bytes(),
            "From: ann@example\u{3002}org".as_bytes(),
            "From: ann\u{ff20}example.org".as_bytes(),
            "From: \u{430}nn@example.org".as_bytes(),
            "From: ann@ex\u{430}mple.org".as_bytes(),
            "From: ann\u{200b}@example.org".as_bytes(),
            "From: \u{202e}gro.elpmaxe@nna".as_bytes(),
            b"From: ann\xff@example.org",
            b"From:",
            b"From: \"\"",
            b"Sender: ann@example.org",
            b"Resent-From: ann@example.org",
            b"From ann@example.org Mon Jul  5 10:00:00 2027",
            b"X: y\r\n From: ann@example.org",
        ];
        assert!(forms.len() >= 45);
        for form in forms {
            if let Ok(author) = author_of(form) {
                assert_ne!(author.address, member, "{}", String::from_utf8_lossy(form));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_read_without_a_panic(value in "[ -~\u{e9}\u{202e}]{0,80}") {
            let _ = author_of(format!("From: {value}").as_bytes());
        }
    }
}
