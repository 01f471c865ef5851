//! The plan: which notices of a meeting were, are and will be sent, and why the others are not.
//!
//! A pure function of the meeting, the lead times, the group's settings, what was sent, and now. Whoever sends asks again
//! from the record each time, so that a restart, a clock jump or a second node changes nothing: what is in `sent` is never due.
//! Catching up is a rule here and not a branch in the scheduler: a missed reminder goes out late as long as its
//! milestone is ahead, all that are due together become one notice, and a milestone that is past is only noted.
//! The surprise: a key carries the sequence at which *its own date* was last set, not the meeting's, so that a new
//! venue does not repeat the reminders, and new dates do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::change::{Change, Field};
use super::civil;
use super::milestones::{Deadline, DeadlineKind, LeadTimes};
use super::notice::{Notice, NoticeKey, NoticeKind, NoticeState, Skip, To};
use super::record::{Meeting, MeetingKind, MeetingStatus};
use crate::domain::group::GroupCode;

/// How long after its time the reminder of the report is still sent.
const REPORT_PATIENCE: TimeDelta = TimeDelta::weeks(26);

/// The milestone of the day before a part that opens earlier than the meeting itself.
pub const FIRST_PART: &str = "tomorrow-first";

/// What the leading group says about notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Its zone: deadlines end at midnight there, scheduled notices go out at [`LeadTimes::hour`] there.
    pub zone: Tz,
}

/// What was sent, and when.
pub type Sent = BTreeMap<NoticeKey, DateTime<Utc>>;

/// All notices of a meeting, ordered by time.
pub fn plan(meeting: &Meeting, lead_times: &LeadTimes, settings: Settings, sent: &Sent, now: DateTime<Utc>) -> Vec<Notice> {
    let planner = Planner { meeting, lead_times, zone: settings.zone, sent, now };
    let mut notices = planner.acts();
    notices.extend(planner.reminders());
    notices.extend(planner.to_managers());
    planner.merge(&mut notices);
    for notice in &mut notices {
        match &notice.state {
            NoticeState::Skipped(skip) => skip.text().clone_into(&mut notice.reason),
            NoticeState::MergedInto(key) => notice.reason = format!("said by {key}"),
            NoticeState::Sent(_) | NoticeState::Due | NoticeState::Planned => {}
        }
    }
    notices.sort_by(|a, b| (a.at, b.kind, &a.key).cmp(&(b.at, a.kind, &b.key)));
    notices
}

/// When the plan is to be looked at again: the time of the next planned notice.
pub fn next_time(notices: &[Notice]) -> Option<DateTime<Utc>> {
    notices.iter().filter(|notice| notice.state == NoticeState::Planned).map(|notice| notice.at).min()
}

/// What `lead` says besides itself.
pub fn merged_into<'a>(notices: &'a [Notice], lead: &'a NoticeKey) -> impl Iterator<Item = &'a Notice> {
    notices.iter().filter(move |notice| matches!(&notice.state, NoticeState::MergedInto(key) if key == lead))
}

struct Planner<'a> {
    meeting: &'a Meeting,
    lead_times: &'a LeadTimes,
    zone: Tz,
    sent: &'a Sent,
    now: DateTime<Utc>,
}

/// A notice before its state is known.
struct Candidate {
    milestone: String,
    sequence: u32,
    kind: NoticeKind,
    at: DateTime<Utc>,
    until: DateTime<Utc>,
    to: To,
    deadline: Option<Deadline>,
    reason: String,
}

