//! Every mail about a statement in all six languages: complete, no template left in it, Arabic from right to left.
//!
//! `ENLACE_SHOW_MAILS=1 cargo test --test liaison words -- --nocapture` prints them for a reader.

use chrono::TimeDelta;
use enlace::service::{Actor, liaison};

use crate::bench::{Bench, block, mail};
use crate::corpus::{LANGUAGES, body_with, labelled, language, rows_in};

fn check(name: &str, subject: &str, text: &str) {
    if std::env::var("ENLACE_SHOW_MAILS").is_ok() {
        println!("=== {name}\n{subject}\n\n{text}");
    }
    for left in ["{{", "{%", "{0}", "{1}", "liaison.", "problem.", "level.", "category.", "meeting.", "\n\n\n"] {
        assert!(!text.contains(left) && !subject.contains(left), "{name}: {left:?} is left in\n{subject}\n{text}");
    }
    assert!(!subject.trim().is_empty() && text.trim().len() > 40, "{name}: {subject}\n{text}");
}

#[tokio::test]
async fn each_mail_speaks_each_language() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let labels = bench.services.texts.labels();
    bench.members("email,role\nmia@example.org,manager\n", "SG2").await;
    let sections: String = LANGUAGES.iter().map(|tag| body_with(&labelled(&rows_in(tag), tag, labels)) + "\n").collect();
    let whole = bench.post("SG2RG-ARB", "tsb@itu.example", &mail("six@itu.example", "LS", &sections)).await;
    let shown = bench.show(whole.id()).await;
    assert_eq!(shown.view.editions.len(), 6, "{:?}", shown.view.title);
    bench.advance(TimeDelta::minutes(11));
    liaison::send_due(&bench.services).await.unwrap();
    let post = bench.posts("SG2RG-ARB", ".r0@").await.remove(0);
    for (at, edition) in post.editions.iter().enumerate() {
        let (subject, text) = bench.text(&post, at).await;
        let tag = edition.language.unwrap();
        check(&format!("edition {at} {tag}"), &subject, &text);
        let raw = bench.raw(&post, at).await;
        assert!(raw.contains(&format!("Content-Language: {tag}")), "{raw}");
        if tag == language("ar") {
            assert!(raw.contains("multipart/alternative") && raw.contains("text/html"), "Arabic goes with its direction:\n{raw}");
        }
    }
    // A receipt in each language, with every kind of line: held, with problems, with what was not found.
    for tag in LANGUAGES {
        let poster = if tag == "en" { "tsb@itu.example".to_owned() } else { format!("tsb-{tag}@itu.example") };
        let held = block(&format!("LS/o on {tag}"), "SG2", "soon")
            .replace("Contact: Ana Example, contact@itu.example\n", "")
            .replace("Approval: ITU-T SG12 meeting", "Approval: somebody");
        let held = bench.post("SG12RG-AMR", &poster, &mail(&format!("h-{tag}@itu.example"), "LS", &held)).await;
        let out = bench
            .post(
                "SG12RG-AMR",
                &poster,
                &mail(&format!("o-{tag}@itu.example"), "LS", &block(&format!("LS/o about {tag}"), "SG2", "22 January 2027")),
            )
            .await;
        // Two mails of the same instant have no order, so they are found by their language.
        let receipts: Vec<_> = bench
            .posts("SG12RG-AMR", ".robot@")
            .await
            .into_iter()
            .filter(|post| post.editions[0].language == Some(language(tag)))
            .collect();
        assert_eq!(receipts.len(), 2, "{tag}");
        for post in &receipts {
            let (subject, text) = bench.text(post, 0).await;
            check(&format!("receipt {tag}"), &subject, &text);
        }
        let errors: Vec<_> = bench.show(held.id()).await.view.problems.into_iter().filter(|p| p.level == "error").map(|p| p.rule).collect();
        assert_eq!(errors, ["V2", "V5", "V7"]);
        let _ = out;
    }
    // A withdrawal in each language the statement went out in.
    liaison::withdraw(&bench.services, &Actor::command_line(), whole.id(), "Error", false).await.unwrap();
    let notice = bench.posts("SG2RG-ARB", ".withdrawn@").await.remove(0);
    assert_eq!(notice.editions.len(), 6);
    for (at, edition) in notice.editions.iter().enumerate() {
        let (subject, text) = bench.text(&notice, at).await;
        check(&format!("withdrawal {}", edition.language.unwrap()), &subject, &text);
    }
}

#[tokio::test]
async fn drafts_are_written_in_the_languages_of_the_parent() {
    let bench = Bench::new("2026-12-01T15:00:00Z").await;
    let six = r#"
[[group]]
code = "SG3"
kind = "study"
list = "sg3"
languages = ["en", "fr", "es", "ar", "zh", "ru"]
name = { en = "ITU-T Study Group 3", es = "Comisión de Estudio 3 del UIT-T", fr = "Commission d'études 3 de l'UIT-T", ar = "لجنة الدراسات 3", ru = "3-я Исследовательская комиссия МСЭ-Т", zh = "ITU-T第3研究组" }
secretariat = ["tsbsg3@itu.example"]
[[group]]
code = "SG3RG-AFR"
kind = "regional"
parent = "SG3"
region = "africa"
list = "sg3rg-afr"
name = { en = "SG3 Regional Group for Africa", fr = "Groupe régional de la CE 3 pour l'Afrique" }
supporting_members = ["Kenya"]
"#;
    let report = enlace::service::group::apply(&bench.services, &Actor::command_line(), six, "g.toml", false).await.unwrap();
    let draft = report.groups.iter().find(|group| group.code == "SG3RG-AFR").unwrap().draft.clone().unwrap();
    let shown = bench.show(draft.parse().unwrap()).await;
    assert_eq!((shown.view.state, shown.view.editions.len()), ("held", 6));
    for edition in &shown.view.editions {
        check(&format!("draft {}", edition.language), &edition.title, &edition.text);
        assert!(edition.text.contains("Kenya"), "one supporting member is too few, and named: {}", edition.text);
    }
    let mut changed = six.replace("\"Kenya\"", "\"Kenya\", \"Ghana\"");
    changed = changed.replace("SG3 Regional Group for Africa", "Regional Group of SG3 for Africa");
    let report = enlace::service::group::apply(&bench.services, &Actor::command_line(), &changed, "g.toml", false).await.unwrap();
    assert!(report.groups[1].draft.as_ref().is_some_and(|id| *id != draft), "{report:?}");
    let ended =
        enlace::service::group::retire(&bench.services, &Actor::command_line(), &"SG3RG-AFR".parse().unwrap(), false).await.unwrap();
    let shown = bench.show(ended.draft.unwrap().parse().unwrap()).await;
    assert!(shown.view.title.0.values().any(|title| title.contains("termination")), "{:?}", shown.view.title);
}
