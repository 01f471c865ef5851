//! Readers of files, searches and pages, fed with rubbish and with damaged specimens; see `fuzz`.

use std::path::Path;

use enlace::config::Config;
use enlace::directory::table::Table;
use enlace::domain::address::EmailAddress;
use enlace::domain::liaison::labels::Labels;
use enlace::domain::meeting::labels::Labels as MeetingLabels;
use enlace::mail::statement::{contacts, dates};
use enlace::mail::{convening, mbox};
use enlace::search::question::Question;
use enlace::web::page::rich;

use crate::fuzz::{damaged, fuzz, soup};

/// Calendar objects of our own, which are read back when one is mailed in.
const OBJECTS: &[&[u8]] = &[
    include_bytes!("../meeting/golden/create.ics"),
    include_bytes!("../meeting/golden/multi-part.ics"),
    include_bytes!("../meeting/golden/cancel.ics"),
    include_bytes!("../meeting/golden/all-day.ics"),
];
const ENLACE: &[&[u8]] = &[include_bytes!("../../config/enlace.toml")];

#[test]
fn calendar_objects_and_lines_that_call_a_meeting() {
    const WORDS: &[&str] = &[
        "Title: ",
        "Título: ",
        "Date: ",
        "2027-04-06",
        "6-8 April 2027",
        "Time: 09:30",
        "Place: ",
        "Status: withdrawn",
        "Id: x-2027",
        "\n",
        "\r\n",
        ":",
        "Remote: https://meet.example.org/x",
        "Host:",
        "Group: SG12",
        " ",
    ];
    let labels = MeetingLabels::shipped();
    fuzz(damaged(OBJECTS), |input| {
        let text = String::from_utf8_lossy(&input);
        if let Some(read) = convening::from_object(&text) {
            assert!(read.lines.iter().all(|line| !line.value.contains(['\r', '\n'])), "{read:?}");
        }
    });
    fuzz(soup(WORDS, 40), |input| {
        convening::from_lines(&String::from_utf8_lossy(&input), &labels);
    });
}

#[test]
fn configurations() {
    fuzz(damaged(ENLACE), |input| {
        let text = String::from_utf8_lossy(&input);
        if let Err(error) = Config::parse(&text, Path::new("enlace.toml"), std::iter::empty::<(String, String)>()) {
            assert!(error.to_string().contains("enlace.toml"), "{error}");
        }
    });
}

/// A cell in quotation marks may hold the end of a line; then it is no address.
fn harmless(cell: &str) -> bool {
    !cell.contains(['\r', '\n', '\0']) || cell.parse::<EmailAddress>().is_err()
}

#[test]
fn tables_of_people() {
    const WORDS: &[&str] =
        &["email", "name", "kind", ",", ";", "\"", "\"\"", "\n", "\r\n", "\r", "\u{feff}", "ana@example.org", "=1+1", "é", " ", "country"];
    fuzz(soup(WORDS, 60), |input| {
        let Ok(table) = Table::read(&input, "a.csv", &["email", "name", "kind", "country"], &["email"], 50) else { return };
        for row in table.rows().take(100) {
            match row {
                Ok(row) => assert!(row.line >= 1 && row.cell("email").is_none_or(harmless)),
                Err(problem) => assert!(problem.line >= 1 && !problem.remedy.is_empty()),
            }
        }
    });
}

#[test]
fn questions_to_the_archive() {
    const WORDS: &[&str] = &[
        "\"",
        "-",
        "after:",
        "before:",
        "2027-01-15",
        "from:",
        "subject:",
        "ñ",
        "量",
        "\u{202e}",
        " ",
        "OR",
        "(",
        ")",
        "*",
        "a",
        "lang:es",
        "\u{0}",
    ];
    fuzz(soup(WORDS, 60), |input| {
        let question = Question::read(&String::from_utf8_lossy(&input));
        let (from, to) = question.instants();
        assert!(from.is_none() || to.is_none() || question.after.is_some());
    });
}

#[test]
fn dates_and_contacts_of_statements() {
    const WORDS: &[&str] = &[
        "28 September 2026",
        "19-28",
        "de septiembre de",
        "2026年",
        "9月",
        "28日",
        "-",
        "–",
        ",",
        "سبتمبر",
        "28",
        "2026",
        "99",
        "31 February",
        "tel +41 22",
        "a@b.test",
        "Tel.:",
        "E-mail:",
        "\n",
        " ",
        "ITU",
        "\u{a0}",
    ];
    let labels = Labels::shipped();
    fuzz(soup(WORDS, 60), |input| {
        let text = String::from_utf8_lossy(&input).into_owned();
        for span in dates::find(&text, &labels) {
            assert!(span.start <= span.end && span.from < span.to && text.is_char_boundary(span.to), "{span:?}");
        }
        let cells: Vec<String> = text.split('\n').map(str::to_owned).collect();
        contacts::contacts(&cells, &labels);
    });
}

#[test]
fn mailbox_files() {
    const WORDS: &[&str] = &[
        "From a@b.test Mon Jan  4 10:00:00 2021\n",
        "From ",
        ">From x\n",
        "Subject: x\n",
        "\n",
        "\r\n",
        "Content-Length: 5\n",
        "text\n",
        "\u{0}",
    ];
    fuzz(soup(WORDS, 60), |input| {
        let mut reader = mbox::Mbox::new(&input[..], 0, 2_000);
        let mut pieces = 0;
        while let Some(piece) = reader.next_piece().expect("memory does not fail") {
            pieces += 1;
            assert!(pieces <= 70, "more pieces than lines: {piece:?}");
        }
    });
}

#[test]
fn pages_from_mails() {
    const WORDS: &[&str] = &[
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>",
        "<svg/onload=alert(1)>",
        "<style>*{background:url(//x)}</style>",
        "<b>",
        "</b>",
        "<table>",
        "<td>",
        "<iframe src=//x>",
        "<form action=//x>",
        "<meta http-equiv=refresh>",
        "&lt;",
        "\"",
        "'",
        "<",
        ">",
        "<!--",
        "-->",
        "<math><mtext>",
    ];
    fuzz(soup(WORDS, 40), |input| {
        let mail = [b"Content-Type: text/html; charset=utf-8\r\n\r\n".as_slice(), &input].concat();
        if let Some(html) = rich::html_of(&mail) {
            let lower = html.to_ascii_lowercase();
            for active in ["<script", "<iframe", "<form", "<meta", "<svg", "<style", "<img", "<object"] {
                assert!(!lower.contains(active), "{active}: {html}");
            }
            let scheme = lower.split("href=\"").skip(1).any(|rest| rest.trim_start().starts_with("javascript:"));
            assert!(!scheme, "{html}");
        }
    });
}
