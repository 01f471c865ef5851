use std::collections::BTreeSet;
use std::fs;

use minijinja::context;

use super::*;
use crate::domain::ledger::RecipientState;
use crate::domain::mistake::Mistake;
use crate::domain::reason::Rule;

const SIX: [&str; 6] = ["ar", "en", "es", "fr", "ru", "zh"];

fn texts() -> Texts {
    Texts::load(None).unwrap()
}

fn sample() -> Value {
    context! {
        group => context! {
            code => "SG12RG-AMR", name => "Grupo Regional", address => "l@lists.example.org", request => "l-request@lists.example.org",
            owner => "l-owner@lists.example.org", join => "l-join@lists.example.org", leave => "l-leave@lists.example.org",
        },
        service => context! { name => "Lists", domain => "lists.example.org", base_url => "https://lists.example.org" },
        settings => context! { streams => ["announce", "liaison"], languages => ["es", "en"], delivery => "digest" },
        link => "https://lists.example.org/x", days => 14, stop_address => "l-moderate+f@lists.example.org", subject => "A subject", member => "ana@example.org", member_name => "Ana Example",
        from => "ana@example.org", looks_like => "bo@example.org", reason => "because", release_address => "l-moderate+a@lists.example.org", reject_address => "l-moderate+b@lists.example.org",
        discard_address => "l-moderate+c@lists.example.org", allow_address => "l-moderate+g@lists.example.org", asked => "subscribe", address => "ana@example.org", name => "Ana Example",
        organisation => "Example", country => "MX", kind => "ties", category => "associate", outcome => "declined", approve_address => "l-moderate+d@lists.example.org",
        deny_address => "l-moderate+e@lists.example.org", minutes => 15, message_id => "1@example.org", lines => ["one", "two"], rules => ["member-state", "affiliated to SG12"], day => "2027-01-15",
        results => [context! { command => "which", done => true, text => "ok" }, context! { command => "x", done => false, text => "no" }],
        status => "announced", warnings => ["one"], meeting => context! {
            id => "x-2027", title => "T", groups => "G", when => "W", place => "P", host => "H", letter => "L", audience => "A", languages => "",
            registration_url => "", agenda_url => "", documents_url => "", remote_url => "R", remote_notes => "", contact => "C", deadline_zone => "Z",
            deadlines => [context! { label => "D", date => "1", given => true }], parts => [context! { title => "P", when => "W", audience => "A" }],
        },
        hours => 24, period => "2025-2028", groups => [context! { code => "SG12RG-AMR", name => "Grupo" }],
        active => 3, pending => 1, suspended => 1, page => "https://lists.example.org/manage/X",
        resting => [context! { address => "a@example.org", reason => "because" }], ending => [context! { address => "b@example.org", date => "2027-01-15" }],
        people => [context! { name => "Ana Example", address => "ana@example.org" }], more => 3, reminder => true,
        webhook => "reports", url => "https://hooks.example.org/", failures => 9, since => "2027-01-15 08:00 UTC", said => "no answer in time",
        number => 3, contents => [context! { number => 1, subject => "A subject", author => "Ana", date => "2027-01-15", link => "https://lists.example.org/x" }],
        subscriptions => [context! {
            group => "SG12RG-AMR", group_name => "Grupo", state => "suspended", reason => "because", streams => ["discuss"],
            languages => ["es"], delivery => "none", until => "2027-01-15",
        }],
    }
}