impl Planner<'_> {
    /// What follows from what people did: announcement, changes, cancellation, withdrawals, report.
    fn acts(&self) -> Vec<Notice> {
        let m = self.meeting;
        let mut notices = vec![self.announcement()];
        let announcement = notices[0].clone();
        let latest = m.history.last().map_or(0, |change| change.sequence);
        let told =
            m.history.iter().filter(|c| self.sent.contains_key(&self.key(change_milestone(c), c.sequence))).map(|c| c.sequence).max();
        for change in &m.history {
            let candidate = self.change(change);
            let kind = candidate.kind;
            notices.push(self.notice(candidate, |at| match &announcement.state {
                NoticeState::Skipped(Skip::Cancelled) if kind == NoticeKind::Cancellation => Some(NoticeState::Skipped(Skip::NotHeard)),
                NoticeState::Skipped(Skip::Postponed) if kind == NoticeKind::Postponement => Some(NoticeState::Skipped(Skip::NotHeard)),
                NoticeState::Skipped(skip) => Some(NoticeState::Skipped(*skip)),
                NoticeState::Due | NoticeState::Planned => Some(NoticeState::MergedInto(announcement.key.clone())),
                _ if told.is_some_and(|told| told > change.sequence) => Some(NoticeState::Skipped(Skip::Superseded)),
                _ if kind == NoticeKind::Change && m.status == MeetingStatus::Cancelled && change.sequence == latest => {
                    Some(NoticeState::Skipped(Skip::Cancelled))
                }
                _ if at <= self.now && change.sequence != latest => {
                    let last = &m.history[m.history.len() - 1];
                    Some(NoticeState::MergedInto(self.key(change_milestone(last), last.sequence)))
                }
                _ => None,
            }));
            for group in left_groups(change) {
                let candidate = Candidate {
                    milestone: format!("withdrawn-{}", group.as_str().to_ascii_lowercase()),
                    sequence: change.sequence,
                    kind: NoticeKind::Withdrawal,
                    at: change.at,
                    until: m.closes().max(change.at + TimeDelta::days(1)),
                    reason: format!("{group} does not hold the meeting any more"),
                    to: To::Leaving(group),
                    deadline: None,
                };
                notices.push(self.notice(candidate, |_| match &announcement.state {
                    NoticeState::Sent(_) => None,
                    _ => Some(NoticeState::Skipped(Skip::NotAnnounced)),
                }));
            }
        }
        if let Some(report) = &m.report {
            notices.push(self.notice(
                Candidate {
                    milestone: "report".into(),
                    sequence: 0,
                    kind: NoticeKind::Report,
                    at: report.at,
                    until: DateTime::<Utc>::MAX_UTC,
                    to: To::SubscribersAndParents,
                    deadline: None,
                    reason: format!("report {} circulated to the group and its parent", report.reference),
                },
                |_| None,
            ));
        }
        notices
    }

    fn announcement(&self) -> Notice {
        let m = self.meeting;
        let letter_day = self.lead_times.letter(m.planned).before(m.first_day());
        let candidate = Candidate {
            milestone: "announcement".into(),
            sequence: 0,
            kind: NoticeKind::Announcement,
            at: m.announced_at.unwrap_or_else(|| self.at_hour(letter_day)),
            until: m.closes(),
            to: To::Subscribers,
            deadline: None,
            reason: format!("the letter is due {} before the meeting (ITU-T A.1 1.3.2)", self.lead_times.letter(m.planned)),
        };
        self.notice(candidate, |at| match m.status {
            MeetingStatus::Cancelled => Some(NoticeState::Skipped(Skip::Cancelled)),
            MeetingStatus::Postponed => Some(NoticeState::Skipped(Skip::Postponed)),
            _ if m.announced_at.is_none() && at <= self.now => Some(NoticeState::Skipped(Skip::NotAnnounced)),
            _ => None,
        })
    }

    fn change(&self, change: &Change) -> Candidate {
        let milestone = change_milestone(change);
        let kind = match milestone {
            "cancelled" => NoticeKind::Cancellation,
            "postponed" => NoticeKind::Postponement,
            _ => NoticeKind::Change,
        };
        let fields: Vec<_> = change.fields.iter().map(|f| f.field.as_str()).collect();
        Candidate {
            milestone: milestone.into(),
            sequence: change.sequence,
            kind,
            at: change.at,
            // A change made after the end, such as a late cancellation, is still told on its day.
            until: self.meeting.closes().max(change.at + TimeDelta::days(1)),
            to: To::Subscribers,
            deadline: None,
            reason: format!("changed by {}: {}", change.by, fields.join(", ")),
        }
    }

    /// Reminders of deadlines, the notice on documents, "tomorrow".
    fn reminders(&self) -> Vec<Notice> {
        let m = self.meeting;
        let mut notices = Vec::new();
        for deadline in self.lead_times.deadlines_of(m) {
            for lead in self.lead_times.reminders(deadline.kind) {
                notices.push(self.scheduled(
                    Some(deadline.kind),
                    Candidate {
                        milestone: format!("{}-{}", deadline.kind.as_str(), lead.short()),
                        sequence: self.set(Some(deadline.kind)).1,
                        kind: NoticeKind::Reminder,
                        at: self.at_hour(lead.before(deadline.date)),
                        until: civil::end_of_day(self.zone, deadline.date),
                        to: To::Subscribers,
                        deadline: Some(deadline),
                        reason: format!("{lead} before the {} deadline of {}", deadline.kind.as_str(), deadline.date),
                    },
                ));
            }
        }
        let opening = m.span.opens(m.zone);
        let day = civil::day(self.zone, opening);
        let mut before = vec![
            (
                "documents",
                NoticeKind::Documents,
                self.lead_times.documents.before(m.first_day()),
                opening,
                "documents, agenda, remote link (ITU-T A.1 3.3.3)",
            ),
            ("tomorrow", NoticeKind::Tomorrow, self.lead_times.tomorrow.before(day), opening, "the day before the opening"),
        ];
        // A workshop days before has travellers of its own.
        if let Some(first) = m.first_part().map(|part| part.span.opens(m.zone)) {
            let day = civil::day(self.zone, first);
            let reason = "the day before the first part";
            before.push((FIRST_PART, NoticeKind::Tomorrow, self.lead_times.tomorrow.before(day), first, reason));
        }
        for (milestone, kind, day, until, reason) in before {
            notices.push(self.scheduled(
                None,
                Candidate {
                    milestone: milestone.into(),
                    sequence: self.set(None).1,
                    kind,
                    at: self.at_hour(day),
                    until,
                    to: To::Subscribers,
                    deadline: None,
                    reason: reason.into(),
                },
            ));
        }
        notices
    }

    /// Warnings never block anything.
    fn to_managers(&self) -> Vec<Notice> {
        let m = self.meeting;
        let mut notices = Vec::new();
        let letter = self.lead_times.letter(m.planned);
        let letter_day = letter.before(m.first_day());
        if m.kind != MeetingKind::Rapporteur {
            let due = self.at_hour(self.lead_times.letter_warning.before(letter_day));
            notices.push(self.notice(
                Candidate {
                    milestone: "letter-missing".into(),
                    sequence: 0,
                    kind: NoticeKind::LetterMissing,
                    at: if due < m.created_at { self.next_hour(m.created_at) } else { due },
                    until: m.opens(),
                    to: To::Managers,
                    deadline: None,
                    reason: format!("no announcement, and the letter is due on {letter_day} (ITU-T A.1 1.3.2)"),
                },
                |_| match (m.announced_at, m.status) {
                    (_, MeetingStatus::Cancelled) => Some(NoticeState::Skipped(Skip::Cancelled)),
                    (Some(_), _) => Some(NoticeState::Skipped(Skip::Announced)),
                    (None, _) => None,
                },
            ));
        }
        if let Some(announced_at) = m.announced_at.filter(|_| m.kind != MeetingKind::Rapporteur) {
            notices.push(self.notice(
                Candidate {
                    milestone: "letter-late".into(),
                    sequence: 0,
                    kind: NoticeKind::LetterLate,
                    at: announced_at,
                    until: m.opens(),
                    to: To::Managers,
                    deadline: None,
                    reason: format!("announced less than {letter} before the meeting (ITU-T A.1 1.3.2)"),
                },
                |_| match m.status {
                    MeetingStatus::Cancelled => Some(NoticeState::Skipped(Skip::Cancelled)),
                    MeetingStatus::Postponed => Some(NoticeState::Skipped(Skip::Postponed)),
                    _ => (civil::day(self.zone, announced_at) <= letter_day).then_some(NoticeState::Skipped(Skip::InTime)),
                },
            ));
        }
        let report = self.at_hour(self.lead_times.report.after(m.span.last_day()));
        notices.push(self.notice(
            Candidate {
                milestone: "report-reminder".into(),
                sequence: self.set(None).1,
                kind: NoticeKind::ReportReminder,
                at: report,
                until: report + REPORT_PATIENCE,
                to: To::Managers,
                deadline: None,
                reason: format!("{} after the meeting (WTSA Resolution 1, 4)", self.lead_times.report),
            },
            |at| match m.status {
                _ if m.report.is_some() => Some(NoticeState::Skipped(Skip::ReportThere)),
                MeetingStatus::Cancelled => Some(NoticeState::Skipped(Skip::Cancelled)),
                MeetingStatus::Postponed => Some(NoticeState::Skipped(Skip::Postponed)),
                _ if at < m.created_at => Some(NoticeState::Skipped(Skip::BeforeRecord)),
                MeetingStatus::Draft if at <= self.now => Some(NoticeState::Skipped(Skip::NotAnnounced)),
                _ => None,
            },
        ));
        notices
    }

    /// A notice whose time follows from a date: not if the announcement, or the change that set the date, came on that day or later.
    fn scheduled(&self, set: Option<DeadlineKind>, candidate: Candidate) -> Notice {
        let m = self.meeting;
        let (set_at, sequence) = self.set(set);
        let until = candidate.until;
        self.notice(candidate, |at| match (m.status, set_at) {
            (MeetingStatus::Cancelled, _) => Some(NoticeState::Skipped(Skip::Cancelled)),
            (MeetingStatus::Postponed, _) => Some(NoticeState::Skipped(Skip::Postponed)),
            (_, None) if at <= self.now => Some(NoticeState::Skipped(Skip::NotAnnounced)),
            (_, Some(set_at)) if until <= set_at => Some(NoticeState::Skipped(Skip::MilestonePast)),
            (_, Some(set_at)) => {
                let (day, set_day) = (civil::day(self.zone, at), civil::day(self.zone, set_at));
                let by_change = m.history.iter().find(|change| change.sequence == sequence);
                match (day.cmp(&set_day), by_change) {
                    (std::cmp::Ordering::Greater, _) => None,
                    (std::cmp::Ordering::Less, None) => Some(NoticeState::Skipped(Skip::BeforeAnnouncement)),
                    (std::cmp::Ordering::Less, Some(_)) => Some(NoticeState::Skipped(Skip::BeforeChange)),
                    (std::cmp::Ordering::Equal, None) => Some(NoticeState::MergedInto(self.key("announcement", 0))),
                    (std::cmp::Ordering::Equal, Some(change)) => {
                        Some(NoticeState::MergedInto(self.key(change_milestone(change), change.sequence)))
                    }
                }
            }
            (_, None) => None,
        })
    }

    /// When the date was set (`None`: not announced), and the sequence number that came with it.
    fn set(&self, kind: Option<DeadlineKind>) -> (Option<DateTime<Utc>>, u32) {
        match self.meeting.moved.get(&kind) {
            Some(moved) => (Some(moved.at), moved.sequence),
            None => (self.meeting.announced_at, 0),
        }
    }

    fn notice(&self, candidate: Candidate, special: impl FnOnce(DateTime<Utc>) -> Option<NoticeState>) -> Notice {
        let key = self.key(&candidate.milestone, candidate.sequence);
        let state = if let Some(at) = self.sent.get(&key) {
            NoticeState::Sent(*at)
        } else if let Some(state) = special(candidate.at) {
            state
        } else if candidate.until <= self.now {
            NoticeState::Skipped(Skip::MilestonePast)
        } else if candidate.at <= self.now {
            NoticeState::Due
        } else {
            NoticeState::Planned
        };
        let Candidate { kind, at, until, to, deadline, reason, .. } = candidate;
        Notice { key, kind, at, until, to, deadline, state, reason }
    }

    /// One notice a day to the subscribers, and one for all that is due at once.
    fn merge(&self, notices: &mut [Notice]) {
        let today = civil::day(self.zone, self.now);
        let mut days: BTreeMap<NaiveDate, Vec<usize>> = BTreeMap::new();
        let mut due = Vec::new();
        for (index, notice) in notices.iter().enumerate() {
            if notice.to != To::Subscribers {
                continue;
            }
            match notice.state {
                NoticeState::Due => due.push(index),
                // A draft's announcement waits for a person and speaks for nothing.
                NoticeState::Planned if notice.kind != NoticeKind::Announcement => {
                    days.entry(civil::day(self.zone, notice.at)).or_default().push(index);
                }
                _ => {}
            }
        }
        // What was missed waits the few hours until today's own reminder, unless that would be too late for it.
        if let Some(planned) = days.get_mut(&today) {
            let at = planned.iter().map(|i| notices[*i].at).max().unwrap_or(self.now);
            if due.iter().all(|i| !notices[*i].kind.is_act() && notices[*i].until > at) {
                let waiting = std::mem::take(&mut due);
                let lead = strongest(notices, planned);
                for index in waiting {
                    notices[index].state = NoticeState::MergedInto(lead.clone());
                }
            }
        }
        for group in days.into_values().chain([due]) {
            if group.len() > 1 {
                let lead = strongest(notices, &group);
                for index in group {
                    if notices[index].key != lead {
                        notices[index].state = NoticeState::MergedInto(lead.clone());
                    }
                }
            }
        }
        resolve_chains(notices);
    }

    fn key(&self, milestone: &str, sequence: u32) -> NoticeKey {
        NoticeKey { meeting: self.meeting.id.clone(), milestone: milestone.to_owned(), sequence }
    }

    fn at_hour(&self, day: NaiveDate) -> DateTime<Utc> {
        civil::on(self.zone, day, self.lead_times.hour)
    }

    /// The first sending hour at or after `at`.
    fn next_hour(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let day = civil::day(self.zone, at);
        let today = self.at_hour(day);
        if today >= at { today } else { self.at_hour(day.succ_opt().unwrap_or(day)) }
    }
}

