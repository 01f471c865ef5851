//! The rules V1 to V14: what a statement must have before it goes out.
//!
//! Each is a function from the statement and its circumstances to problems, with level, source and a text key; the caller
//! passes in the day, the group's languages and what the directory knows, so that each rule can be tried at any date.
//! Errors hold the statement, warnings are told to the secretariat, notices are only kept.
//! Sources: ITU-T A.1 1.5 (content, approval, copies), Resolution 54 (who may liaise), RFC 4053 (comments, attachments).

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::statement::{Doubt, Level, Prepared, Problem, Purpose, Statement};
use crate::domain::account::Category;
use crate::domain::address::EmailAddress;
use crate::domain::language::Language;
use crate::domain::reason::fill;

/// Someone of the statement whom the directory knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterFact {
    /// Her address.
    pub address: EmailAddress,
    /// Her membership category.
    pub category: Category,
    /// Is hers a guest account?
    pub guest: bool,
}

/// What the rules need to know beside the statement.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    /// The day in the group's zone.
    pub today: NaiveDate,
    /// The group's working languages in order.
    pub languages: &'a [Language],
    /// Contacts (and approvers by address) that are in the directory.
    pub roster: &'a [RosterFact],
    /// The statement that already has this symbol, revision and language set with other content, by its name.
    pub symbol_used_by: Option<String>,
    /// Is the group regional and may it not approve on its own ("parent must endorse")?
    pub parent_must_endorse: bool,
    /// The source, if it is one of our groups that has nothing to do with the group it is kept for, which is not addressed either.
    pub foreign_source: Option<String>,
    /// Is the answered statement known here? `None` for what is no reply.
    pub reply_known: Option<bool>,
    /// What the reader was not sure of.
    pub doubts: &'a [Doubt],
    /// Largest attachment in octets.
    pub attachment_octets: u64,
}

