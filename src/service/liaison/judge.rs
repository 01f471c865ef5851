//! Facts for the rules: who the contacts are, what the statement answers, who would get it.

use std::collections::BTreeSet;

use crate::domain::account::AccountKind;
use crate::domain::address::EmailAddress;
use crate::domain::group::{Group, GroupCode};
use crate::domain::liaison::bodies;
use crate::domain::liaison::event::State;
use crate::domain::liaison::following::{self, Known};
use crate::domain::liaison::labels::Labels;
use crate::domain::liaison::routing::{self, Directory, Route};
use crate::domain::liaison::rules::{self, Circumstances, Finding, RosterFact};
use crate::domain::liaison::statement::Statement;
use crate::domain::subscription::Role;
use crate::service::{Failure, Services};

use super::record::Dossier;

/// Most addresses of a statement that are looked up in the directory.
const ADDRESSES: usize = 50;

/// Judges the statement anew: writes its problems and what it answers into it, and returns who gets it.
pub(super) async fn judge(services: &Services, dossier: &mut Dossier, others: &[Dossier]) -> Result<Vec<Route>, Failure> {
    let group = services.group(&dossier.statement.group)?;
    let labels = services.texts.labels();
    let known: Vec<Known> = others.iter().map(known).collect();
    if let Some(found) = following::answered(&dossier.statement, &dossier.answers, &known, labels) {
        let reference = dossier.statement.reply.take().map(|reply| reply.reference).unwrap_or_default();
        dossier.statement.reply = Some(crate::domain::liaison::statement::Reply { reference, statement: Some(found.id) });
    }
    let roster = roster(services, &dossier.statement).await?;
    let circumstances = Circumstances {
        today: services.now().with_timezone(&group.timezone).date_naive(),
        languages: &group.languages,
        roster: &roster,
        symbol_used_by: symbol_used_by(dossier, others),
        foreign_source: foreign_source(&dossier.statement, &groups(services), labels),
        parent_must_endorse: group.parent_must_endorse,
        reply_known: dossier.statement.reply.as_ref().map(|reply| reply.statement.is_some()),
        doubts: &dossier.doubts,
        attachment_octets: services.config.limits.statement_files.0,
    };
    let mut problems = rules::check(&dossier.statement, &circumstances);
    let routes = routes(services, &dossier.statement).await?;
    let added = routing::added_copies(&routes);
    if !added.is_empty() {
        problems.push(Finding::CopiesAdded.about([added.join(", ")]));
    }
    dossier.statement.problems = problems;
    Ok(routes)
}

/// Who gets the statement, under which rule.
pub(super) async fn routes(services: &Services, statement: &Statement) -> Result<Vec<Route>, Failure> {
    let groups = groups(services);
    let managers = managers(services, statement, &groups).await?;
    let directory = Directory { groups: &groups, labels: services.texts.labels(), managers: &managers, domain: &services.site.domain };
    Ok(routing::routes(statement, &directory))
}

/// All groups, as the pure rules want them.
pub(super) fn groups(services: &Services) -> Vec<Group> {
    services.groups().iter().map(|group| Group::clone(group)).collect()
}

/// Managers of the group, its parent and the source: the chairmen of ITU-T A.1 1.5.2.
async fn managers(services: &Services, statement: &Statement, groups: &[Group]) -> Result<Vec<(GroupCode, EmailAddress)>, Failure> {
    let parent = groups.iter().find(|group| group.code == statement.group).and_then(|group| group.parent.clone());
    let involved: BTreeSet<GroupCode> =
        std::iter::once(statement.group.clone()).chain(parent).chain(statement.source_group.clone()).collect();
    let mut managers = Vec::new();
    for code in involved {
        for (_, account) in services.members_with_role(&code, Role::Manager).await? {
            managers.push((code.clone(), account.address().clone()));
        }
    }
    Ok(managers)
}

/// Accounts of the contacts and of addresses in the approval.
async fn roster(services: &Services, statement: &Statement) -> Result<Vec<RosterFact>, Failure> {
    let in_approval = statement.approval.text.split(|c: char| c.is_whitespace() || "<>(),;".contains(c)).filter(|word| word.contains('@'));
    let addresses = statement.contacts.iter().filter_map(|contact| contact.email.clone());
    let addresses: Vec<EmailAddress> = addresses.chain(in_approval.filter_map(|word| word.parse().ok())).take(ADDRESSES).collect();
    let mut facts = Vec::new();
    for address in addresses {
        if let Some(account) = services.store.account_by_address(&address).await? {
            facts.push(RosterFact { address, category: account.category, guest: account.kind == AccountKind::Guest });
        }
    }
    Ok(facts)
}

/// The source, if it is a group here that is neither this one, nor its parent, nor one of its regional groups, and does not address it.
fn foreign_source(statement: &Statement, groups: &[Group], labels: &Labels) -> Option<String> {
    let source = statement.source_group.as_ref()?;
    let parent = |code: &GroupCode| groups.iter().find(|group| group.code == *code).and_then(|group| group.parent.clone());
    let own = [Some(statement.group.clone()), parent(&statement.group)];
    let is_near = own.contains(&Some(source.clone())) || parent(source).as_ref() == Some(&statement.group);
    let addressed = || {
        let mut found = statement.destinations.iter().flat_map(|destination| bodies::resolve(&destination.name, labels, groups));
        found.any(|group| own.contains(&Some(group.code.clone())))
    };
    (!is_near && !addressed()).then(|| source.to_string())
}

/// Another statement of the group with the same symbol and revision, by its name. One that is held because it came second has no claim.
fn symbol_used_by(dossier: &Dossier, others: &[Dossier]) -> Option<String> {
    let statement = &dossier.statement;
    let symbol = statement.symbol.as_ref()?;
    let other = others.iter().map(|other| (other.state(), &other.statement)).find(|(state, other)| {
        other.id != statement.id
            && other.group == statement.group
            && other.symbol.as_ref().is_some_and(|used| used.is_same_document(symbol) && used.revision == symbol.revision)
            && !(*state == State::Held && other.lost_its_symbol())
            && !matches!(state, State::Withdrawn | State::Rejected)
    })?;
    let title = other.1.title();
    let title = title.best(&[]).cloned().unwrap_or_default();
    Some(format!("{} \"{title}\"", other.1.id))
}

/// What a reply could answer.
fn known(dossier: &Dossier) -> Known {
    let statement = &dossier.statement;
    Known {
        id: statement.id,
        group: statement.group.clone(),
        symbol: statement.symbol.as_ref().map(|symbol| symbol.text.clone()),
        number: statement.number,
        titles: statement.editions.iter().map(|edition| edition.title.clone()).collect(),
        message_ids: statement.message_ids.clone(),
        source: statement.source.clone(),
    }
}
