//! Notices in no format: whom they name and what they say, found in text that was written for people.
//!
//! Every mail system has its own form, but nearly all of them put a recipient at the beginning of a line and the reason
//! under it (qmail, Postfix, Exim, Courier, Sendmail, Yahoo), or name her in a sentence and give the reason in the next ones.
//! So lines are looked at by shape, strong shapes first. The text ends where the returned message begins.

use std::collections::HashSet;

use mail_parser::Message;

use super::automatic::Signs;
use super::{RECIPIENTS, ReportedRecipient, line, original, original_field};
use crate::domain::address::EmailAddress;
use crate::domain::bounce::{BounceClass, classify, enhanced_status};

/// Most lines that are looked at.
const LINES: usize = 600;
/// Most lines of a reason.
const REASON_LINES: usize = 12;
/// Octets of the whole text that may serve as reason.
const WHOLE_OCTETS: usize = 4_000;

/// Where the returned message begins, behind a rule of hyphens or the like; lower case.
const RULED: [&str; 22] = [
    "below this line is",
    "below the next line",
    "enclosed is a copy",
    "original message",
    "this is a copy",
    "returned message",
    "message header follows",
    "message headers follow",
    "unsent message",
    "undelivered message",
    "the header of the original",
    "header of the original",
    "message header",
    "message text",
    "the original message",
    "begin original message",
    "message follows",
    "rejected message",
    "original mail",
    "a copy of",
    "original header",
    "header follows",
];
/// The same without a rule; lower case, the whole beginning of a line.
const RETURNED: [&str; 15] = [
    "original message follows",
    "message headers follow",
    "message header follows",
    "unsent message below",
    "original message headers",
    "original message header",
    "the following is a copy of the original",
    "received: from",
    "received: by",
    "received: (",
    "returned message follows",
    "your original message follows",
    "text of the message follows",
    "return-path: <",
    "original message details",
];
/// Words without which a text is no notice; lower case.
const SAYS_FAILED: [&str; 49] = [
    "no such",
    "did not reach",
    "not match",
    "transcript of session",
    "deferred",
    "deliver",
    "failed",
    "failure",
    "undeliver",
    "unable to",
    "returned",
    "rejected",
    "refused",
    "could not",
    "couldn't",
    "cannot",
    "can't",
    "not accepted",
    "unknown",
    "error",
    "bounced",
    "bounce",
    "not found",
    "does not exist",
    "full",
    "quota",
    "invalid",
    "disabled",
    "non remis",
    "n'a pas pu",
    "échec",
    "echec",
    "no se pudo",
    "no se ha podido",
    "no pudo",
    "entregar",
    "zugestellt",
    "zustell",
    "nicht",
    "não",
    "impossibile",
    "recapit",
    "недостав",
    "доставить",
    "无法",
    "失败",
    "できません",
    "تعذر",
    "تسليم",
];
/// The mail system goes on trying; lower case.
const STILL_TRYING: [&str; 16] = [
    "this is a warning message only",
    "you do not need to resend",
    "do not need to resend",
    "no action is required",
    "will continue to try",
    "will keep trying",
    "continue trying",
    "still trying",
    "will be retried",
    "delivery attempts will continue",
    "has been delayed",
    "delivery is delayed",
    "delivery delayed",
    "delayed mail",
    "being delayed",
    "will retry",
];
/// Local parts that are named as contacts, not as recipients.
const CONTACTS: [&str; 9] =
    ["postmaster", "mailer-daemon", "abuse", "support", "helpdesk", "noreply", "no-reply", "webmaster", "hostmaster"];
/// Names of fields and phrases whose line names somebody else than the recipient; lower case.
const OF_OTHERS: [&str; 18] = [
    "from:",
    "message-id",
    "reply-to:",
    "sender:",
    "return-path:",
    "subject:",
    "references:",
    "in-reply-to:",
    "x-",
    "date:",
    "mail from",
    ">>> mail",
    "contact",
    "please send",
    "further assistance",
    "message id",
    "e-mail id",
    "sent by",
];
/// Words before an address in a sentence or field that names the recipient; lower case.
const NAMES_RECIPIENT: [&str; 26] = [
    "rcpt to",
    "recipient",
    "to:",
    " to ",
    "user ",
    "user:",
    "mailbox",
    "address",
    "account",
    "for ",
    "for:",
    "deliver",
    "destinataire",
    "destinatario",
    "empfänger",
    "an:",
    "user <",
    "following",
    "failed",
    "unknown",
    "receiver",
    "rcpt",
    "para:",
    "à :",
    "addressee",
    "e-mail",
];

/// Words behind which the recipients stand; lower case.
const ANNOUNCES: [&str; 4] = ["following recipient", "following address", "addresses failed", "following destination"];

/// Whom a notice names, with the words about her.
struct Named {
    address: String,
    words: String,
}

/// The text of a notice.
pub(super) struct Notice {
    lines: Vec<String>,
}

