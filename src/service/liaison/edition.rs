//! An edition as its readers see it: subject, header rows, text, files or links, in the reader's language.
//!
//! The symbol stands first in the subject, source and destinations first in the text, because that is what a reader routes
//! by. Rows carry the labels of the language (`templates/LANG/labels.toml`), so that what goes out can be read in again.
//! Arabic also goes as HTML with its direction, because plain text has none.

use std::fmt::Write as _;

use bytes::Bytes;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::{Value, json};

use super::record::Dossier;
use crate::domain::audience::Form;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::LiaisonId;
use crate::domain::language::Language;
use crate::domain::liaison::bodies;
use crate::domain::liaison::following;
use crate::domain::liaison::labels::Field;
use crate::domain::liaison::statement::{Attachment, Contact, Prepared, Purpose, Statement, StatementEdition};
use crate::domain::post::Edition;
use crate::mail::statement::title;
use crate::mail::write::{self, Automatic, File, Letter, Mailbox};
use crate::service::robot::{group_context, group_name};
use crate::service::{Failure, Services, meeting};
use crate::store::BodySource;
use crate::text::dates;

/// What stands between two languages of one mail.
const BETWEEN: &str = "\n\n----------------------------------------\n\n";

/// What goes out at one time.
pub(super) struct Issue<'a> {
    pub services: &'a Services,
    pub dossier: &'a Dossier,
    /// The statement's own group.
    pub group: &'a Group,
    /// All groups whose subscribers get it.
    pub groups: &'a [GroupCode],
    /// Languages that go out.
    pub languages: &'a [Language],
}

/// A row of the header: label with its colon, and value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub label: String,
    pub value: String,
}

/// The page of a statement.
pub fn page_url(services: &Services, id: LiaisonId) -> String {
    format!("{}/liaisons/{id}", services.site.base_url)
}

/// The permanent address of a file of a statement: it names the content.
pub fn attachment_url(services: &Services, id: LiaisonId, attachment: &Attachment) -> String {
    let mut name = String::new();
    for octet in attachment.name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~!".contains(&octet) {
            name.push(char::from(octet));
        } else {
            let _ = write!(name, "%{octet:02X}");
        }
    }
    format!("{}/attachments/{}/{name}", page_url(services, id), attachment.sha256)
}

/// Message-ID without its language: the post's.
pub(super) fn stem(services: &Services, dossier: &Dossier) -> String {
    format!("{}.r{}@{}", dossier.statement.id, dossier.revision(), services.site.domain)
}

fn message_id(services: &Services, dossier: &Dossier, revision: u16, language: Language) -> String {
    format!("{}.r{revision}.{language}@{}", dossier.statement.id, services.site.domain)
}

/// Message-IDs of the editions of the present issue.
pub(super) fn message_ids(services: &Services, dossier: &Dossier, languages: &[Language]) -> Vec<String> {
    languages.iter().map(|language| message_id(services, dossier, dossier.revision(), *language)).collect()
}

/// `[SG12RG-AMR] SG12-LS45 LS/o: title`.
pub(super) fn subject(statement: &Statement, group: &Group, language: Language) -> String {
    format!("[{}] {}", group.code, named(statement, language))
}

/// Name and title: the mark of the direction is put in where the title has none.
pub(super) fn named(statement: &Statement, language: Language) -> String {
    let titles = statement.title();
    let title = titles.best(&[language]).cloned().unwrap_or_default();
    let mark = match statement.direction {
        crate::domain::liaison::statement::Direction::Incoming => "LS/i",
        crate::domain::liaison::statement::Direction::Outgoing => "LS/o",
    };
    let reply = if statement.reply.is_some() { "/r" } else { "" };
    if title::is_marked(&title) { format!("{} {title}", statement.name()) } else { format!("{} {mark}{reply}: {title}", statement.name()) }
}

