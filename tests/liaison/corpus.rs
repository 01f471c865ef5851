//! A corpus of statements in six languages, written here as Word documents and as mails, with what must be read from them.

use enlace::domain::language::Language;
use enlace::domain::liaison::labels::{Field, Labels};
use enlace::domain::liaison::statement::{Destination, Doubt, Prepared, Purpose};
use enlace::mail::statement::{Posted, PostedFile, PostedText, Reading, read};

use crate::document::*;

/// A row of a header as a test writes it.
pub type WrittenRow = (Field, Vec<String>);

/// The six languages.
pub const LANGUAGES: [&str; 6] = ["en", "fr", "es", "ar", "zh", "ru"];

/// A language by its tag.
pub fn language(tag: &str) -> Language {
    tag.parse().unwrap()
}

/// What a native secretary would write: values for every row, all saying the same.
pub fn rows_in(tag: &str) -> Vec<WrittenRow> {
    let [meeting, source, title, action, comment, information, approval, deadline, contact_left, contact_right] = match tag {
        "en" => [
            "Geneva, 9-18 September 2026",
            "ITU-T Study Group 12",
            "LS/o on quality of service in the region [to SG2]",
            "ITU-T SG2",
            "-",
            "TSAG, all ITU-T study groups",
            "ITU-T SG12 meeting (Geneva, 18 September 2026)",
            "22 January 2027",
            "Ana Example\nExample Telecom\nMexico",
            "Tel: +41 22 000 0000\nE-mail: ana@example.org",
        ],
        "fr" => [
            "Genève, 9-18 septembre 2026",
            "Commission d'études 12 de l'UIT-T",
            "LS/o sur la qualité de service dans la région [to SG2]",
            "CE 2",
            "Néant",
            "GCNT, toutes les commissions d'études",
            "Réunion de la CE 12 de l'UIT-T (Genève, 18 septembre 2026)",
            "22 janvier 2027",
            "Ana Example\nExample Telecom\nMexique",
            "Tél.: +41 22 000 0000\nE-mail: ana@example.org",
        ],
        "es" => [
            "Ginebra, 9-18 de septiembre de 2026",
            "Comisión de Estudio 12 del UIT-T",
            "LS/o sobre la calidad de servicio en la región [to SG2]",
            "CE 2",
            "–",
            "GANT, todas las Comisiones de Estudio",
            "Reunión de la CE 12 del UIT-T (Ginebra, 18 de septiembre de 2026)",
            "22 de enero de 2027",
            "Ana Example\nExample Telecom\nMéxico",
            "Tel.: +41 22 000 0000\nCorreo-e: ana@example.org",
        ],
        "ar" => [
            "جنيف، 18-9 سبتمبر 2026",
            "لجنة الدراسات 12",
            "LS/o بشأن جودة الخدمة في المنطقة [to SG2]",
            "لجنة الدراسات 2",
            "لا ينطبق",
            "الفريق الاستشاري لتقييس الاتصالات، جميع لجان الدراسات",
            "اجتماع لجنة الدراسات 12 (جنيف، 18 سبتمبر 2026)",
            "22 يناير 2027",
            "Ana Example\nExample Telecom\nالمكسيك",
            "الهاتف: +41 22 000 0000\nالبريد الإلكتروني: ana@example.org",
        ],
        "zh" => [
            "2026年9月9-18日，日内瓦",
            "ITU-T第12研究组",
            "LS/o 关于区域服务质量 [to SG2]",
            "第2研究组",
            "无",
            "电信标准化顾问组、所有研究组",
            "ITU-T第12研究组会议（2026年9月18日，日内瓦）",
            "2027年1月22日",
            "Ana Example\nExample Telecom\n墨西哥",
            "电话：+41 22 000 0000\n电子邮件：ana@example.org",
        ],
        _ => [
            "Женева, 9–18 сентября 2026 года",
            "12-я Исследовательская комиссия МСЭ-Т",
            "LS/o о качестве обслуживания в регионе [to SG2]",
            "ИК 2",
            "Не применимо",
            "КГСЭ, все исследовательские комиссии",
            "Собрание ИК 12 (Женева, 18 сентября 2026 г.)",
            "22 января 2027 г.",
            "Ana Example\nExample Telecom\nМексика",
            "Тел.: +41 22 000 0000\nЭл. почта: ana@example.org",
        ],
    };
    let row = |field, cells: &[&str]| (field, cells.iter().map(|cell| (*cell).to_owned()).collect());
    vec![
        row(Field::Questions, &["1/12, 2/12, 3/2", meeting]),
        row(Field::Source, &[source]),
        row(Field::Title, &[title]),
        row(Field::Action, &[action]),
        row(Field::Comment, &[comment]),
        row(Field::Information, &[information]),
        row(Field::Approval, &[approval]),
        row(Field::Deadline, &[deadline]),
        row(Field::Contact, &[contact_left, contact_right]),
    ]
}

