//! A body with a list: a regional group, its parent study group, TSAG, or any other.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::address::EmailAddress;
use super::house::HouseRules;
use super::language::{Language, Localized};
use super::meeting::OwnLeadTimes;

/// The official acronym of a group, such as `SG12RG-AMR`: letters, digits and hyphens, upper case, at most 32.
///
/// Compared without regard to case; region codes are not uniform between parents (DOMAIN 3.1), so it is never taken apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupCode(String);

impl GroupCode {
    /// The code in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.trim().to_ascii_uppercase();
        let fits = !code.is_empty() && code.len() <= 32 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits && !code.starts_with('-') && !code.ends_with('-') {
            Ok(Self(code))
        } else {
            Err(format!("\"{}\" is not a group code: letters, digits and hyphens, at most 32, such as SG12RG-AMR", text.escape_debug()))
        }
    }
}

impl TryFrom<String> for GroupCode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GroupCode> for String {
    fn from(code: GroupCode) -> Self {
        code.0
    }
}

impl fmt::Display for GroupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GroupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What sort of body it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupKind {
    /// A regional group: has exactly one parent and one region (Resolution 54).
    Regional,
    /// A study group.
    Study,
    /// An advisory group, such as TSAG.
    Advisory,
    /// Any other body that has a list here.
    Other,
    /// A body without a list here, known by its contact address only.
    External,
}

/// An ITU region, normalised (DOMAIN 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// Africa (ATU).
    Africa,
    /// The Americas (CITEL).
    Americas,
    /// Arab States (LAS).
    ArabStates,
    /// Asia and the Pacific (APT).
    AsiaPacific,
    /// Eastern Europe, Central Asia and Transcaucasia (RCC).
    Eecat,
    /// Europe (CEPT).
    Europe,
}

impl Region {
    /// As written in files and shown to people: `arab-states`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Africa => "africa",
            Self::Americas => "americas",
            Self::ArabStates => "arab-states",
            Self::AsiaPacific => "asia-pacific",
            Self::Eecat => "eecat",
            Self::Europe => "europe",
        }
    }
}

/// How one becomes a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionPolicy {
    /// Whoever the gate admits.
    Open,
    /// A manager approves each request.
    Approve,
    /// Only who was invited.
    Invite,
    /// Nobody; a manager adds.
    Closed,
}

/// Whether guest accounts may subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestPolicy {
    /// Never.
    None,
    /// When a manager invited them.
    Invited,
    /// When a manager approves the request.
    Approve,
    /// Like anyone.
    Open,
}

/// Which members of the region may take part (DOMAIN 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParticipationPolicy {
    /// All categories, Associates and Academia of the parent group.
    Standard,
    /// Regional groups of SG3: Member States and operating agencies only (WTSA Resolution 1, 2.3.2).
    Sg3,
}

/// What happens to a discussion post of someone who is not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonmemberPolicy {
    /// Refused in the SMTP session.
    Reject,
    /// Kept for a moderator.
    Hold,
}

/// Who may read what a group distributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveAccess {
    /// Anybody.
    Public,
    /// Its subscribers, and those who run it.
    Members,
    /// Also anybody with a TIES account in force.
    Ties,
}

/// What guests get of a liaison statement (DOMAIN 1.3: statements are TDs, hence for TIES accounts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestLiaison {
    /// The whole statement.
    Full,
    /// Cover sheet and link.
    Cover,
    /// Nothing.
    None,
}

/// What happens when a working language of a statement is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum MissingEdition {
    /// Circulate what is there, the rest follows.
    Send,
    /// Wait that many days, then circulate what is there.
    Wait(u16),
    /// Wait for a person.
    Hold,
}

impl TryFrom<String> for MissingEdition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        match words[..] {
            ["send"] => Ok(Self::Send),
            ["hold"] => Ok(Self::Hold),
            ["wait", days, "day" | "days"] => days
                .parse()
                .ok()
                .filter(|days| (1..=365).contains(days))
                .map(Self::Wait)
                .ok_or_else(|| format!("\"{days}\" is not a number of days from 1 to 365")),
            _ => Err(format!("\"{text}\" is none of \"send\", \"wait 3 days\", \"hold\"")),
        }
    }
}

