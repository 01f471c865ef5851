//! Command lines: framing by CR LF, and the parser of smtp-proto with its gaps closed.
//!
//! The gaps: it takes a bare LF for a line end, loses the quotes of local parts, saturates sizes and then starts over,
//! and reads `<>`, `<"">` and `<postmaster>` as the same empty address.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};
use smtp_proto::{Error, MailFrom, RcptTo, Request};

use crate::domain::address::{EmailAddress, ReversePath};
use crate::smtp::Answer;

/// Digits that a size may have: 10^15 octets are more than anybody sends, and smtp-proto miscounts beyond 2^64.
const SIZE_DIGITS: usize = 15;
/// Octets of a line without an end that are read before the session ends.
const ENDLESS_LINE_OCTETS: usize = 64 * 1024;

/// What came out of the octets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line with its CR LF.
    Whole(Bytes),
    /// Its octets are gone.
    TooLong,
    /// It has a bare CR, a bare LF or a NUL, or no end at all; nothing behind it can be trusted.
    Broken,
}

/// Cuts the input into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Octets already looked at in vain.
    seen: usize,
    /// Octets of a line that was too long and is being skipped.
    skipped: usize,
    skipped_cr: bool,
}

impl Lines {
    /// The next line, or `None` when more octets are needed.
    pub(super) fn next(&mut self, input: &mut BytesMut, longest: usize) -> Option<Line> {
        if self.skipped > 0 {
            return self.skip(input);
        }
        // Only what a line may have is looked at, so that it does not matter in which pieces the octets come.
        let looked_at = input.len().min(longest);
        let unseen = &input[self.seen..looked_at];
        let line_end = memchr(b'\n', unseen);
        if memchr(0, &unseen[..line_end.unwrap_or(unseen.len())]).is_some() {
            return Some(Line::Broken);
        }
        let Some(end) = line_end.map(|at| at + self.seen) else {
            self.seen = looked_at;
            if looked_at < longest {
                return None;
            }
            self.seen = 0;
            return self.skip(input);
        };
        self.seen = 0;
        let line = input.split_to(end + 1).freeze();
        let ended_well = end > 0 && memchr2(b'\r', b'\n', &line) == Some(end - 1);
        Some(if ended_well { Line::Whole(line) } else { Line::Broken })
    }

    fn skip(&mut self, input: &mut BytesMut) -> Option<Line> {
        if let Some(end) = memchr(b'\n', input) {
            let line = input.split_to(end + 1);
            let ended_well = if end == 0 { self.skipped_cr } else { line[end - 1] == b'\r' };
            *self = Self::default();
            return Some(if ended_well { Line::TooLong } else { Line::Broken });
        }
        self.skipped_cr = input.last() == Some(&b'\r');
        self.skipped += input.len();
        input.clear();
        (self.skipped > ENDLESS_LINE_OCTETS).then_some(Line::Broken)
    }
}

/// A command, understood as far as this server goes.
#[derive(Debug)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Lhlo(String),
    Mail(Box<Mail>),
    Rcpt(Recipient),
    Data,
    Bdat {
        octets: u64,
        last: bool,
    },
    Auth {
        mechanism: Mechanism,
        initial: Option<String>,
    },
    StartTls,
    /// The attributes as given.
    Xforward(String),
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    /// A web browser.
    Http,
    /// The answer says what is wrong.
    Wrong(Answer),
    /// As `Wrong`, but what follows cannot be told from a message.
    Lost(Answer),
}

/// Ways of SMTP AUTH (RFC 4954).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
}

/// What MAIL said.
#[derive(Debug)]
pub(super) struct Mail {
    pub(super) reverse_path: ReversePath,
    pub(super) declared_octets: Option<u64>,
    pub(super) utf8: bool,
    /// `AUTH=` was given (RFC 4954 section 5).
    pub(super) auth: bool,
}

