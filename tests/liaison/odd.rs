//! Mails as people and programs really write them: what is read, and that nothing breaks.

use bytes::Bytes;
use enlace::service::liaison::{self, Answered, Mail};

use crate::bench::{Bench, block, mail};

const HEAD: &str = "From: <tsb@itu.example>\r\nTo: <sg12rg-amr-liaison@lists.example.org>\r\nSubject: LS/o on odd mails [to TSAG]\r\nMessage-ID: <odd@itu.example>\r\nMIME-Version: 1.0\r\n";

fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}

async fn read(bench: &Bench, mail: &str) -> Mail {
    liaison::read(&bench.services, Bytes::from(mail.to_owned())).await.unwrap()
}

/// Title, source, action, information, deadline, contact, languages, files.
fn seen(mail: &Mail) -> String {
    let r = &mail.reading;
    let names = |found: &Option<enlace::mail::statement::Found<Vec<enlace::domain::liaison::statement::Destination>>>| {
        found.as_ref().map(|f| f.value.iter().map(|d| d.name.clone()).collect::<Vec<_>>().join("+")).unwrap_or_default()
    };
    let contacts =
        r.contacts.as_ref().map(|f| f.value.iter().filter_map(|c| c.email.as_ref()).map(ToString::to_string).collect::<Vec<_>>().join("+"));
    [
        r.title.iter().map(|(language, title)| format!("{language}={}", title.value)).collect::<Vec<_>>().join("+"),
        r.source.as_ref().map(|f| f.value.clone()).unwrap_or_default(),
        names(&r.action),
        names(&r.information),
        r.deadline.as_ref().and_then(|f| f.value).map(|day| day.to_string()).unwrap_or_default(),
        contacts.unwrap_or_default(),
        r.editions.iter().map(|e| e.language.to_string()).collect::<Vec<_>>().join("+"),
        mail.posted.files.len().to_string(),
    ]
    .join(" | ")
}

const WHOLE: &str = "en=LS/o on measurement | ITU-T SG12RG-AMR | SG2 | TSAG | 2027-01-22 | contact@itu.example | en | 0";

