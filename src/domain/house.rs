//! What a group asks beyond its policies: who is looked at first, who may not write, who belongs to it by rule, and what its data are
//! kept for.
//!
//! Pure values with the questions that are asked of them. All of it stands in the groups file (`moderate`, `release_by`, `banned`,
//! `[[group.rule]]`, `purpose`, `legal_basis`); senders that a moderator always lets through are a register of the store.

use serde::{Deserialize, Serialize};

use super::account::{Account, AccountKind, Category};
use super::address::EmailAddress;
use super::country;
use super::group::{Group, GroupCode, Region};
use super::language::Localized;

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HouseRules {
    /// Are all members' discussion posts held for a moderator?
    pub moderate: bool,
    /// Do two persons have to release a held post?
    pub two_persons: bool,
    /// Who may not write: an address, or `@domain` for everybody of a domain; lower case.
    pub banned: Vec<String>,
    /// Who belongs to the group by rule; empty: nobody.
    pub rules: Vec<MemberRule>,
    /// What personal data are processed for; empty: the service's own words.
    pub purpose: Localized<String>,
    /// On which legal basis; empty: the service's own words.
    pub legal_basis: Localized<String>,
}

impl HouseRules {
    /// May this address not write to the group?
    pub fn bans(&self, address: &EmailAddress) -> bool {
        let key = address.key();
        let domain = address.domain();
        self.banned.iter().any(|ban| match ban.strip_prefix('@') {
            Some(banned) => domain == banned || domain.strip_suffix(banned).is_some_and(|rest| rest.ends_with('.')),
            None => *ban == key,
        })
    }

    /// The first rule that an account meets, by its place.
    pub fn rule_for(&self, group: &Group, account: &Account) -> Option<(usize, &MemberRule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.fits(group, account))
    }
}

/// Accounts that belong to the group: all that meet every condition given here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemberRule {
    /// Membership categories; empty: any.
    pub categories: Vec<Category>,
    /// Regions of the account's country; empty: the group's own, or any if it has none.
    pub regions: Vec<Region>,
    /// Study groups it is affiliated to, one of them; empty: any.
    pub affiliations: Vec<GroupCode>,
    /// Countries, such as `MX`; empty: any.
    pub countries: Vec<String>,
    /// TIES or guest; without: TIES only.
    pub account: Option<AccountKind>,
    /// Are accounts that no longer meet any rule removed, if a rule put them there?
    pub remove: bool,
}

impl MemberRule {
    fn fits(&self, group: &Group, account: &Account) -> bool {
        let regions: Vec<Region> = if self.regions.is_empty() { group.region.into_iter().collect() } else { self.regions.clone() };
        let in_region = || account.country.is_some_and(|country| regions.iter().any(|region| country::is_in(country, *region)));
        account.kind == self.account.unwrap_or(AccountKind::Ties)
            && (self.categories.is_empty() || self.categories.contains(&account.category))
            && (regions.is_empty() || in_region())
            && (self.affiliations.is_empty() || self.affiliations.iter().any(|code| account.study_groups.contains(code)))
            && (self.countries.is_empty() || self.countries.iter().any(|country| country.eq_ignore_ascii_case(account.country_code())))
    }

    /// In words, for previews and reasons: `member-state, of americas, affiliated to SG12`.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        let join = |list: Vec<String>| list.join(" or ");
        if !self.categories.is_empty() {
            words.push(join(self.categories.iter().map(|category| category_words(*category).to_owned()).collect()));
        }
        if !self.regions.is_empty() {
            words.push(format!("of {}", join(self.regions.iter().map(|region| region.as_str().to_owned()).collect())));
        }
        if !self.affiliations.is_empty() {
            words.push(format!("affiliated to {}", join(self.affiliations.iter().map(ToString::to_string).collect())));
        }
        if !self.countries.is_empty() {
            words.push(format!("in {}", join(self.countries.clone())));
        }
        if self.account == Some(AccountKind::Guest) {
            words.push("with a guest account".to_owned());
        }
        if words.is_empty() { "every TIES account of the region".to_owned() } else { words.join(", ") }
    }
}

fn category_words(category: Category) -> &'static str {
    match category {
        Category::MemberState => "member-state",
        Category::SectorMember => "sector-member",
        Category::Associate => "associate",
        Category::Academia => "academia",
        Category::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_is_an_address_or_a_domain_with_all_below_it() {
        let house = HouseRules { banned: vec!["eve@x.example".into(), "@spam.example".into()], ..HouseRules::default() };
        let bans = |address: &str| house.bans(&address.parse().unwrap());
        assert!(bans("Eve@X.example") && bans("a@spam.example") && bans("a@deep.spam.example"));
        assert!(!bans("ann@x.example") && !bans("a@notspam.example") && !bans("eve@y.example"));
    }
}
