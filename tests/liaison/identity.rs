//! Which mails are the same statement: nothing that was accepted is taken away by another statement under its symbol.

use enlace::domain::liaison::event::EventKind;
use enlace::service::liaison::{self, Answered, Shown};

use crate::bench::{Bench, block, mail};

/// A group with a grace time of ten minutes.
const OPEN: &str = "SG2RG-ARB";
/// One without.
const AT_ONCE: &str = "SG12RG-AMR";

fn with_file(id: &str, text: &str, name: &str) -> Vec<u8> {
    format!(
        "From: <tsb@itu.example>\r\nSubject: LS\r\nMessage-ID: <{id}>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n--b\r\nContent-Type: application/pdf; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n%PDF {id}\r\n--b--\r\n",
        text.replace('\n', "\r\n")
    )
    .into_bytes()
}

fn named(title: &str, symbol: &str) -> String {
    block(title, "-", "N/A").replace("Source:", &format!("Document: {symbol}\nSource:"))
}

fn spanish(title: &str, symbol: &str) -> String {
    format!(
        "Documento: {symbol}\nOrigen: SG12RG-AMR\nTítulo: {title}\nPara información a: GANT\nContacto: Ana, contact@itu.example\n\nTexto.\n"
    )
}

fn is_clash(shown: &Shown) -> bool {
    shown.view.state == "held" && shown.view.problems.iter().any(|problem| problem.rule == "V13")
}

fn title(shown: &Shown) -> String {
    shown.view.title.best(&[]).cloned().unwrap_or_default()
}

#[tokio::test]
async fn another_statement_under_the_same_symbol_takes_nothing_away() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let first = bench.post(OPEN, "tsb@itu.example", &mail("a1@x.test", "LS", &named("LS/o on quality of voice", "SG12-TD7"))).await;
    let second = bench.post(OPEN, "tsb-es@itu.example", &mail("a2@x.test", "LS", &named("LS/o on tariffs", "SG12-TD7"))).await;
    assert!(matches!(second, Answered::New(id) if id != first.id()), "{second:?}");
    assert!(is_clash(&bench.show(second.id()).await));
    let kept = bench.show(first.id()).await;
    assert_eq!((title(&kept).as_str(), kept.view.state), ("LS/o on quality of voice", "accepted"));
    // The same once more, by anybody of the secretariat, takes its place, and the record says so.
    let again = named("LS/o on quality of voice", "SG12-TD7").replace("Text of", "Other text of");
    assert_eq!(bench.post(OPEN, "tsb-es@itu.example", &mail("a3@x.test", "LS", &again)).await, Answered::Replaced(first.id()));
    let statement = liaison::statement(&bench.services, first.id()).await.unwrap().unwrap();
    assert!(statement.events.iter().any(|event| event.kind == EventKind::Replaced("LS/o on quality of voice".into())), "{statement:?}");
    assert!(!statement.has_errors(), "{:?}", statement.problems);
    // Once the first is taken back, nothing stands in the way of the second.
    let actor = enlace::service::Actor::command_line();
    liaison::withdraw(&bench.services, &actor, first.id(), "an error", false).await.unwrap();
    liaison::circulate(&bench.services, &actor, second.id(), false).await.unwrap();
    assert!(!is_clash(&bench.show(second.id()).await));
}

#[tokio::test]
async fn subgroup_and_study_period_tell_documents_of_one_number_apart() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let mut ids = Vec::new();
    for (n, (title, name)) in [
        ("LS/o on voice", "T25-SG12-260928-TD-GEN-0007!!MSW-E.pdf"),
        ("LS/o on tariffs", "T25-SG12-260928-TD-WP1-0007!!MSW-E.pdf"),
        ("LS/o on numbers", "T22-SG12-230928-TD-GEN-0007!!MSW-E.pdf"),
    ]
    .into_iter()
    .enumerate()
    {
        let posted = bench.post(AT_ONCE, "tsb@itu.example", &with_file(&format!("s{n}@x.test"), &block(title, "-", "N/A"), name)).await;
        assert!(matches!(posted, Answered::New(id) if !ids.contains(&id)), "{name}: {posted:?}");
        ids.push(posted.id());
        bench.advance(chrono::TimeDelta::minutes(1));
        let shown = bench.show(posted.id()).await;
        assert_eq!((shown.name.as_str(), is_clash(&shown)), ("SG12-TD7", false), "{:?}", shown.view.problems);
    }
    let other = with_file("s9@x.test", &spanish("LS/o sobre tarifas", "SG12-TD7/WP1"), "T25-SG12-260928-TD-WP1-0007!!MSW-S.pdf");
    assert_eq!(bench.post(AT_ONCE, "tsb@itu.example", &other).await, Answered::LanguageAdded(ids[1]));
    let find = async |name: &str| liaison::find(&bench.services, name).await.unwrap();
    assert_eq!((find("SG12-TD7/WP1").await, find("sg12-td 7").await), (ids[1], ids[2]), "the short name is the latest");
    assert_eq!(find("T25-SG12-260928-TD-GEN-0007").await, ids[0]);
}