/// Recipients of a notice; `None` if the text is none.
pub(super) fn read(parsed: &Message<'_>, text: &str, signs: &Signs) -> Option<Vec<ReportedRecipient>> {
    let notice = Notice::of(text);
    let whole = notice.whole();
    let lower = whole.to_lowercase();
    if !signs.says_notice() || !(signs.subject_says_notice() || SAYS_FAILED.iter().any(|words| lower.contains(words))) {
        return None;
    }
    let ours: HashSet<String> = signs.to.iter().cloned().chain([signs.from.clone()]).collect();
    let mut named = notice.named(&signs.failed_recipients, &ours);
    if named.is_empty() {
        named = notice.named(&signs.failed_recipients, &HashSet::from([signs.from.clone()]));
    }
    if named.is_empty() {
        named.extend(
            Notice::address_of_original(parsed)
                .filter(|address| !ours.contains(&address.to_lowercase()))
                .map(|address| Named { address, words: String::new() }),
        );
    }
    let delayed = STILL_TRYING.iter().any(|words| lower.contains(words)) && !gave_up(&lower);
    let delayed = delayed
        || (signs.subject.contains("delayed")
            || signs.subject.starts_with("warning: could not")
            || signs.subject.starts_with("warning: message"))
            && !gave_up(&lower);
    let recipients: Vec<_> = named.into_iter().map(|named| recipient(named, &whole, delayed)).take(RECIPIENTS).collect();
    // Nobody named: still a notice if it says so itself, and the token tells whom it is about.
    let nameless = || vec![recipient(Named { address: String::new(), words: String::new() }, &whole, delayed)];
    Some(if recipients.is_empty() { nameless() } else { recipients })
}

fn gave_up(lower: &str) -> bool {
    ["giving up", "given up", "permanent", "will not be retried", "no further attempts", "have been abandoned"]
        .iter()
        .any(|words| lower.contains(words))
        && !lower.contains("warning message only")
}

fn recipient(named: Named, whole: &str, delayed: bool) -> ReportedRecipient {
    let own = classify(&enhanced_status(&named.words).unwrap_or_default(), &named.words);
    let words = if own == BounceClass::Unknown && !whole.is_empty() { whole } else { named.words.as_str() };
    let status = enhanced_status(&named.words).or_else(|| enhanced_status(words)).unwrap_or_default();
    let class = if delayed { BounceClass::Delay } else { classify(&status, words) };
    let diagnostic = if named.words.is_empty() { telling_line(words) } else { line(&named.words) };
    ReportedRecipient { address: named.address, class, status, diagnostic }
}

/// The line of a text that most looks like a server's words.
fn telling_line(text: &str) -> String {
    let telling = |candidate: &&str| classify("", candidate) != BounceClass::Unknown || enhanced_status(candidate).is_some();
    line(text.lines().map(str::trim).find(telling).unwrap_or_default())
}

impl Notice {
    /// The part of `text` before the returned message.
    pub(super) fn of(text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines().take(LINES) {
            let lower = line.to_lowercase();
            let words = lower.trim_start_matches(|c: char| !c.is_alphanumeric());
            let ruled = ["---", "===", "***", "___", "<<<", ">>>"].iter().any(|rule| lower.trim_start().starts_with(rule));
            let begins =
                RETURNED.iter().any(|begin| words.starts_with(begin)) || (ruled && RULED.iter().any(|begin| words.starts_with(begin)));
            if begins && !lines.iter().all(|line| line.trim().is_empty()) {
                break;
            }
            lines.push(line.to_owned());
        }
        Self { lines }
    }

    fn whole(&self) -> String {
        let mut whole = self.lines.join("\n");
        let mut cut = whole.len().min(WHOLE_OCTETS);
        while !whole.is_char_boundary(cut) {
            cut -= 1;
        }
        whole.truncate(cut);
        whole
    }

    /// What is said about `address`; with `only` one recipient in the report, the whole text when nothing else is.
    pub(super) fn words_about(&self, address: &str, only: bool) -> Option<String> {
        let named = self.named(&[address.to_lowercase()], &HashSet::new());
        let words = named.into_iter().find(|named| named.address.eq_ignore_ascii_case(address)).map(|named| named.words);
        let telling = words.filter(|words| classify("", words) != BounceClass::Unknown);
        telling.or_else(|| only.then(|| self.whole())).filter(|words| !words.trim().is_empty())
    }

    /// An address from the returned message, where the text names nobody.
    pub(super) fn address_of_original(parsed: &Message<'_>) -> Option<String> {
        let original = original(parsed)?;
        ["x-original-to", "delivered-to", "to"]
            .iter()
            .filter_map(|name| original_field(&original, name))
            .find_map(|value| addresses_in(&value).into_iter().next())
    }

