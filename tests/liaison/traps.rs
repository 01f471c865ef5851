//! The traps of real documents, one statement each: what must be read, whatever the writing.

use enlace::domain::liaison::labels::Labels;
use enlace::domain::liaison::statement::{Direction, Prepared, Purpose};
use enlace::mail::statement::{Posted, PostedFile, Reading, read};

use crate::corpus::{mail_with_docx, mail_with_text};
use crate::document::{docx, paragraph, row, table};

/// Reads a field as text.
fn field(reading: &Reading, name: &str) -> String {
    let list = |purpose: Purpose| {
        let names: Vec<_> = reading.destinations().into_iter().filter(|d| d.purpose == purpose).map(|d| d.name).collect();
        names.join("; ")
    };
    match name {
        "title" => reading.title.values().map(|found| found.value.clone()).collect::<Vec<_>>().join("; "),
        "source" => reading.source.as_ref().map(|found| found.value.clone()).unwrap_or_default(),
        "action" => list(Purpose::Action),
        "comment" => list(Purpose::Comment),
        "information" => list(Purpose::Information),
        "questions" => reading.questions.iter().flat_map(|found| &found.value).map(ToString::to_string).collect::<Vec<_>>().join(", "),
        "deadline" => reading.deadline.as_ref().and_then(|found| found.value).map(|day| day.to_string()).unwrap_or_default(),
        "symbol" => reading.symbol.as_ref().map(|found| found.value.to_string()).unwrap_or_default(),
        "reply" => reading.reply.as_ref().map(|found| format!("reply {}", found.value)).unwrap_or_default(),
        "direction" => match reading.direction.as_ref().map(|found| found.value) {
            Some(Direction::Incoming) => "incoming".into(),
            Some(Direction::Outgoing) => "outgoing".into(),
            None => String::new(),
        },
        "emails" => {
            let contacts = reading.contacts.iter().flat_map(|found| &found.value);
            contacts.filter_map(|contact| contact.email.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        "level" => reading.approval.as_ref().and_then(|found| found.value.level).map(|level| level.as_str().to_owned()).unwrap_or_default(),
        "prepared" => match reading.prepared.as_ref().map(|found| &found.value) {
            Some(Prepared::Meeting { place, start, end }) => {
                let day = |day: &Option<chrono::NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
                format!("{place} {}/{}", day(start), day(end))
            }
            Some(Prepared::ByCorrespondence) => "correspondence".into(),
            Some(Prepared::Unknown) | None => String::new(),
        },
        other => panic!("{other}"),
    }
}

/// Lines that every statement of this table has unless it says otherwise.
fn with(lines: &str) -> Posted {
    mail_with_text(&format!("Source: ITU-T SG12\n{lines}\n\nText.\n"))
}

#[test]
fn every_trap_of_the_field_is_read_as_it_is_meant() {
    let labels = Labels::shipped();
    let cases: &[(&str, &str, &[(&str, &str)])] = &[
        (
            "hyphens that do not break",
            "Title: LS/o on ITU\u{2011}T work\nFor action to: ITU\u{2010}T SG2",
            &[("title", "LS/o on ITU-T work"), ("action", "ITU-T SG2")],
        ),
        ("a soft hyphen between capitals", "Title: LS/o on ITU\u{ad}T work", &[("title", "LS/o on ITU-T work")]),
        (
            "no-break spaces",
            "Title\u{a0}: LS/o\u{a0}on X\nDeadline\u{202f}: 22\u{a0}January\u{a0}2027",
            &[("title", "LS/o on X"), ("deadline", "2027-01-22")],
        ),
        (
            "destinations that are none",
            "Title: LS/o on X\nFor action to: -\nFor comment to: n/a\nFor information to: None",
            &[("action", ""), ("comment", ""), ("information", "")],
        ),
        ("an empty destination", "Title: LS/o on X\nFor action to:\nFor information to: TSAG", &[("action", ""), ("information", "TSAG")]),
        ("no deadline", "Title: LS/o on X\nDeadline: n/a", &[("deadline", "")]),
        (
            "several destinations, each with its purpose",
            "Title: LS/o on X\nFor action to: SG2, SG3\nFor comment to: ITU-R SG5\nFor information to: TSAG; all ITU-T study groups",
            &[("action", "SG2; SG3"), ("comment", "ITU-R SG5"), ("information", "TSAG; all ITU-T study groups")],
        ),
        ("outgoing", "Title: LS/o on X", &[("direction", "outgoing"), ("reply", "")]),
        ("incoming", "Title: LS/i on X [from SG11]", &[("direction", "incoming")]),
        ("a reply that goes out", "Title: LS/o/r on X (reply to SG2-LS45)", &[("direction", "outgoing"), ("reply", "reply SG2-LS45")]),
        ("a reply that came in", "Title: LS/i/r on X [reply to SG2-LS45]", &[("direction", "incoming"), ("reply", "reply SG2-LS45")]),
        ("a reply without direction", "Title: LS/r on X", &[("direction", ""), ("reply", "reply ")]),
        ("a destination in the title", "Title: LS/o on X [to TSAG]", &[("information", "TSAG")]),
        ("a row wins over the title", "Title: LS/o on X [to SG2]\nFor action to: SG3", &[("action", "SG3"), ("information", "")]),
        ("information in the title", "Title: LS/o on X [for info to SG2, SG3]", &[("information", "SG2; SG3")]),
        ("Questions in all their forms", "Title: LS/o on X\nQuestion(s): Q.7/12, 8/12, ALL/2", &[("questions", "7/12, 8/12, ALL/2")]),
        (
            "addresses that hide from robots",
            "Title: LS/o on X\nContact: Ana Example, ana[at]example.org\nContact: Bo Example, bo(AT)example.org",
            &[("emails", "ana@example.org, bo@example.org")],
        ),
        (
            "approved by a working party",
            "Title: LS/o on X\nApproval: ITU-T WP1/12 meeting (Geneva, 18 September 2026)",
            &[("level", "working_party"), ("prepared", "Geneva 2026-09-18/2026-09-18")],
        ),
        (
            "agreed at a rapporteur group meeting",
            "Title: LS/o on X\nApproval: Agreed at a rapporteur group meeting (online, 3 March 2026)",
            &[("level", "rapporteur_group")],
        ),
        (
            "by correspondence",
            "Title: LS/o on X\nApproval: ITU-T SG12 management team, by correspondence",
            &[("level", "management_correspondence"), ("prepared", "correspondence")],
        ),
        (
            "a regional group approves",
            "Title: LS/o on X\nApproval: SG12RG-AMR meeting (Mexico City, 6-7 April 2027)",
            &[("level", "regional_group"), ("prepared", "Mexico City 2027-04-06/2027-04-07")],
        ),
        (
            "an Arabic span is written from right to left",
            "العنوان: LS/o بشأن شيء\nالموافقة: اجتماع لجنة الدراسات 12 (جنيف، 14-10 ديسمبر 2018)",
            &[("prepared", "جنيف 2018-12-10/2018-12-14")],
        ),
        ("a full-width colon", "标题：LS/o 关于X\n截止期限：2027年1月22日", &[("title", "LS/o 关于X"), ("deadline", "2027-01-22")]),
        (
            "Russian quotation marks",
            "Название: LS/o о «качестве»\nПредельный срок: 22 января 2027 г.",
            &[("title", "LS/o о «качестве»"), ("deadline", "2027-01-22")],
        ),
        (
            "French words that are labels elsewhere",
            "Titre\u{a0}: LS/o sur X\nObjet\u{a0}: Information\nDélai\u{a0}: 1er février 2027",
            &[("title", "LS/o sur X"), ("deadline", "2027-02-01")],
        ),
        (
            "Spanish without accents",
            "Titulo: LS/o sobre X\nFecha limite: 22 de enero de 2027\nPara informacion a: GANT",
            &[("deadline", "2027-01-22"), ("information", "GANT")],
        ),
        ("the form of ITU-D", "Title: LS/o on X\nTo: RAG\nFor: Comment", &[("comment", "RAG")]),
        ("a symbol in a row", "Title: LS/o on X\nDocument: SG12-TD364R2", &[("symbol", "SG12-TD364R2")]),
        (
            "a long title over several lines",
            "Title: LS/o on a title\n  that goes on\nDeadline: N/A",
            &[("title", "LS/o on a title that goes on")],
        ),
        ("the other order", "Deadline: 22 January 2027\nTitle: LS/o on X", &[("title", "LS/o on X"), ("deadline", "2027-01-22")]),
    ];
    let mut wrong = Vec::new();
    for (name, lines, expected) in cases {
        let reading = read(&with(lines), &labels);
        for (wanted, value) in *expected {
            let found = field(&reading, wanted);
            if found != *value {
                wrong.push(format!("{name}: {wanted} is {found:?} instead of {value:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_of_files_and_cells_give_the_symbol_and_its_revision() {
    let labels = Labels::shipped();
    for (name, cell, expected) in [
        ("T25-SG12-260928-TD-GEN-0364!!MSW-E.docx", "", "SG12-TD364"),
        ("T25-SG12-260928-TD-GEN-0364!R1!MSW-E.docx", "", "SG12-TD364R1"),
        ("statement-E.docx", "SG12-TD364", "SG12-TD364"),
        ("statement-E.docx", "TD 123/GEN", "SG12-TD123"),
        ("statement-E.docx", "TD1R3/PLEN", "SG12-TD1R3"),
        ("statement-E.docx", "", ""),
        ("T25-SG12-C-0001-E.docx", "", "SG12-C1"),
    ] {
        let rows = [row(&["UNION", cell]), row(&["Source:", "ITU-T SG12"]), row(&["Title:", "LS/o on X"])];
        let mut posted = mail_with_docx(name, docx(&(table(&rows) + &paragraph("Text."))));
        posted.files.push(PostedFile { name: "T25-SG12-C.xml".into(), bytes: b"<x/>".to_vec(), ..PostedFile::default() });
        let reading = read(&posted, &labels);
        assert_eq!(field(&reading, "symbol"), expected, "{name} {cell}");
        assert_eq!(reading.editions.len(), 1, "an index is no Chinese edition: {:?}", reading.editions);
    }
}