/// What RCPT said.
#[derive(Debug)]
pub(super) enum Recipient {
    Address {
        address: EmailAddress,
        ascii: bool,
    },
    /// Without a domain (RFC 5321 section 4.5.1).
    Postmaster,
}

fn syntax(text: impl Into<String>) -> Command {
    Command::Wrong(Answer::new(501, (5, 5, 4), text))
}

/// Understands one line, which ends with CR LF.
pub(super) fn read(line: &[u8]) -> Command {
    let words = line.trim_ascii_end();
    let verb = words.split(|&b| b == b' ').next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_slice() {
        b"GET" | b"POST" | b"PUT" | b"HEAD" | b"DELETE" | b"OPTIONS" | b"PATCH" | b"TRACE" | b"CONNECT" | b"PRI" => return Command::Http,
        b"DATA" | b"RSET" | b"STARTTLS" if words.len() != verb.len() => return syntax("the command takes no arguments"),
        b"XFORWARD" => return Command::Xforward(String::from_utf8_lossy(&words[verb.len()..]).into_owned()),
        b"XCLIENT" | b"TURN" | b"ATRN" | b"ETRN" | b"EXPN" | b"BURL" | b"SEND" | b"SOML" | b"SAML" => {
            return Command::Wrong(Answer::new(502, (5, 5, 1), "the command is not offered"));
        }
        b"BDAT" if has_long_number(words) => return Command::Lost(Answer::new(501, (5, 5, 4), "the chunk size is out of range")),
        b"MAIL" if declares_a_long_number(words) => {
            return Command::Wrong(Answer::new(552, (5, 3, 4), "the declared size is larger than any message"));
        }
        b"AUTH" => return auth(words),
        _ => {}
    }
    match Request::parse(&mut line.iter()) {
        Ok(request) => understood(request, line),
        Err(error) if verb == b"BDAT" => Command::Lost(Answer::new(501, (5, 5, 4), error.to_string())),
        Err(error) => misunderstood(&error, words),
    }
}

fn has_long_number(words: &[u8]) -> bool {
    words.split(|b| !b.is_ascii_digit()).any(|digits| digits.len() > SIZE_DIGITS)
}

fn declares_a_long_number(words: &[u8]) -> bool {
    words
        .split(|&b| b == b' ')
        .any(|word| word.len() > 5 + SIZE_DIGITS && word[..5].eq_ignore_ascii_case(b"SIZE=") && word[5..].iter().all(u8::is_ascii_digit))
}

fn understood(request: Request<Cow<'_, str>>, line: &[u8]) -> Command {
    match request {
        Request::Ehlo { host } => Command::Ehlo(host.into_owned()),
        Request::Helo { host } => Command::Helo(host.into_owned()),
        Request::Lhlo { host } => Command::Lhlo(host.into_owned()),
        Request::Mail { from } => mail(&from, line),
        Request::Rcpt { to } => rcpt(&to, line),
        Request::Bdat { chunk_size, is_last } => Command::Bdat { octets: chunk_size as u64, last: is_last },
        Request::StartTls => Command::StartTls,
        Request::Data => Command::Data,
        Request::Rset => Command::Rset,
        Request::Quit => Command::Quit,
        Request::Noop { .. } => Command::Noop,
        Request::Vrfy { .. } => Command::Vrfy,
        Request::Help { .. } => Command::Help,
        Request::Expn { .. } | Request::Etrn { .. } | Request::Atrn { .. } | Request::Burl { .. } | Request::Auth { .. } => {
            Command::Wrong(Answer::new(502, (5, 5, 1), "the command is not offered"))
        }
    }
}

fn misunderstood(error: &Error, words: &[u8]) -> Command {
    let (code, enhanced, text) = match error {
        Error::InvalidSenderAddress => (553, (5, 1, 7), "the sender is not a mail address".to_owned()),
        // An address literal is an address, only none of ours.
        Error::InvalidRecipientAddress if words.windows(2).any(|w| w == b"@[") => (550, (5, 1, 1), "no such address here".to_owned()),
        Error::InvalidRecipientAddress => (553, (5, 1, 3), "the recipient is not a mail address".to_owned()),
        Error::UnsupportedParameter { .. } => (555, (5, 5, 4), "the parameter is not offered".to_owned()),
        Error::InvalidParameter { .. } | Error::SyntaxError { .. } => (501, (5, 5, 4), error.to_string()),
        _ => (500, (5, 5, 2), "the command is not known".to_owned()),
    };
    Command::Wrong(Answer::new(code, enhanced, text))
}

