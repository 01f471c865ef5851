//! MAIL, RCPT, DATA and BDAT: from the envelope to the answer after the message (RFC 5321 section 3.3, RFC 3030).

use bytes::BytesMut;

use super::command::{Mail, Recipient};
use super::text::{Doubt, Text};
use super::{At, Envelope, Protocol, Question, Session, Step};
use crate::smtp::Answer;

/// Refused recipients of a client that is not trusted before each further refusal is slowed down.
const REFUSED_RECIPIENTS_AT_ONCE: usize = 3;
/// A message over the limit is read on for as long as this many times the limit, so that the client hears why.
const OVERSIZE_READ_ON: u64 = 4;

impl Session {
    pub(super) fn mail(&mut self, mail: Box<Mail>) -> Option<Step> {
        let refusal = if !self.greeted {
            let expected = if self.config.protocol == Protocol::Lmtp { "LHLO" } else { "EHLO" };
            Some(Answer::new(503, (5, 5, 1), format!("{expected} comes first")))
        } else if self.config.protocol == Protocol::Submission && self.info.authenticated.is_none() {
            Some(Answer::new(530, (5, 7, 0), if self.info.tls { "AUTH comes first" } else { "STARTTLS and AUTH come first" }))
        } else if self.envelope.is_some() {
            Some(Answer::new(503, (5, 5, 1), "a transaction is open already"))
        } else if mail.auth && !self.offers_auth() {
            Some(Answer::new(555, (5, 5, 4), "the parameter is not offered"))
        } else if mail.declared_octets.is_some_and(|octets| octets > self.config.limits.message_octets) {
            Some(Doubt::Size.answer(&self.config.limits))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.wrong(&refusal);
            return None;
        }
        let step = Step::Sender { reverse_path: mail.reverse_path.clone(), declared_octets: mail.declared_octets };
        self.at = At::Asked(Question::Sender(mail));
        Some(step)
    }

    /// `None` is yes.
    pub fn sender_answered(&mut self, refusal: Option<Answer>) {
        let At::Asked(Question::Sender(mail)) = std::mem::replace(&mut self.at, At::Command) else { return };
        if let Some(refusal) = refusal {
            return self.answer(&refusal);
        }
        self.utf8 = mail.utf8;
        self.envelope = Some(Box::new(Envelope { reverse_path: mail.reverse_path, recipients: Vec::new() }));
        self.answer(&Answer::new(250, (2, 1, 0), "sender taken"));
    }

    pub(super) fn rcpt(&mut self, recipient: Recipient) -> Option<Step> {
        let address = match recipient {
            Recipient::Address { address, ascii } => {
                if !ascii && self.envelope.is_some() && !self.utf8 {
                    self.wrong(&Answer::new(553, (5, 6, 7), "an address that is not ASCII needs SMTPUTF8"));
                    return None;
                }
                Some(address)
            }
            Recipient::Postmaster => format!("postmaster@{}", self.config.domain).parse().ok(),
        };
        let refusal = match (&self.envelope, &self.text) {
            (None, _) => Some(Answer::new(503, (5, 5, 1), "MAIL comes first")),
            (_, Some(_)) => Some(Answer::new(503, (5, 5, 1), "a message has begun already")),
            (Some(envelope), None) if envelope.recipients.len() >= self.config.limits.recipients => {
                // Not an error: the client sends the rest in another transaction (RFC 5321 section 4.5.3.1.10).
                self.answer(&Answer::new(452, (4, 5, 3), "too many recipients for one transaction"));
                return None;
            }
            _ => None,
        };
        match (refusal, address) {
            (Some(refusal), _) => self.wrong(&refusal),
            (None, None) => self.wrong(&Answer::new(550, (5, 1, 1), "no such address here")),
            (None, Some(address)) => {
                self.at = At::Asked(Question::Recipient(address.clone()));
                return Some(Step::Recipient(address));
            }
        }
        None
    }

    /// A positive answer adds the recipient.
    pub fn recipient_answered(&mut self, answer: &Answer) {
        let At::Asked(Question::Recipient(address)) = std::mem::replace(&mut self.at, At::Command) else { return };
        if answer.is_positive() {
            if let Some(envelope) = &mut self.envelope {
                envelope.recipients.push(address);
            }
            return self.answer(answer);
        }
        if self.info.trusted {
            // A relay asks for many people; its bad recipients are not its own errors.
            return self.answer(answer);
        }
        self.refused_recipients += 1;
        if self.refused_recipients > REFUSED_RECIPIENTS_AT_ONCE {
            self.slowdowns += 1;
        }
        self.wrong(answer);
    }

    /// Why a message cannot begin now, if so.
    pub(super) fn not_ready_for_message(&self) -> Option<Answer> {
        match &self.envelope {
            None => Some(Answer::new(503, (5, 5, 1), "MAIL comes first")),
            Some(envelope) if envelope.recipients.is_empty() => {
                // RFC 2033 section 4.2 demands 503 of LMTP.
                let code = if self.config.protocol == Protocol::Lmtp { 503 } else { 554 };
                Some(Answer::new(code, (5, 5, 1), "no recipient was accepted"))
            }
            Some(_) => None,
        }
    }

