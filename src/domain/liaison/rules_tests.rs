//! Every rule broken once, on a statement that is otherwise good.

use chrono::{DateTime, NaiveDate};

use super::*;
use crate::domain::id::LiaisonId;
use crate::domain::language::Localized;
use crate::domain::liaison::statement::*;
use crate::domain::post::BodyRef;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn spanish() -> Language {
    "es".parse().unwrap()
}

/// A statement without any problem on 2026-11-24 for a group that works in English and Spanish.
pub fn good() -> Statement {
    let edition = |language, title: &str| StatementEdition {
        language,
        title: title.into(),
        text: "Text".into(),
        attachments: vec![Attachment {
            name: format!("T25-SG12-TD-0364-{}.docx", language.itu_letter().unwrap()),
            media_type: "application/vnd.openxmlformats-officedocument.wordprocessingml.document".into(),
            sha256: "00".repeat(32),
            body: BodyRef { key: "x".into(), octets: 1000 },
            macros: false,
        }],
        added_at: DateTime::UNIX_EPOCH,
    };
    Statement {
        id: LiaisonId(1),
        group: "SG12RG-AMR".parse().unwrap(),
        number: Some(1),
        direction: Direction::Outgoing,
        source: "ITU-T SG12RG-AMR".into(),
        source_group: "SG12RG-AMR".parse().ok(),
        prepared: Prepared::ByCorrespondence,
        questions_from: vec![],
        questions_to: vec![],
        destinations: vec![
            Destination { name: "ITU-T SG2".into(), purpose: Purpose::Action },
            Destination { name: "TSAG".into(), purpose: Purpose::Information },
        ],
        approval: Approval { text: "ITU-T SG12 meeting".into(), level: Some(ApprovalLevel::StudyGroup), date: None },
        deadline: Some(day("2027-01-22")),
        contacts: vec![Contact { name: "Ana Example".into(), email: "ana@itu.example".parse().ok(), ..Contact::default() }],
        symbol: Some(Symbol { text: "SG12-TD364".into(), ..Symbol::default() }),
        original: None,
        summary: Localized::default(),
        editions: vec![edition(Language::ENGLISH, "LS/o on X"), edition(spanish(), "LS/o sobre X")],
        reply: None,
        for_tsag: false,
        message_ids: vec![],
        problems: vec![],
        events: vec![],
    }
}

/// `V2 error, V9 warning`: rules and levels found after a change.
fn check_after(change: impl FnOnce(&mut Statement, &mut Circumstances<'_>), expected: &str) {
    let languages = [Language::ENGLISH, spanish()];
    let roster = ["ana@itu.example"].map(|a| RosterFact { address: a.parse().unwrap(), category: Category::SectorMember, guest: false });
    let mut circumstances = Circumstances {
        today: day("2026-11-24"),
        languages: &languages,
        roster: &roster,
        symbol_used_by: None,
        foreign_source: None,
        parent_must_endorse: false,
        reply_known: None,
        doubts: &[],
        attachment_octets: 10 * 1024 * 1024,
    };
    let mut statement = good();
    change(&mut statement, &mut circumstances);
    let found: Vec<_> = check(&statement, &circumstances).iter().map(|p| format!("{} {}", p.rule, p.level.as_str())).collect();
    assert_eq!(found.join(", "), expected);
}

#[test]
fn a_good_statement_has_no_problem() {
    check_after(|_, _| {}, "");
}

#[test]
fn every_rule_broken_once() {
    check_after(|s, _| s.destinations.clear(), "V1 error");
    check_after(|_, c| c.doubts = Box::leak(Box::new([Doubt::PurposeAssumed("TSAG".into())])), "V1 warning");
    check_after(|s, _| s.deadline = None, "V2 error");
    check_after(
        |s, c| {
            s.deadline = None;
            c.doubts = Box::leak(Box::new([Doubt::DeadlineUnclear("as soon as possible".into())]));
        },
        "V2 error",
    );
    check_after(
        |s, _| {
            s.deadline = None;
            s.destinations[0].purpose = Purpose::Comment;
        },
        "V3 warning",
    );
    check_after(|s, _| s.deadline = Some(day("2026-11-23")), "V4 warning");
    check_after(|s, _| s.deadline = Some(day("2026-11-24")), "V4 warning");
    check_after(|s, _| s.deadline = Some(day("2026-11-25")), "");
    check_after(
        |s, c| {
            c.today = day("2026-11-27");
            s.deadline = Some(day("2026-11-29"));
        },
        "V4 warning",
    );
    check_after(|s, _| s.approval = Approval::default(), "V5 error");
    check_after(|s, _| s.approval.level = None, "V5 error");
    check_after(
        |s, c| {
            s.approval.level = Some(ApprovalLevel::RegionalGroup);
            c.parent_must_endorse = true;
        },
        "V5 error",
    );
    check_after(|s, _| s.prepared = Prepared::Unknown, "V6 warning");
    check_after(|s, _| s.contacts.clear(), "V7 error");
    check_after(|s, _| s.contacts[0].email = None, "V7 error");
    check_after(|s, _| s.editions[1].title.clear(), "V8 warning");
    check_after(
        |s, c| {
            s.reply = Some(Reply { reference: "SG2-LS9".into(), statement: None });
            c.reply_known = Some(false);
        },
        "V8 warning",
    );
    check_after(|s, _| s.editions.truncate(1), "V9 warning");
    check_after(|s, _| s.editions.clear(), "V10 error");
    check_after(|_, c| c.symbol_used_by = Some("SG12RG-AMR-LS7".into()), "V13 error");
    check_after(
        |_, c| c.doubts = Box::leak(Box::new([Doubt::Unreadable { file: "a.docx".into(), why: "it is damaged".into() }])),
        "V14 warning",
    );
    check_after(|s, _| s.editions[0].attachments[0].macros = true, "V14 warning");
    check_after(|s, _| s.editions[0].attachments[0].name = "x.exe".into(), "V14 warning");
    check_after(|s, _| s.editions[0].attachments[0].body.octets = 1 << 30, "V14 warning");
}

#[test]
fn associates_academia_and_guests_never_liaise() {
    for (category, guest, expected) in [
        (Category::Associate, false, "V11 error"),
        (Category::Academia, false, "V11 error"),
        (Category::None, true, "V11 error"),
        (Category::MemberState, true, "V11 error"),
        (Category::MemberState, false, ""),
        (Category::SectorMember, false, ""),
    ] {
        let roster = [RosterFact { address: "ANA@itu.example".parse().unwrap(), category, guest }];
        check_after(|_, c| c.roster = Box::leak(Box::new(roster)), expected);
    }
    let stranger = [RosterFact { address: "luis@itu.example".parse().unwrap(), category: Category::Associate, guest: false }];
    check_after(|_, c| c.roster = Box::leak(Box::new(stranger)), "");
}

#[test]
fn keys_are_unique_and_texts_have_their_places_filled() {
    let mut keys: Vec<_> = Finding::ALL.iter().map(|finding| finding.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), Finding::ALL.len());
    assert!(Finding::DeadlineDiffers.about(["deadline", "a", "b"]).text.contains("another says b"));
}
