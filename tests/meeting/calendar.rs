//! Calendar objects: golden files, a second parser, two more in Python, and hostile texts.
//!
//! `ENLACE_BLESS=1` writes the golden files anew. `ENLACE_TEST_PYTHON` names a Python that has the packages
//! `icalendar` and `vobject`; where it is set, both have to agree with what was written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use calcard::icalendar::ICalendar;
use chrono_tz::Tz;
use enlace::domain::language::Language;
use enlace::domain::meeting::{DeadlineKind, LeadTimes, Meeting, MeetingAudience, MeetingStatus, Span};
use enlace::mail::calendar::{Method, Organizer, Setting, feed, object};

use crate::given::{announced, at, day, draft, hours, language, part, texts};

fn with_setting<T>(public: bool, run: impl FnOnce(&Setting<'_>) -> T) -> T {
    let organizer = Organizer { name: "SG12RG-AMR, \"Americas\"".into(), address: "sg12rg-amr@lists.example.org".into() };
    let languages: [Language; 2] = [language("en"), language("es")];
    let lead_times = |_: &Meeting| LeadTimes::default();
    let words = |key: &str| key.to_owned();
    let now = at("2026-12-01T10:00:00Z");
    run(&Setting { organizer: &organizer, lead_times: &lead_times, languages: &languages, words: &words, now, public })
}

fn written(meeting: &Meeting, method: &Method) -> String {
    with_setting(false, |setting| object(meeting, method, setting))
}

fn cases() -> Vec<(&'static str, String)> {
    let lead_times = LeadTimes::default();
    let created = announced(&draft("sg12rg-amr-2027"), "2026-12-01T10:00:00Z");
    let mut wanted = created.clone();
    wanted.span = hours("2027-04-07T10:00:00", "2027-04-07T17:30:00");
    wanted.city = "Puebla".into();
    let changed = created.revised(wanted, &lead_times, at("2027-01-10T10:00:00Z"), "ana@example.org").meeting;
    let cancelled = changed.with_status(MeetingStatus::Cancelled, &lead_times, at("2027-02-10T10:00:00Z"), "ana@example.org").meeting;

    let mut joint = draft("joint-americas-2027");
    joint.groups = ["SG12RG-AMR", "SG2RG-AMR", "SG3RG-LAC"].map(|code| code.parse().unwrap()).to_vec();
    joint.status = MeetingStatus::Tentative;
    let joint = joint.created(at("2026-12-01T10:00:00Z"));

    // 24 to 28 July 2017, Johannesburg: two audiences in one letter, the group opens in an afternoon.
    let mut series = draft("sg12rg-afr-2017");
    series.zone = Tz::Africa__Johannesburg;
    series.span = hours("2017-07-27T14:00:00", "2017-07-28T17:30:00");
    series.parts = vec![
        part("workshop", "Workshop on quality of service", hours("2017-07-24T09:30:00", "2017-07-24T17:30:00"), MeetingAudience::Open),
        part("qsdg", "Meeting of QSDG", hours("2017-07-26T09:00:00", "2017-07-26T17:30:00"), MeetingAudience::Open),
        part("training", "BSG hands-on training", hours("2017-07-28T09:00:00", "2017-07-28T12:00:00"), MeetingAudience::Members),
    ];
    let multi = announced(&series, "2017-05-08T10:00:00Z");

    let mut whole_days = draft("sg3rg-ao-2027");
    whole_days.span = Span::Days { first: day("2027-04-06"), last: day("2027-04-08") };
    whole_days.zone = Tz::Asia__Bangkok;
    let whole_days = announced(&whole_days, "2026-12-01T10:00:00Z");

    // Summer time in Zurich begins on 28 March 2027.
    let mut crossing = draft("sg3rg-eurm-2027");
    crossing.zone = Tz::Europe__Zurich;
    crossing.span = hours("2027-03-27T09:30:00", "2027-03-29T17:30:00");
    crossing.deadlines = BTreeMap::from([(DeadlineKind::Contribution, day("2027-03-14"))]);
    let crossing = announced(&crossing, "2026-12-01T10:00:00Z");

    // From three days to two: the third is taken back.
    let mut shorter = crossing.clone();
    shorter.span = hours("2027-03-27T09:30:00", "2027-03-28T17:30:00");
    let shorter = crossing.revised(shorter, &lead_times, at("2027-01-10T10:00:00Z"), "ana@example.org").meeting;

    vec![
        ("create", written(&created, &Method::Publish)),
        ("change", written(&changed, &Method::Publish)),
        ("cancel", written(&cancelled, &Method::Cancel)),
        ("request", written(&created, &Method::Request("ana@example.org".into()))),
        ("joint-tentative", written(&joint, &Method::Publish)),
        ("multi-part", written(&multi, &Method::Publish)),
        ("all-day", written(&whole_days, &Method::Publish)),
        ("dst-crossing", written(&crossing, &Method::Publish)),
        ("shorter", written(&shorter, &Method::Publish)),
        ("feed", with_setting(true, |setting| feed("Groups; one, two", &[cancelled, whole_days, crossing, draft("draft")], setting).text)),
    ]
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/meeting/golden").join(format!("{name}.ics"))
}

/// Lines with folding taken away.
fn unfolded(text: &str) -> Vec<String> {
    text.replace("\r\n ", "").split_terminator("\r\n").map(str::to_owned).collect()
}

fn count(lines: &[String], property: &str) -> usize {
    lines.iter().filter(|line| line.split([':', ';']).next() == Some(property)).count()
}

#[test]
fn objects_are_what_the_golden_files_say() {
    for (name, text) in cases() {
        let path = golden(name);
        if std::env::var_os("ENLACE_BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; ENLACE_BLESS=1 writes it", path.display()));
        assert_eq!(text, expected, "{name}: compare with {}", path.display());
    }
}

