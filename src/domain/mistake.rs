//! What a person gave that cannot be carried out, and how to mend it, in words of every language.
//!
//! A [`Reason`](super::reason::Reason) is a rule that refused, and stands in ledger and SMTP answers; advice is about a form, a
//! command or a file, is shown once, and is kept nowhere.

use std::fmt;

use super::reason::fill;

/// A mistake, with what it needs to be said in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Which.
    pub mistake: Mistake,
    /// What was given or what stands in the way, in the order in which the text names it.
    pub about: Vec<String>,
}

macro_rules! mistakes {
    ($( $(#[$doc:meta])* $name:ident $key:literal $text:literal ; )*) => {
        /// What can be wrong, each with its key in the words of every language (`mistake.KEY`) and its English text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mistake { $( $(#[$doc])* $name, )* }

        impl Mistake {
            /// All of them.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The name under which the words have it.
            pub fn key(self) -> &'static str {
                match self { $( Self::$name => $key, )* }
            }

            fn pattern(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

mistakes! {
    /// An absence that ended before today.
    AbsenceOver "absence-over" "{0} is over";
    /// Days of an absence that are none, or in the wrong order.
    AbsenceUnclear "absence-unclear" "\"{0}\" to \"{1}\" is no absence: give the first and the last day, such as 2027-01-11 and 2027-01-22";
    /// A day that is none.
    DateUnclear "date-unclear" "\"{0}\" is not a date; write it as 2027-01-22";
    /// A language that the service does not have.
    LanguageUnknown "language-unknown" "\"{0}\" is not a language of this service";
    /// As many addresses as an account may have.
    AddressesFull "addresses-full" "an account has at most {0} addresses; remove one first";
    /// As many addresses as may be asked for in a day.
    AddressesADay "addresses-a-day" "at most {0} addresses can be asked for in a day; try again tomorrow";
    /// The only address of an account.
    LastAddress "last-address" "an account needs an address; add another one first";
    /// An address that another account has.
    AddressTaken "address-taken" "{0} belongs to another account";
    /// A group without rules of membership.
    RulesNone "rules-none" "{0} has no rules; write [[group.rule]] under it in the groups file and apply it, or use `enlace group rules {0} --from FILE`";
    /// More rules of membership than a group may have.
    RulesMany "rules-many" "{0} rules; a group has at most {1}";
    /// A country of a rule that is none.
    RuleCountry "rule-country" "rule {0}: \"{1}\" is not a country code of ISO 3166-1: use two letters such as MX";
    /// An affiliation of a rule that is no group's acronym.
    RuleGroup "rule-group" "\"{0}\" cannot be the acronym of a group";
    /// A held statement that only its sender can let go.
    SenderConfirms "sender-confirms" "{0} is a liaison statement; only its sender can confirm it, by the mail that {1} got";
    /// A held post whose author is not proved, so cannot be let through always.
    SenderUnproved "sender-unproved" "it is not proved who sent {0}, so its sender cannot be let through always; release this one only";
    /// A post that went out or ended already.
    PostGone "post-gone" "post {0} cannot be stopped any more: it is {1}";
    /// A group that others still hang on.
    GroupIsParent "group-is-parent" "{0} is still the parent of {1}; retire or move those first";
    /// A last day for answers that is not in the future.
    DayNotAhead "day-not-ahead" "{0} is not ahead; people need some days to answer";
    /// A list's name in the new period that another group has.
    ListTaken "list-taken" "{0} would get the list {1}, which {2} has already; retire or rename one of them";
    /// A grace time that is none.
    GraceUnclear "grace-unclear" "grace: \"{0}\" is not a number of minutes up to a week";
    /// Working languages that are none of the service, or twice.
    LanguagesUnclear "languages-unclear" "languages: \"{0}\" are not languages of this service, each once";
    /// A text of a group that is too long or has control characters.
    TextLong "text-long" "{0}: \"{1}\" is longer than {2} characters or has control characters";
    /// A ban that is neither address nor domain.
    BanUnclear "ban-unclear" "banned: \"{0}\" is neither an address nor a domain; write eve@example.org or @example.org";
    /// More bans than a group may have.
    BansMany "bans-many" "banned: {0} entries; at most {1}. Ban a whole domain with @example.org";
    /// Somebody else wrote at the same time.
    ChangedMeanwhile "changed-meanwhile" "{0} was changed by somebody else at this moment; look at it, and try again";
    /// A calendar address that too many change at once.
    CalendarBusy "calendar-busy" "the address of the calendar is changed by too many at once; try again";
    /// A meeting that was held.
    MeetingHeld "meeting-held" "{0} was held; it cannot be {1} any more";
    /// A draft made of what was announced.
    MeetingPublished "meeting-published" "{0} is announced and cannot become a draft again; cancel it to take it back (`enlace meeting cancel {0}`)";
    /// The group that leads a joint meeting cannot leave it.
    MeetingLed "meeting-led" "{0} leads {1}: cancel the meeting, or make another group the first of its groups";
    /// A group that does not hold the meeting.
    MeetingNotOfGroup "meeting-not-of-group" "{0} does not hold {1}";
    /// A report before the end of the meeting.
    MeetingNotOver "meeting-not-over" "{0} is not over yet";
    /// A report of a meeting that did not take place.
    MeetingWithoutReport "meeting-without-report" "{0} is {1}: it has no report";
    /// A letter without a reference.
    LetterUnnamed "letter-unnamed" "{0} has no letter yet: name its reference, such as \"1/SG12RG-AMR\"";
    /// A letter's reference that is none.
    LetterUnclear "letter-unclear" "the reference of the letter is empty, too long, or has control characters";
    /// A report's reference that is none.
    ReportUnclear "report-unclear" "the reference of the report is empty, too long, or has control characters";
    /// A web address that is none.
    WebAddressUnclear "web-address-unclear" "\"{0}\" is not a web address: write it with https:// and without spaces";
    /// A file without a name.
    FileNameless "file-nameless" "the file has no name";
    /// A file that is no document.
    FileKind "file-kind" "{0} is no document: give a .pdf, .docx, .doc, .odt or .txt file";
    /// A file that is empty or too large.
    FileSize "file-size" "{0} has {1} octets: give a file of 1 octet to {2} MiB";
    /// A PDF file that is none.
    FileNotPdf "file-not-pdf" "{0} is no PDF file: it does not begin with %PDF-";
    /// A statement named as its own answer.
    AnswersItself "answers-itself" "a statement does not answer itself";
    /// A statement that is answered, closed, withdrawn or rejected.
    StatementOver "statement-over" "{0} is {1} already";
    /// A statement that has not gone out.
    StatementNotOut "statement-not-out" "{0} has not gone out; `liaison withdraw` takes it back";
    /// A statement that nobody has.
    StatementWithNobody "statement-with-nobody" "{0} is {1}: nobody has it";
    /// A statement that waits for no action.
    StatementWithoutAction "statement-without-action" "{0} is {1}: no action is waited for";
    /// A statement that is held for what is wrong in it.
    StatementHeld "statement-held" "{0} is held: {1}";
    /// A statement that is out in every language.
    StatementOutWhole "statement-out-whole" "{0} is out in every language there is";
    /// Which body acknowledges is not said.
    AcknowledgedByWhom "acknowledged-by-whom" "say by whom: {0} is addressed to {1}";
    /// What was done is not said.
    ActionUnsaid "action-unsaid" "say what was done, and by whom";
    /// Somebody who got no copy of a statement.
    NotReader "not-reader" "{0} was no reader of {1}; `enlace explain` says who was, and why";
    /// A deadline that is no date.
    DeadlineUnclear "deadline-unclear" "\"{0}\" is no date; a deadline is such as 22 January 2027, or N/A";
    /// A correction that changes nothing.
    CorrectionEmpty "correction-empty" "no line such as \"Deadline: 22 January 2027\" was found above the quoted text; labels may be in any of the six languages";
    /// A correction of a statement that has gone out.
    CorrectionLate "correction-late" "{0} has gone out; mail a corrected issue whose symbol has the next revision, such as R{1}";
    /// A token's name that is none.
    TokenNameUnclear "token-name-unclear" "a token's name has 1 to {0} characters; give another one";
    /// A token that opens nothing.
    TokenScopeless "token-scopeless" "a token without a scope opens nothing; name one, such as `read`";
    /// A token that would be over at once.
    TokenPast "token-past" "the token's last day is past; give a later one";
    /// A token's name that is in use.
    TokenTaken "token-taken" "there is a token \"{0}\" already; revoke it or give another name";
    /// A post that is sent back without a reason.
    ReasonMissing "reason-missing" "say why it is sent back: its author reads the reason";
    /// The only manager of a group, who would manage it no more.
    LastManager "last-manager" "you are the only manager of {0}: make somebody else a manager first";
    /// A confirmation that was overtaken.
    ConfirmationBusy "confirmation-busy" "the confirmation could not be noted, because others wrote at once; answer again";
    /// Settings that somebody else changed since the form was made.
    SettingsChanged "settings-changed" "somebody else changed the settings of {0} while you had them before you; look at them as they are now and change them again";
}

impl Mistake {
    /// With what it is about: as many values as its text names.
    pub fn about<T: ToString>(self, about: impl IntoIterator<Item = T>) -> Advice {
        Advice { mistake: self, about: about.into_iter().map(|value| value.to_string()).collect() }
    }

    /// One that says all by itself.
    pub fn plain(self) -> Advice {
        Advice { mistake: self, about: Vec::new() }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&fill(self.mistake.pattern(), &self.about))
    }
}
