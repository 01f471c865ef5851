//! The grammar of `Authentication-Results` (RFC 8601 section 2.2).
//!
//! Comments, quoted strings and folding are understood; whatever does not fit the grammar makes the whole field
//! unreadable, because a field that two readers read differently proves nothing.

/// Octets of a field that are read; longer ones are unreadable.
const LONGEST: usize = 64 * 1024;
/// Nesting of comments.
const COMMENT_DEPTH: usize = 20;

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) authserv_id: AuthservId,
    /// Results in order; none at all for `none`, for a version that is not ours and for an unreadable rest.
    pub(super) methods: Vec<MethodResult>,
    /// Why there are none although the field has some.
    pub(super) unreadable: bool,
}

/// Whose results they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AuthservId {
    pub(super) text: String,
    /// Neither quoted nor preceded by a comment: as every relay in use writes it. A relay that removes forged fields by
    /// comparing their beginning does not find the other ways.
    pub(super) plain: bool,
}

/// `dkim=pass header.d=example.org`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MethodResult {
    /// Lower case.
    pub(super) method: String,
    /// Lower case.
    pub(super) result: String,
    /// `ptype.property` in lower case, and its value.
    pub(super) properties: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Semicolon,
    Equals,
    Word { text: String, quoted: bool },
}

/// Reads a raw field value; `None` if not even the identifier can be read.
pub(super) fn read(value: &str) -> Option<Results> {
    let plain_start = !value.trim_start().starts_with(['(', '"']);
    let tokens = tokens(value);
    let complete = tokens.is_some();
    let tokens = tokens.unwrap_or_else(|| first_word(value));
    let mut statements = tokens.split(|token| *token == Token::Semicolon);
    let head = statements.next()?;
    let Some(Token::Word { text, quoted }) = head.first() else { return None };
    let authserv_id = AuthservId { text: text.clone(), plain: plain_start && !quoted };
    let our_version = match &head[1..] {
        [] => true,
        [Token::Word { text, quoted: false }] => text == "1",
        _ => false,
    };
    if !complete || !our_version {
        return Some(Results { authserv_id, methods: Vec::new(), unreadable: true });
    }
    let methods: Option<Vec<_>> = statements.filter(|statement| !statement.is_empty() && !is_none(statement)).map(statement).collect();
    let unreadable = methods.is_none();
    Some(Results { authserv_id, methods: methods.unwrap_or_default(), unreadable })
}

fn is_none(statement: &[Token]) -> bool {
    matches!(statement, [Token::Word { text, quoted: false }] if text.eq_ignore_ascii_case("none"))
}

fn statement(tokens: &[Token]) -> Option<MethodResult> {
    let mut pairs = tokens.chunks(3).map(|chunk| match chunk {
        [Token::Word { text: name, quoted: false }, Token::Equals, Token::Word { text: value, .. }] => {
            Some((name.to_ascii_lowercase(), value.clone()))
        }
        // `smtp.mailfrom=` without a value is what some write for a null sender.
        [Token::Word { text: name, quoted: false }, Token::Equals] => Some((name.to_ascii_lowercase(), String::new())),
        _ => None,
    });
    let (method, result) = pairs.next()??;
    // A method may have a version, of which only 1 exists.
    let method = match method.split_once('/') {
        None => method,
        Some((method, "1")) => method.to_owned(),
        Some(_) => return None,
    };
    let properties: Vec<_> = pairs.collect::<Option<_>>()?;
    Some(MethodResult { method, result: result.to_ascii_lowercase(), properties })
}

/// All tokens, or `None` if a comment or quoted string does not end.
fn tokens(value: &str) -> Option<Vec<Token>> {
    if value.len() > LONGEST {
        return None;
    }
    let mut tokens = Vec::new();
    let mut characters = value.chars().peekable();
    // Pieces without white space between them are one word: `"ana b"@example.org`.
    let mut touching = false;
    while let Some(&character) = characters.peek() {
        match character {
            ' ' | '\t' | '\r' | '\n' => {
                characters.next();
                touching = false;
            }
            '(' => {
                comment(&mut characters)?;
                touching = false;
            }
            // A value may have the sign inside (SRS and VERP local parts do), a name may not.
            '=' if tokens.last() == Some(&Token::Equals) => {
                let (text, quoted) = piece(&mut characters, true)?;
                tokens.push(Token::Word { text, quoted });
                touching = true;
            }
            ';' | '=' => {
                characters.next();
                tokens.push(if character == ';' { Token::Semicolon } else { Token::Equals });
                touching = false;
            }
            _ => {
                let in_value = tokens.last() == Some(&Token::Equals);
                let (text, quoted) = piece(&mut characters, in_value)?;
                match tokens.last_mut() {
                    Some(Token::Word { text: before, quoted: was_quoted }) if touching => {
                        before.push_str(&text);
                        *was_quoted |= quoted;
                    }
                    _ => tokens.push(Token::Word { text, quoted }),
                }
                touching = true;
            }
        }
    }
    Some(tokens)
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// A quoted string or a run of other characters, and whether it was quoted. `in_value`: is `=` one of them?
fn piece(characters: &mut Characters, in_value: bool) -> Option<(String, bool)> {
    let mut text = String::new();
    if characters.next_if_eq(&'"').is_some() {
        loop {
            match characters.next()? {
                '"' => return Some((text, true)),
                '\\' => text.push(characters.next()?),
                character => text.push(character),
            }
        }
    }
    while let Some(character) = characters.next_if(|&c| !matches!(c, ' ' | '\t' | '\r' | '\n' | '(' | '"' | ';') && (in_value || c != '='))
    {
        // Outside of words there are no such characters; a reader that skips them would read something else.
        if character == ')' || character == '\\' || character.is_control() {
            return None;
        }
        text.push(character);
    }
    Some((text, false))
}

/// Skips a comment with those inside it (RFC 5322 section 3.2.2).
fn comment(characters: &mut Characters) -> Option<()> {
    let mut depth = 0;
    loop {
        match characters.next()? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => {
                characters.next()?;
            }
            _ => {}
        }
        match depth {
            0 => return Some(()),
            1..=COMMENT_DEPTH => {}
            _ => return None,
        }
    }
}