#[tokio::test]
async fn encodings_formats_and_wrappings_of_the_same_statement_are_read_alike() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = block("LS/o on measurement", "SG2", "22 January 2027");
    let base64 = {
        let encoded = data_encoding::BASE64.encode(crlf(&text).as_bytes());
        encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n")
    };
    let printable = crlf(&text).replace('=', "=3D").replace("Mexico", "M=65xico").replace("28 September", "28 Sep=\r\ntember");
    // format=flowed breaks long lines behind a space (RFC 3676).
    let flowed = crlf(&text).replace("(Mexico City, 28 September 2026)", "(Mexico City, \r\n28 September 2026)");
    let html = format!(
        "<html><head><style>p {{ margin: 0 }}</style></head><body>{}<p>&nbsp;</p>\r\n<p>Text of the statement.</p></body></html>",
        text.split_once("\n\n")
            .unwrap()
            .0
            .lines()
            .map(|line| format!("<p><b>{}</b></p>\r\n", line.replace('&', "&amp;")))
            .collect::<String>()
    );
    let table = format!(
        "<html><body><table>{}</table><p>&nbsp;</p>\r\n<p>Text of the statement.</p></body></html>",
        text.split_once("\n\n")
            .unwrap()
            .0
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(label, value)| format!("<tr><td>{label}:</td><td>{value}</td></tr>\r\n"))
            .collect::<String>()
    );
    let lines = |element: &str, between: &str| {
        let head: String = text.split_once("\n\n").unwrap().0.lines().map(|line| format!("<{element}>{line}</{element}>")).collect();
        format!("<html><body>{head}{between}<{element}>This is the text of the statement.</{element}></body></html>")
    };
    for (name, body) in [
        ("html divs", format!("Content-Type: text/html; charset=utf-8\r\n\r\n{}", lines("div", "<div><br></div>"))),
        ("html paragraphs", format!("Content-Type: text/html; charset=utf-8\r\n\r\n{}", lines("p", ""))),
        ("no empty line", format!("Content-Type: text/plain\r\n\r\n{}", crlf(&text.replace("\n\n", "\nThis is its text, and more: ")))),
        (
            "quoted",
            format!("Content-Type: text/plain\r\n\r\n{}", crlf(&text.lines().map(|line| format!("> {line}\n")).collect::<String>())),
        ),
        ("plain", format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", crlf(&text))),
        ("no MIME at all", format!("\r\n{}", crlf(&text))),
        ("base64", format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n")),
        (
            "quoted-printable",
            format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{printable}"),
        ),
        ("flowed", format!("Content-Type: text/plain; charset=utf-8; format=flowed\r\n\r\n{flowed}")),
        (
            "utf-16",
            format!(
                "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
                data_encoding::BASE64.encode(&crlf(&text).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
            ),
        ),
        ("html only", format!("Content-Type: text/html; charset=utf-8\r\n\r\n{html}")),
        ("html table", format!("Content-Type: text/html; charset=utf-8\r\n\r\n{table}")),
        (
            "alternative",
            format!(
                "Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\n{}\r\n--a\r\nContent-Type: text/html\r\n\r\n{html}\r\n--a--\r\n",
                crlf(&text)
            ),
        ),
        (
            "greeting above",
            format!("Content-Type: text/plain\r\n\r\nDear colleagues,\r\n\r\nplease find below the statement.\r\n\r\n{}", crlf(&text)),
        ),
        ("signature below", format!("Content-Type: text/plain\r\n\r\n{}\r\n-- \r\nTSB SG12\r\nTel: +41 22 000 0000\r\n", crlf(&text))),
        (
            "bold labels",
            format!("Content-Type: text/plain\r\n\r\n{}", crlf(&text.replace("Source:", "*Source:*").replace("Deadline:", "*Deadline*:"))),
        ),
    ] {
        let found = read(&bench, &format!("{HEAD}{body}")).await;
        assert_eq!(seen(&found), WHOLE, "{name}: {:?}", found.posted.texts);
    }
}

#[tokio::test]
async fn several_languages_in_one_mail_are_several_editions() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let english = crlf(&block("LS/o on measurement", "SG2", "22 January 2027"));
    let spanish = crlf(
        "Origen: SG12RG-AMR del UIT-T\nTítulo: LS/o sobre mediciones\nPara acción a: CE 2\nPara información a: GANT\nPlazo: 22 de enero de 2027\nContacto: Ana Example, contact@itu.example\n\nTexto.\n",
    );
    let both =
        "en=LS/o on measurement+es=LS/o sobre mediciones | ITU-T SG12RG-AMR | SG2 | TSAG | 2027-01-22 | contact@itu.example | en+es | 0";
    for (name, body) in [
        ("sections", format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{english}\r\n{spanish}")),
        (
            "parts",
            format!(
                "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Language: en\r\n\r\n{english}\r\n--a\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Language: es\r\n\r\n{spanish}\r\n--a--\r\n"
            ),
        ),
        (
            "multilingual",
            format!(
                "Content-Type: multipart/multilingual; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\nThis is a message in two languages.\r\n--a\r\nContent-Type: message/rfc822\r\nContent-Language: en\r\nContent-Translation-Type: original\r\n\r\nSubject: LS/o on measurement\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{english}\r\n--a\r\nContent-Type: message/rfc822\r\nContent-Language: es\r\nContent-Translation-Type: human\r\n\r\nSubject: LS/o sobre mediciones\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{spanish}\r\n--a--\r\n"
            ),
        ),
    ] {
        assert_eq!(seen(&read(&bench, &format!("{HEAD}{body}")).await), both, "{name}");
    }
}

#[tokio::test]
async fn junk_empty_and_crowded_mails_are_kept_with_their_problems() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = crlf(&block("LS/o on measurement", "-", "N/A"));
    let files = |count: usize| -> String {
        (0..count).map(|n| format!("--a\r\nContent-Type: application/octet-stream; name=\"annex{n}.docx\"\r\nContent-Disposition: attachment; filename=\"annex{n}.docx\"\r\nContent-Transfer-Encoding: base64\r\n\r\nUEsDBBQ=\r\n")).collect()
    };
    let forwarded = format!(
        "--a\r\nContent-Type: message/rfc822\r\n\r\nFrom: bo@sg2.example\r\nSubject: TD 364\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nA new liaison statement has been received from SG2.\r\n{text}\r\n"
    );
    let winmail = "--a\r\nContent-Type: application/ms-tnef; name=\"winmail.dat\"\r\nContent-Disposition: attachment; filename=\"winmail.dat\"\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+IgAAAAA=\r\n".to_owned();
    let mixed = |parts: &str| format!("{HEAD}Content-Type: multipart/mixed; boundary=a\r\n\r\n{parts}--a--\r\n");
    let with_text = |parts: &str| mixed(&format!("--a\r\nContent-Type: text/plain\r\n\r\n{text}\r\n{parts}"));
    for (name, mail, rules, held) in [
        ("empty", format!("{HEAD}Content-Type: text/plain\r\n\r\n"), &["V5", "V7", "V10"][..], true),
        (
            "a newspaper",
            format!("{HEAD}Content-Type: text/plain\r\n\r\nNote: the following news: nothing.\r\nRegards: all\r\n"),
            &["V5", "V7"][..],
            true,
        ),
        ("winmail", with_text(&winmail), &["V14"][..], false),
        ("forty files", with_text(&files(40)), &["V14"][..], false),
        ("a forwarded document", mixed(&forwarded), &[][..], false),
        (
            "a truncated part",
            format!("{HEAD}Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: text/plain\r\n\r\n{text}"),
            &[][..],
            false,
        ),
    ] {
        let read = liaison::read(&bench.services, Bytes::from(mail)).await.unwrap();
        let group = bench.services.group(&"SG12RG-AMR".parse().unwrap()).unwrap();
        let poster = "tsb@itu.example".parse().unwrap();
        let dossier = liaison::preview(&bench.services, &read, &group, Some(&poster)).await.unwrap();
        let found: Vec<&str> = dossier.statement.problems.iter().map(|problem| problem.rule.as_str()).collect();
        for rule in rules {
            assert!(found.contains(rule), "{name}: {rule} is not in {:?}", dossier.statement.problems);
        }
        assert_eq!(dossier.statement.has_errors(), held, "{name}: {:?}", dossier.statement.problems);
    }
}

#[tokio::test]
async fn the_same_symbol_is_a_language_a_replacement_or_a_problem() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = |title: &str, body: &str| {
        block(title, "-", "N/A").replace("Source:", "Document: SG12-TD400\nSource:").replace("Text of the statement.", body)
    };
    let first = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("s1@x.test", "LS", &text("LS/o on A", "One."))).await;
    let other = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("s2@x.test", "LS", &text("LS/o on B", "Two."))).await;
    assert!(matches!(other, Answered::New(id) if id != first.id()), "{other:?}");
    let shown = bench.show(other.id()).await;
    let symbols = (bench.show(first.id()).await.view.symbol, shown.view.symbol.clone());
    assert!(shown.view.state == "held" && shown.view.problems.iter().any(|p| p.rule == "V13"), "{symbols:?} {:?}", shown.view.problems);
    // In a group with a grace time the first one is still open, and is replaced.
    let first = bench.post("SG2RG-ARB", "tsb@itu.example", &mail("s3@x.test", "LS", &text("LS/o on A", "One."))).await;
    let again = bench.post("SG2RG-ARB", "tsb@itu.example", &mail("s4@x.test", "LS", &text("LS/o on A, corrected", "One."))).await;
    assert_eq!(again, Answered::Replaced(first.id()));
    let same = bench.post("SG2RG-ARB", "tsb@itu.example", &mail("s5@x.test", "LS", &text("LS/o on A, corrected", "One."))).await;
    assert_eq!(same, Answered::Repeated(first.id()));
    // Without a symbol an answer in a further language belongs to what it answers.
    let english = bench.post("SG12RG-AMR", "tsb@itu.example", &mail("n1@x.test", "LS", &block("LS/o on N", "-", "N/A"))).await;
    let spanish = "Origen: SG12RG-AMR\nTítulo: LS/o sobre N\nPara información a: GANT\n\nTexto.\n";
    let reply =
        String::from_utf8(mail("n2@x.test", "LS", spanish)).unwrap().replacen("Subject:", "In-Reply-To: <n1@x.test>\r\nSubject:", 1);
    assert_eq!(bench.post("SG12RG-AMR", "tsb@itu.example", reply.as_bytes()).await, Answered::LanguageAdded(english.id()));
    let shown = bench.show(english.id()).await;
    assert_eq!(shown.view.title.0.len(), 2);
    assert_eq!(shown.posts.len(), 2);
}