#[tokio::test]
async fn who_came_second_under_a_symbol_draws_nothing_to_itself() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let post = async |id: &str, text: &str| bench.post(AT_ONCE, "tsb@itu.example", &mail(id, "LS", text)).await;
    let first = post("h1@x.test", &named("LS/o on quality", "SG12-TD700")).await;
    let clash = post("h2@x.test", &named("LS/o entirely different", "SG12-TD700")).await;
    assert!(is_clash(&bench.show(clash.id()).await));
    assert_eq!(liaison::find(&bench.services, "SG12-TD700").await.unwrap(), first.id());
    assert_eq!(post("h3@x.test", &spanish("LS/o sobre la calidad", "SG12-TD700")).await, Answered::LanguageAdded(first.id()));
    assert!(!bench.show(first.id()).await.view.problems.iter().any(|problem| problem.rule == "V13"));
    assert_eq!(post("h4@x.test", &named("LS/o entirely different", "SG12-TD700")).await, Answered::Repeated(clash.id()));
    let revised = named("LS/o on quality, corrected", "SG12-TD700R1").replace("Text of", "Better text of");
    assert_eq!(post("h5@x.test", &revised).await, Answered::Corrected(first.id()));
    assert_eq!(title(&bench.show(clash.id()).await), "LS/o entirely different");
}

#[tokio::test]
async fn a_file_of_another_document_in_the_mail_is_told() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let name = "T25-SG12-260928-TD-GEN-0601!!MSW-S.pdf";
    let text = named("LS/o on pairs", "SG12-TD600").replace("For action to", "Título: LS/o sobre parejas\nFor action to");
    let one = with_file("p1@x.test", &text, name);
    // The English file of the statement itself before it.
    let two = String::from_utf8(one).unwrap().replacen(
        "--b\r\nContent-Type: application/pdf",
        "--b\r\nContent-Type: application/pdf; name=\"T25-SG12-260928-TD-GEN-0600!!MSW-E.pdf\"\r\nContent-Disposition: attachment; filename=\"T25-SG12-260928-TD-GEN-0600!!MSW-E.pdf\"\r\n\r\n%PDF e\r\n--b\r\nContent-Type: application/pdf",
        1,
    );
    let posted = bench.post(AT_ONCE, "tsb@itu.example", two.as_bytes()).await;
    let shown = bench.show(posted.id()).await;
    let told = |problem: &&enlace::domain::liaison::view::ProblemView| problem.rule == "V13" && problem.text.contains(name);
    assert!(shown.view.problems.iter().any(|problem| told(&problem)), "{:?}", shown.view.problems);
    // A second title in the same block is that of the other language.
    let titled = bench.show(posted.id()).await;
    assert_eq!(titled.view.title.0.values().map(String::as_str).collect::<Vec<_>>(), ["LS/o on pairs", "LS/o sobre parejas"]);
    // "TD 8/WP1" is a document of the source.
    let short = bench
        .post(AT_ONCE, "tsb@itu.example", &mail("p2@x.test", "LS", &named("LS/o on eight", "TD 8/WP1").replace("SG12RG-AMR", "SG12")))
        .await;
    assert_eq!(bench.show(short.id()).await.view.symbol.as_deref(), Some("SG12-TD8"));
}

#[tokio::test]
async fn a_source_that_has_nothing_to_do_with_the_group_and_an_unclear_day_are_told() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let text = |source: &str| {
        block(&format!("LS/o on routes of {source}"), "-", "03/04/2027").replace("Source: ITU-T SG12RG-AMR", &format!("Source: {source}"))
    };
    for (source, foreign) in [("ITU-T SG12RG-AMR", false), ("ITU-T SG12", false), ("ITU-T SG2", true)] {
        let posted = bench.post(AT_ONCE, "tsb@itu.example", &mail(&format!("{}@x.test", source.len()), "LS", &text(source))).await;
        let problems = bench.show(posted.id()).await.view.problems;
        let told = |part: &str| problems.iter().any(|problem| problem.level == "warning" && problem.text.contains(part));
        assert_eq!(told("neither the source nor addressed"), foreign, "{source}: {problems:?}");
        assert!(told("read with the day first, as 2027-04-03"), "{problems:?}");
    }
}