fn mail(from: &MailFrom<Cow<'_, str>>, line: &[u8]) -> Command {
    let offered = smtp_proto::MAIL_BODY_7BIT | smtp_proto::MAIL_BODY_8BITMIME | smtp_proto::MAIL_SMTPUTF8;
    let not_offered = from.flags & !offered != 0
        || from.env_id.is_some()
        || from.trans_id.is_some()
        || from.solicit.is_some()
        || from.mtrk.is_some()
        || from.hold_for != 0
        || from.hold_until != 0
        || from.mt_priority != 0;
    if not_offered {
        return Command::Wrong(Answer::new(555, (5, 5, 4), "the parameter is not offered"));
    }
    let utf8 = from.flags & smtp_proto::MAIL_SMTPUTF8 != 0;
    let reverse_path = if from.address.is_empty() {
        if !path(line).starts_with(b"<>") {
            return Command::Wrong(Answer::new(553, (5, 1, 7), "the sender is not a mail address"));
        }
        ReversePath::Null
    } else {
        if !utf8 && !path(line).is_ascii() {
            return Command::Wrong(Answer::new(553, (5, 6, 7), "an address that is not ASCII needs SMTPUTF8"));
        }
        match mailbox(&from.address, line) {
            Some(address) => ReversePath::Path(address),
            None => return Command::Wrong(Answer::new(553, (5, 1, 7), "the sender is not a mail address")),
        }
    };
    let declared_octets = (from.size > 0).then_some(from.size as u64);
    Command::Mail(Box::new(Mail { reverse_path, declared_octets, utf8, auth: from.auth.is_some() }))
}

fn rcpt(to: &RcptTo<Cow<'_, str>>, line: &[u8]) -> Command {
    if to.flags != 0 || to.orcpt.is_some() || to.rrvs != 0 {
        return Command::Wrong(Answer::new(555, (5, 5, 4), "the parameter is not offered"));
    }
    let path = path(line);
    if to.address.is_empty() {
        return if path.len() >= 12 && path[..12].eq_ignore_ascii_case(b"<postmaster>") {
            Command::Rcpt(Recipient::Postmaster)
        } else {
            Command::Wrong(Answer::new(553, (5, 1, 3), "the recipient is not a mail address"))
        };
    }
    match mailbox(&to.address, line) {
        Some(address) => Command::Rcpt(Recipient::Address { address, ascii: path.is_ascii() }),
        None if to.address.contains("@[") => Command::Wrong(Answer::new(550, (5, 1, 1), "no such address here")),
        None => Command::Wrong(Answer::new(553, (5, 1, 3), "the recipient is not a mail address")),
    }
}

/// What stands behind the colon of MAIL or RCPT.
fn path(line: &[u8]) -> &[u8] {
    memchr(b':', line).map_or(&[][..], |colon| line[colon + 1..].trim_ascii())
}

/// The address with its quotes put back where they are needed.
fn mailbox(unquoted: &str, line: &[u8]) -> Option<EmailAddress> {
    std::str::from_utf8(line).ok()?;
    if let Ok(address) = unquoted.parse() {
        return Some(address);
    }
    let (local, domain) = unquoted.rsplit_once('@')?;
    // Only a line that had quotes may get them back.
    memchr(b'"', line)?;
    format!("\"{}\"@{domain}", local.replace('\\', "\\\\").replace('"', "\\\"")).parse().ok()
}