#[test]
fn every_language_has_every_mail_with_the_same_values() {
    let texts = texts();
    assert_eq!(texts.languages().iter().map(Language::as_str).collect::<Vec<_>>(), SIX);
    let about = ["group", "service", "address", "name", "language"];
    let built_in: BTreeSet<_> = source::built_in()[&Language::ENGLISH].templates.keys().cloned().collect();
    for (language, source) in source::built_in() {
        assert_eq!(source.templates.keys().cloned().collect::<BTreeSet<_>>(), built_in, "templates of {language}");
        for template in &built_in {
            let values = texts.values_of(language, template).unwrap();
            assert_eq!(values, texts.values_of(Language::ENGLISH, template).unwrap(), "values of {language}/{template}");
            let name = template.split('/').nth(1).unwrap();
            let Some((_, own)) = MAILS.iter().find(|(mail, _)| *mail == name) else { continue };
            for value in values {
                assert!(own.contains(&value.as_str()) || about.contains(&value.as_str()), "{language}/{template} asks for {value}");
            }
        }
    }
    for (name, _) in MAILS {
        assert!(built_in.contains(&format!("mail/{name}/subject.txt")) && built_in.contains(&format!("mail/{name}/body.txt")), "{name}");
    }
}

#[test]
fn every_language_has_every_word_and_every_reason() {
    let sources = source::built_in();
    let english: BTreeSet<_> = sources[&Language::ENGLISH].words.keys().cloned().collect();
    for (language, source) in &sources {
        assert_eq!(source.words.keys().cloned().collect::<BTreeSet<_>>(), english, "words of {language}");
        for rule in Rule::ALL {
            let text =
                source.words.get(&format!("reason.{}", rule.key())).unwrap_or_else(|| panic!("{language} lacks reason.{}", rule.key()));
            let places = |text: &str| (0..9).filter(|n| text.contains(&format!("{{{n}}}"))).collect::<Vec<_>>();
            let marks: Vec<String> = (0..9).map(|n| format!("<{n}>")).collect();
            let said = Reason::new(*rule, marks).text();
            let in_rule: Vec<_> = (0..9).filter(|n| said.contains(&format!("<{n}>"))).collect();
            assert_eq!(places(text), in_rule, "{language}: reason.{}", rule.key());
        }
    }
}

#[test]
fn every_language_says_every_mistake_with_what_it_is_about() {
    let texts = texts();
    let marks: Vec<String> = (0..9).map(|n| format!("<{n}>")).collect();
    let places = |text: &str| (0..9).filter(|n| text.contains(&format!("<{n}>"))).collect::<Vec<_>>();
    for mistake in Mistake::ALL {
        let advice = mistake.about(&marks);
        let english = advice.to_string();
        assert_eq!(texts.advice(Language::ENGLISH, &advice), english, "{}", mistake.key());
        for language in texts.languages().into_iter().filter(|language| *language != Language::ENGLISH) {
            let said = texts.advice(language, &advice);
            assert_ne!(said, english, "{language}: mistake.{}", mistake.key());
            // The name of a state, always the second, may be left to the page that shows it.
            let stateless = places(&english).into_iter().filter(|n| *n != 1).collect::<Vec<_>>();
            assert!(places(&said) == places(&english) || places(&said) == stateless, "{language}: mistake.{}", mistake.key());
        }
    }
}

#[test]
fn what_commands_by_mail_answer_with_are_words_and_not_keys() {
    let texts = texts();
    let commands = ["help", "token", "unknown", "near", "arguments", "which-none", "why-none"].map(|word| format!("command.{word}"));
    let outcomes = ["subscribed", "already-subscribed", "unsubscribed", "changed", "unchanged"].map(|word| format!("outcome.{word}"));
    let states = RecipientState::ALL.iter().map(|state| format!("ledger.{}", state.as_str()));
    for key in commands.into_iter().chain(outcomes).chain(states) {
        for language in texts.languages() {
            assert_ne!(texts.word(language, &key), key, "{language}");
        }
    }
}