impl Issue<'_> {
    /// Writes one edition and stores it.
    pub(super) async fn edition(&self, language: Language, form: Form) -> Result<Edition, Failure> {
        let others: Vec<Language> = match form {
            Form::Both | Form::BothLinks => self.languages.iter().copied().filter(|other| *other != language).collect(),
            Form::Whole | Form::Links | Form::Cover => Vec::new(),
        };
        let (attached, linked) = self.files(language, &others, form);
        let mut sections: Vec<(Language, String)> = Vec::new();
        for (at, spoken) in std::iter::once(&language).chain(&others).enumerate() {
            let files = if at == 0 { (&attached[..], &linked[..]) } else { (&[][..], &[][..]) };
            sections.push((*spoken, self.section(*spoken, form, &others, files).await?));
        }
        let text = sections.iter().map(|(_, text)| text.trim_end()).collect::<Vec<_>>().join(BETWEEN);
        let mut files = Vec::with_capacity(attached.len());
        for attachment in &attached {
            let bytes = super::register::bytes(self.services, self.dossier, attachment).await?;
            files.push(File { name: attachment.name.clone(), content_type: attachment.media_type.clone(), bytes: bytes.to_vec() });
        }
        let spoken: Vec<Language> = sections.iter().map(|(language, _)| *language).collect();
        let letter = self.letter(language, text, html(&sections), files);
        let body = self.services.store.put_body(BodySource::Bytes(Bytes::from(write::letter_in(&letter, &spoken)))).await?;
        Ok(Edition { language: Some(language), body })
    }

    fn letter(&self, language: Language, text: String, html: Option<String>, files: Vec<File>) -> Letter {
        let (services, statement) = (self.services, &self.dossier.statement);
        let domain = &services.site.domain;
        let table = services.groups();
        let lists = self.groups.iter().filter_map(|code| table.get(code)).filter(|group| !group.list.is_empty());
        let to: Vec<Mailbox> = lists.map(|group| Mailbox { name: group.code.to_string(), address: group.address(domain) }).collect();
        let contact = statement.contacts.iter().find(|contact| contact.email.is_some());
        let reply_to = contact.and_then(|contact| {
            let address = contact.email.as_ref()?.to_string();
            Some(Mailbox { name: contact.name.clone(), address })
        });
        // A correction, a later language and a reply belong to the thread of what went out before.
        let mut thread: Vec<String> = Vec::new();
        let mut earlier: Vec<(u16, Language)> =
            self.dossier.sent.iter().flat_map(|sent| sent.languages.iter().map(|language| (sent.revision, *language))).collect();
        earlier.sort_by_key(|(revision, spoken)| (*revision, *spoken == language));
        earlier.dedup();
        thread.extend(earlier.into_iter().map(|(revision, spoken)| message_id(services, self.dossier, revision, spoken)));
        let own = message_id(services, self.dossier, self.dossier.revision(), language);
        thread.retain(|id| *id != own);
        if thread.is_empty() {
            thread.extend(self.dossier.answers.first().cloned());
        }
        Letter {
            from: Mailbox { name: group_name(self.group, language), address: self.group.sub_address("owner", domain) },
            to: if to.is_empty() { vec![Mailbox::plain(self.group.address(domain))] } else { to },
            cc: Vec::new(),
            reply_to,
            subject: subject(statement, self.group, language),
            message_id: own,
            date: services.now().with_timezone(&self.group.timezone).fixed_offset(),
            language: Some(language),
            automatic: Automatic::Generated,
            in_reply_to: thread.last().cloned(),
            references: thread,
            text,
            html,
            calendar: None,
            files,
        }
    }

    /// Files that go along and files that go as links. What carries macros goes along with nothing.
    fn files(&self, language: Language, others: &[Language], form: Form) -> (Vec<Attachment>, Vec<Attachment>) {
        let mut all: Vec<Attachment> = Vec::new();
        for language in std::iter::once(&language).chain(others) {
            for attachment in self.dossier.statement.edition(*language).iter().flat_map(|edition| &edition.attachments) {
                if !all.iter().any(|there| there.sha256 == attachment.sha256) {
                    all.push(attachment.clone());
                }
            }
        }
        let octets: u64 = all.iter().map(|attachment| attachment.body.octets).sum();
        if form == Form::Cover {
            return (Vec::new(), Vec::new());
        }
        if form.has_links() || octets > self.services.config.limits.statement_files.0 {
            return (Vec::new(), all);
        }
        all.into_iter().partition(|attachment| !attachment.macros)
    }

    /// The text in one language.
    async fn section(
        &self,
        language: Language,
        form: Form,
        included: &[Language],
        (attached, linked): (&[Attachment], &[Attachment]),
    ) -> Result<String, Failure> {
        let (services, statement) = (self.services, &self.dossier.statement);
        let edition = statement.edition(language);
        let spoken = spoken(services, language);
        let is_cover = form == Form::Cover;
        let others: Vec<Value> = statement
            .editions
            .iter()
            .filter(|other| {
                other.language != language && !included.contains(&other.language) && form != Form::Both && form != Form::BothLinks
            })
            .map(|other| {
                let best = || statement.title().best(&[language]).cloned().unwrap_or_default();
                let title = if other.title.is_empty() { best() } else { other.title.clone() };
                json!({ "language": language_name(services, spoken, other.language), "title": title })
            })
            .collect();
        let file = |attachment: &Attachment| {
            json!({
                "name": attachment.name,
                "size": size(attachment.body.octets),
                "url": attachment_url(services, statement.id, attachment),
            })
        };
        let missing = statement.missing(&self.group.languages);
        let mut rows = rows(services, statement, spoken, Some(language)).await?;
        if is_cover {
            // Statements are for TIES accounts; what a guest is told is that there is one.
            let summary = label(services, Field::Abstract, spoken);
            rows.retain(|row| row.label != summary);
        }
        let context = json!({
            "group": group_context(services, self.group, spoken),
            "service": { "name": services.config.service.name, "domain": services.site.domain, "base_url": services.site.base_url },
            "language": spoken,
            "cover": is_cover,
            "revision": self.dossier.revision(),
            // Who waited in vain gets a language that others had: it is no later one.
            "late": !self.dossier.of_revision().is_empty() && !self.dossier.languages_out().contains(&language),
            "awaited": self.dossier.of_revision().iter().any(|sent| sent.coming.contains(&language)),
            "language_name": language_name(services, spoken, language),
            "missing": missing.iter().map(|language| language_name(services, spoken, *language)).collect::<Vec<_>>(),
            "subject": named(statement, language),
            "rows": rows,
            "text": if is_cover { String::new() } else { body_of(edition) },
            "attached": attached.iter().map(file).collect::<Vec<_>>(),
            "linked": linked.iter().map(file).collect::<Vec<_>>(),
            "others": others,
            "groups": self.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "page": page_url(services, statement.id),
        });
        Ok(services.texts.mail(spoken, Some(self.group.code.as_str()), "liaison", context)?.text)
    }
}