#[test]
fn every_object_keeps_the_rules_of_its_format() {
    for (name, text) in cases() {
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{name}: a line that does not end in CRLF");
        assert!(text.split("\r\n").all(|line| line.len() <= 75), "{name}: a line of more than 75 octets");
        let lines = unfolded(&text);
        let events = lines.iter().filter(|line| *line == "BEGIN:VEVENT").count();
        for property in ["UID", "DTSTAMP", "SEQUENCE", "LAST-MODIFIED", "STATUS", "SUMMARY", "ORGANIZER"] {
            assert_eq!(count(&lines, property), events, "{name}: {property}");
        }
        assert_eq!(count(&lines, "METHOD"), 1, "{name}");
        assert_eq!(count(&lines, "ATTENDEE"), if name == "request" { events } else { 0 }, "{name}");
        for line in lines.iter().filter(|line| line.contains(";TZID=")) {
            let zone = line.split(";TZID=").nth(1).unwrap().split(':').next().unwrap();
            assert!(lines.contains(&format!("TZID:{zone}")), "{name}: no VTIMEZONE for {zone}");
        }
        let uids: Vec<_> = lines.iter().filter(|line| line.starts_with("UID:")).collect();
        assert!(uids.iter().enumerate().all(|(i, uid)| !uids[..i].contains(uid)), "{name}: a UID twice");
        // A second parser reads it and writes the same events.
        let read = ICalendar::parse(&text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let again = unfolded(&read.to_string());
        for property in ["UID", "SUMMARY", "DTSTART", "DTEND", "DESCRIPTION", "LOCATION", "SEQUENCE"] {
            let values = |lines: &[String]| {
                let mut values: Vec<_> =
                    lines.iter().filter(|line| line.split([':', ';']).next() == Some(property)).cloned().collect::<Vec<_>>();
                values.sort();
                values
            };
            let normal = |v: Vec<String>| v.into_iter().map(|l| l.replace("\\n", "\n").replace('\\', "")).collect::<Vec<_>>();
            assert_eq!(normal(values(&lines)), normal(values(&again)), "{name}: {property}");
        }
    }
}

#[test]
fn a_change_keeps_the_uid_and_raises_the_sequence() {
    let cases: BTreeMap<_, _> = cases().into_iter().collect();
    for (name, sequence, method) in [("create", 0, "PUBLISH"), ("change", 1, "PUBLISH"), ("cancel", 2, "CANCEL")] {
        let text = &cases[name];
        assert!(text.contains("UID:sg12rg-amr-2027@lists.example.org\r\n"), "{name}");
        assert!(text.contains(&format!("SEQUENCE:{sequence}\r\n")) && text.contains(&format!("METHOD:{method}\r\n")), "{name}");
    }
    assert!(!cases["cancel"].contains("STATUS:CONFIRMED"));
    assert!(cases["joint-tentative"].contains("STATUS:TENTATIVE"));
    assert!(cases["shorter"].contains("UID:sg3rg-eurm-2027-day-3@lists.example.org"));
}

#[test]
fn the_public_feed_keeps_passcodes_to_itself_and_its_etag_follows_the_content_only() {
    let m = announced(&draft("sg12rg-amr-2027"), "2026-12-01T10:00:00Z");
    let read = |meeting: &Meeting, now: &str| {
        let now = at(now);
        with_setting(true, |setting| feed("x", std::slice::from_ref(meeting), &Setting { now, ..*setting }))
    };
    let first = read(&m, "2026-12-01T10:00:00Z");
    let text = first.text.replace("\r\n ", "");
    assert!(!text.contains("1234") && !text.contains("secret") && text.contains("https://meet.example.org/amr"));
    assert_eq!(first.etag, read(&m, "2026-12-02T10:00:00Z").etag);
    let other = Meeting { city: "Puebla".into(), ..m };
    assert_ne!(first.etag, read(&other, "2026-12-01T10:00:00Z").etag);
}

/// Twenty-five ways to put more into a calendar than one text.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "a\r\nATTENDEE:mailto:x@example.org",
        "a\nATTENDEE:mailto:x@example.org",
        "a\rATTENDEE:mailto:x@example.org",
        "a\u{85}ATTENDEE:mailto:x@example.org",
        "a\u{2028}ATTENDEE:mailto:x@example.org",
        "a\u{2029}SUMMARY:b",
        "a\u{b}SUMMARY:b",
        "a\u{c}SUMMARY:b",
        "a\0SUMMARY:b",
        "a\r\n SUMMARY:b",
        "a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:b",
        "a\r\nEND:VCALENDAR",
        "a\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT1M\r\nEND:VALARM",
        "a\\",
        "a\\n\\N\\;\\,",
        "a;b,c:d\"e",
        "\"",
        "\";X-EVIL=\"1",
        "a\u{202e}b\u{2066}c",
        "^n^'^^",
        "=?utf-8?q?x?=",
        "\u{feff}a",
        "END:VEVENT",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("é漢".repeat(600));
    texts.push(format!("{}\r\nX:1", "a".repeat(74)));
    texts
}

