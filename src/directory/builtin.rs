//! The built-in directory: accounts from CSV files and from `key=value`.
//!
//! One reader for both, so that a column and a key mean the same. An empty value clears; a column that a file does not have
//! leaves the field as it is.

use crate::config::Problem;
use crate::directory::table::{Table, decoded};
use crate::domain::account::{Account, AccountKind, Category, DirectoryRole, Standing};
use crate::domain::address::EmailAddress;
use crate::domain::country;
use crate::domain::group::GroupCode;
use crate::domain::id::AccountId;

/// Columns of a file, and keys of [`set`].
pub use crate::domain::account::COLUMNS;

/// Accounts that an import made.
pub const SOURCE: &str = "import";
/// Longest name of a person or an organisation.
const NAME_CHARACTERS: usize = 200;
/// Most values in a cell.
const VALUES: usize = 50;

/// One person of a file, already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Line of the file, from 1.
    pub line: usize,
    /// Her addresses; the first is where her mail goes.
    pub addresses: Vec<EmailAddress>,
    /// What its source listed of her before, if it can tell that she is the same person.
    pub listed_before: Vec<EmailAddress>,
    cells: Vec<(&'static str, String)>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Entries {
    /// The good rows.
    pub entries: Vec<Entry>,
    /// The bad ones.
    pub problems: Vec<Problem>,
    /// Addresses of bad rows that could be read, so that a synchronisation does not take them for absent.
    pub named: Vec<EmailAddress>,
    /// Bad rows of which not even the address could be read.
    pub nameless: usize,
    /// Columns that nobody reads.
    pub warnings: Vec<String>,
}

