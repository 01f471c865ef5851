//! What Word writes is read, what an attacker writes is refused in bounded time.

use std::fmt::Write as _;
use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use enlace::mail::docx::{DocxError, Head, MEMBERS, head};

use crate::document::*;

fn rows(body: &str) -> Vec<Vec<String>> {
    texts(&head(&docx(body)).unwrap())
}

fn texts(head: &Head) -> Vec<Vec<String>> {
    head.rows.iter().map(|row| row.iter().map(|cell| cell.text.clone()).collect()).collect()
}

#[test]
fn split_runs_special_characters_and_entities_are_joined() {
    let split = "<w:p><w:r><w:t>Quest</w:t></w:r><w:proofErr/><w:r><w:t>ion(s)</w:t></w:r><w:bookmarkStart/><w:r><w:t>:</w:t></w:r></w:p>";
    let value = "<w:p><w:r><w:t>ITU</w:t></w:r><w:r><w:noBreakHyphen/></w:r><w:r><w:t>T R&amp;D &#x41;&#66;</w:t><w:br/><w:t>next</w:t><w:tab/><w:t>tab</w:t></w:r></w:p>";
    let body = table(&[row_of(&[cell_of(split), cell_of(value)])]);
    assert_eq!(rows(&body), [["Question(s):", "ITU-T R&D AB\nnext\ttab"]]);
}

#[test]
fn tracked_changes_hidden_text_and_drawings_show_what_the_reader_sees() {
    let value = "<w:p><w:del><w:r><w:delText>old</w:delText><w:t>old</w:t></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins>\
        <w:moveFrom><w:r><w:t>moved away</w:t></w:r></w:moveFrom><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>\
        <w:r><w:rPr><w:vanish w:val=\"0\"/></w:rPr><w:t> shown</w:t></w:r>\
        <w:r><mc:AlternateContent><mc:Choice><w:drawing><wps:txbx><w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent></wps:txbx></w:drawing></mc:Choice>\
        <mc:Fallback><w:pict><w:t>box</w:t></w:pict></mc:Fallback></mc:AlternateContent></w:r>\
        <w:r><w:instrText> HYPERLINK </w:instrText></w:r><w:hyperlink><w:r><w:t>, link</w:t></w:r></w:hyperlink></w:p>";
    let deleted = "<w:tr><w:trPr><w:del w:id=\"1\"/></w:trPr><w:tc><w:p><w:r><w:t>gone</w:t></w:r></w:p></w:tc></w:tr>".to_owned();
    let body = table(&[row_of(&[cell("Title:"), cell_of(value)]), deleted]);
    assert_eq!(rows(&body), [["Title:", "new shown, link"]]);
}

#[test]
fn merged_cells_content_controls_and_nested_tables_are_followed() {
    let merged = "<w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/></w:tc>".to_owned();
    let start = "<w:tc><w:tcPr><w:vMerge w:val=\"restart\"/></w:tcPr><w:p><w:r><w:t>Contact:</w:t></w:r></w:p></w:tc>".to_owned();
    let control = "<w:sdt><w:sdtPr><w:text/></w:sdtPr><w:sdtContent><w:p><w:r><w:t>Ana</w:t></w:r></w:p></w:sdtContent></w:sdt>";
    let whole_row = format!("<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>", row(&["Source:", "SG12"]));
    let nested = cell_of(&(table(&[row(&["Name", "Tel: 1"])]) + "<w:p/>"));
    let body = table(&[whole_row, row_of(&[start, cell_of(control)]), row_of(&[merged, nested])]);
    let head = head(&docx(&body)).unwrap();
    assert_eq!(texts(&head), [vec!["Source:", "SG12"], vec!["Contact:", "Ana"], vec!["Name", "Tel: 1"], vec!["", "Name\tTel: 1"]]);
    assert!(head.rows[3][0].continues && !head.rows[1][0].continues);
}