fn strongest(notices: &[Notice], group: &[usize]) -> NoticeKey {
    let best = group.iter().map(|i| &notices[*i]).max_by(|a, b| (a.kind, a.at, &a.key).cmp(&(b.kind, b.at, &b.key)));
    best.map(|notice| notice.key.clone()).expect("a group has at least one notice")
}

/// A notice that is said by one that is itself said by another is said by that other.
fn resolve_chains(notices: &mut [Notice]) {
    let into: BTreeMap<NoticeKey, NoticeKey> = notices
        .iter()
        .filter_map(|notice| match &notice.state {
            NoticeState::MergedInto(key) => Some((notice.key.clone(), key.clone())),
            _ => None,
        })
        .collect();
    for notice in notices {
        if let NoticeState::MergedInto(target) = &mut notice.state {
            let mut seen = BTreeSet::new();
            while let Some(next) = into.get(target).filter(|_| seen.insert(target.clone())) {
                *target = next.clone();
            }
        }
    }
}

fn change_milestone(change: &Change) -> &'static str {
    let status = change.fields.iter().find(|f| f.field == Field::Status).map(|f| f.after.as_str());
    match status {
        Some("cancelled") => "cancelled",
        Some("postponed") => "postponed",
        _ => "change",
    }
}

fn left_groups(change: &Change) -> Vec<GroupCode> {
    let Some(groups) = change.fields.iter().find(|f| f.field == Field::Groups) else { return Vec::new() };
    let after: Vec<_> = groups.after.split(", ").collect();
    groups.before.split(", ").filter(|code| !after.contains(code)).filter_map(|code| code.parse().ok()).collect()
}

#[cfg(test)]
#[path = "notices_tests.rs"]
pub(crate) mod tests;