    /// Recipients by the shape of their lines: those of a header field, alone at the beginning of a line, in a sentence, anywhere.
    fn named(&self, failed: &[String], ours: &HashSet<String>) -> Vec<Named> {
        let mut strong = Vec::new();
        let mut weak = Vec::new();
        let mut any = Vec::new();
        for (at, text) in self.lines.iter().enumerate() {
            let lower = text.trim().to_lowercase();
            if is_of_others(&lower) {
                continue;
            }
            for address in addresses_in(text) {
                let key = address.to_lowercase();
                let sure = failed.contains(&key) || alone(text, &address);
                let contact = CONTACTS.iter().any(|name| key.starts_with(&format!("{name}@")));
                if !sure && (ours.contains(&key) || contact) {
                    continue;
                }
                let list = if sure {
                    &mut strong
                } else if NAMES_RECIPIENT.iter().any(|words| lower.contains(words)) {
                    &mut weak
                } else {
                    &mut any
                };
                list.push((at, address));
            }
        }
        let mut named: Vec<Named> = Vec::new();
        // "Your message To: … did not reach the following recipients: …" names its own recipients behind those words.
        let announced = self.lines.iter().position(|text| ANNOUNCES.iter().any(|words| text.to_lowercase().contains(words)));
        let mut lists = [strong, weak, any];
        if let Some(announced) = announced.filter(|announced| lists.iter().flatten().any(|(at, _)| at >= announced)) {
            for list in &mut lists {
                list.retain(|(at, address)| *at >= announced || failed.contains(&address.to_lowercase()));
            }
        }
        let chosen = lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        for (place, (at, address)) in chosen.iter().enumerate() {
            let next = chosen.get(place + 1).map_or(self.lines.len(), |(next, _)| *next);
            let words = self.reason(*at, next, address);
            match named.iter_mut().find(|named| named.address.eq_ignore_ascii_case(address)) {
                Some(known) if classify("", &known.words) == BounceClass::Unknown && !words.is_empty() => known.words = words,
                Some(_) => {}
                None => named.push(Named { address: address.clone(), words }),
            }
        }
        for address in failed {
            if !named.iter().any(|named| named.address.eq_ignore_ascii_case(address)) && address.contains('@') {
                named.push(Named { address: address.clone(), words: String::new() });
            }
        }
        named
    }

    /// The lines that belong to the address on line `at`: the rest of its own, and those under it up to an empty one that
    /// follows some words; never past `next`.
    fn reason(&self, at: usize, next: usize, address: &str) -> String {
        let own = self.lines[at].replacen(address, "", 1);
        let own = own.trim_matches(|c: char| "<>:() \t-*".contains(c));
        let mut words = own.to_owned();
        let mut blank = false;
        for text in self.lines.iter().take(next.max(at + 1)).skip(at + 1).take(REASON_LINES) {
            let text = text.trim();
            if ["subject:", "sent:", "date:", "to:", "from:", "message-id:", "delivered-to:"]
                .iter()
                .any(|name| text.to_lowercase().starts_with(name))
            {
                continue;
            }
            if text.is_empty() {
                if blank || classify("", &words) != BounceClass::Unknown {
                    break;
                }
                blank = true;
                continue;
            }
            words.push(' ');
            words.push_str(text);
        }
        words.trim().to_owned()
    }
}

/// Is the address the first thing on its line, but for brackets and marks, or preceded by nothing but a field name such as `To:`?
fn alone(text: &str, address: &str) -> bool {
    let Some(at) = text.find(address) else { return false };
    let before = text[..at].trim_start().trim_matches(|c: char| "<>\"'([*-•>=|".contains(c) || c.is_whitespace());
    let before = before.trim_end_matches("mailto").to_lowercase();
    before.is_empty()
        || [
            "to:",
            "recipient:",
            "rcpt to",
            "rcpt to:",
            "original-recipient:",
            "final-recipient:",
            "failed recipient:",
            "recipient address:",
            "user:",
            "to",
            "address:",
        ]
        .contains(&before.as_str())
}

/// Does the line name somebody else than a recipient?
fn is_of_others(lower: &str) -> bool {
    OF_OTHERS.iter().any(|words| lower.starts_with(words) || (words.len() > 8 && lower.contains(words)))
}

/// Mail addresses in a text, in order, each once a place.
pub(super) fn addresses_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !text.contains('@') {
        return found;
    }
    for word in text.split(|c: char| c.is_whitespace() || "<>()[]{},;\"`|".contains(c)) {
        if !word.contains('@') || word.len() > 320 {
            continue;
        }
        let word = word
            .trim_start_matches("mailto:")
            .trim_start_matches("rfc822:")
            .trim_start_matches("RFC822:")
            .trim_start_matches("smtp:")
            .trim_start_matches("SMTP:");
        let word = word.trim_matches(|c: char| ".:!?*=/'،。、，\u{201c}\u{201d}\u{2018}\u{2019}«»\u{200b}".contains(c));
        let word = word.rsplit_once(':').map_or(word, |(_, address)| address);
        let domain = word.rsplit_once('@').map_or("", |(_, domain)| domain);
        if domain.contains('.') && word.parse::<EmailAddress>().is_ok() {
            found.push(word.to_owned());
        }
    }
    found
}