#[test]
fn macros_are_reported() {
    let document = document_xml(&paragraph("x"));
    let bytes = archive(&[("word/document.xml", document.as_bytes()), ("word/vbaProject.bin", b"x")]);
    assert!(head(&bytes).unwrap().macros);
    assert!(!head(&docx("")).unwrap().macros);
}

#[test]
fn bombs_are_refused_and_cost_little() {
    let started = Instant::now();
    let zeros = vec![b' '; 40 * 1024 * 1024];
    assert_eq!(head(&archive(&[("word/document.xml", &zeros)])), Err(DocxError::Ratio));
    drop(zeros);
    let other = vec![b' '; 20 * 1024 * 1024];
    let document = document_xml(&row(&["Title:", "x"]));
    assert!(
        head(&archive(&[("word/media/image1.png", &other), ("word/document.xml", document.as_bytes())])).is_ok(),
        "what is not read cannot hurt"
    );
    let deep = "<w:p>".repeat(300_000);
    assert_eq!(head(&docx(&deep)), Err(DocxError::Depth));
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><w:document><w:t>&b;</w:t></w:document>";
    assert_eq!(head(&archive(&[("word/document.xml", laughs.as_bytes())])), Err(DocxError::DocumentType));
    let names: Vec<String> = (0..=MEMBERS).map(|n| format!("x{n}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert_eq!(head(&archive(&members)), Err(DocxError::Members));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_table_as_large_as_the_member_may_be_is_cut_and_not_kept_whole() {
    let body = table(&vec![row(&["a", "b"]); 8_000]);
    let head = head(&docx(&body)).unwrap();
    assert!(head.rows.len() <= 800);
    let mut noise = String::new();
    let mut seed = 1u64;
    while noise.len() < 11 * 1024 * 1024 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = write!(noise, "{seed:016x}");
    }
    let head = enlace::mail::docx::head(&docx(&(table(&[row(&["Title:", "x"])]) + &paragraph(&noise)))).unwrap();
    assert!(head.cut && head.rows.len() == 1 && head.text.len() <= 64 * 1024);
}

#[test]
fn broken_and_foreign_files_are_errors() {
    let good = docx(&paragraph("x"));
    assert!(matches!(head(b""), Err(DocxError::Archive(_))));
    assert!(matches!(head(b"not a zip at all"), Err(DocxError::Archive(_))));
    assert_eq!(head(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1]), Err(DocxError::NotOpen));
    assert_eq!(head(&archive(&[("xl/workbook.xml", b"<x/>")])), Err(DocxError::NoDocument));
    assert!(matches!(head(&archive(&[("word/document.xml", b"<w:document><w:body>")])), Err(DocxError::Xml(_))));
    assert!(matches!(head(&archive(&[("word/document.xml", b"<a></b>")])), Err(DocxError::Xml(_))));
    assert!(matches!(head(&archive(&[("word/document.xml", &[0xff, 0xfe, 0x3c, 0x00])])), Err(DocxError::Xml(_)) | Ok(_)));
    for end in 0..good.len() {
        let _ = head(&good[..end]);
    }
    let mut seed = 7u64;
    for _ in 0..3_000 {
        let mut bytes = good.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).unwrap() % bytes.len();
            bytes[at] = u8::try_from(seed >> 24 & 0xff).unwrap();
        }
        let _ = head(&bytes);
    }
}

#[test]
fn a_document_of_300_pages_is_read_quickly() {
    let mut body = table(&[row(&["Title:", "LS/o on something"]), row(&["Source:", "ITU-T SG12"])]);
    for page in 0..300 {
        for line in 0..12 {
            body.push_str(&paragraph(&format!(
                "Page {page}, paragraph {line}: quality of service and quality of experience in networks of the region, {}",
                page * line
            )));
        }
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(document_xml(&body).as_bytes()).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    let started = Instant::now();
    let head = head(&bytes).unwrap();
    let elapsed = started.elapsed();
    assert_eq!(texts(&head)[0], ["Title:", "LS/o on something"]);
    assert!(elapsed < Duration::from_millis(200), "{elapsed:?}");
}
