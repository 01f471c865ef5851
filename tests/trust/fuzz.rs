//! Readers of what comes from outside, fed with rubbish made of their own words: none panics, none takes long.
//!
//! Each begins with its seeds, the files of `corpus/NAME`: what is known of hostile senders (SECURITY.md) and of honest ones. Then
//! it takes the seeds damaged and words put together at random. A second each; `ENLACE_FUZZ_SECONDS=3600` for a night. A failing
//! case prints the input that made it fail, shrunk; kept as a file of the corpus it is tried first from then on.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use enlace::domain::liaison::labels::Labels;
use enlace::mail::statement::{Posted, PostedFile, PostedText};
use enlace::mail::{author, calendar, command, content, docx, field, message, report, statement};
use enlace::smtp::session::{Limits, Protocol, Session, SessionConfig, Step};
use enlace::smtp::{Answer, Login, SessionInfo, proof};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One input may take so long, in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn fuzz<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, read: impl Fn(T)) {
    let seconds = std::env::var("ENLACE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
        let run = runner.run(&strategy, |input| {
            let began = Instant::now();
            read(input);
            prop_assert!(began.elapsed() < PATIENCE, "took {:?}", began.elapsed());
            Ok(())
        });
        if let Err(error) = run {
            panic!("{error}");
        }
    }
}

/// The files of `corpus/NAME`, in the order of their names.
pub fn seeds(name: &str) -> &'static [&'static [u8]] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trust/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has hardly any seeds", folder.display());
    files.iter().map(|file| &*std::fs::read(file).unwrap().leak()).collect::<Vec<_>>().leak()
}

/// The seeds of `name` as they are, then damaged, and `words` put together.
pub fn fuzz_from(name: &str, words: impl Strategy<Value = Vec<u8>>, read: impl Fn(Vec<u8>)) {
    let seeds = seeds(name);
    for seed in seeds {
        let began = Instant::now();
        read(seed.to_vec());
        assert!(began.elapsed() < PATIENCE, "{:?} took {:?}", String::from_utf8_lossy(seed), began.elapsed());
    }
    fuzz(prop_oneof![words, damaged(seeds)], read);
}

/// Pieces of a language, put together at random, with octets of no language between them.
pub fn soup(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        6 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
        1 => "[ -~]{0,20}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(word, 0..most).prop_map(|words| words.concat())
}

/// A whole specimen with a few octets changed, taken out, doubled or put in: rubbish that gets far.
pub fn damaged(specimens: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        proptest::sample::select(&[":", ";", "\"", "\r\n", "\n", "=", "[", "]", "<", ">", "\\", "\u{0}"][..])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let change = (any::<proptest::sample::Index>(), 0..40_usize, piece, any::<bool>());
    (proptest::sample::select(specimens), proptest::collection::vec(change, 0..6)).prop_map(|(specimen, changes)| {
        let mut octets = specimen.to_vec();
        for (at, length, piece, doubles) in changes {
            let at = at.index(octets.len() + 1);
            let end = octets.len().min(at + length);
            let taken: Vec<u8> = octets.splice(at..end, piece).collect();
            if doubles {
                octets.splice(at..at, [taken.clone(), taken].concat());
            }
        }
        octets
    })
}

