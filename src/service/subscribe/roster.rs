//! The subscribers of a group as a list, as CSV out, and as CSV in.

use serde::Serialize;

use super::manage::{Batch, MemberLine};
use super::settings::{absence_text, delivery_text, role_text};
use super::{Invite, MemberReport, Settings};
use crate::directory::table::{Row, Table, decoded, neutral};
use crate::domain::address::EmailAddress;
use crate::domain::group::GroupCode;
use crate::domain::reason::{Reason, Rule};
use crate::domain::subscription::Provenance;
use crate::service::{Actor, Failure, Services};

/// Members read at a time.
const PAGE: usize = 1_000;
/// Columns of an import and of the export's own settings.
const COLUMNS: [&str; 12] = [
    "email",
    "role",
    "languages",
    "delivery",
    "streams",
    "both",
    "own_posts",
    "links",
    "plain_digest",
    "invitations",
    "absence",
    "moderated",
];

/// A subscriber in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberRow {
    /// Where her mail goes.
    pub address: String,
    /// Name of her account.
    pub name: String,
    /// `member`, `moderator`, `manager`.
    pub role: &'static str,
    /// `each`, `digest`, `none`, with ` until DATE`.
    pub delivery: String,
    /// Languages wanted here; empty: the account's, then the group's.
    pub languages: Vec<String>,
    /// Streams that are on.
    pub streams: Vec<&'static str>,
    /// `active`, `pending`, `suspended`, `unsubscribed`.
    pub state: &'static str,
    /// Why not active.
    pub reason: Option<String>,
    /// All editions in her languages.
    pub both: bool,
    /// Does she get her own posts?
    pub own_posts: bool,
    /// Links instead of attachments.
    pub links: bool,
    /// Are her posts looked at first?
    pub moderated: bool,
    /// Digests as plain text.
    pub plain_digest: bool,
    /// Meetings as invitations to her alone.
    pub invitations: bool,
    /// Invited until then; `always` without end.
    pub invited: Option<String>,
    /// Days without mail: `from 2027-01-10 until 2027-01-15`.
    pub absence: Option<String>,
}

/// All subscribers of a group, by address, those who left included.
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn list(services: &Services, code: &GroupCode) -> Result<Vec<MemberRow>, Failure> {
    let group = services.group(code)?;
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = services.store.members_of_group(&group.code, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.account);
        rows.extend(page.iter().map(|(subscription, account)| row(subscription, account)));
    }
    rows.sort_by(|a, b| a.address.cmp(&b.address));
    Ok(rows)
}

/// A subscriber as lists show her.
pub(in crate::service) fn row(
    subscription: &crate::domain::subscription::Subscription,
    account: &crate::domain::account::Account,
) -> MemberRow {
    MemberRow {
        address: account.address().to_string(),
        name: account.name.clone(),
        role: role_text(subscription.role),
        delivery: delivery_text(subscription.delivery),
        languages: subscription.languages.iter().map(ToString::to_string).collect(),
        streams: subscription.streams.iter().map(|stream| stream.as_str()).collect(),
        state: subscription.state.as_str(),
        reason: subscription.state.reason().map(ToString::to_string),
        both: subscription.both,
        own_posts: subscription.own_posts,
        links: subscription.links,
        moderated: subscription.moderated,
        plain_digest: subscription.plain_digest,
        invitations: subscription.invitations,
        invited: subscription.invitation.as_ref().map(|i| i.until.map_or_else(|| "always".to_owned(), |day| day.to_string())),
        absence: subscription.absence.map(absence_text),
    }
}