    pub(super) fn data_begins(&mut self) {
        if let Some(refusal) = self.not_ready_for_message() {
            return self.wrong(&refusal);
        }
        if self.text.is_some() {
            return self.wrong(&Answer::new(503, (5, 5, 1), "DATA cannot follow BDAT"));
        }
        self.text = Some(Box::new(Text::new(true)));
        self.at = At::Data;
        self.line(354, "end with a dot alone on a line");
    }

    pub(super) fn data(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> Option<Step> {
        let Some(text) = &mut self.text else {
            self.at = At::Closing;
            return None;
        };
        let (taken, ended) = text.take(input, content, &self.config.limits);
        let _ = input.split_to(taken);
        if ended { self.message_complete(content) } else { self.oversize().or(Some(Step::Read)) }
    }

    /// Ends the session with a client that goes on and on behind the limit.
    pub(super) fn oversize(&mut self) -> Option<Step> {
        let limits = &self.config.limits;
        if self.octets_collected() <= limits.message_octets.saturating_mul(OVERSIZE_READ_ON) {
            return None;
        }
        let answer = Doubt::Size.answer(limits);
        self.end_with(&answer);
        Some(Step::Close)
    }

    pub(super) fn chunk_begins(&mut self, octets: u64, last: bool) {
        if let Some(answer) = self.not_ready_for_message() {
            // The chunk comes all the same (RFC 3030 section 2).
            self.at = At::LostChunk { left: octets, answer };
            return;
        }
        let text = self.text.get_or_insert_with(|| Box::new(Text::new(false)));
        if octets > self.config.limits.message_octets.saturating_sub(text.octets()) {
            text.refuse(Doubt::Size);
        }
        if octets > self.config.limits.message_octets.saturating_mul(OVERSIZE_READ_ON) {
            let answer = Doubt::Size.answer(&self.config.limits);
            return self.end_with(&answer);
        }
        self.at = At::Chunk { left: octets, last };
    }

    pub(super) fn chunk(&mut self, input: &mut BytesMut, content: &mut Vec<u8>) -> Option<Step> {
        let (At::Chunk { left, last }, Some(text)) = (&mut self.at, &mut self.text) else {
            self.at = At::Closing;
            return None;
        };
        let piece = input.split_to(usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()));
        text.take(&piece, content, &self.config.limits);
        *left -= piece.len() as u64;
        if *left > 0 {
            return self.oversize().or(Some(Step::Read));
        }
        if *last {
            text.chunks_end(content, &self.config.limits);
            return self.message_complete(content);
        }
        self.at = At::Command;
        match text.doubt().cloned() {
            None => self.answer(&Answer::new(250, (2, 0, 0), "chunk taken")),
            Some(doubt) => self.refuse_message(&doubt, 1, content),
        }
        None
    }

    pub(super) fn lost_chunk(&mut self, input: &mut BytesMut) -> Option<Step> {
        let At::LostChunk { left, answer } = &mut self.at else { return None };
        let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let _ = input.split_to(taken);
        *left -= taken as u64;
        if *left > 0 {
            return Some(Step::Read);
        }
        let answer = answer.clone();
        self.at = At::Command;
        self.wrong(&answer);
        None
    }

    pub(super) fn message_complete(&mut self, content: &mut Vec<u8>) -> Option<Step> {
        self.at = At::Command;
        let recipients = self.envelope.as_ref().map_or(0, |envelope| envelope.recipients.len());
        if let Some(doubt) = self.text.as_ref().and_then(|text| text.doubt().cloned()) {
            self.refuse_message(&doubt, recipients, content);
            return None;
        }
        self.text = None;
        let envelope = self.envelope.take()?;
        self.at = At::Asked(Question::Message { recipients });
        Some(Step::Message { reverse_path: envelope.reverse_path, recipients: envelope.recipients })
    }

    /// Refuses a message while it comes in or at its end; `recipients` answers are due over LMTP.
    pub(super) fn refuse_message(&mut self, doubt: &Doubt, recipients: usize, content: &mut Vec<u8>) {
        let answer = doubt.answer(&self.config.limits);
        self.forget_transaction(content);
        for _ in 0..if self.config.protocol == Protocol::Lmtp { recipients } else { 1 } {
            self.answer(&answer);
        }
        if !self.info.trusted {
            self.errors += 1;
        }
        if *doubt == Doubt::LineEnds {
            self.at = At::Closing;
        }
    }

    /// One answer a recipient, in order; over SMTP they become one. Missing ones count as 451.
    pub fn message_answered(&mut self, mut answers: Vec<Answer>) {
        let At::Asked(Question::Message { recipients }) = std::mem::replace(&mut self.at, At::Command) else { return };
        self.forget_client();
        answers.resize(recipients, Answer::new(451, (4, 3, 0), "the message could not be judged, try again later"));
        if answers.iter().any(Answer::is_positive) {
            self.commands = 0;
        }
        if self.config.protocol == Protocol::Lmtp {
            for answer in &answers {
                self.answer(answer);
            }
        } else if let Some(answer) = one_answer(&answers) {
            self.answer(answer);
        }
    }
}

/// SMTP has one answer for all recipients: taken if one took it, else to be tried again if one might take it later.
fn one_answer(answers: &[Answer]) -> Option<&Answer> {
    let transient = |answer: &&Answer| (400..500).contains(&answer.code);
    answers.iter().find(|answer| answer.is_positive()).or_else(|| answers.iter().find(transient)).or_else(|| answers.first())
}