/// The identifier of a field whose rest cannot be read, so that it still shadows those below it.
fn first_word(value: &str) -> Vec<Token> {
    let start = value.trim_start();
    let end = start.find(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | '"' | '=')).unwrap_or(start.len());
    vec![Token::Word { text: start[..end].to_owned(), quoted: false }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let Some(results) = read(value) else { return "nothing".to_owned() };
        let mut text = results.authserv_id.text;
        for result in results.methods {
            text.extend(["|", &result.method, "=", &result.result]);
            for (name, value) in result.properties {
                text.extend([",", &name, "=", &value]);
            }
        }
        if results.unreadable { text + "|?" } else { text }
    }

    #[test]
    fn the_examples_of_rfc_8601_are_read() {
        for (value, expected) in [
            (" example.org 1; none", "example.org"),
            ("example.com; spf=pass smtp.mailfrom=example.net", "example.com|spf=pass,smtp.mailfrom=example.net"),
            (
                "example.com;\r\n\tauth=pass (cram-md5) smtp.auth=sender@example.net;\r\n\tspf=pass smtp.mailfrom=example.net",
                "example.com|auth=pass,smtp.auth=sender@example.net|spf=pass,smtp.mailfrom=example.net",
            ),
            ("example.com;\r\n dkim=pass (good signature) header.d=example.com", "example.com|dkim=pass,header.d=example.com"),
            (
                "foo.example.net (foobar) 1 (baz);\r\n    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n      policy (A dot can go here) . (like that) expired\r\n",
                "foo.example.net|?",
            ),
            (
                "mx.example.org; dkim=fail reason=\"bad; dmarc=pass\" header.d=example.org; Dmarc=PASS header.From=example.org",
                "mx.example.org|dkim=fail,reason=bad; dmarc=pass,header.d=example.org|dmarc=pass,header.from=example.org",
            ),
            ("mx.example.org; spf=pass smtp.mailfrom=\"a; b\"@example.org;", "mx.example.org|spf=pass,smtp.mailfrom=a; b@example.org"),
            (
                "mx.example.org; spf=pass smtp.mailfrom=SRS0=x=y=a.example=b@example.org",
                "mx.example.org|spf=pass,smtp.mailfrom=SRS0=x=y=a.example=b@example.org",
            ),
            ("mx.example.org; spf=none smtp.mailfrom=; dkim==pass", "mx.example.org|spf=none,smtp.mailfrom=|dkim==pass"),
            ("mx.example.org (a (b) \\) c); dkim/1=pass header.d=x.example", "mx.example.org|dkim=pass,header.d=x.example"),
        ] {
            assert_eq!(shown(value), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_has_an_identifier_and_no_results() {
        for value in [
            "mx.example.org; dmarc=pass (unclosed header.from=example.org",
            "mx.example.org; dmarc=pass reason=\"unclosed header.from=example.org",
            "mx.example.org; dmarc=pass header.from=example.org )",
            "mx.example.org 2; dmarc=pass header.from=example.org",
            "mx.example.org 1 1; dmarc=pass header.from=example.org",
            "mx.example.org dmarc=pass header.from=example.org",
            "mx.example.org; dmarc pass header.from=example.org",
            "mx.example.org; dkim/2=pass header.d=example.org",
            "mx.example.org; \"dmarc\"=pass header.from=example.org",
        ] {
            assert_eq!(shown(value), "mx.example.org|?", "{value}");
        }
        assert_eq!(shown(""), "nothing");
        assert_eq!(shown("; dmarc=pass"), "nothing");
    }
}