/// The subscribers as CSV that [`import`] reads; cells that a spreadsheet would take for a formula are made harmless.
///
/// # Errors
/// When the group does not exist or the store fails.
pub async fn export(services: &Services, code: &GroupCode) -> Result<String, Failure> {
    let rows = list(services, code).await?;
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let yes = |on: bool| if on { "yes" } else { "no" }.to_owned();
    let header = COLUMNS.iter().copied().chain(["name", "state", "reason"]);
    writer.write_record(header).map_err(|error| Failure::Invalid(error.to_string()))?;
    for row in rows {
        let streams = if row.streams.is_empty() { "none".to_owned() } else { row.streams.join(";") };
        let cells = [
            row.address,
            row.role.to_owned(),
            row.languages.join(";"),
            row.delivery,
            streams,
            yes(row.both),
            yes(row.own_posts),
            yes(row.links),
            yes(row.plain_digest),
            yes(row.invitations),
            row.absence.unwrap_or_default(),
            yes(row.moderated),
            row.name,
            row.state.to_owned(),
            row.reason.unwrap_or_default(),
        ];
        writer.write_record(cells.iter().map(|cell| neutral(cell))).map_err(|error| Failure::Invalid(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| Failure::Invalid(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::Invalid(error.to_string()))
}

/// Subscribes everybody in a CSV file; a bad row is named with its line, and the rest is done.
///
/// Columns `email`, and if there are `role`, `languages`, `delivery`, `streams`, `both`, `own_posts`, `links`, `plain_digest`, `invitations`,
/// `absence`, `moderated`, in any order; an empty cell leaves the setting alone, and `moderated` is only ever turned on. Who left by her
/// own wish or was removed is not brought back, and neither is a row with `state` `unsubscribed`, as the export writes it. Whose
/// subscription rested because mail came back, or because she complained, comes to rest.
///
/// # Errors
/// When the group does not exist, the file has no usable header, or the store fails.
pub async fn import(
    services: &Services,
    actor: &Actor,
    code: &GroupCode,
    bytes: &[u8],
    file: &str,
    dry_run: bool,
) -> Result<MemberReport, Failure> {
    let group = services.group(code)?;
    let known: Vec<&str> = COLUMNS.iter().copied().chain(["name", "state", "reason"]).collect();
    let bytes = decoded(bytes);
    let table = Table::read(&bytes, file, &known, &["email"], services.config.limits.import_rows).map_err(Failure::Invalid)?;
    let mut batch = Batch::new(services, actor, &group, dry_run);
    batch.warnings = table.unread();
    let rows: Vec<_> = table.rows().collect();
    for rows in rows.chunks(PAGE) {
        services
            .alone(async {
                let addresses = rows.iter().filter_map(|row| row.as_ref().ok()?.cell("email")?.parse().ok()).collect();
                batch.look_up(addresses).await?;
                for row in rows {
                    let (number, row) = match row {
                        Ok(row) => (row.line, row),
                        Err(problem) => {
                            let text = problem.to_string();
                            batch.lines.push(MemberLine { line: Some(problem.line), ..MemberLine::wrong("", text) });
                            continue;
                        }
                    };
                    let address = row.cell("email").unwrap_or_default();
                    let mut settings = Settings::default();
                    batch.resting = resting(row);
                    let wrong = COLUMNS[1..].iter().find_map(|column| {
                        let cell = row.cell(column).filter(|cell| !cell.is_empty())?;
                        settings.set(column, cell, &services.config).err().map(|why| format!("{column}: {why}"))
                    });
                    // A file of yesterday lifts nothing that a moderator decided since.
                    settings.moderated = settings.moderated.filter(|moderated| *moderated);
                    let line = match (address.parse::<EmailAddress>(), wrong) {
                        (Err(error), _) => MemberLine::wrong(address, table.place(number, &error.to_string())),
                        (_, Some(why)) => MemberLine::wrong(address, table.place(number, &why)),
                        (Ok(address), None) if row.cell("state") == Some("unsubscribed") => {
                            MemberLine { outcome: "left-out", ..MemberLine::wrong(address.as_str(), "the file says that she left") }
                        }
                        (Ok(address), None) => batch.add(&address, &settings, Invite::No, Provenance::Import).await?,
                    };
                    batch.lines.push(MemberLine { line: Some(number), ..line });
                }
                batch.flush().await
            })
            .await?;
    }
    batch.finish("member import").await
}

/// Why the subscription of a row rested, as far as an import keeps it: what the gate finds it finds again.
fn resting(row: &Row) -> Option<Reason> {
    let reason = row.cell("reason").filter(|_| row.cell("state") == Some("suspended"))?;
    [Rule::Bouncing, Rule::Complained].into_iter().find_map(|rule| Reason::read(rule, reason))
}