#[test]
fn smtp_sessions() {
    const WORDS: &[&str] = &[
        "EHLO x\r\n",
        "LHLO x\r\n",
        "MAIL FROM:<a@b.test>\r\n",
        "MAIL FROM:<> SIZE=5\r\n",
        "RCPT TO:<c@l.example>\r\n",
        "DATA\r\n",
        "BDAT 3 LAST\r\nx\r\n",
        "BDAT 99999999999999999999\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
        "XFORWARD ADDR=192.0.2.1 HELO=x\r\n",
        "XFORWARD ADDR=+zz\r\n",
        "STARTTLS\r\n",
        "RSET\r\n",
        ".\r\n",
        "\r\n.\r\n",
        "\n.\n",
        "QUIT\r\n",
    ];
    let feed = |(input, size, lmtp): (Vec<u8>, usize, bool)| {
        let protocol = if lmtp { Protocol::Lmtp } else { Protocol::Submission };
        let config = SessionConfig {
            protocol,
            hostname: "mx.example.org".into(),
            domain: "l.example".into(),
            starttls: true,
            xforward: true,
            limits: Limits { message_octets: 2_000, ..Limits::default() },
        };
        let address = "127.0.0.1:25".parse().unwrap();
        let info = SessionInfo {
            protocol: protocol.as_str(),
            local: address,
            peer: address,
            client: None,
            helo: String::new(),
            trusted: true,
            tls: true,
            authenticated: None,
            trace: String::new(),
        };
        let mut session = Session::new(Arc::new(config), info);
        let (mut pending, mut kept) = (BytesMut::new(), Vec::new());
        for piece in input.chunks(size) {
            pending.extend_from_slice(piece);
            loop {
                match session.step(&mut pending, &mut kept) {
                    Step::Read => break,
                    Step::Close => return,
                    Step::Sender { .. } => session.sender_answered(None),
                    Step::Recipient(_) => session.recipient_answered(&Answer::new(250, (2, 1, 5), "yes")),
                    Step::Authenticate { user, .. } => session.authenticated(user.parse().map_or(Login::Wrong, Login::Welcome)),
                    Step::Message { recipients, .. } => {
                        assert!(!String::from_utf8_lossy(&kept).replace("\r\n", "").contains(['\r', '\n', '\0']));
                        kept.clear();
                        session.message_answered(vec![Answer::new(250, (2, 0, 0), "kept"); recipients.len()]);
                    }
                    Step::StartTls => session.tls_started(),
                }
            }
            for line in String::from_utf8(session.take_output()).unwrap().split_terminator("\r\n") {
                assert!(line.len() >= 4 && line[..3].bytes().all(|octet| octet.is_ascii_digit()), "{line:?}");
            }
        }
    };
    let seeds = seeds("smtp_sessions");
    for seed in seeds {
        for size in [1, 7, 10_000] {
            feed((seed.to_vec(), size, false));
            feed((seed.to_vec(), size, true));
        }
    }
    fuzz((prop_oneof![soup(WORDS, 40), damaged(seeds)], 1_usize..50, any::<bool>()), feed);
}

#[test]
fn authentication_results() {
    const WORDS: &[&str] = &[
        "mx.example.org",
        ";",
        " ",
        "dkim",
        "=",
        "pass",
        "fail",
        "header.d=",
        "member.example",
        "(",
        ")",
        "\"",
        "\\",
        "dmarc=pass ",
        "smtp.mailfrom=",
        "@",
        "1",
        "\r\n\t",
    ];
    let author = "ana@member.example".parse().unwrap();
    fuzz_from("authentication_results", soup(WORDS, 60), |input| {
        let value = String::from_utf8_lossy(&input).into_owned();
        let fields = [("Authentication-Results", value.as_str())];
        let proved = proof::from_authentication_results(fields, "mx.example.org", true, &author).is_proved();
        // Whatever is made of it: without the relay's name at the beginning nothing is proved.
        assert!(!proved || value.trim_start().to_ascii_lowercase().starts_with("mx.example.org"), "{value:?}");
        assert!(!proof::from_authentication_results(fields, "mx.example.org", false, &author).is_proved());
        let found = proof::findings_of_relay(fields, "mx.example.org", true, &author);
        assert!(!found.results.contains(['\r', '\n', '\0']), "{found:?}");
    });
}

#[test]
fn headers_and_authors() {
    const WORDS: &[&str] = &[
        "From",
        ":",
        " ",
        "ana@example.org",
        "<",
        ">",
        "\"",
        "(",
        ")",
        ",",
        ";",
        "=?utf-8?B?eA==?=",
        "\r\n",
        "\r\n ",
        "\n",
        "Subject: x\r\n",
        "Message-ID: <a@b>\r\n",
        "@",
    ];
    fuzz_from("headers_and_authors", soup(WORDS, 60), |input| {
        if let Ok(header) = field::split(&input) {
            let _ = author::read(&input, &header);
        }
        if let Ok(read) = message::read(&input) {
            assert!(!read.subject.contains(['\r', '\n', '\0']));
        }
        let clean = message::to_crlf(&input);
        assert!(!String::from_utf8_lossy(&clean).replace("\r\n", "").contains(['\r', '\n', '\0']));
    });
}

