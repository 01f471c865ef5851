//! One message of a meeting's plan: its name, what it is, who gets it, where it stands and why.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::milestones::Deadline;
use super::record::MeetingId;
use crate::domain::group::GroupCode;

/// Name of a notice: `sg12rg-amr-2027:contribution-7d:0`. What was sent under it is never sent again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NoticeKey {
    /// Of which meeting.
    pub meeting: MeetingId,
    /// Which message of its plan.
    pub milestone: String,
    /// Sequence number of the meeting at which the milestone's date was set.
    pub sequence: u32,
}

impl fmt::Display for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.meeting, self.milestone, self.sequence)
    }
}

impl FromStr for NoticeKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let key = (|| {
            let (meeting, milestone, sequence) = (parts.next()?, parts.next()?, parts.next()?);
            Some(Self { meeting: meeting.parse().ok()?, milestone: milestone.to_owned(), sequence: sequence.parse().ok()? })
        })();
        key.ok_or_else(|| format!("\"{}\" is not the key of a notice such as sg12rg-amr-2027:contribution-7d:0", text.escape_debug()))
    }
}

impl TryFrom<String> for NoticeKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NoticeKey> for String {
    fn from(key: NoticeKey) -> Self {
        key.to_string()
    }
}

/// What a notice is; in the order in which one of them speaks for others that are due with it, the strongest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeKind {
    /// To the managers: the letter is due soon and there is none (ITU-T A.1 1.3.2).
    LetterMissing,
    /// To the managers: announced later than the rule wants.
    LetterLate,
    /// To the managers: where is the report?
    ReportReminder,
    /// A deadline comes near.
    Reminder,
    /// Documents, agenda and remote link are there (ITU-T A.1 3.3.3).
    Documents,
    /// It opens tomorrow.
    Tomorrow,
    /// What changed.
    Change,
    /// First announcement.
    Announcement,
    /// To one group: it does not hold the meeting any more.
    Withdrawal,
    /// Not on these dates.
    Postponement,
    /// Not at all.
    Cancellation,
    /// The report is there.
    Report,
}

impl NoticeKind {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LetterMissing => "letter-missing",
            Self::LetterLate => "letter-late",
            Self::ReportReminder => "report-reminder",
            Self::Reminder => "reminder",
            Self::Documents => "documents",
            Self::Tomorrow => "tomorrow",
            Self::Change => "change",
            Self::Announcement => "announcement",
            Self::Withdrawal => "withdrawal",
            Self::Postponement => "postponement",
            Self::Cancellation => "cancellation",
            Self::Report => "report",
        }
    }

    /// The template folder under `LANG/mail/`.
    pub fn template(self) -> &'static str {
        match self {
            Self::LetterMissing | Self::LetterLate => "meeting-warning",
            Self::ReportReminder => "meeting-report-reminder",
            Self::Reminder => "meeting-reminder",
            Self::Documents => "meeting-documents",
            Self::Tomorrow => "meeting-tomorrow",
            Self::Change => "meeting-change",
            Self::Announcement => "meeting-announcement",
            Self::Withdrawal | Self::Cancellation => "meeting-cancelled",
            Self::Postponement => "meeting-postponed",
            Self::Report => "meeting-report",
        }
    }

    /// Does it follow from an act of a person, who can stop it within the grace time?
    pub fn is_act(self) -> bool {
        matches!(self, Self::Change | Self::Announcement | Self::Withdrawal | Self::Postponement | Self::Cancellation | Self::Report)
    }
}

/// Who gets a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Subscribers of the groups that hold the meeting.
    Subscribers,
    /// The same, and those of the parent groups.
    SubscribersAndParents,
    /// Those of one group that are not also in another that holds it.
    Leaving(GroupCode),
    /// Managers of the groups that hold it.
    Managers,
}

/// Why a notice is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Its milestone was past before it could be sent.
    MilestonePast,
    /// Its time was before the announcement, which names the date itself.
    BeforeAnnouncement,
    /// Its time was before the change that set the date, and the change notice names it.
    BeforeChange,
    /// Nobody announced the meeting.
    NotAnnounced,
    /// The letter is there.
    Announced,
    /// The letter was in time.
    InTime,
    /// The meeting is cancelled.
    Cancelled,
    /// The meeting is postponed.
    Postponed,
    /// A later change told it.
    Superseded,
    /// The report is there.
    ReportThere,
    /// Its time was before the meeting was written down.
    BeforeRecord,
    /// It takes back what nobody had heard of.
    NotHeard,
    /// A person stopped it within its grace time.
    Stopped,
}

impl Skip {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MilestonePast => "milestone-past",
            Self::BeforeAnnouncement => "before-announcement",
            Self::BeforeChange => "before-change",
            Self::NotAnnounced => "not-announced",
            Self::Announced => "announced",
            Self::InTime => "in-time",
            Self::Cancelled => "cancelled",
            Self::Postponed => "postponed",
            Self::Superseded => "superseded",
            Self::ReportThere => "report-there",
            Self::BeforeRecord => "before-record",
            Self::NotHeard => "not-heard",
            Self::Stopped => "stopped",
        }
    }

    /// Why, in English.
    pub fn text(self) -> &'static str {
        match self {
            Self::MilestonePast => "the milestone was past before this could be sent",
            Self::BeforeAnnouncement => "its time was before the announcement, which names the date",
            Self::BeforeChange => "its time was before the change that set the date, and the change notice names it",
            Self::NotAnnounced => "the meeting is not announced; apply it with status = \"announced\"",
            Self::Announced => "the meeting is announced",
            Self::InTime => "announced in time",
            Self::Cancelled => "the meeting is cancelled",
            Self::Postponed => "the meeting is postponed",
            Self::Superseded => "a later notice told it",
            Self::ReportThere => "the report is there",
            Self::BeforeRecord => "its time was before the meeting was written down here",
            Self::NotHeard => "nobody had heard of the meeting, so nobody is told",
            Self::Stopped => "stopped within its grace time, and nobody got it",
        }
    }
}

/// Where a notice stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeState {
    /// Was sent then.
    Sent(DateTime<Utc>),
    /// Will not be sent.
    Skipped(Skip),
    /// Is to be sent now.
    Due,
    /// Its time will come.
    Planned,
    /// Is said by that other notice.
    MergedInto(NoticeKey),
}

impl NoticeState {
    /// As in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent(_) => "sent",
            Self::Skipped(_) => "skipped",
            Self::Due => "due",
            Self::Planned => "planned",
            Self::MergedInto(_) => "merged",
        }
    }
}

/// One message of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its name.
    pub key: NoticeKey,
    /// What it is.
    pub kind: NoticeKind,
    /// When it is to go out.
    pub at: DateTime<Utc>,
    /// From then on it would be pointless.
    pub until: DateTime<Utc>,
    /// Who gets it.
    pub to: To,
    /// The deadline a reminder is about.
    pub deadline: Option<Deadline>,
    /// Where it stands.
    pub state: NoticeState,
    /// What it is based on, in English: the rule, or why it is not sent.
    pub reason: String,
}