/// The label as the language writes it, with its usual colon.
pub fn label(field: Field, tag: &str, labels: &Labels) -> String {
    let colon = match tag {
        "fr" => "\u{a0}:",
        "zh" => "：",
        _ => ":",
    };
    format!("{}{colon}", labels.written(field, language(tag)))
}

/// A Word document with these rows.
pub fn docx_with(rows: &[(String, Vec<String>)]) -> Vec<u8> {
    let mut all = vec![row(&["UNION", "SG12-TD364"])];
    for (label, cells) in rows {
        let cells: Vec<&str> = std::iter::once(label.as_str()).chain(cells.iter().map(String::as_str)).collect();
        all.push(row(&cells));
    }
    docx(&(table(&all) + &paragraph("Text.")))
}

/// A block of labels and values, and a text below.
pub fn body_with(rows: &[(String, Vec<String>)]) -> String {
    let lines = rows.iter().map(|(label, cells)| format!("{label} {}", cells.join("\n")));
    lines.collect::<Vec<_>>().join("\n") + "\n\nText of the statement.\n"
}

/// Labels put in front of the rows.
pub fn labelled(rows: &[WrittenRow], tag: &str, labels: &Labels) -> Vec<(String, Vec<String>)> {
    rows.iter().map(|(field, cells)| (label(*field, tag, labels), cells.clone())).collect()
}

/// A mail with one document.
pub fn mail_with_docx(name: &str, bytes: Vec<u8>) -> Posted {
    Posted {
        message_id: "1@itu.example".into(),
        subject: "Liaison statement".into(),
        texts: vec![PostedText { text: "Please find attached.\n".into(), ..PostedText::default() }],
        files: vec![PostedFile { name: name.into(), media_type: "application/octet-stream".into(), bytes, ..PostedFile::default() }],
        ..Posted::default()
    }
}

/// A mail with a text only.
pub fn mail_with_text(text: &str) -> Posted {
    let texts = vec![PostedText { text: text.into(), ..PostedText::default() }];
    Posted { message_id: "1@itu.example".into(), subject: "Liaison statement".into(), texts, ..Posted::default() }
}

fn list(found: Option<&Vec<Destination>>) -> String {
    found.map_or("?".into(), |all| all.iter().map(|d| d.name.as_str()).collect::<Vec<_>>().join("; "))
}