#[test]
fn reports_that_come_back() {
    const WORDS: &[&str] = &[
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n",
        "--b\r\n",
        "--b--\r\n",
        "Content-Type: message/delivery-status\r\n\r\n",
        "Reporting-MTA: dns; x\r\n",
        "\r\n",
        "Final-Recipient: rfc822; ana@example.org\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Diagnostic-Code: smtp; 550 no\r\n",
        "Content-Type: message/feedback-report\r\n\r\n",
        "Feedback-Type: abuse\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "<ana@example.org>: host x said: 550 5.1.1 unknown\r\n",
        "Content-Type: message/rfc822\r\n\r\n",
    ];
    fuzz_from("reports_that_come_back", soup(WORDS, 50), |input| {
        let read = report::read(&input);
        assert!(read.recipients.len() <= 100);
        for recipient in read.recipients {
            assert!(!recipient.diagnostic.contains(['\r', '\n']));
        }
    });
}

#[test]
fn contents_and_commands() {
    const WORDS: &[&str] = &[
        "Content-Type: multipart/mixed; boundary=b\r\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Disposition: attachment; filename*=utf-8''..%2f..%2fx\r\n",
        "\r\n",
        "--b\r\n",
        "--b--\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "subscribe\r\n",
        "set language es,en\r\n",
        "set delivery none until 2027-01-15\r\n",
        "confirm abc\r\n",
        "why <a@b>\r\n",
        "=?utf-7?B?eA==?=",
        "charset=iso-2022-jp",
    ];
    fuzz_from("contents_and_commands", soup(WORDS, 60), |input| {
        if let Ok(parsed) = content::parse(&input) {
            content::text_body(&parsed, 10_000);
            for attachment in content::attachments(&parsed, 50) {
                assert!(
                    !attachment.name.contains(['/', '\\', '\0', '\r', '\n']) && !attachment.name.starts_with('.'),
                    "{:?}",
                    attachment.name
                );
            }
        }
        let text = String::from_utf8_lossy(&input);
        assert!(command::read(&text, &text).len() <= 1_000);
    });
}

#[test]
fn label_blocks_of_statements() {
    const WORDS: &[&str] = &[
        "Source:",
        "Title:",
        "For action to:",
        "Deadline:",
        "Contact:",
        "Question(s):",
        "Origen:",
        "Titre :",
        "来源：",
        "المصدر:",
        " ",
        "\n",
        "\r\n",
        "ITU-T SG12",
        "LS/o on x [to TSAG]",
        "28 September 2026",
        "ALL/12",
        "-",
        "SG12-LS5",
        "tel +41",
        "a@b.test",
        "———",
        "                    ",
    ];
    let labels = Labels::shipped();
    fuzz_from("label_blocks_of_statements", soup(WORDS, 80), |input| {
        let text = String::from_utf8_lossy(&input).into_owned();
        let posted = Posted {
            subject: text.chars().take(200).collect(),
            texts: vec![PostedText { language: None, subject: String::new(), text }],
            ..Posted::default()
        };
        statement::read(&posted, &labels);
    });
}