macro_rules! problem_texts {
    ($( $name:ident $rule:literal $level:ident $key:literal $text:literal ; )*) => {
        /// What a rule can find, with its rule, level, text key and English text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Finding { $( #[doc = $text] $name, )* }

        impl Finding {
            /// All of them.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// `V1` to `V14`.
            pub fn rule(self) -> &'static str {
                match self { $( Self::$name => $rule, )* }
            }

            /// How grave.
            pub fn level(self) -> Level {
                match self { $( Self::$name => Level::$level, )* }
            }

            /// Key of its text in `templates/LANG/liaison.toml`.
            pub fn key(self) -> &'static str {
                match self { $( Self::$name => $key, )* }
            }

            /// Its English text with places.
            pub fn pattern(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

problem_texts! {
    NoDestination "V1" Error "v1-destination" "no destination was found; add a line such as \"For information to: TSAG\"";
    ForeignSource "V1" Warning "v1-foreign" "the source is {0}, and {1} is neither the source nor addressed; if it is meant for another group, stop it and mail it there";
    PurposeAssumed "V1" Warning "v1-purpose" "{0} is named without a purpose and taken to be for information; add \"For action to:\", \"For comment to:\" or \"For information to:\"";
    ActionWithoutDeadline "V2" Error "v2-deadline" "action is requested of {0}, so a deadline is needed; add a line such as \"Deadline: 22 January 2027\"";
    DeadlineUnclear "V2" Error "v2-unclear" "the deadline \"{0}\" names no day; write it such as \"Deadline: 22 January 2027\"";
    CommentWithoutDeadline "V3" Warning "v3-deadline" "comments are requested of {0} without a deadline";
    DeadlinePast "V4" Warning "v4-past" "the deadline {0} has passed";
    DeadlineSoon "V4" Warning "v4-soon" "the deadline {0} leaves no working day";
    DeadlineUnread "V4" Warning "v4-unread" "the deadline \"{0}\" names no day and is not followed";
    DeadlineDayFirst "V4" Warning "v4-order" "the deadline \"{0}\" is read with the day first, as {1}; write the month in letters if it is another day";
    DeadlineDiffers "V4" Warning "v4-differs" "the documents disagree on the {0}: {1} is used, another says {2}";
    NoApproval "V5" Error "v5-approval" "no approval was found; add a line such as \"Approval: ITU-T SG12 meeting (Geneva, 18 September 2026)\"";
    ApprovalWithoutLevel "V5" Error "v5-level" "the approval \"{0}\" does not name who approved: study group, working party, rapporteur group, regional group, or by correspondence";
    ParentMustEndorse "V5" Error "v5-parent" "the parent study group must endorse what a regional group approves";
    NoMeeting "V6" Warning "v6-meeting" "neither the meeting at which it was prepared nor \"by correspondence\" was found";
    NoContact "V7" Error "v7-contact" "no contact was found; add a line such as \"Contact: Name, e-mail address\"";
    ContactWithoutAddress "V7" Error "v7-address" "no contact has a valid e-mail address";
    TitleMissing "V8" Warning "v8-title" "the title in {0} is missing";
    ReplyUnknown "V8" Warning "v8-reply" "the statement that this one answers is not known here ({0})";
    LanguageMissing "V9" Warning "v9-language" "the edition in {0} is missing";
    Empty "V10" Error "v10-empty" "there is neither text nor attachment";
    ContactMayNotLiaise "V11" Error "v11-liaise" "{0} is known as {1}, and such accounts take no part in liaison activity (Resolution 54)";
    CopiesAdded "V12" Notice "v12-copies" "copies that ITU-T A.1 and Resolution 54 demand were added: {0}";
    SymbolUsed "V13" Error "v13-symbol" "{0} is already used for another statement ({1})";
    OtherDocument "V13" Warning "v13-file" "{0} came as a language of {1} and its name is that of another document or revision; if they are two statements, stop this one and mail each by itself";
    FileUnreadable "V14" Warning "v14-unreadable" "{0} could not be read: {1}";
    FileKind "V14" Warning "v14-kind" "{0} is of a kind that not everybody can open; docx, pdf, txt, html and zip are";
    FileTooBig "V14" Warning "v14-size" "{0} is larger than {1} MiB and goes out as a link";
    FileMacros "V14" Warning "v14-macros" "{0} carries macros and goes to no guest";
}

impl Finding {
    /// The problem about these things.
    pub fn about(self, about: impl IntoIterator<Item = impl Into<String>>) -> Problem {
        let about: Vec<String> = about.into_iter().map(Into::into).collect();
        let text = fill(self.pattern(), &about);
        Problem { rule: self.rule().into(), level: self.level(), key: self.key().into(), about, text }
    }

    fn plain(self) -> Problem {
        self.about(Vec::<String>::new())
    }
}

/// All rules in order; V12 is added by `routing`, which knows the copies.
pub fn check(statement: &Statement, circumstances: &Circumstances<'_>) -> Vec<Problem> {
    let rules: [fn(&Statement, &Circumstances<'_>, &mut Vec<Problem>); 12] = [
        destinations,
        deadline_present,
        comment_deadline,
        deadline_sensible,
        approval,
        meeting,
        contact,
        titles,
        languages,
        content,
        may_liaise,
        symbol_and_files,
    ];
    let mut problems = Vec::new();
    for rule in rules {
        rule(statement, circumstances, &mut problems);
    }
    problems
}

fn names(statement: &Statement, purpose: Purpose) -> String {
    let names = statement.destinations.iter().filter(|d| d.purpose == purpose).map(|d| d.name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// V1.
fn destinations(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if statement.destinations.is_empty() {
        problems.push(Finding::NoDestination.plain());
    }
    if let Some(source) = &circumstances.foreign_source {
        problems.push(Finding::ForeignSource.about([source.as_str(), statement.group.as_str()]));
    }
    for doubt in circumstances.doubts {
        if let Doubt::PurposeAssumed(name) = doubt {
            problems.push(Finding::PurposeAssumed.about([name]));
        }
    }
}

/// V2.
fn deadline_present(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if statement.deadline.is_some() || !statement.asks_action() {
        return;
    }
    let unclear = circumstances.doubts.iter().find_map(|doubt| if let Doubt::DeadlineUnclear(text) = doubt { Some(text) } else { None });
    problems.push(match unclear {
        Some(text) => Finding::DeadlineUnclear.about([text]),
        None => Finding::ActionWithoutDeadline.about([names(statement, Purpose::Action)]),
    });
}

/// V3.
fn comment_deadline(statement: &Statement, _: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    let comments = names(statement, Purpose::Comment);
    if statement.deadline.is_none() && !comments.is_empty() && !statement.asks_action() {
        problems.push(Finding::CommentWithoutDeadline.about([comments]));
    }
}

/// V4.
fn deadline_sensible(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if let Some(deadline) = statement.deadline {
        if deadline < circumstances.today {
            problems.push(Finding::DeadlinePast.about([deadline.to_string()]));
        } else if deadline < next_working_day(circumstances.today) {
            problems.push(Finding::DeadlineSoon.about([deadline.to_string()]));
        }
    }
    for doubt in circumstances.doubts {
        match doubt {
            Doubt::DayFirst { written, day } if statement.deadline == Some(*day) => {
                problems.push(Finding::DeadlineDayFirst.about([written.clone(), day.to_string()]));
            }
            Doubt::Differs { field, used, other } => problems.push(Finding::DeadlineDiffers.about([field, used, other])),
            Doubt::DeadlineUnclear(text) if !statement.asks_action() => problems.push(Finding::DeadlineUnread.about([text])),
            _ => {}
        }
    }
}

/// The first day after `today` that is neither Saturday nor Sunday.
fn next_working_day(today: NaiveDate) -> NaiveDate {
    let days = (1..=3).filter_map(|n| today.checked_add_days(Days::new(n)));
    days.into_iter().find(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun)).unwrap_or(today)
}

/// V5.
fn approval(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    use super::statement::ApprovalLevel;
    match statement.approval.level {
        _ if statement.approval.text.is_empty() => problems.push(Finding::NoApproval.plain()),
        None => problems.push(Finding::ApprovalWithoutLevel.about([&statement.approval.text])),
        Some(ApprovalLevel::RegionalGroup) if circumstances.parent_must_endorse => problems.push(Finding::ParentMustEndorse.plain()),
        Some(_) => {}
    }
}

/// V6.
fn meeting(statement: &Statement, _: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if statement.prepared == Prepared::Unknown {
        problems.push(Finding::NoMeeting.plain());
    }
}

/// V7.
fn contact(statement: &Statement, _: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if statement.contacts.is_empty() {
        problems.push(Finding::NoContact.plain());
    } else if statement.contacts.iter().all(|contact| contact.email.is_none()) {
        problems.push(Finding::ContactWithoutAddress.plain());
    }
}

/// V8.
fn titles(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    let title = statement.title();
    let untitled = |language: &&Language| statement.edition(**language).is_some() && title.get(**language).is_none();
    for language in circumstances.languages.iter().filter(untitled) {
        problems.push(Finding::TitleMissing.about([language.to_string()]));
    }
    // Where there is no edition at all, V10 says so; a title may well have been given.
    if let (Some(reply), Some(false)) = (&statement.reply, circumstances.reply_known) {
        problems.push(Finding::ReplyUnknown.about([&reply.reference]));
    }
}

/// V9.
fn languages(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if !statement.editions.is_empty() {
        problems.extend(
            statement.missing(circumstances.languages).iter().map(|language| Finding::LanguageMissing.about([language.to_string()])),
        );
    }
}

/// V10.
fn content(statement: &Statement, _: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if statement.editions.iter().all(|edition| edition.text.trim().is_empty() && edition.attachments.is_empty()) {
        problems.push(Finding::Empty.plain());
    }
}

/// V11: Resolution 54 resolves 5; no role and no manager lifts it.
fn may_liaise(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    for fact in circumstances.roster {
        let involved = statement.contacts.iter().any(|contact| contact.email.as_ref() == Some(&fact.address))
            || statement.approval.text.contains(fact.address.as_str());
        let kind = match fact.category {
            _ if fact.guest => "a guest",
            Category::Associate => "an Associate",
            Category::Academia => "Academia",
            Category::MemberState | Category::SectorMember | Category::None => continue,
        };
        if involved {
            problems.push(Finding::ContactMayNotLiaise.about([fact.address.as_str(), kind]));
        }
    }
}

/// V13 and V14.
fn symbol_and_files(statement: &Statement, circumstances: &Circumstances<'_>, problems: &mut Vec<Problem>) {
    if let (Some(symbol), Some(other)) = (&statement.symbol, &circumstances.symbol_used_by) {
        problems.push(Finding::SymbolUsed.about([&symbol.to_string(), other]));
    }
    for doubt in circumstances.doubts {
        match doubt {
            Doubt::Unreadable { file, why } => problems.push(Finding::FileUnreadable.about([file, why])),
            Doubt::OtherDocument { file, used } => problems.push(Finding::OtherDocument.about([file, used])),
            _ => {}
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for attachment in statement.editions.iter().flat_map(|edition| &edition.attachments) {
        if seen.contains(&attachment.name.as_str()) {
            continue;
        }
        seen.push(&attachment.name);
        if attachment.macros {
            problems.push(Finding::FileMacros.about([&attachment.name]));
        }
        if !is_readable_kind(&attachment.name, &attachment.media_type) {
            problems.push(Finding::FileKind.about([&attachment.name]));
        }
        if attachment.body.octets > circumstances.attachment_octets {
            let limit = circumstances.attachment_octets / (1024 * 1024);
            problems.push(Finding::FileTooBig.about([attachment.name.clone(), limit.to_string()]));
        }
    }
}

/// Kinds that RFC 4053 section 3.2.2 and ITU practice take for readable; pictures and calendars too.
fn is_readable_kind(name: &str, media_type: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let by_name = ["docx", "docm", "pdf", "txt", "html", "htm", "zip", "xlsx", "pptx", "csv", "png", "jpg", "jpeg", "rtf", "odt", "ics"];
    by_name.contains(&extension.as_str()) || media_type.starts_with("text/") || media_type == "application/pdf"
}

#[cfg(test)]
#[path = "rules_tests.rs"]
pub mod tests_support;