fn auth(words: &[u8]) -> Command {
    let Ok(text) = std::str::from_utf8(words) else { return syntax("AUTH PLAIN or AUTH LOGIN is expected") };
    let mut words = text.split_ascii_whitespace().skip(1);
    let mechanism = match words.next().map(str::to_ascii_uppercase).as_deref() {
        Some("PLAIN") => Mechanism::Plain,
        Some("LOGIN") => Mechanism::Login,
        Some(_) => return Command::Wrong(Answer::new(504, (5, 5, 4), "AUTH PLAIN or AUTH LOGIN is expected")),
        None => return syntax("AUTH PLAIN or AUTH LOGIN is expected"),
    };
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return syntax("AUTH takes a mechanism and one initial response");
    }
    Command::Auth { mechanism, initial }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8], step: usize) -> Vec<Line> {
        let mut lines = Lines::default();
        let mut buffer = BytesMut::new();
        let mut found = Vec::new();
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            while let Some(line) = lines.next(&mut buffer, 20) {
                let broken = line == Line::Broken;
                found.push(line);
                if broken {
                    return found;
                }
            }
        }
        found
    }

    #[test]
    fn lines_end_with_cr_lf_only() {
        let whole = |text: &'static str| Line::Whole(Bytes::from_static(text.as_bytes()));
        for step in [1, 2, 7, 1_000] {
            assert_eq!(lines(b"NOOP\r\nQUIT\r\nx", step), [whole("NOOP\r\n"), whole("QUIT\r\n")]);
            for broken in ["NOOP\n", "NO\rOP\r\n", "NOOP\r\r\n", "NO\0OP\r\n", "\n", "NOOP\n\r\n", "\0"] {
                assert_eq!(lines(broken.as_bytes(), step), [Line::Broken], "{broken:?}");
            }
        }
    }

    #[test]
    fn a_long_line_is_skipped_and_an_endless_one_ends_the_session() {
        for step in [1, 19, 20, 21, 22, 1_000] {
            let long = [vec![b'x'; 30], b"\r\nQUIT\r\n".to_vec()].concat();
            assert_eq!(lines(&long, step), [Line::TooLong, Line::Whole(Bytes::from_static(b"QUIT\r\n"))]);
            let fits = [vec![b'x'; 18], b"\r\n".to_vec()].concat();
            assert_eq!(lines(&fits, step), [Line::Whole(fits.clone().into())]);
        }
        assert_eq!(lines(&vec![b'x'; ENDLESS_LINE_OCTETS + 40], 1_000), [Line::Broken]);
        assert_eq!(lines(&[vec![b'x'; 30], b"\n".to_vec()].concat(), 10), [Line::Broken]);
    }

    fn code(line: &str) -> u16 {
        match read(format!("{line}\r\n").as_bytes()) {
            Command::Wrong(answer) | Command::Lost(answer) => answer.code,
            Command::Http => 421,
            _ => 0,
        }
    }

    fn recipient(line: &str) -> String {
        match read(format!("RCPT TO:{line}\r\n").as_bytes()) {
            Command::Rcpt(Recipient::Address { address, .. }) => address.to_string(),
            Command::Rcpt(Recipient::Postmaster) => "postmaster".to_owned(),
            Command::Wrong(answer) => answer.code.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn recipients_are_read_with_their_quotes() {
        for (path, expected) in [
            ("<a@example.org>", "a@example.org"),
            (" <a@example.org>", "a@example.org"),
            ("<\"a b\"@example.org>", "\"a b\"@example.org"),
            ("<\"a@b\"@example.org>", "\"a@b\"@example.org"),
            ("<\"a\\\"b\"@example.org>", "\"a\\\"b\"@example.org"),
            ("<\"a\"@example.org>", "a@example.org"),
            ("<@x.example,@y.example:a@example.org>", "a@example.org"),
            ("<a%other.example@example.org>", "a%other.example@example.org"),
            ("<other.example!a@example.org>", "other.example!a@example.org"),
            ("<Postmaster>", "postmaster"),
            ("<>", "553"),
            ("<\"\">", "553"),
            ("<a>", "553"),
            ("<a@b@example.org>", "553"),
            ("<a@[127.0.0.1]>", "550"),
            ("<a@[IPv6:::1]>", "550"),
            ("<a@example.org", "501"),
            ("a@example.org", "501"),
            ("<a@example.org> NOTIFY=NEVER", "555"),
            ("<a@example.org> FOO=BAR", "555"),
            ("<a@exa\u{1}mple.org>", "553"),
        ] {
            assert_eq!(recipient(path), expected, "{path}");
        }
    }

    #[test]
    fn sizes_and_parameters_of_mail() {
        for (parameters, expected) in [
            ("", 0),
            (" SIZE=1000 BODY=8BITMIME SMTPUTF8", 0),
            (" SIZE=", 501),
            (" SIZE=-1", 501),
            (" SIZE=1x", 501),
            (" SIZE=18446744073709551615", 552),
            (" SIZE=18446744073709551616", 552),
            (" SIZE=184467440737095516150", 552),
            (" SIZE=99999999999999999999999999", 552),
            (" BODY=BINARYMIME", 555),
            (" RET=FULL", 555),
            (" REQUIRETLS", 555),
            (" XYZ", 555),
        ] {
            assert_eq!(code(&format!("MAIL FROM:<a@example.org>{parameters}")), expected, "{parameters}");
        }
        assert!(matches!(read(b"MAIL FROM:<>\r\n"), Command::Mail(mail) if mail.reverse_path == ReversePath::Null));
        for path in ["<\"\">", "<postmaster>", "<a@[127.0.0.1]>", "<j\u{f6}@example.org>"] {
            assert_eq!(code(&format!("MAIL FROM:{path}")), 553, "{path}");
        }
        assert_eq!(code("MAIL FROM:<j\u{f6}@example.org> SMTPUTF8"), 0);
        assert!(matches!(read(b"MAIL FROM:<\xff@example.org> SMTPUTF8\r\n"), Command::Wrong(answer) if answer.code == 553));
    }

    #[test]
    fn chunk_sizes_out_of_range_end_the_session() {
        for line in
            ["BDAT", "BDAT x", "BDAT -1", "BDAT 5LAST", "BDAT 5 LAS", "BDAT 18446744073709551615", "BDAT 184467440737095516165 LAST"]
        {
            assert!(matches!(read(format!("{line}\r\n").as_bytes()), Command::Lost(_)), "{line}");
        }
        assert!(matches!(read(b"BDAT 5 LAST\r\n"), Command::Bdat { octets: 5, last: true }));
        assert!(matches!(read(b"bdat 0\r\n"), Command::Bdat { octets: 0, last: false }));
    }

    #[test]
    fn what_is_not_offered_is_said() {
        // Each by its own name, whether or not the parser below knows it.
        for line in [
            "EXPN x",
            "XCLIENT ADDR=1.2.3.4",
            "ETRN x",
            "TURN",
            "ATRN x.example",
            "BURL x LAST",
            "SEND FROM:<a@b.example>",
            "SOML FROM:<a@b.example>",
            "SAML FROM:<a@b.example>",
        ] {
            assert!(matches!(read(format!("{line}\r\n").as_bytes()), Command::Wrong(answer) if answer.code == 502), "{line}");
        }
        for parameter in ["ENVID=x", "RET=HDRS", "BY=10;R", "MT-PRIORITY=3", "XYZ=1"] {
            assert_eq!(code(&format!("MAIL FROM:<a@b.example> {parameter}")), 555, "{parameter}");
        }
        for line in ["FOO", "", "MAILFROM:<a@b>", "D\u{e4}TA"] {
            assert_eq!(code(line), 500, "{line:?}");
        }
        for line in ["GET / HTTP/1.1", "post / HTTP/1.1", "CONNECT x:25 HTTP/1.1"] {
            assert_eq!(code(line), 421, "{line}");
        }
        assert_eq!(code("DATA now"), 501);
    }
}
