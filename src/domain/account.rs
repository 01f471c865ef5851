//! A person known to the directory.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::address::EmailAddress;
use super::group::GroupCode;
use super::id::AccountId;
use super::language::Language;

/// What a directory may say of a person, by its name in files, tables of the configuration and commands.
pub const COLUMNS: [&str; 11] =
    ["email", "name", "kind", "category", "organisation", "country", "study_groups", "languages", "expires", "roles", "operating_agency"];

/// Where the right to be here comes from (DOMAIN 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountKind {
    /// Staff of an ITU member, approved by the member's focal point.
    Ties,
    /// Anyone with an ITU user account.
    Guest,
}

/// Membership category (DOMAIN 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Administration of a Member State.
    MemberState,
    /// Sector Member.
    SectorMember,
    /// Associate of one study group.
    Associate,
    /// Academia.
    Academia,
    /// No membership.
    None,
}

/// A role in the directory, apart from roles in groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryRole {
    /// Secretariat of every group (`tsb`).
    Tsb,
    /// Secretariat of one group (`tsb:SG12RG-AMR`).
    TsbOf(GroupCode),
    /// Runs the service (`operator`).
    Operator,
    // Append only: the position of a role is part of the stored form.
    /// Answers for the TIES accounts of her organisation (`focal-point`, DOMAIN 1.1).
    FocalPoint,
}

/// Whether the account is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// In force, unless it has expired.
    Active,
    /// Suspended since then, by whom and why.
    Suspended {
        /// When.
        since: DateTime<Utc>,
        /// In whose words, shown to managers.
        reason: String,
    },
    // Append only: the position of a standing is part of the stored form.
    /// Rests since then because nobody confirmed it in time; a late answer brings it back.
    Unconfirmed {
        /// When it began to rest.
        since: DateTime<Utc>,
        /// The last day for the answer.
        by: NaiveDate,
    },
}

/// A person with her membership, languages and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The key.
    pub id: AccountId,
    /// One or more; the first is where her mail goes.
    pub addresses: Vec<EmailAddress>,
    /// Display name, without control characters.
    pub name: String,
    /// TIES or guest.
    pub kind: AccountKind,
    /// Membership category.
    pub category: Category,
    /// Member organisation.
    pub organisation: String,
    /// Is the organisation an operating agency? Counts in SG3 regional groups (WTSA Resolution 1, 2.3.2).
    pub operating_agency: bool,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<[u8; 2]>,
    /// Study groups it is affiliated to.
    pub study_groups: Vec<GroupCode>,
    /// Preferred languages in order; may be empty.
    pub languages: Vec<Language>,
    /// Last day on which it is in force, in the service's zone.
    pub expires: Option<NaiveDate>,
    /// Roles in the directory.
    pub roles: Vec<DirectoryRole>,
    /// Suspended or not.
    pub standing: Standing,
    /// Who provided it, so that a synchronisation removes only its own: `import`, `ldap`, `oidc`, `manager`.
    pub source: String,
}

impl Account {
    /// Where her mail goes.
    ///
    /// # Panics
    /// Never for an account that was read through the edge, which refuses one without an address.
    pub fn address(&self) -> &EmailAddress {
        &self.addresses[0]
    }

    /// Is it hers?
    pub fn owns(&self, address: &EmailAddress) -> bool {
        self.addresses.contains(address)
    }

    /// Country as text, empty if unknown.
    pub fn country_code(&self) -> &str {
        self.country.as_ref().and_then(|c| std::str::from_utf8(c).ok()).unwrap_or("")
    }

    /// Secretariat of this group, or of every group?
    pub fn is_tsb_of(&self, group: &GroupCode) -> bool {
        self.roles.iter().any(|role| match role {
            DirectoryRole::Tsb => true,
            DirectoryRole::TsbOf(code) => code == group,
            DirectoryRole::Operator | DirectoryRole::FocalPoint => false,
        })
    }

    /// Does she answer for the accounts of her organisation?
    pub fn is_focal_point(&self) -> bool {
        self.roles.contains(&DirectoryRole::FocalPoint)
    }

    /// Does she run the service?
    pub fn is_operator(&self) -> bool {
        self.roles.contains(&DirectoryRole::Operator)
    }
}
