//! What came back: delivery status notifications, complaints and answers of robots, read.
//!
//! RFC 3464 (message/delivery-status, also the internationalised form of RFC 6533), RFC 5965 (feedback reports), RFC 3834
//! (automatic answers), and the many notices in no format at all, read from their text (`notice`). Whom it concerns is the
//! VERP token's business; here is only what the report says. Everything is bounded: octets, lines, recipients.
//! The surprise: a notice that a person forwarded is not a report, because only robots are believed.

mod automatic;
mod complaint;
mod notice;
mod status;

use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

use super::content;
use crate::domain::bounce::{BounceClass, classify, is_general};
use crate::domain::destination::TOKEN_CHARACTERS;

/// What sort of message came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A delivery status notification, standard or not.
    Dsn,
    /// A feedback report.
    Complaint,
    /// A vacation note, a challenge or the like.
    AutoReply,
    /// Anything else.
    Other,
}

/// What the report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// As the report names it; may be a forwarding target that we never wrote to, and empty if it names none.
    pub address: String,
    /// What it means.
    pub class: BounceClass,
    /// Enhanced status, `5.1.1`; empty if none was given.
    pub status: String,
    /// The remote server's words, one line.
    pub diagnostic: String,
}

/// A message that came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What sort.
    pub kind: ReportKind,
    /// What it says of whom.
    pub recipients: Vec<ReportedRecipient>,
}

/// Characters of a diagnostic that are kept.
const DIAGNOSTIC_CHARACTERS: usize = 400;
/// Octets of a report's text that are searched.
const SEARCHED_OCTETS: usize = 32 * 1024;
/// Most octets of one part with fields that are read.
const FIELD_OCTETS: usize = 256 * 1024;
/// Most recipients of a report that are read.
const RECIPIENTS: usize = 100;

/// Reads a message that came back; whatever cannot be read is `Other`.
pub fn read(message: &[u8]) -> Report {
    let of = |kind, recipients| Report { kind, recipients };
    let Ok(parsed) = content::parse(message) else { return of(ReportKind::Other, Vec::new()) };
    if let Some(recipients) = complaint::read(&parsed) {
        return of(ReportKind::Complaint, recipients);
    }
    let signs = automatic::signs(&parsed);
    let text = content::text_body(&parsed, SEARCHED_OCTETS);
    if !signs.is_forwarded()
        && let Some(reported) = status::read(&parsed).or_else(|| passed_on_by_gateway(&parsed, &signs))
    {
        return of(ReportKind::Dsn, with_words(reported, &parsed, &text));
    }
    if signs.is_answer_of_person() {
        return of(ReportKind::AutoReply, Vec::new());
    }
    if signs.may_be_notice()
        && let Some(recipients) = notice::read(&parsed, &text, &signs)
    {
        return of(ReportKind::Dsn, recipients);
    }
    if signs.is_automatic() {
        return of(ReportKind::AutoReply, Vec::new());
    }
    of(ReportKind::Other, Vec::new())
}

/// Tokens of our bounce addresses in what came back with a report, such as the `Return-Path` of the copy, as they are written.
pub fn returned_tokens(message: &[u8]) -> Vec<String> {
    const MARK: &[u8] = b"-bounces+";
    let searched = &message[..message.len().min(FIELD_OCTETS)];
    let behind = memchr::memmem::find_iter(searched, MARK).take(RECIPIENTS).map(|at| &searched[at + MARK.len()..]);
    let token = |text: &[u8]| text.iter().take_while(|octet| octet.is_ascii_alphanumeric()).map(|octet| char::from(*octet)).collect();
    behind.map(token).filter(|token: &String| (1..=TOKEN_CHARACTERS).contains(&token.len())).collect()
}

/// A gateway in front of a mail system packs the whole notification in one of its own.
fn passed_on_by_gateway(parsed: &Message<'_>, signs: &automatic::Signs) -> Option<Vec<ReportedRecipient>> {
    let inner = parsed.parts.iter().filter(|_| signs.is_of_system()).find_map(|part| match &part.body {
        PartType::Message(inner) => Some(inner),
        _ => None,
    })?;
    status::read(inner).filter(|_| automatic::signs(inner).is_of_system())
}