#[test]
fn every_mail_can_be_written_in_every_language() {
    let texts = texts();
    for language in texts.languages() {
        for (name, _) in MAILS {
            let mail = texts.mail(language, None, name, sample()).unwrap_or_else(|error| panic!("{language}: {error}"));
            for text in [&mail.subject, &mail.text] {
                assert!(
                    !text.trim().is_empty() && !text.contains("{{") && !text.contains("{%") && !text.contains("{#"),
                    "{language}/{name}: {text}"
                );
            }
            assert!(!mail.subject.contains('\n') && !mail.text.contains("\n\n\n"), "{language}/{name}:\n{}", mail.text);
        }
    }
    let mail = texts.mail("es".parse().unwrap(), None, "subscribed", sample()).unwrap();
    assert!(mail.text.contains("Recibirá: reuniones y circulares, declaraciones de coordinación\nIdiomas: es, en\n"), "{}", mail.text);
    let mail = texts.mail("fr".parse().unwrap(), None, "settings", sample()).unwrap();
    assert!(mail.text.contains("SG12RG-AMR : Grupo\n  État : suspendu\n  because\n  Flux : discussion\n"), "{}", mail.text);
    assert!(mail.text.contains("Jusqu'au : 15 janvier 2027\n"), "{}", mail.text);
}

#[test]
fn a_missing_value_is_an_error_that_names_the_template() {
    let error = texts().mail(Language::ENGLISH, None, "rejected", context! { group => context! { code => "X" } }).unwrap_err();
    assert!(error.to_string().starts_with("mail/rejected/"), "{error}");
    assert_eq!(texts().mail(Language::ENGLISH, None, "nothing", ()).unwrap_err(), TextError::Unknown("nothing".into()));
}

#[test]
fn a_reason_is_told_in_the_readers_language() {
    let reason = Reason::new(Rule::NotSubscribed, ["ann@example.org", "SG12RG-AMR"]);
    let texts = texts();
    assert_eq!(texts.reason("es".parse().unwrap(), &reason), "ann@example.org no está suscrito a SG12RG-AMR");
    assert_eq!(texts.reason("de".parse().unwrap(), &reason), reason.text());
    assert!(texts.reason(Language::ARABIC, &reason).starts_with("\u{2068}ann@example.org\u{2069} غير"));
    assert_eq!(texts.word("fr".parse().unwrap(), "category.member-state"), "État Membre");
    assert_eq!(texts.word("de".parse().unwrap(), "no.such.key"), "no.such.key");
}

#[test]
fn files_replace_texts_for_the_service_for_a_group_and_for_a_new_language() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("en/mail/help/subject.txt", "Our help");
    write("en/words.toml", "[role]\nmanager = \"list owner\"\n");
    write("groups/sg12rg-amr/es/mail/help/subject.txt", "Ayuda de la casa");
    write("pt/mail/help/subject.txt", "Ajuda de {{ group.code }}");
    write("README.md", "not a text");
    let texts = Texts::load(Some(folder.path())).unwrap();
    let subject = |language: &str, group| texts.mail(language.parse().unwrap(), group, "help", sample()).unwrap().subject;
    assert_eq!(subject("en", None), "Our help");
    assert_eq!(subject("es", Some("SG12RG-AMR")), "Ayuda de la casa");
    assert!(subject("es", Some("SG3RG-AFR")).starts_with("SG12RG-AMR: lo que"));
    assert_eq!(subject("pt", None), "Ajuda de SG12RG-AMR");
    assert_eq!(texts.word(Language::ENGLISH, "role.manager"), "list owner");
    assert_eq!(texts.word(Language::ENGLISH, "role.member"), "member");

    write("en/mail/help/body.txt", "a\n{% if %}\n");
    let error = Texts::load(Some(folder.path())).unwrap_err().to_string();
    assert!(error.contains("en/mail/help/body.txt: line 2"), "{error}");
    write("en/mail/help/body.txt", "{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}");
    let endless = Texts::load(Some(folder.path())).unwrap().mail(Language::ENGLISH, None, "help", sample());
    assert!(endless.is_err(), "a template ends");
    write("en/mail/help/body.txt", "{% include '../../etc/passwd' %}");
    assert!(Texts::load(Some(folder.path())).unwrap().mail(Language::ENGLISH, None, "help", sample()).is_err(), "a template reads no file");
    write("en/words.toml", "role = ");
    assert!(Texts::load(Some(folder.path())).unwrap_err().to_string().contains("words.toml"));
}
