//! Meetings: the record, its deadlines, and the plan of notices that follows from both.
//!
//! Pure like all of `domain`: the plan is a function of the meeting, the lead times, the group's settings,
//! what was sent and now. Sending is `service::meeting`, the time to look is `schedule::notices`.
//! Sources: ITU-T A.1 clauses 1.1 to 1.3 and 3, WTSA Resolution 1, real collective letters of regional groups.

mod change;
pub mod civil;
mod duration;
mod entries;
pub mod labels;
pub mod milestones;
mod notice;
pub mod notices;
mod record;
pub mod said;
mod span;

pub use change::{Change, Field, FieldChange, span_from, span_text};
pub use duration::Lead;
pub use entries::{Entry, EntryKind, Gone, entries};
pub use milestones::{Deadline, DeadlineKind, DeadlineRule, LeadTimes, OwnLeadTimes};
pub use notice::{Notice, NoticeKey, NoticeKind, NoticeState, Skip, To};
pub use notices::Settings;
pub use record::{
    Attachment, Letter, MAX_CHANGES, MAX_PARTS, Meeting, MeetingAudience, MeetingId, MeetingKind, MeetingStatus, Moved, Part, Report,
    Revision,
};
pub use span::Span;