fn body_of(edition: Option<&StatementEdition>) -> String {
    edition.map(|edition| edition.text.trim().to_owned()).unwrap_or_default()
}

/// The language of the words around a statement: its own if the service has texts for it, else English.
pub(super) fn spoken(services: &Services, language: Language) -> Language {
    if services.texts.languages().contains(&language) { language } else { Language::ENGLISH }
}

/// The header rows in `language`; the title in `edition`'s, or the best there is.
pub(super) async fn rows(
    services: &Services,
    statement: &Statement,
    language: Language,
    edition: Option<Language>,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut row = |field: Field, value: String| {
        if !value.trim().is_empty() {
            rows.push(Row { label: label(services, field, language), value: value.replace('\n', "\n    ") });
        }
    };
    let list = |purpose: Purpose| names(statement, purpose, language);
    let titles = statement.title();
    row(Field::Document, statement.symbol.as_ref().map_or_else(|| statement.name(), ToString::to_string));
    row(Field::Source, statement.source.clone());
    row(Field::Action, list(Purpose::Action));
    row(Field::Comment, list(Purpose::Comment));
    row(Field::Information, list(Purpose::Information));
    row(Field::Title, titles.best(&[edition.unwrap_or(language)]).cloned().unwrap_or_default());
    row(Field::Reply, statement.reply.as_ref().map(|reply| reply.reference.clone()).unwrap_or_default());
    let questions: Vec<String> = statement.questions_from.iter().chain(&statement.questions_to).map(ToString::to_string).collect();
    row(Field::Questions, questions.join(", "));
    row(Field::Meeting, prepared(services, &statement.prepared, language));
    row(Field::Approval, statement.approval.text.clone());
    row(Field::Deadline, deadline(services, statement, language).await?);
    for contact in &statement.contacts {
        row(Field::Contact, contact_line(contact));
    }
    if let Some(summary) = edition.and_then(|edition| statement.summary.get(edition)) {
        row(Field::Abstract, summary.clone());
    }
    Ok(rows)
}

/// A label with the colon of its language.
pub(super) fn label(services: &Services, field: Field, language: Language) -> String {
    let colon = match language.as_str() {
        "fr" => "\u{a0}:",
        "zh" => "：",
        _ => ":",
    };
    format!("{}{colon}", services.texts.labels().written(field, language))
}

fn names(statement: &Statement, purpose: Purpose, language: Language) -> String {
    let names: Vec<&str> = statement.destinations.iter().filter(|d| d.purpose == purpose).map(|d| d.name.as_str()).collect();
    names.join(match language.as_str() {
        "zh" => "、",
        "ar" => "، ",
        _ => ", ",
    })
}