#[test]
fn word_documents() {
    use std::io::Write as _;
    const WORDS: &[&str] = &[
        "<w:document>",
        "</w:document>",
        "<w:body>",
        "</w:body>",
        "<w:tbl>",
        "</w:tbl>",
        "<w:tr>",
        "</w:tr>",
        "<w:tc>",
        "</w:tc>",
        "<w:p>",
        "</w:p>",
        "<w:r>",
        "<w:t>",
        "</w:t>",
        "Title:",
        "&amp;",
        "&#x41;",
        "&evil;",
        "<!DOCTYPE x [<!ENTITY evil SYSTEM 'file:///etc/passwd'>]>",
        "<![CDATA[",
        "]]>",
        "<!--",
    ];
    let labels = Labels::shipped();
    let feed = |(xml, at, octet, damage): (Vec<u8>, u16, u8, bool)| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("word/document.xml", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&xml).unwrap();
        let mut bytes = zip.finish().unwrap().into_inner();
        if damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] ^= octet;
        }
        let _ = docx::head(&bytes);
        if let Ok(text) = docx::text(&bytes, 10_000) {
            assert!(!text.contains("root:"), "an external entity was read");
        }
        let file = PostedFile { name: "x.docx".into(), bytes, ..PostedFile::default() };
        statement::read(&Posted { files: vec![file], ..Posted::default() }, &labels);
    };
    let seeds = seeds("word_documents");
    for seed in seeds {
        feed((seed.to_vec(), 0, 0, false));
    }
    fuzz((prop_oneof![soup(WORDS, 60), damaged(seeds)], any::<u16>(), any::<u8>(), any::<bool>()), feed);
}

#[test]
fn c9_calendar_objects_say_once_what_they_were_given() {
    let organizer = calendar::Organizer { name: "x".into(), address: "sg12@lists.example.org".into() };
    let lead_times = |_: &enlace::domain::meeting::Meeting| enlace::domain::meeting::LeadTimes::default();
    let languages: [enlace::domain::language::Language; 1] = ["en".parse().unwrap()];
    let words = |key: &str| key.to_owned();
    let now = "2026-12-01T10:00:00Z".parse().unwrap();
    let setting =
        calendar::Setting { organizer: &organizer, lead_times: &lead_times, languages: &languages, words: &words, now, public: false };
    let texts = prop_oneof![
        any::<String>(),
        "[ -~\r\n\t;,:\\\\\"]{0,200}",
        Just("x\r\nATTENDEE:mailto:evil@evil.test".to_owned()),
        Just("é".repeat(300)),
        damaged(seeds("calendar_objects")).prop_map(|octets| String::from_utf8_lossy(&octets).into_owned()),
    ];
    let write = |(title, city): (String, String)| {
        let mut meeting = crate::meeting::draft(&title);
        meeting.city.clone_from(&city);
        let text = calendar::object(&meeting, &calendar::Method::Publish, &setting);
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:?}");
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{text}");
        let lines: Vec<_> = text.replace("\r\n ", "").split("\r\n").map(ToOwned::to_owned).collect();
        let count = |name: &str| lines.iter().filter(|line| line.split([':', ';']).next() == Some(name)).count();
        let events = count("BEGIN") - lines.iter().filter(|line| line.starts_with("BEGIN:V") && !line.starts_with("BEGIN:VEVENT")).count();
        assert_eq!((count("ATTENDEE"), count("METHOD")), (0, 1), "{text}");
        assert!(
            lines.iter().filter(|line| line.starts_with("SUMMARY")).count() <= lines.iter().filter(|line| *line == "BEGIN:VEVENT").count(),
            "{events} {text}"
        );
        assert!(calcard::icalendar::ICalendar::parse(&text).is_ok(), "{text}");
    };
    for seed in seeds("calendar_objects") {
        let seed = String::from_utf8_lossy(seed).into_owned();
        write((seed.clone(), seed));
    }
    fuzz((texts.clone(), texts), write);
}

#[test]
fn c11_long_lines_of_spaces_and_figures_take_no_time() {
    let labels = Labels::shipped();
    let spaces = " ".repeat(900);
    for line in [spaces.clone(), format!("Title:{spaces}x"), format!("{spaces}:"), ":".repeat(900), "1 ".repeat(450), "Title:".repeat(150)]
    {
        let text = format!("{line}\n").repeat(2_000);
        let began = Instant::now();
        let posted = Posted { texts: vec![PostedText { language: None, subject: String::new(), text }], ..Posted::default() };
        statement::read(&posted, &labels);
        // A second is promised of a release; one that goes back over its lines takes minutes.
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}: {:?}", &line[..20], began.elapsed());
    }
}