/// A report whose fields say little is completed from the words above them, which are written for people.
fn with_words(mut reported: Vec<ReportedRecipient>, parsed: &Message<'_>, text: &str) -> Vec<ReportedRecipient> {
    let vague = |recipient: &ReportedRecipient| {
        recipient.class == BounceClass::Unknown
            || (recipient.diagnostic.is_empty() && is_general(&recipient.status))
            || recipient.address.is_empty()
    };
    if !reported.iter().any(vague) {
        return reported;
    }
    let notice = notice::Notice::of(text);
    let only = reported.len() == 1;
    for recipient in reported.iter_mut().filter(|recipient| vague(recipient)) {
        if recipient.address.is_empty() {
            recipient.address = notice::Notice::address_of_original(parsed).unwrap_or_default();
        }
        let Some(words) = notice.words_about(&recipient.address, only) else { continue };
        if recipient.diagnostic.is_empty() {
            recipient.diagnostic = line(&words);
        }
        if matches!(recipient.class, BounceClass::Unknown | BounceClass::Transient) {
            let class = classify(&recipient.status, &words);
            if class != BounceClass::Unknown {
                recipient.class = class;
            }
        }
    }
    reported
}

/// `text/plain`, lower case; empty without a Content-Type.
fn content_type(part: &MessagePart<'_>) -> String {
    part.content_type()
        .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase())
        .unwrap_or_default()
}

/// The text of a part, decoded, LF, bounded.
fn part_text(part: &MessagePart<'_>) -> String {
    let octets = match &part.body {
        PartType::Message(inner) => inner.raw_message(),
        _ => part.contents(),
    };
    let text = String::from_utf8_lossy(&octets[..octets.len().min(FIELD_OCTETS)]);
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// The message that the report is about, as far as it is included: header and all, LF.
fn original(parsed: &Message<'_>) -> Option<String> {
    let is_original = |part: &&MessagePart<'_>| {
        matches!(part.body, PartType::Message(_))
            || matches!(
                content_type(part).as_str(),
                "message/rfc822" | "text/rfc822-headers" | "message/global" | "message/global-headers" | "message/partial"
            )
    };
    parsed.parts.iter().find(is_original).map(part_text)
}

/// Value of a field in the header of an included message, unfolded.
fn original_field(original: &str, name: &str) -> Option<String> {
    let header = original.split("\n\n").next().unwrap_or_default();
    fields(header).into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

/// Fields of one group of lines, unfolded, names lower case.
fn fields(group: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in group.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    fields
}

/// One line without controls, bounded.
fn line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if c != ' ' || !line.ends_with(' ') {
            line.push(c);
        }
    }
    line.trim().chars().take(DIAGNOSTIC_CHARACTERS).collect()
}

impl Report {
    /// As in JSON and logs.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            ReportKind::Dsn => "dsn",
            ReportKind::Complaint => "complaint",
            ReportKind::AutoReply => "auto-reply",
            ReportKind::Other => "other",
        }
    }

    /// What the report says of `address`, the one recipient of the copy that came back.
    ///
    /// The report may name a forwarding target instead of her, or several; then a failure goes before a delay.
    pub fn about(&self, address: &str) -> Option<&ReportedRecipient> {
        let named = self.recipients.iter().find(|recipient| recipient.address.eq_ignore_ascii_case(address));
        named.or_else(|| self.recipients.iter().find(|recipient| recipient.class.is_failure())).or(self.recipients.first())
    }
}

impl ReportedRecipient {
    /// Class and words for the ledger: `address-dead: 550 5.1.1 …`.
    pub fn summary(&self) -> String {
        let words = if self.diagnostic.is_empty() { self.status.as_str() } else { self.diagnostic.as_str() };
        if words.is_empty() { self.class.as_str().to_owned() } else { format!("{}: {words}", self.class.as_str()) }
    }
}

#[cfg(test)]
mod tests;
