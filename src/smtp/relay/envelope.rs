//! The envelope of a transaction: checked against what the relay offers, and written as commands.
//!
//! Sources: RFC 5321 section 3.3, RFC 1870 section 6 (SIZE), RFC 6152 section 2 (BODY), RFC 6531 section 3.4 (SMTPUTF8),
//! RFC 2920 section 3.1 (which commands make a group).

use std::io::Write as _;

use lettre::Address;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};

use super::Transaction;
use super::features::Features;
use crate::domain::ledger::RelayAnswer;

/// Answers as they become known, by index of the recipient.
pub(super) struct Answers(Vec<Option<RelayAnswer>>);

impl Answers {
    /// None known of so many.
    pub(super) fn none(recipients: usize) -> Self {
        Self(vec![None; recipients])
    }

    /// These recipients have this answer.
    pub(super) fn set(&mut self, indexes: impl IntoIterator<Item = usize>, answer: &RelayAnswer) {
        for index in indexes {
            self.0[index] = Some(answer.clone());
        }
    }

    /// All who have none yet have this one.
    pub(super) fn set_open(&mut self, answer: &RelayAnswer) {
        for known in self.0.iter_mut().filter(|known| known.is_none()) {
            *known = Some(answer.clone());
        }
    }

    /// Gives `answer` to all who have none yet.
    pub(super) fn close(self, answer: &RelayAnswer) -> Vec<RelayAnswer> {
        self.0.into_iter().map(|known| known.unwrap_or_else(|| answer.clone())).collect()
    }
}

/// What goes before the message.
pub(super) struct Envelope {
    /// MAIL with its parameters.
    pub(super) mail: Mail,
    /// Whom the relay may be asked about, with their index in the transaction; never empty.
    pub(super) admitted: Vec<(usize, Address)>,
}

impl Envelope {
    /// Refuses here what the relay has told in advance that it would refuse.
    ///
    /// # Errors
    /// The answer of all who have none yet, when nothing is left to be sent.
    pub(super) fn of(features: &Features, transaction: &Transaction<'_>, answers: &mut Answers) -> Result<Self, RelayAnswer> {
        let admitted = admit(features, transaction, answers);
        let Some(mail) = mail(features, transaction) else {
            return Err(RelayAnswer::Refused("553 5.1.7 not sent: the reverse-path is not an address".to_owned()));
        };
        if admitted.is_empty() { Err(RelayAnswer::LostBefore(String::new())) } else { Ok(Self { mail, admitted }) }
    }

    /// MAIL, RCPT and DATA as one group.
    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        // Writing into a Vec cannot fail.
        let _ = write!(buffer, "{}", self.mail);
        for (_, address) in &self.admitted {
            let _ = write!(buffer, "{}", Rcpt::new(address.clone(), Vec::new()));
        }
        let _ = write!(buffer, "{Data}");
    }

    /// By which an announced envelope is known again: reverse-path, recipients, size.
    pub(super) fn key(transaction: &Transaction<'_>) -> String {
        let mut key = format!("{}\n{}", transaction.octets(), transaction.reverse_path);
        for recipient in transaction.recipients {
            key.push('\n');
            key.push_str(recipient);
        }
        key
    }
}

fn admit(features: &Features, transaction: &Transaction<'_>, answers: &mut Answers) -> Vec<(usize, Address)> {
    let octets = transaction.octets();
    if let Some(limit) = features.size_limit.filter(|&limit| octets > limit) {
        let text = format!("552 5.3.4 not sent: the message has {octets} octets, the relay takes {limit}");
        answers.set_open(&RelayAnswer::Refused(text));
        return Vec::new();
    }
    let mut admitted = Vec::with_capacity(transaction.recipients.len());
    for (index, recipient) in transaction.recipients.iter().enumerate() {
        let refusal = match address(recipient) {
            Some(_) if !recipient.is_ascii() && !features.utf8 => "553 5.6.7 not sent: the relay does not offer SMTPUTF8",
            Some(address) => {
                admitted.push((index, address));
                continue;
            }
            None => "553 5.1.3 not sent: not an address that SMTP can carry",
        };
        answers.set([index], &RelayAnswer::Refused(refusal.to_owned()));
    }
    admitted
}

fn mail(features: &Features, transaction: &Transaction<'_>) -> Option<Mail> {
    let sender = match transaction.reverse_path {
        "" => None,
        path => Some(address(path)?),
    };
    let mut parameters = Vec::new();
    if features.size {
        parameters.push(MailParameter::Size(usize::try_from(transaction.octets()).unwrap_or(usize::MAX)));
    }
    // Eight-bit text goes out even where 8BITMIME is not offered: no relay in use clears the high bit, and the
    // alternative in RFC 6152 section 3, to return the message, would cost every reader of five of six languages.
    if features.eight_bit && !transaction.message.iter().all(|piece| piece.is_ascii()) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let ascii = transaction.reverse_path.is_ascii() && transaction.recipients.iter().all(|recipient| recipient.is_ascii());
    if features.utf8 && !ascii {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    Some(Mail::new(sender, parameters))
}

/// An address that can stand in a command.
fn address(text: &str) -> Option<Address> {
    let harmless = !text.chars().any(|c| c.is_control() || matches!(c, '<' | '>'));
    text.parse().ok().filter(|_| harmless)
}