fn hostile_object(text: &str) -> String {
    let mut m = announced(&draft("sg12rg-amr-2027"), "2026-12-01T10:00:00Z");
    m.title = texts(&[("en", text)]);
    m.venue = texts(&[("en", text)]);
    m.host = texts(&[("es", text)]);
    m.remote_notes = texts(&[("en", text)]);
    for field in [&mut m.city, &mut m.country, &mut m.remote_url, &mut m.registration_url, &mut m.documents_url, &mut m.contact] {
        text.clone_into(field);
    }
    let organizer = Organizer { name: text.into(), address: format!("a{text}@example.org") };
    with_setting(false, |setting| object(&m, &Method::Publish, &Setting { organizer: &organizer, ..*setting }))
}

#[test]
fn no_text_becomes_a_property() {
    let plain = unfolded(&hostile_object("plain"));
    let names = |lines: &[String]| lines.iter().map(|line| line.split([':', ';']).next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(hostile().len(), 25);
    for text in hostile() {
        let written = hostile_object(&text);
        assert!(written.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{text:?}");
        let lines = unfolded(&written);
        let present = names(&lines);
        // Properties may be left out when nothing remains of a text; none may be added.
        let mut expected = names(&plain).into_iter();
        assert!(present.iter().all(|name| expected.any(|e| &e == name)), "{text:?}: {present:?}");
        assert!(!written.chars().any(|c| c.is_control() && c != '\r' && c != '\n'), "{text:?}");
        let read = ICalendar::parse(&written).unwrap_or_else(|e| panic!("{text:?}: {e:?}"));
        let again = unfolded(&read.to_string());
        let events = again.iter().filter(|l| *l == "BEGIN:VEVENT").count();
        assert_eq!(events, plain.iter().filter(|l| *l == "BEGIN:VEVENT").count(), "{text:?}");
    }
}

const PYTHON: &str = r#"
import sys, icalendar, vobject
for path in sys.argv[1:]:
    data = open(path, "rb").read()
    one = icalendar.Calendar.from_ical(data)
    first = [(str(e["UID"]), str(e["SUMMARY"]), e.decoded("DTSTART"), int(e["SEQUENCE"])) for e in one.walk("VEVENT")]
    for e in one.walk("VEVENT"):
        assert not e.errors, (path, e.errors)
        assert isinstance(e["SUMMARY"], str), path
        e.decoded("DTEND")
    for z in one.walk("VTIMEZONE"):
        z.to_tz()
    two = vobject.readOne(data.decode("utf-8"))
    second = [(e.uid.value, e.summary.value, e.dtstart.value, int(e.sequence.value)) for e in two.vevent_list]
    # icalendar 4 unescapes a backslash before an n twice, so such texts are compared without their spelling.
    odd = {s[0] for s in second if "\\" in s[1]}
    same = lambda e: (e[0], None if e[0] in odd else e[1], e[3])
    assert [same(f) for f in first] == [same(s) for s in second], (path, first, second)
    for f, s in zip(first, second):
        a, b = f[2], s[2]
        if hasattr(a, "utcoffset"):
            assert a.utcoffset() == b.utcoffset(), (path, a, b)
        assert str(a)[:19] == str(b)[:19], (path, a, b)
    print(path, len(first))
"#;

#[test]
fn two_python_readers_agree() {
    let Some(python) = std::env::var_os("ENLACE_TEST_PYTHON") else {
        println!("ENLACE_TEST_PYTHON is not set; the golden files were read by calcard only");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let hostile = hostile().into_iter().enumerate().map(|(i, text)| (format!("hostile-{i}"), hostile_object(&text)));
    for (name, text) in cases().into_iter().map(|(name, text)| (name.to_owned(), text)).chain(hostile) {
        let path = folder.path().join(format!("{name}.ics"));
        std::fs::write(&path, text).unwrap();
        files.push(path);
    }
    let output = Command::new(python).arg("-c").arg(PYTHON).args(&files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), files.len());
}