impl Entry {
    /// A person from cells by column; `line` is her place where she came from.
    ///
    /// # Errors
    /// Which cell is wrong, and what it may be.
    pub fn of_cells(line: usize, cells: Vec<(&'static str, String)>) -> Result<Self, String> {
        let email = cells.iter().find(|(column, _)| *column == "email").map(|(_, cell)| cell.as_str()).unwrap_or_default();
        let addresses = addresses(email)?;
        let cells: Vec<_> = cells.into_iter().filter(|(column, _)| *column != "email").collect();
        let mut trial = blank(AccountId(0), addresses.clone());
        for (column, cell) in &cells {
            set(&mut trial, column, cell).map_err(|why| format!("{column}: {why}"))?;
        }
        Ok(Self { line, addresses, listed_before: Vec::new(), cells })
    }

    /// Writes the row's fields onto an account. Addresses that the account has besides those of the row are kept behind them, but for
    /// those that its source listed before.
    pub fn onto(&self, account: &mut Account) {
        let mut addresses = self.addresses.clone();
        let own = |address: &EmailAddress| !self.addresses.contains(address) && !self.listed_before.contains(address);
        addresses.extend(account.addresses.drain(..).filter(own));
        account.addresses = addresses;
        for (column, cell) in &self.cells {
            // Every cell was set on a blank account when it was read.
            let _ = set(account, column, cell);
        }
    }
}

/// An account of which only the addresses are known.
pub fn blank(id: AccountId, addresses: Vec<EmailAddress>) -> Account {
    Account {
        id,
        addresses,
        name: String::new(),
        kind: AccountKind::Guest,
        category: Category::None,
        organisation: String::new(),
        operating_agency: false,
        country: None,
        study_groups: Vec::new(),
        languages: Vec::new(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: SOURCE.into(),
    }
}

/// Reads a CSV file; `file` is only named in messages.
///
/// # Errors
/// When the header cannot be used; bad rows are in the result.
pub fn read(bytes: &[u8], file: &str, most_rows: usize) -> Result<Entries, String> {
    let bytes = decoded(bytes);
    let table = Table::read(&bytes, file, &COLUMNS, &["email", "kind"], most_rows)?;
    let mut found = Entries { warnings: table.unread(), ..Entries::default() };
    let mut seen: std::collections::HashMap<EmailAddress, usize> = std::collections::HashMap::new();
    for row in table.rows() {
        let row = match row {
            Ok(row) => row,
            Err(problem) => {
                found.nameless += 1;
                found.problems.push(problem);
                continue;
            }
        };
        let addresses = match addresses(row.cell("email").unwrap_or_default()) {
            Ok(addresses) => addresses,
            Err(why) => {
                found.nameless += 1;
                found.problems.push(table.problem(row.line, why, "mend the address and import the file again"));
                continue;
            }
        };
        let cells: Vec<(&'static str, String)> =
            COLUMNS[1..].iter().filter_map(|column| Some((*column, row.cell(column)?.to_owned()))).collect();
        let mut trial = blank(AccountId(0), addresses.clone());
        let wrong = cells.iter().find_map(|(column, cell)| set(&mut trial, column, cell).err().map(|why| format!("{column}: {why}")));
        let twice = addresses.iter().find_map(|address| seen.get(address).map(|line| format!("{address} stands in line {line} already")));
        if let Some(why) = wrong.or(twice) {
            found.named.extend(addresses);
            found.problems.push(table.problem(row.line, why, "mend the row and import the file again"));
            continue;
        }
        seen.extend(addresses.iter().map(|address| (address.clone(), row.line)));
        found.entries.push(Entry { line: row.line, addresses, listed_before: Vec::new(), cells });
    }
    Ok(found)
}

/// Sets one field from text. `key` is a column, or `standing` (`active`, `suspended` is set by its own command).
///
/// # Errors
/// What the value may be, in one sentence.
pub fn set(account: &mut Account, key: &str, value: &str) -> Result<(), String> {
    let value = value.trim();
    match key {
        "email" => account.addresses = addresses(value)?,
        "name" => account.name = one_line(value)?,
        "kind" => account.kind = kind(value)?,
        "category" => (account.category, account.operating_agency) = category(value, account.operating_agency)?,
        "organisation" => account.organisation = one_line(value)?,
        "operating_agency" => account.operating_agency = switch(value)?,
        "country" => account.country = if value.is_empty() { None } else { Some(country::parse(value)?) },
        "study_groups" => account.study_groups = values(value)?.map(study_group).collect::<Result<_, _>>()?,
        "languages" => account.languages = values(value)?.map(str::parse).collect::<Result<_, _>>()?,
        "expires" => account.expires = if value.is_empty() { None } else { Some(day(value)?) },
        "roles" => account.roles = values(value)?.map(role).collect::<Result<_, _>>()?,
        "standing" if value == "active" => account.standing = Standing::Active,
        "standing" => return Err("standing can be set to active; `enlace account suspend` does the other".into()),
        _ => return Err(format!("\"{}\" is no field of an account; known are {}, standing", key.escape_debug(), COLUMNS.join(", "))),
    }
    Ok(())
}

fn values(value: &str) -> Result<impl Iterator<Item = &str>, String> {
    let values = value.split([';', ',']).map(str::trim).filter(|word| !word.is_empty());
    if values.clone().count() > VALUES { Err(format!("more than {VALUES} values")) } else { Ok(values) }
}

fn addresses(value: &str) -> Result<Vec<EmailAddress>, String> {
    let mut addresses: Vec<EmailAddress> = Vec::new();
    for word in values(value)? {
        let address: EmailAddress = word.parse().map_err(|error: crate::domain::address::AddressError| error.to_string())?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err("there is no address".into()) } else { Ok(addresses) }
}

fn one_line(value: &str) -> Result<String, String> {
    let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() > NAME_CHARACTERS { Err(format!("longer than {NAME_CHARACTERS} characters")) } else { Ok(line) }
}

fn kind(value: &str) -> Result<AccountKind, String> {
    match value.to_ascii_lowercase().as_str() {
        "ties" => Ok(AccountKind::Ties),
        "guest" => Ok(AccountKind::Guest),
        _ => Err(format!("\"{}\" is neither ties nor guest", value.escape_debug())),
    }
}

/// An operating agency is a member of another sort for SG3 only; it stands as a sector member with a mark.
fn category(value: &str, agency: bool) -> Result<(Category, bool), String> {
    Ok(match value.to_ascii_lowercase().replace([' ', '_'], "-").as_str() {
        "member-state" => (Category::MemberState, agency),
        "sector-member" => (Category::SectorMember, agency),
        "operating-agency" => (Category::SectorMember, true),
        "associate" => (Category::Associate, agency),
        "academia" => (Category::Academia, agency),
        "" | "none" => (Category::None, agency),
        _ => {
            let known = "member-state, sector-member, operating-agency, associate, academia or none";
            return Err(format!("\"{}\" is no category: {known}", value.escape_debug()));
        }
    })
}

fn switch(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" | "" => Ok(false),
        _ => Err(format!("\"{}\" is neither yes nor no", value.escape_debug())),
    }
}

/// `SG12`, or `12` for short.
fn study_group(value: &str) -> Result<GroupCode, String> {
    if value.bytes().all(|b| b.is_ascii_digit()) { format!("SG{value}").parse() } else { value.parse() }
}

fn day(value: &str) -> Result<chrono::NaiveDate, String> {
    value.parse().map_err(|_| format!("\"{}\" is not a date such as 2027-12-31", value.escape_debug()))
}

fn role(value: &str) -> Result<DirectoryRole, String> {
    match value.split_once(':') {
        None if value.eq_ignore_ascii_case("tsb") => Ok(DirectoryRole::Tsb),
        None if value.eq_ignore_ascii_case("operator") => Ok(DirectoryRole::Operator),
        None if value.eq_ignore_ascii_case("focal-point") => Ok(DirectoryRole::FocalPoint),
        Some((tsb, code)) if tsb.eq_ignore_ascii_case("tsb") => Ok(DirectoryRole::TsbOf(code.parse()?)),
        _ => Err(format!("\"{}\" is no role: tsb, tsb:SG12RG-AMR, focal-point or operator", value.escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_row_is_read() {
        let csv = "email,name,kind,category,organisation,country,study_groups,languages,expires,roles\n\
            ana@example.org;ana@second.example,Ana Example,ties,operating-agency,Example,mx,SG12;3,es;en,2027-12-31,tsb:SG12RG-AMR;operator\n";
        let found = read(csv.as_bytes(), "a.csv", 10).unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let mut account = blank(AccountId(7), vec!["old@example.org".parse().unwrap()]);
        found.entries[0].onto(&mut account);
        let text = |values: Vec<String>| values.join(" ");
        assert_eq!(text(account.addresses.iter().map(ToString::to_string).collect()), "ana@example.org ana@second.example old@example.org");
        assert_eq!((account.kind, account.category, account.operating_agency), (AccountKind::Ties, Category::SectorMember, true));
        assert_eq!(account.country_code(), "MX");
        assert_eq!(text(account.study_groups.iter().map(ToString::to_string).collect()), "SG12 SG3");
        assert_eq!(text(account.languages.iter().map(ToString::to_string).collect()), "es en");
        assert_eq!(account.expires.unwrap().to_string(), "2027-12-31");
        assert_eq!(account.roles, [DirectoryRole::TsbOf("SG12RG-AMR".parse().unwrap()), DirectoryRole::Operator]);
    }

    #[test]
    fn a_missing_column_leaves_the_field_and_an_empty_cell_clears_it() {
        let mut account = Account { name: "Ana".into(), country: Some(*b"MX"), ..blank(AccountId(1), vec!["a@x.test".parse().unwrap()]) };
        let found = read(b"kind,email,country\nties,a@x.test,\n", "a.csv", 10).unwrap();
        found.entries[0].onto(&mut account);
        assert_eq!((account.name.as_str(), account.country, account.kind), ("Ana", None, AccountKind::Ties));
    }

    #[test]
    fn bad_rows_are_named_and_the_rest_is_read() {
        let csv = "email,kind,category,country,expires,roles,languages\n\
            good@x.test,ties,,,,,\n\
            not an address,ties,,,,,\n\
            b@x.test,robot,,,,,\n\
            c@x.test,ties,king,,,,\n\
            d@x.test,ties,,XX,,,\n\
            e@x.test,ties,,,tomorrow,,\n\
            f@x.test,ties,,,,tsb:,\n\
            g@x.test,ties,,,,,english\n\
            GOOD@x.test,guest,,,,,\n\
            ,ties,,,,,\n";
        let found = read(csv.as_bytes(), "a.csv", 100).unwrap();
        assert_eq!(found.entries.len(), 1);
        let lines: Vec<usize> = found.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!((found.named.len(), found.nameless), (7, 2));
        assert_eq!(
            found.problems[2].to_string(),
            "a.csv, line 5: category: \"king\" is no category: member-state, sector-member, operating-agency, associate, academia or none; mend the row and import the file again"
        );
        assert!(found.problems[7].text.contains("stands in line 2 already"));
    }
}
