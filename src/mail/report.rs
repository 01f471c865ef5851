//! What came back: delivery status notifications and complaints, read.
//!
//! RFC 3464 (message/delivery-status, also the internationalised form of RFC 6533) and RFC 5965 (feedback reports).
//! Whom it concerns is the VERP token's business; here is only what the report says. Reports in no format at all are
//! searched for an enhanced status code and an SMTP reply near the top.

use super::content;
use crate::domain::bounce::{BounceClass, classify};

/// What sort of message came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// A delivery status notification, standard or not.
    Dsn,
    /// A feedback report.
    Complaint,
    /// A vacation note or the like.
    AutoReply,
    /// Anything else.
    Other,
}

/// What the report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// As the report names it; may be a forwarding target that we never wrote to.
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
/// Octets of a report without format that are searched.
const SEARCHED_OCTETS: usize = 16 * 1024;
/// Most recipients of a report that are read.
const RECIPIENTS: usize = 100;

/// Reads a message that came back; whatever cannot be read is `Other`.
pub fn read(message: &[u8]) -> Report {
    let other = Report { kind: ReportKind::Other, recipients: Vec::new() };
    let Ok(parsed) = content::parse(message) else { return other };
    for part in &parsed.parts {
        let content_type = part.headers.iter().find_map(|header| match (&header.name, &header.value) {
            (mail_parser::HeaderName::ContentType, mail_parser::HeaderValue::ContentType(kind)) => {
                Some(format!("{}/{}", kind.c_type, kind.c_subtype.as_deref().unwrap_or_default()).to_lowercase())
            }
            _ => None,
        });
        match content_type.as_deref() {
            Some("message/delivery-status" | "message/global-delivery-status") => {
                return Report { kind: ReportKind::Dsn, recipients: delivery_status(&String::from_utf8_lossy(part.contents())) };
            }
            Some("message/feedback-report") => {
                return Report { kind: ReportKind::Complaint, recipients: complaint(&String::from_utf8_lossy(part.contents())) };
            }
            _ => {}
        }
    }
    let header = |name: &str| parsed.header(name).and_then(|value| value.as_text()).unwrap_or_default().to_lowercase();
    let subject = parsed.subject().unwrap_or_default().to_lowercase();
    let auto = header("Auto-Submitted");
    if auto.starts_with("auto-replied") || !header("X-Autoreply").is_empty() {
        return Report { kind: ReportKind::AutoReply, recipients: Vec::new() };
    }
    let text = content::text_body(&parsed, SEARCHED_OCTETS);
    unformatted(&subject, &text).map_or(other, |recipient| Report { kind: ReportKind::Dsn, recipients: vec![recipient] })
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

fn delivery_status(text: &str) -> Vec<ReportedRecipient> {
    let text = text.replace("\r\n", "\n");
    text.split("\n\n")
        .map(fields)
        .filter_map(|fields| {
            let get = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            let recipient = get("original-recipient").or(get("final-recipient"))?;
            let address = recipient.rsplit_once(';').map_or(recipient, |(_, address)| address);
            let status: String = get("status").unwrap_or_default().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            let diagnostic = get("diagnostic-code").map_or("", |code| code.split_once(';').map_or(code, |(_, text)| text.trim()));
            let class = match get("action").unwrap_or_default().to_lowercase().as_str() {
                "delayed" | "delivered" | "relayed" | "expanded" => BounceClass::Delay,
                _ => classify(&status, diagnostic),
            };
            Some(ReportedRecipient { address: line(address.trim_matches(['<', '>', ' '])), class, diagnostic: line(diagnostic), status })
        })
        .take(RECIPIENTS)
        .collect()
}

fn complaint(text: &str) -> Vec<ReportedRecipient> {
    let fields = fields(text);
    let address = fields.iter().find(|(name, _)| name == "original-rcpt-to").map(|(_, value)| value.trim_matches(['<', '>', ' ']));
    let kind = fields.iter().find(|(name, _)| name == "feedback-type").map_or("abuse", |(_, value)| value);
    vec![ReportedRecipient {
        address: line(address.unwrap_or_default()),
        class: BounceClass::Complaint,
        status: String::new(),
        diagnostic: line(kind),
    }]
}

/// A notification in no format: it must say that it is one, and give a code.
fn unformatted(subject: &str, text: &str) -> Option<ReportedRecipient> {
    const SUBJECTS: [&str; 6] =
        ["undeliver", "failure notice", "delivery status", "returned mail", "delivery failure", "mail delivery failed"];
    SUBJECTS.iter().any(|words| subject.contains(words)).then_some(())?;
    let with_code = text.lines().map(str::trim).find(|line| status_in(line).is_some());
    let status = with_code.and_then(status_in).unwrap_or_default();
    let diagnostic = with_code.unwrap_or_default();
    let address = text
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| "<>(),;:\"'".contains(c)))
        .find(|word| word.parse::<crate::domain::address::EmailAddress>().is_ok())
        .unwrap_or_default();
    let whole = if diagnostic.is_empty() { text } else { diagnostic };
    Some(ReportedRecipient { address: line(address), class: classify(&status, whole), status, diagnostic: line(diagnostic) })
}

/// An enhanced status code such as `5.1.1` in a line.
fn status_in(line: &str) -> Option<String> {
    line.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let parts: Vec<&str> = word.trim_matches('.').split('.').collect();
        let fits = parts.len() == 3 && matches!(parts[0], "4" | "5") && parts[1..].iter().all(|part| (1..=3).contains(&part.len()));
        fits.then(|| parts.join("."))
    })
}

fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DIAGNOSTIC_CHARACTERS).collect::<String>().trim().to_owned()
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

    /// Status and words of the first recipient whose copy is lost for good.
    pub fn permanent_failure(&self) -> Option<String> {
        let failed = self.recipients.iter().find(|recipient| recipient.class.is_failure())?;
        let words = if failed.diagnostic.is_empty() { failed.status.as_str() } else { failed.diagnostic.as_str() };
        Some(format!("{}: {words}", failed.class.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DSN: &str = "From: MAILER-DAEMON@mx.example.net\r\nTo: <x-bounces+t@lists.example.org>\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nI am sorry\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; ana@example.net\r\nAction: ACTION\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <ana@example.net>:\r\n Recipient address rejected: User unknown\r\n--b--\r\n";

    #[test]
    fn a_standard_notification_gives_address_class_status_and_words() {
        let report = read(DSN.replace("ACTION", "failed").as_bytes());
        assert_eq!(report.kind, ReportKind::Dsn);
        assert_eq!(report.recipients.len(), 1);
        assert_eq!(report.recipients[0].address, "ana@example.net");
        assert_eq!(report.recipients[0].class, BounceClass::AddressDead);
        assert!(report.permanent_failure().unwrap().contains("User unknown"));
    }

    #[test]
    fn a_delay_is_no_failure() {
        let report = read(DSN.replace("ACTION", "delayed").as_bytes());
        assert_eq!(report.recipients[0].class, BounceClass::Delay);
        assert_eq!(report.permanent_failure(), None);
    }

    #[test]
    fn vacation_notes_and_letters_are_no_failures() {
        let vacation = "From: a@example.org\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\n\r\n550 5.1.1 is my room number\r\n";
        assert_eq!(read(vacation.as_bytes()).kind, ReportKind::AutoReply);
        let letter = "From: a@example.org\r\nSubject: Hello\r\n\r\nsection 5.1.1 is wrong\r\n";
        assert_eq!(read(letter.as_bytes()).kind, ReportKind::Other);
    }
}
