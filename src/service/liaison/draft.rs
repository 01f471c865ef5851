//! Statements that the service drafts: TSAG is told when a regional group is created, changed or ended (Resolution 54, resolves 2).
//!
//! In the parent's name, held for the secretariat: it completes the approval and confirms. One draft for each matter,
//! however often the file of groups is applied.

use super::record::{self, Dossier};
use super::{circulate, intake, judge};
use crate::domain::group::{Group, GroupKind};
use crate::domain::id::LiaisonId;
use crate::domain::language::Language;
use crate::domain::language::Localized;
use crate::domain::liaison::event::EventKind;
use crate::domain::liaison::statement::{Approval, Contact, Destination, Direction, Prepared, Purpose, Statement, StatementEdition};
use crate::domain::reason::fill;
use crate::service::robot::group_name;
use crate::service::{Failure, Services};
use crate::text::dates;

/// Supporting members that Resolution 54 resolves 1 wants.
const SUPPORTERS: usize = 2;

/// What happens to a regional group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matter {
    /// It is created.
    Created,
    /// Its name, parent, region, languages or supporting members change.
    Changed,
    /// It ends.
    Ended,
}

impl Matter {
    fn key(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Ended => "ended",
        }
    }
}

/// Drafts the statement to TSAG; `None` where none is due: no regional group, no parent, no TSAG here, or drafted today already.
///
/// # Errors
/// When the store fails.
pub async fn draft(services: &Services, group: &Group, matter: Matter, what: &[&str]) -> Result<Option<LiaisonId>, Failure> {
    let groups = services.groups();
    let tsag = "TSAG".parse().ok().and_then(|code| groups.get(&code).cloned());
    let parent = group.parent.as_ref().and_then(|code| groups.get(code)).cloned();
    let (Some(parent), true, true) = (parent, group.kind == GroupKind::Regional, tsag.is_some_and(|tsag| !tsag.retired)) else {
        return Ok(None);
    };
    let day = if matter == Matter::Changed { services.today().to_string() } else { String::new() };
    let key = format!("{} {} {day}", group.code, matter.key()).trim_end().to_owned();
    let others = record::all(services).await?;
    if let Some(known) = others.iter().find(|dossier| dossier.draft.as_ref() == Some(&key) && !dossier.state().is_final()) {
        return Ok(Some(known.statement.id));
    }
    let now = services.now();
    let id = LiaisonId::new(now, services.chance());
    let mut dossier = Dossier::new(statement(services, group, &parent, matter, what, id));
    dossier.draft = Some(key);
    dossier.statement.record(now, "enlace", EventKind::Received);
    judge::judge(services, &mut dossier, &others).await?;
    let errors: Vec<String> = dossier
        .statement
        .problems
        .iter()
        .filter(|p| p.level == crate::domain::liaison::statement::Level::Error)
        .map(|p| p.rule.clone())
        .collect();
    let why = if errors.is_empty() { String::new() } else { format!(" ({})", errors.join(", ")) };
    dossier.statement.record(now, "enlace", EventKind::Held(format!("draft for the secretariat to complete and confirm{why}")));
    circulate::number(services, &mut dossier).await?;
    record::put(services, &dossier, 0).await?;
    intake::schedule(services, &dossier).await?;
    Ok(Some(id))
}

fn statement(services: &Services, group: &Group, parent: &Group, matter: Matter, what: &[&str], id: LiaisonId) -> Statement {
    let spoken = services.texts.languages();
    let mut languages: Vec<Language> = parent.languages.iter().copied().filter(|language| spoken.contains(language)).collect();
    if !languages.contains(&Language::ENGLISH) {
        languages.insert(0, Language::ENGLISH);
    }
    let editions = languages.iter().map(|language| edition(services, group, parent, matter, what, *language)).collect();
    let mailbox = parent.secretariat.first().or(parent.contact.as_ref());
    let number: String = parent.code.as_str().chars().filter(char::is_ascii_digit).collect();
    Statement {
        id,
        group: parent.code.clone(),
        number: None,
        direction: Direction::Outgoing,
        source: format!("ITU-T {}", parent.code),
        source_group: Some(parent.code.clone()),
        prepared: Prepared::Unknown,
        questions_from: if number.is_empty() {
            Vec::new()
        } else {
            vec![crate::domain::liaison::statement::Question { number: None, group: number }]
        },
        questions_to: Vec::new(),
        destinations: vec![Destination { name: "TSAG".into(), purpose: Purpose::Information }],
        // Who approved it and when is for the secretariat to say.
        approval: Approval::default(),
        deadline: None,
        contacts: mailbox
            .map(|address| Contact { name: "TSB".into(), email: Some(address.clone()), ..Contact::default() })
            .into_iter()
            .collect(),
        symbol: None,
        original: Some(Language::ENGLISH),
        summary: Localized::default(),
        editions,
        reply: None,
        for_tsag: true,
        message_ids: Vec::new(),
        problems: Vec::new(),
        events: Vec::new(),
    }
}

fn edition(services: &Services, group: &Group, parent: &Group, matter: Matter, what: &[&str], language: Language) -> StatementEdition {
    let word = |key: &str, about: &[String]| fill(services.texts.word(language, &format!("liaison.draft-{key}")), about);
    let name = group_name(group, language);
    let region = group.region.map(|region| region.as_str().to_owned()).unwrap_or_default();
    let title = word(&format!("{}-title", matter.key()), &[name.clone(), group.code.to_string()]);
    let mut paragraphs = vec![word(
        &format!("{}-text", matter.key()),
        &[group_name(parent, language), name, group.code.to_string(), region, dates::date(language, services.today())],
    )];
    if matter == Matter::Changed && !what.is_empty() {
        paragraphs.push(word("changes", &[what.join(", ")]));
    }
    if matter != Matter::Ended {
        paragraphs.push(if group.supporting_members.len() >= SUPPORTERS {
            word("supporters", &[group.supporting_members.join(", ")])
        } else {
            word("supporters-missing", &[group.supporting_members.join(", ")])
        });
    }
    StatementEdition { language, title, text: paragraphs.join("\n\n"), attachments: Vec::new(), added_at: services.now() }
}
