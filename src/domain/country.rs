//! Countries and the ITU regions they belong to.
//!
//! Source: the regions in which ITU lists its 194 Member States (ITU-D regional presences; Palau, the latest, joined in
//! 2024), as far as known when this was written; the list was not read from ITU at build time and is meant to be corrected here.
//! Codes are those of ISO 3166-1, all 249. The surprise: a country may be of two regions, and then matches either, because
//! regional groups overlap: ten Arab States are also of the African Telecommunications Union, and ITU moved Georgia, Moldova
//! and Ukraine from its CIS list to Europe while groups "EECAT" carry the wider name. Territories go by where they lie.

use Region::{Africa, Americas, ArabStates, AsiaPacific, Eecat, Europe};

use super::group::Region;

/// Codes with the regions they are of, alphabetical within a row, separated by one space.
const TABLE: &[(&str, &[Region])] = &[
    // States of Africa only.
    (
        "AO BF BI BJ BW CD CF CG CI CM CV ER ET GA GH GM GN GQ GW KE LR LS MG ML MU MW MZ NA NE NG RW SC SL SN SS ST SZ TD TG TZ UG ZA ZM ZW",
        &[Africa],
    ),
    // Arab States outside Africa, and the State of Palestine.
    ("AE BH IQ JO KW LB OM PS QA SA SY YE", &[ArabStates]),
    // Arab States in Africa: of both.
    ("DJ DZ EG KM LY MA MR SD SO TN", &[Africa, ArabStates]),
    // The Americas.
    ("AG AR BB BO BR BS BZ CA CL CO CR CU DM DO EC GD GT GY HN HT JM KN LC MX NI PA PE PY SR SV TT US UY VC VE", &[Americas]),
    // Asia and the Pacific.
    (
        "AF AU BD BN BT CN FJ FM ID IN IR JP KH KI KP KR LA LK MH MM MN MV MY NP NR NZ PG PH PK PW SB SG TH TL TO TV VN VU WS",
        &[AsiaPacific],
    ),
    // Regional Commonwealth in the field of Communications.
    ("AM AZ BY KG KZ RU TJ TM UZ", &[Eecat]),
    // Once of the RCC or by its name ("Eastern Europe … and Transcaucasia"), by ITU's list now of Europe: of both.
    ("GE MD UA", &[Eecat, Europe]),
    // Europe.
    (
        "AD AL AT BA BE BG CH CY CZ DE DK EE ES FI FR GB GR HR HU IE IL IS IT LI LT LU LV MC ME MK MT NL NO PL PT RO RS SE SI SK SM TR VA",
        &[Europe],
    ),
    // Territories, by where they lie.
    ("EH IO RE SH YT", &[Africa]),
    ("AI AW BL BM BQ CW FK GF GP GS KY MF MQ MS PM PR SX TC VG VI", &[Americas]),
    ("AS CC CK CX GU HK HM MO MP NC NF NU PF PN TK TW UM WF", &[AsiaPacific]),
    ("AX BV FO GG GI IM JE SJ TF", &[Europe]),
    // Greenland lies in the Americas and is served with Denmark.
    ("GL", &[Americas, Europe]),
    // Antarctica is of no region.
    ("AQ", &[]),
];

/// Is the country (ISO 3166-1 alpha-2, upper case) of the region?
pub fn is_in(country: [u8; 2], region: Region) -> bool {
    regions(country).contains(&region)
}

/// The regions of a country; empty for Antarctica and for what is no code of ISO 3166-1.
pub fn regions(country: [u8; 2]) -> &'static [Region] {
    row(country).map_or(&[], |(_, regions)| regions)
}

/// Reads a country code in any case.
///
/// # Errors
/// If ISO 3166-1 has no such code.
pub fn parse(text: &str) -> Result<[u8; 2], String> {
    let code = text.trim().to_ascii_uppercase();
    match code.as_bytes() {
        [a, b] if row([*a, *b]).is_some() => Ok([*a, *b]),
        _ => Err(format!("\"{}\" is not a country code of ISO 3166-1: use two letters such as MX", text.trim().escape_debug())),
    }
}

/// All codes, in the order of the table.
pub fn all() -> impl Iterator<Item = [u8; 2]> {
    TABLE.iter().flat_map(|(codes, _)| codes.split(' ')).filter_map(|code| code.as_bytes().try_into().ok())
}

fn row(country: [u8; 2]) -> Option<&'static (&'static str, &'static [Region])> {
    TABLE.iter().find(|(codes, _)| codes.split(' ').any(|code| code.as_bytes() == country))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn count(region: Region) -> usize {
        all().filter(|country| is_in(*country, region)).count()
    }

    #[test]
    fn every_code_of_iso_3166_stands_once() {
        let codes: Vec<_> = all().collect();
        assert_eq!(codes.len(), 249);
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 249, "a code stands twice");
        assert!(codes.iter().flatten().all(u8::is_ascii_uppercase));
    }

    #[test]
    fn member_states_add_up() {
        // The first eight rows are states, the rest territories; the State of Palestine is not a Member State.
        let states: usize = TABLE[..8].iter().map(|(codes, _)| codes.split(' ').count()).sum();
        assert_eq!(states, 194 + 1);
    }

    #[test]
    fn regions_have_their_size() {
        let territories = [(Africa, 5), (Americas, 21), (AsiaPacific, 18), (Europe, 10)];
        for (region, states) in [(Africa, 54), (Americas, 35), (ArabStates, 22), (AsiaPacific, 39), (Eecat, 12), (Europe, 46)] {
            let territories = territories.iter().find(|(of, _)| *of == region).map_or(0, |(_, count)| *count);
            assert_eq!(count(region), states + territories, "{region:?}");
        }
    }

    #[test]
    fn some_are_of_two_regions() {
        for code in ["DZ", "DJ", "EG", "KM", "LY", "MR", "MA", "SO", "SD", "TN"] {
            let code = parse(code).unwrap();
            assert!(is_in(code, Africa) && is_in(code, ArabStates));
        }
        for code in ["GE", "MD", "UA"] {
            let code = parse(code).unwrap();
            assert!(is_in(code, Eecat) && is_in(code, Europe));
        }
        assert_eq!(regions(*b"MX"), [Americas]);
        assert_eq!(regions(*b"SA"), [ArabStates]);
        assert_eq!(regions(*b"KZ"), [Eecat]);
        assert_eq!(regions(*b"JP"), [AsiaPacific]);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        assert_eq!(parse(" mx "), Ok(*b"MX"));
        for bad in ["", "M", "MEX", "XX", "UK", "ZZ", "é"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(regions(*b"XX").is_empty());
    }
}