impl From<MissingEdition> for String {
    fn from(policy: MissingEdition) -> Self {
        match policy {
            MissingEdition::Send => "send".into(),
            MissingEdition::Wait(days) => format!("wait {days} days"),
            MissingEdition::Hold => "hold".into(),
        }
    }
}

/// A body with its policies (CONTRACT 8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The official acronym; the key.
    pub code: GroupCode,
    /// What sort of body.
    pub kind: GroupKind,
    /// The study group it belongs to; always set for a regional group.
    pub parent: Option<GroupCode>,
    /// Its region; always set for a regional group.
    pub region: Option<Region>,
    /// Local part of the list address, lower case; empty only for an external body.
    pub list: String,
    /// Working languages in order; never empty.
    pub languages: Vec<Language>,
    /// Full name.
    pub name: Localized<String>,
    /// Zone in which its deadlines end and its meetings are shown.
    pub timezone: chrono_tz::Tz,
    /// How one becomes a subscriber.
    pub subscription: SubscriptionPolicy,
    /// Whether guest accounts may subscribe.
    pub guests: GuestPolicy,
    /// Which members of the region may take part.
    pub participation: ParticipationPolicy,
    /// What happens to posts of those who are not subscribed.
    pub nonmember: NonmemberPolicy,
    /// What guests get of a liaison statement.
    pub guest_liaison: GuestLiaison,
    /// What happens when a working language of a statement is missing.
    pub missing_edition: MissingEdition,
    /// Mailboxes that get the copies ITU-T A.1 demands; a sender among them still has to be proved.
    pub secretariat: Vec<EmailAddress>,
    /// Where copies go when the body has no list here.
    pub contact: Option<EmailAddress>,
    /// Members that support the group; Resolution 54 wants two for a regional group.
    pub supporting_members: Vec<String>,
    /// How long an announcement or statement can be stopped before it goes out.
    pub grace: Duration,
    /// One transaction a recipient, with the recipient's own one-click link; else many recipients a transaction.
    pub personal: bool,
    /// Who is looked at first, who may not write, who belongs by rule, and what data are kept for.
    pub house: HouseRules,
    /// A footer for discussion posts; breaks the author's signature, so it is empty by default.
    pub footer: Option<Localized<String>>,
    /// Who may read the archive.
    pub archive: ArchiveAccess,
    /// How long posts stay in the archive; zero: for ever.
    pub archive_keep: Duration,
    /// Addresses of the list elsewhere or before, whose mail comes here: the list address of each, in any domain.
    pub aliases: Vec<EmailAddress>,
    /// Are its subscribers reminded of their subscriptions at the times of `schedule.subscription_reminder`?
    pub monthly_reminder: bool,
    /// Ended: keeps its archive, takes no mail.
    pub retired: bool,
    // What follows came after the first stored form: see `store::record`.
    /// Is a statement that the group itself approved held until its parent endorses it (DOMAIN 5.4, V5)?
    pub parent_must_endorse: bool,
    /// Lead times of the meetings that it leads, in place of the service's.
    pub meetings: OwnLeadTimes,
}

impl Group {
    /// `RG` of SG3: only Member States and operating agencies.
    pub fn is_sg3(&self) -> bool {
        self.participation == ParticipationPolicy::Sg3
    }

    /// The list address in `domain`.
    pub fn address(&self, domain: &str) -> String {
        format!("{}@{domain}", self.list)
    }

    /// A sub-address such as `sg12rg-amr-request@domain`.
    pub fn sub_address(&self, suffix: &str, domain: &str) -> String {
        format!("{}-{suffix}@{domain}", self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_upper_case_and_plain() {
        assert_eq!("sg12rg-amr".parse::<GroupCode>().unwrap().as_str(), "SG12RG-AMR");
        for bad in ["", "SG 12", "SG12/AMR", "-SG", "../x", "SG12\n"] {
            assert!(bad.parse::<GroupCode>().is_err() || bad.trim() != bad, "{bad:?}");
        }
    }

    #[test]
    fn missing_edition_reads_its_three_forms() {
        assert_eq!(MissingEdition::try_from("wait 3 days".to_owned()), Ok(MissingEdition::Wait(3)));
        assert!(MissingEdition::try_from("wait".to_owned()).is_err());
        assert!(MissingEdition::try_from("wait 0 days".to_owned()).is_err());
    }
}