/// What was read, field by field.
pub fn shown(reading: &Reading) -> Vec<(&'static str, String)> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "?".into());
    let approval = reading.approval.as_ref().map(|f| {
        format!(
            "{:?} {:?}",
            f.value.level.map(enlace::domain::liaison::statement::ApprovalLevel::as_str),
            f.value.date.map(|d| d.to_string())
        )
    });
    let prepared = reading.prepared.as_ref().map(|f| match &f.value {
        Prepared::Meeting { place, start, end } => format!("{place} {}/{}", start.unwrap(), end.unwrap()),
        other => format!("{other:?}"),
    });
    let contacts = reading.contacts.as_ref().map(|f| {
        let one = |c: &enlace::domain::liaison::statement::Contact| {
            format!("{}|{}|{}|{}|{}", c.name, c.organisation, c.country, c.telephone, c.email.as_ref().map_or("", |e| e.as_str()))
        };
        f.value.iter().map(one).collect::<Vec<_>>().join("; ")
    });
    let questions = reading.questions.as_ref().map(|f| f.value.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    vec![
        ("title", reading.title.iter().map(|(l, f)| format!("{l}={}", f.value)).collect::<Vec<_>>().join("; ")),
        ("source", text(reading.source.as_ref().map(|f| f.value.clone()))),
        ("action", list(reading.action.as_ref().map(|f| &f.value))),
        ("comment", list(reading.comment.as_ref().map(|f| &f.value))),
        ("information", list(reading.information.as_ref().map(|f| &f.value))),
        ("questions", text(questions)),
        ("prepared", text(prepared)),
        ("approval", text(approval)),
        ("deadline", reading.deadline.as_ref().map_or("?".into(), |f| f.value.map_or("none".into(), |d| d.to_string()))),
        ("contacts", text(contacts)),
    ]
}

/// What must be read from [`rows_in`], whatever carries it.
pub fn expected(tag: &str) -> Vec<(&'static str, String)> {
    let rows = rows_in(tag);
    let value = |field: Field| rows.iter().find(|(f, _)| *f == field).unwrap().1[0].clone();
    let country = value(Field::Contact).lines().last().unwrap().to_owned();
    let place = match tag {
        "fr" => "Genève",
        "es" => "Ginebra",
        "ar" => "جنيف",
        "zh" => "日内瓦",
        "ru" => "Женева",
        _ => "Geneva",
    };
    let information = value(Field::Information).replace(", ", "; ").replace("، ", "; ").replace('、', "; ");
    vec![
        ("title", format!("{tag}={}", value(Field::Title))),
        ("source", value(Field::Source)),
        ("action", value(Field::Action)),
        ("comment", String::new()),
        ("information", information),
        ("questions", "1/12, 2/12, 3/2".into()),
        ("prepared", format!("{place} 2026-09-09/2026-09-18")),
        ("approval", "Some(\"study_group\") Some(\"2026-09-18\")".into()),
        ("deadline", "2027-01-22".into()),
        ("contacts", format!("Ana Example|Example Telecom|{country}|+41 22 000 0000|ana@example.org")),
    ]
}

#[test]
fn documents_and_mails_in_six_languages_are_read_alike() {
    let labels = Labels::shipped();
    for tag in LANGUAGES {
        let rows = labelled(&rows_in(tag), tag, &labels);
        let letter = language(tag).itu_letter().unwrap();
        let name = format!("T25-SG12-260918-TD-GEN-0364!!MSW-{letter}.docx");
        let reading = read(&mail_with_docx(&name, docx_with(&rows)), &labels);
        assert_eq!(shown(&reading), expected(tag), "{tag} document");
        assert_eq!(reading.editions.iter().map(|e| e.language).collect::<Vec<_>>(), [language(tag)]);
        assert_eq!(reading.symbol.as_ref().unwrap().value.to_string(), "SG12-TD364");
        let unlettered = read(&mail_with_docx("statement.docx", docx_with(&rows)), &labels);
        assert_eq!(shown(&unlettered), expected(tag), "{tag} document without a letter");
        let reading = read(&mail_with_text(&body_with(&rows)), &labels);
        assert_eq!(shown(&reading), expected(tag), "{tag} mail");
        assert_eq!(reading.editions[0].text, "Text of the statement.", "{tag}");
        // Paragraphs with tabs instead of a table, as in figure 1-1 of A.1.
        let paragraphs: String = rows.iter().map(|(label, cells)| paragraph(&format!("{label}\t{}", cells.join("\t")))).collect();
        let joined: Vec<_> = rows.iter().map(|(label, cells)| (label.clone(), vec![cells.join("\t")])).collect();
        let reading = read(&mail_with_docx(&name, docx(&(paragraphs + "<w:p/>"))), &labels);
        assert_eq!(reading.title.len(), 1, "{tag} {joined:?}");
        assert_eq!(reading.deadline.unwrap().value.unwrap().to_string(), "2027-01-22", "{tag} paragraphs");
        // Capitals, as in A.1 itself; Arabic and Chinese have none.
        let capitals: Vec<_> = rows.iter().map(|(label, cells)| (label.to_uppercase(), cells.clone())).collect();
        assert_eq!(shown(&read(&mail_with_docx(&name, docx_with(&capitals)), &labels)), expected(tag), "{tag} capitals");
    }
}

#[test]
fn two_documents_are_two_editions_of_one_statement() {
    let labels = Labels::shipped();
    let mut posted = mail_with_docx("T25-SG12-260918-TD-GEN-0364!!MSW-S.docx", docx_with(&labelled(&rows_in("es"), "es", &labels)));
    let english = docx_with(&labelled(&rows_in("en"), "en", &labels));
    posted.files.push(PostedFile { name: "T25-SG12-260918-TD-GEN-0364!R1!MSW-E.docx".into(), bytes: english, ..PostedFile::default() });
    posted.files.push(PostedFile { name: "annex.xlsx".into(), bytes: b"x".to_vec(), ..PostedFile::default() });
    let reading = read(&posted, &labels);
    assert_eq!(reading.title.len(), 2);
    let editions: Vec<_> = reading.editions.iter().map(|e| (e.language.to_string(), e.files.clone())).collect();
    assert_eq!(editions, [("es".to_owned(), vec![0, 2]), ("en".to_owned(), vec![1, 2])]);
    assert_eq!(reading.source.unwrap().value, "ITU-T Study Group 12", "English first");
    assert_eq!(reading.symbol.unwrap().value.to_string(), "SG12-TD364R1");
    let older = Doubt::OtherDocument { file: "T25-SG12-260918-TD-GEN-0364!!MSW-S.docx".into(), used: "SG12-TD364R1".into() };
    assert_eq!(reading.doubts, [older], "the Spanish file is of the issue before");
}

/// What was changed, the rows of the changed header (label, cells), and what it has to be read as.
type Mutation = (String, Vec<(String, Vec<String>)>, Vec<(&'static str, String)>);

/// Small changes of a header, as people and programs make them.
fn mutations(labels: &Labels) -> Vec<Mutation> {
    let names = [
        (Field::Source, "source"),
        (Field::Action, "action"),
        (Field::Comment, "comment"),
        (Field::Information, "information"),
        (Field::Deadline, "deadline"),
        (Field::Contact, "contacts"),
    ];
    let mut out = Vec::new();
    for tag in LANGUAGES {
        let written = rows_in(tag);
        let rows = labelled(&written, tag, labels);
        let change = |f: &dyn Fn(&str) -> String| -> Vec<(String, Vec<String>)> {
            rows.iter().map(|(label, cells)| (f(label), cells.clone())).collect()
        };
        for (field, name) in names {
            let at = written.iter().position(|(f, _)| *f == field).unwrap();
            let mut dropped = rows.clone();
            dropped.remove(at);
            let mut wanted = expected(tag);
            wanted.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, value)| *value = "?".into());
            out.push((format!("{tag}: {name} dropped"), dropped, wanted));
            let mut swapped = rows.clone();
            let other = (at + 1) % rows.len();
            swapped.swap(at, other);
            out.push((format!("{tag}: {name} swapped"), swapped, expected(tag)));
            let mut doubled = rows.clone();
            doubled.insert(at, rows[at].clone());
            out.push((format!("{tag}: {name} doubled"), doubled, expected(tag)));
        }
        out.push((format!("{tag}: hyphens"), change(&|label| label.replace('-', "\u{2011}")), expected(tag)));
        out.push((format!("{tag}: no-break spaces"), change(&|label| label.replace(' ', "\u{a0}")), expected(tag)));
        out.push((format!("{tag}: spaces around"), change(&|label| format!("  {}  ", label.replace(' ', "  "))), expected(tag)));
        out.push((format!("{tag}: full-width colon"), change(&|label| label.replace(':', "：")), expected(tag)));
        out.push((
            format!("{tag}: narrow space before the colon"),
            change(&|label| label.replace([':', '：'], "\u{202f}:")),
            expected(tag),
        ));
        out.push((format!("{tag}: direction marks"), change(&|label| format!("\u{200f}{label}\u{061c}")), expected(tag)));
        let bare = |label: &str| {
            let accents = [('é', 'e'), ('É', 'E'), ('í', 'i'), ('ó', 'o'), ('à', 'a'), ('ё', 'е')];
            label.chars().map(|c| accents.iter().find(|(a, _)| *a == c).map_or(c, |(_, plain)| *plain)).collect()
        };
        out.push((format!("{tag}: no accents"), change(&bare), expected(tag)));
        let decomposed = |label: &str| label.replace('é', "e\u{301}").replace('ó', "o\u{301}").replace('í', "i\u{301}");
        out.push((format!("{tag}: decomposed accents"), change(&decomposed), expected(tag)));
    }
    out
}

#[test]
fn mutated_headers_keep_98_percent_of_their_fields() {
    let labels = Labels::shipped();
    let (mut right, mut total, mut wrong) = (0u32, 0u32, Vec::new());
    for (name, rows, wanted) in mutations(&labels) {
        for posted in [mail_with_docx("statement.docx", docx_with(&rows)), mail_with_text(&body_with(&rows))] {
            let carrier = if posted.files.is_empty() { "mail" } else { "document" };
            for (found, wanted) in shown(&read(&posted, &labels)).into_iter().zip(&wanted) {
                total += 1;
                if found == *wanted {
                    right += 1;
                } else {
                    wrong.push(format!("{name} ({carrier}): {found:?} instead of {wanted:?}"));
                }
            }
        }
    }
    let share = f64::from(right) / f64::from(total);
    assert!(share >= 0.98, "{share:.4} of {total} fields; wrong:\n{}", wrong.join("\n"));
    assert!(total > 3_000, "{total}");
}

#[test]
fn purposes_of_destinations_are_kept_apart() {
    let labels = Labels::shipped();
    let reading = read(&mail_with_text(&body_with(&labelled(&rows_in("en"), "en", &labels))), &labels);
    let all: Vec<_> = reading.destinations().into_iter().map(|d| (d.name, d.purpose)).collect();
    let expected = [("ITU-T SG2", Purpose::Action), ("TSAG", Purpose::Information), ("all ITU-T study groups", Purpose::Information)];
    assert_eq!(all, expected.map(|(name, purpose)| (name.to_owned(), purpose)));
}