/// Where it was prepared, in words.
pub(super) fn prepared(services: &Services, prepared: &Prepared, language: Language) -> String {
    match prepared {
        Prepared::Unknown => String::new(),
        Prepared::ByCorrespondence => services.texts.word(language, "liaison.correspondence").to_owned(),
        Prepared::Meeting { place, start, end } => {
            let days = match (start, end) {
                (Some(start), Some(end)) => dates::range(language, *start, *end),
                (Some(day), None) | (None, Some(day)) => dates::date(language, *day),
                (None, None) => String::new(),
            };
            [place.clone(), days].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(if language.as_str() == "ar" {
                "، "
            } else {
                ", "
            })
        }
    }
}

/// The deadline, with the next meeting of those who are to act behind it, as 3GPP does.
async fn deadline(services: &Services, statement: &Statement, language: Language) -> Result<String, Failure> {
    let Some(day) = statement.deadline else { return Ok(String::new()) };
    let mut text = dates::date(language, day);
    for (body, first, last) in next_meetings(services, statement).await? {
        let words = services.texts.word(language, "liaison.next-meeting");
        let said = crate::domain::reason::fill(words, &[body, dates::range(language, first, last)]);
        let _ = write!(text, "\n{said}");
    }
    Ok(text)
}

/// The next meetings of the bodies that are to act or comment, as far as they are known here.
pub(super) async fn next_meetings(services: &Services, statement: &Statement) -> Result<Vec<(String, NaiveDate, NaiveDate)>, Failure> {
    let groups = super::judge::groups(services);
    let now = services.now();
    let mut found: Vec<(String, NaiveDate, NaiveDate)> = Vec::new();
    for name in following::action_holders(statement) {
        for group in bodies::resolve(name, services.texts.labels(), &groups).into_iter().take(3) {
            let code = group.code.to_string();
            if found.iter().any(|(known, ..)| *known == code) {
                continue;
            }
            let meetings = meeting::meetings(services, Some(&group.code)).await?;
            let next = meetings.iter().find(|meeting| meeting.is_current(now) && meeting.opens() > now);
            found.extend(next.map(|meeting| (code, meeting.span.first_day(), meeting.span.last_day())));
        }
    }
    Ok(found)
}

pub(super) fn contact_line(contact: &Contact) -> String {
    let email = contact.email.as_ref().map(ToString::to_string).unwrap_or_default();
    let parts = [&contact.name, &contact.organisation, &contact.country, &contact.telephone, &email];
    parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
}

/// A language's name in another.
pub(super) fn language_name(services: &Services, language: Language, named: Language) -> String {
    let key = format!("meeting.language-{named}");
    let word = services.texts.word(language, &key);
    if word == key { named.to_string() } else { word.to_owned() }
}

/// `34 KiB`, `1.2 MiB`.
pub(super) fn size(octets: u64) -> String {
    const KIB: u64 = 1024;
    if octets < 10 * KIB {
        return format!("{} KiB", octets.div_ceil(KIB).max(1));
    }
    if octets < KIB * KIB {
        format!("{} KiB", octets / KIB)
    } else {
        format!("{}.{} MiB", octets / (KIB * KIB), octets % (KIB * KIB) * 10 / (KIB * KIB))
    }
}

/// The same text as HTML with its directions, where a language is written from right to left.
pub(super) fn html(sections: &[(Language, String)]) -> Option<String> {
    if !sections.iter().any(|(language, _)| language.is_right_to_left()) {
        return None;
    }
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let direction = |language: Language| if language.is_right_to_left() { "rtl" } else { "ltr" };
    let first = sections[0].0;
    let mut html =
        format!("<!DOCTYPE html>\n<html lang=\"{first}\" dir=\"{}\">\n<head><meta charset=\"utf-8\"></head>\n<body>\n", direction(first));
    for (at, (language, text)) in sections.iter().enumerate() {
        if at > 0 {
            html.push_str("<hr>\n");
        }
        // Each line takes its direction from its own first letter, so that addresses and symbols stay readable.
        let _ = writeln!(
            html,
            "<div lang=\"{language}\" dir=\"{}\" style=\"white-space: pre-wrap; unicode-bidi: plaintext; text-align: start\">{}</div>",
            direction(*language),
            escaped(text.trim_end())
        );
    }
    html.push_str("</body>\n</html>\n");
    Some(html)
}
