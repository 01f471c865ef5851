//! Commands by mail: what a person wrote to `L-request@`, in the words people know from other list programs.
//!
//! A command may stand in the subject; in the text it is one of the first ten lines that say something. Quoted lines,
//! greetings and signatures are passed over, so that an answer written above or below a quotation works. Words of other
//! languages and of Mailman, Sympa and mlmmj are data (`WORDS`). What is not understood is reported back, never guessed:
//! a near miss such as `unsubscibe` is offered, not carried out.
//! Not here: whether the sender may, and is who he says (`service`).

mod whom;

use chrono::NaiveDate;

use crate::domain::language::Language;
use crate::domain::subscription::{DeliveryMode, Stream};

/// Most lines that are read as commands.
pub const COMMAND_LINES: usize = 10;
/// Most lines that are looked at in search of them.
const LOOKED_AT: usize = 500;
/// Longest line that is a command.
const LINE_CHARACTERS: usize = 300;

/// One thing that a mail to `L-request@` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What can be asked.
    Help,
    /// Subscribe the sender.
    Subscribe,
    /// Subscribe the sender, with this delivery.
    SubscribeAs(DeliveryMode),
    /// Subscribe, with the words behind it, lower case; [`Command::of_sender`] says what they mean.
    SubscribeWith(Vec<String>),
    /// Unsubscribe the sender.
    Unsubscribe,
    /// Unsubscribe, with the words behind it.
    UnsubscribeWith(Vec<String>),
    /// Yes to a token mail.
    Confirm(String),
    /// Languages wanted, in order.
    SetLanguages(Vec<Language>),
    /// How posts arrive, until when.
    SetDelivery(DeliveryMode, Option<NaiveDate>),
    /// Nothing from the first of these days up to and including the second.
    SetAbsence(NaiveDate, NaiveDate),
    /// Streams that are to be on; the others off.
    SetStreams(Vec<Stream>),
    /// One of the settings that are on or off.
    SetSwitch(Switch, bool),
    /// The private calendar feed; `true`: a new address for it, and the old one ends.
    Calendar(bool),
    /// What am I subscribed to, how?
    Which,
    /// Why did I get, or not get, the message with this Message-ID (without angle brackets)?
    Why(String),
    /// A line that is no command, with what is wrong with it.
    Unknown(String, Problem),
}

/// A setting that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Own posts come back.
    OwnPosts,
    /// Links instead of attachments.
    Links,
    /// All editions in her languages.
    Both,
    /// Digests as plain text.
    PlainDigest,
    /// Meetings as invitations to her alone.
    Invitations,
}

impl Switch {
    /// As it is written in a command.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnPosts => "own-posts",
            Self::Links => "links",
            Self::Both => "both",
            Self::PlainDigest => "plain-digest",
            Self::Invitations => "invitations",
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The word is not known; the nearest known one, if any is near.
    Word(Option<&'static str>),
    /// The command is known, but what follows it is not understood: this is expected.
    Arguments(&'static str),
}

/// What a word stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verb {
    Help,
    Subscribe,
    Unsubscribe,
    Confirm,
    Set,
    Language,
    Delivery,
    Streams,
    Switch(Switch),
    Calendar,
    Which,
    Why,
    End,
    /// Known to other programs as a way to choose the delivery.
    Digest,
    NoMail,
    Mail,
}

/// Words and what they stand for: Enlace's own, those of other programs, and those of the six languages.
const WORDS: &[(&str, Verb)] = &[
    ("help", Verb::Help),
    ("hlp", Verb::Help),
    ("info", Verb::Help),
    ("commands", Verb::Help),
    ("ayuda", Verb::Help),
    ("aide", Verb::Help),
    ("помощь", Verb::Help),
    ("帮助", Verb::Help),
    ("مساعدة", Verb::Help),
    ("subscribe", Verb::Subscribe),
    ("sub", Verb::Subscribe),
    ("join", Verb::Subscribe),
    ("suscribir", Verb::Subscribe),
    ("suscribirse", Verb::Subscribe),
    ("suscribirme", Verb::Subscribe),
    ("suscripción", Verb::Subscribe),
    ("suscripcion", Verb::Subscribe),
    ("alta", Verb::Subscribe),
    ("abonner", Verb::Subscribe),
    ("s'abonner", Verb::Subscribe),
    ("abonnement", Verb::Subscribe),
    ("inscription", Verb::Subscribe),
    ("подписаться", Verb::Subscribe),
    ("подписка", Verb::Subscribe),
    ("订阅", Verb::Subscribe),
    ("اشتراك", Verb::Subscribe),
    ("unsubscribe", Verb::Unsubscribe),
    ("unsub", Verb::Unsubscribe),
    ("leave", Verb::Unsubscribe),
    ("remove", Verb::Unsubscribe),
    ("signoff", Verb::Unsubscribe),
    ("sig", Verb::Unsubscribe),
    ("baja", Verb::Unsubscribe),
    ("desuscribir", Verb::Unsubscribe),
    ("désabonner", Verb::Unsubscribe),
    ("desabonner", Verb::Unsubscribe),
    ("désabonnement", Verb::Unsubscribe),
    ("désinscription", Verb::Unsubscribe),
    ("отписаться", Verb::Unsubscribe),
    ("退订", Verb::Unsubscribe),
    ("إلغاء", Verb::Unsubscribe),
    ("confirm", Verb::Confirm),
    ("auth", Verb::Confirm),
    ("confirmar", Verb::Confirm),
    ("confirmer", Verb::Confirm),
    ("подтвердить", Verb::Confirm),
    ("确认", Verb::Confirm),
    ("تأكيد", Verb::Confirm),
    ("set", Verb::Set),
    ("language", Verb::Language),
    ("languages", Verb::Language),
    ("lang", Verb::Language),
    ("idioma", Verb::Language),
    ("idiomas", Verb::Language),
    ("langue", Verb::Language),
    ("langues", Verb::Language),
    ("delivery", Verb::Delivery),
    ("entrega", Verb::Delivery),
    ("livraison", Verb::Delivery),
    ("streams", Verb::Streams),
    ("stream", Verb::Streams),
    ("own-posts", Verb::Switch(Switch::OwnPosts)),
    ("ownposts", Verb::Switch(Switch::OwnPosts)),
    ("myposts", Verb::Switch(Switch::OwnPosts)),
    ("links", Verb::Switch(Switch::Links)),
    ("both", Verb::Switch(Switch::Both)),
    ("plain-digest", Verb::Switch(Switch::PlainDigest)),
    ("invitations", Verb::Switch(Switch::Invitations)),
    ("calendar", Verb::Calendar),
    ("calendario", Verb::Calendar),
    ("calendrier", Verb::Calendar),
    ("календарь", Verb::Calendar),
    ("日历", Verb::Calendar),
    ("تقويم", Verb::Calendar),
    ("which", Verb::Which),
    ("status", Verb::Which),
    ("query", Verb::Which),
    ("why", Verb::Why),
    ("porqué", Verb::Why),
    ("pourquoi", Verb::Why),
    ("end", Verb::End),
    ("stop", Verb::End),
    ("quit", Verb::End),
    ("exit", Verb::End),
    ("fin", Verb::End),
    ("digest", Verb::Digest),
    ("nomail", Verb::NoMail),
    ("mail", Verb::Mail),
];

/// Ways to say the two words of a phrase as one.
const PHRASES: &[(&str, &str)] = &[
    ("darse de baja", "baja"),
    ("dar de baja", "baja"),
    ("darme de baja", "baja"),
    ("se désabonner", "désabonner"),
    ("me désabonner", "désabonner"),
    ("s’abonner", "s'abonner"),
    ("إلغاء الاشتراك", "إلغاء"),
    ("por qué", "porqué"),
];

const LANGUAGES_EXPECTED: &str = "set language es,en";
const DELIVERY_EXPECTED: &str = "set delivery each|digest|none [[from 2027-01-10] until 2027-01-15]";
const STREAMS_EXPECTED: &str = "set streams announce,liaison,discuss";
const CONFIRM_EXPECTED: &str = "confirm TOKEN";
const WHY_EXPECTED: &str = "why MESSAGE-ID";
const SET_EXPECTED: &str = "set language …, set delivery …, set streams …, or set links on";
const CALENDAR_EXPECTED: &str = "calendar, or calendar new";

/// Reads the commands of a mail: its subject, then at most [`COMMAND_LINES`] lines of its text, up to `end` or a signature.
///
/// A subject that is no command counts for nothing beside a text, because most subjects are none; alone it is answered if it is no prose.
/// Empty when nothing was asked at all.
pub fn read(subject: &str, text: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut strange = None;
    let subject_line = without_reply_marks(subject);
    match line_of(subject_line) {
        Line::Command(command @ Command::Unknown(..)) => strange = Some(command),
        Line::End | Line::Nothing => {}
        Line::Command(command) => commands.push(command),
    }
    let mut lines = 0;
    for line in text.lines().take(LOOKED_AT) {
        if line.trim_end_matches(['\r', '\n']) == "-- " || line.trim() == "--" || lines == COMMAND_LINES {
            break;
        }
        if is_passed_over(line) {
            continue;
        }
        lines += 1;
        match line_of(line.trim()) {
            Line::End => break,
            Line::Nothing => {}
            // Prose behind a command that was understood is a greeting or an explanation, not a second command.
            Line::Command(Command::Unknown(line, Problem::Word(near))) if is_prose(&line) && near.is_none() && !commands.is_empty() => {
                break;
            }
            Line::Command(command) if commands.contains(&command) => {}
            Line::Command(command) => commands.push(command),
        }
    }
    if commands.is_empty() {
        commands.extend(strange.filter(|_| !is_prose(subject_line)));
    }
    commands
}

enum Line {
    Command(Command),
    End,
    Nothing,
}

/// Empty, quoted, or the line that introduces a quotation.
fn is_passed_over(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with(['>', '|']) || line.ends_with("wrote:") || line.ends_with("écrit :") || line.ends_with("escribió:")
}

fn is_prose(line: &str) -> bool {
    line.split_whitespace().count() > 3 || line.ends_with([',', '.', '!', '?'])
}

/// The subject without `Re:`, `AW:`, `[list]` and the like in front.
fn without_reply_marks(subject: &str) -> &str {
    let mut rest = subject.trim();
    loop {
        let lower = rest.to_lowercase();
        let mark = ["re:", "aw:", "fwd:", "fw:", "rv:", "tr:", "re :", "回复:", "回复：", "رد:", "ответ:"]
            .iter()
            .find(|mark| lower.starts_with(**mark));
        if let Some(mark) = mark
            && rest.is_char_boundary(mark.len())
        {
            rest = rest[mark.len()..].trim_start();
        } else if let Some((label, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'))
            && label.len() < 40
        {
            rest = behind.trim_start();
        } else {
            return rest;
        }
    }
}

fn line_of(line: &str) -> Line {
    let shown: String = line.chars().filter(|c| !c.is_control()).take(LINE_CHARACTERS).collect();
    let mut lower = shown.trim_matches(|c: char| c.is_whitespace() || "\"'*_.!;:«»“”".contains(c)).to_lowercase();
    for (phrase, word) in PHRASES {
        if let Some(rest) = lower.strip_prefix(phrase) {
            lower = format!("{word}{rest}");
        }
    }
    let words: Vec<&str> = lower.split_whitespace().collect();
    let Some((first, arguments)) = words.split_first() else {
        return Line::Nothing;
    };
    let first = first.trim_matches(|c: char| ",.:;!".contains(c));
    let unknown = |problem| Line::Command(Command::Unknown(shown.clone(), problem));
    let Some((_, verb)) = WORDS.iter().find(|(word, _)| *word == first) else {
        return unknown(Problem::Word(nearest(first)));
    };
    // A sentence that only begins with one of our words is not a command: "Help needed with the agenda of the meeting".
    let takes_nothing = matches!(verb, Verb::Help | Verb::Subscribe | Verb::Unsubscribe | Verb::Which | Verb::End);
    if takes_nothing && arguments.len() > 4 {
        return unknown(Problem::Word(nearest(first)));
    }
    match verb {
        Verb::End => Line::End,
        Verb::Help => Line::Command(Command::Help),
        Verb::Subscribe if arguments.is_empty() => Line::Command(Command::Subscribe),
        Verb::Subscribe => Line::Command(Command::SubscribeWith(arguments.iter().map(ToString::to_string).collect())),
        Verb::Unsubscribe if arguments.is_empty() => Line::Command(Command::Unsubscribe),
        Verb::Unsubscribe => Line::Command(Command::UnsubscribeWith(arguments.iter().map(ToString::to_string).collect())),
        Verb::Which => Line::Command(Command::Which),
        Verb::Set => set(arguments).map_or_else(|expected| unknown(Problem::Arguments(expected)), Line::Command),
        Verb::Calendar => match arguments {
            [] => Line::Command(Command::Calendar(false)),
            ["new" | "nuevo" | "nouveau"] => Line::Command(Command::Calendar(true)),
            _ => unknown(Problem::Arguments(CALENDAR_EXPECTED)),
        },
        Verb::Language | Verb::Delivery | Verb::Streams | Verb::Switch(_) | Verb::Digest | Verb::NoMail | Verb::Mail => {
            set(&words).map_or_else(|expected| unknown(Problem::Arguments(expected)), Line::Command)
        }
        Verb::Confirm => {
            confirm(arguments).map_or_else(|| unknown(Problem::Arguments(CONFIRM_EXPECTED)), |t| Line::Command(Command::Confirm(t)))
        }
        // A Message-ID keeps its case, so it is taken from the line as written.
        Verb::Why => why(&shown).map_or_else(|| unknown(Problem::Arguments(WHY_EXPECTED)), |id| Line::Command(Command::Why(id))),
    }
}

fn set(arguments: &[&str]) -> Result<Command, &'static str> {
    let (first, rest) = arguments.split_first().ok_or(SET_EXPECTED)?;
    let items = || rest.iter().flat_map(|word| word.split([',', ';'])).filter(|item| !item.is_empty() && *item != "and");
    match WORDS.iter().find(|(word, _)| word == first).map(|(_, verb)| *verb) {
        Some(Verb::Language) => {
            let mut languages: Vec<Language> = Vec::new();
            for item in items() {
                let language =
                    (item.len() == 2 || item.contains(['-', '_'])).then(|| item.parse().ok()).flatten().ok_or(LANGUAGES_EXPECTED)?;
                if !languages.contains(&language) {
                    languages.push(language);
                }
            }
            if languages.is_empty() || languages.len() > 10 { Err(LANGUAGES_EXPECTED) } else { Ok(Command::SetLanguages(languages)) }
        }
        Some(Verb::Streams) => {
            let mut streams: Vec<Stream> = Vec::new();
            for item in items() {
                match item {
                    "all" => streams.extend(Stream::ALL),
                    "none" => {}
                    _ => streams.push(*Stream::ALL.iter().find(|stream| stream.as_str() == item).ok_or(STREAMS_EXPECTED)?),
                }
            }
            if items().next().is_none() {
                return Err(STREAMS_EXPECTED);
            }
            streams.sort_unstable();
            streams.dedup();
            Ok(Command::SetStreams(streams))
        }
        Some(Verb::Delivery) => delivery(rest),
        Some(Verb::Switch(switch)) => Ok(Command::SetSwitch(switch, on_or_off(switch, rest)?)),
        // `digest` alone is a delivery; with a form behind it the form.
        Some(Verb::Digest) if rest == ["plain"] => Ok(Command::SetSwitch(Switch::PlainDigest, true)),
        Some(Verb::Digest) if rest == ["mime"] => Ok(Command::SetSwitch(Switch::PlainDigest, false)),
        Some(Verb::Digest | Verb::NoMail | Verb::Mail) => delivery(arguments),
        _ => Err(SET_EXPECTED),
    }
}

fn on_or_off(switch: Switch, arguments: &[&str]) -> Result<bool, &'static str> {
    match arguments {
        ["on" | "yes" | "true" | "sí" | "si" | "oui"] => Ok(true),
        ["off" | "no" | "false" | "non"] => Ok(false),
        _ => Err(match switch {
            Switch::OwnPosts => "set own-posts on|off",
            Switch::Links => "set links on|off",
            Switch::Both => "set both on|off",
            Switch::PlainDigest => "set digest plain|mime",
            Switch::Invitations => "set invitations on|off",
        }),
    }
}

fn delivery(arguments: &[&str]) -> Result<Command, &'static str> {
    let (mode, rest) = arguments.split_first().ok_or(DELIVERY_EXPECTED)?;
    let mode = match *mode {
        "each" | "mail" | "plain" | "regular" => DeliveryMode::Each,
        "digest" | "summary" => DeliveryMode::Digest,
        "none" | "nomail" | "off" => DeliveryMode::None,
        _ => return Err(DELIVERY_EXPECTED),
    };
    let until = match rest {
        ["from" | "desde" | "du", from, "until" | "till" | "to" | "hasta" | "jusqu'au" | "au", until] if mode == DeliveryMode::None => {
            let day = |text: &str| text.parse::<NaiveDate>().map_err(|_| DELIVERY_EXPECTED);
            let (from, until) = (day(from)?, day(until)?);
            return if from <= until { Ok(Command::SetAbsence(from, until)) } else { Err(DELIVERY_EXPECTED) };
        }
        [] => None,
        ["until" | "till" | "hasta" | "jusqu'au", day] => Some(day.parse::<NaiveDate>().map_err(|_| DELIVERY_EXPECTED)?),
        _ => return Err(DELIVERY_EXPECTED),
    };
    Ok(Command::SetDelivery(mode, until))
}

/// A token, which is base32 in any case; nothing else is looked at.
fn confirm(arguments: &[&str]) -> Option<String> {
    let token = arguments.first()?.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let fits = (16..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b));
    fits.then(|| token.to_owned())
}

fn why(line: &str) -> Option<String> {
    let id = line.split_whitespace().next_back()?.trim_matches(|c: char| "<>\"'.,;".contains(c));
    let fits = id.contains('@') && id.len() <= 250 && id.chars().all(|c| !c.is_control() && !"<>".contains(c));
    fits.then(|| id.to_owned())
}

/// The known word that `word` may have been meant for: at most two letters away, and long enough to say so.
fn nearest(word: &str) -> Option<&'static str> {
    WORDS
        .iter()
        .map(|(known, _)| (strsim::osa_distance(known, word), *known))
        .filter(|(distance, known)| *distance > 0 && *distance <= 2 && *distance * 3 <= known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn en_es() -> Command {
        Command::SetLanguages(vec!["es".parse().unwrap(), Language::ENGLISH])
    }

    #[test]
    fn every_command_is_read_as_people_write_it() {
        let day = Some("2027-01-15".parse().unwrap());
        for (line, command) in [
            ("help", Command::Help),
            ("AYUDA.", Command::Help),
            ("Subscribe", Command::Subscribe),
            ("subscribe sg12rg-amr Ana Example", Command::SubscribeWith(vec!["sg12rg-amr".into(), "ana".into(), "example".into()])),
            ("join", Command::Subscribe),
            ("sub", Command::Subscribe),
            ("unsubscribe", Command::Unsubscribe),
            ("sig sg12rg-amr", Command::UnsubscribeWith(vec!["sg12rg-amr".into()])),
            ("*Leave*", Command::Unsubscribe),
            ("darse de baja", Command::Unsubscribe),
            ("Se désabonner", Command::Unsubscribe),
            ("退订", Command::Unsubscribe),
            ("إلغاء الاشتراك", Command::Unsubscribe),
            ("set language es,en", en_es()),
            ("SET LANGUAGES es, en", en_es()),
            ("set lang es-MX en", en_es()),
            ("idioma es en", en_es()),
            ("set delivery each", Command::SetDelivery(DeliveryMode::Each, None)),
            ("set delivery none until 2027-01-15", Command::SetDelivery(DeliveryMode::None, day)),
            (
                "set delivery none from 2027-01-10 until 2027-01-15",
                Command::SetAbsence("2027-01-10".parse().unwrap(), "2027-01-15".parse().unwrap()),
            ),
            ("set digest", Command::SetDelivery(DeliveryMode::Digest, None)),
            ("set nomail", Command::SetDelivery(DeliveryMode::None, None)),
            ("set digest plain", Command::SetSwitch(Switch::PlainDigest, true)),
            ("set digest mime", Command::SetSwitch(Switch::PlainDigest, false)),
            ("set own-posts off", Command::SetSwitch(Switch::OwnPosts, false)),
            ("set links yes", Command::SetSwitch(Switch::Links, true)),
            ("set invitations on", Command::SetSwitch(Switch::Invitations, true)),
            ("Calendar", Command::Calendar(false)),
            ("calendario nuevo", Command::Calendar(true)),
            ("set streams announce,liaison", Command::SetStreams(vec![Stream::Announce, Stream::Liaison])),
            ("set streams liaison announce liaison", Command::SetStreams(vec![Stream::Announce, Stream::Liaison])),
            ("set streams none", Command::SetStreams(vec![])),
            ("which", Command::Which),
            ("why <Ab.C@Example.org>", Command::Why("Ab.C@Example.org".into())),
            ("confirm ABCDEFGH234567abcdefgh2345", Command::Confirm("abcdefgh234567abcdefgh2345".into())),
        ] {
            assert_eq!(read("", line), std::slice::from_ref(&command), "{line}");
            assert_eq!(read(&format!("Re: [SG12RG-AMR] {line}"), ""), [command], "{line}");
        }
    }

    #[test]
    fn quotations_greetings_and_signatures_do_no_harm() {
        let text =
            "> unsubscribe\n\nAnn wrote:\n| leave\nset language es,en\nwhich\nwhich\nMany thanks for your help,\nAnn\n-- \nunsubscribe\n";
        assert_eq!(read("Hello", text), [en_es(), Command::Which]);
        assert_eq!(read("", "help\nend\nunsubscribe"), [Command::Help]);
        assert_eq!(read("", "help\n--\nunsubscribe"), [Command::Help]);
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(read("", "unsubscibe"), [Command::Unknown("unsubscibe".into(), Problem::Word(Some("unsubscribe")))]);
        assert_eq!(read("Unsubscribe rates are too high in our region", ""), []);
        assert_eq!(read("set colour red", ""), [Command::Unknown("set colour red".into(), Problem::Arguments(SET_EXPECTED))]);
        assert_eq!(read("set colour red", "which"), [Command::Which], "a subject beside a text may be about anything");
        for (line, expected) in [
            ("set delivery sometimes", DELIVERY_EXPECTED),
            ("set delivery none until soon", DELIVERY_EXPECTED),
            ("set delivery none from 2027-01-16 until 2027-01-15", DELIVERY_EXPECTED),
            ("set delivery digest from 2027-01-10 until 2027-01-15", DELIVERY_EXPECTED),
            ("set language espanol", LANGUAGES_EXPECTED),
            ("set streams all,gossip", STREAMS_EXPECTED),
            ("set", SET_EXPECTED),
            ("set links maybe", "set links on|off"),
            ("calendar please now", CALENDAR_EXPECTED),
            ("confirm", CONFIRM_EXPECTED),
            ("confirm ../../etc/passwd-and-more", CONFIRM_EXPECTED),
            ("why", WHY_EXPECTED),
        ] {
            assert_eq!(read("", line), [Command::Unknown(line.into(), Problem::Arguments(expected))], "{line}");
        }
        assert!(matches!(&read("", "Dear robot, please do something for me")[..], [Command::Unknown(_, Problem::Word(None))]));
        assert_eq!(read("", ""), []);
    }

    #[test]
    fn ten_lines_are_read_and_no_more() {
        let text = "why 1@example.org\nwhy 2@example.org\nwhich\nhelp\n".to_owned() + &"mystery\n".repeat(50);
        assert_eq!(read("", &text).len(), 5, "equal lines count once");
        let different: Vec<_> = (0..50).map(|n| format!("why {n}@example.org")).collect();
        assert_eq!(read("", &different.join("\n")).len(), COMMAND_LINES);
    }

    proptest::proptest! {
        #[test]
        fn rubbish_is_read_without_a_panic(subject in proptest::prelude::any::<String>(), text in proptest::prelude::any::<String>()) {
            proptest::prop_assert!(read(&subject, &text).len() <= COMMAND_LINES + 1);
        }
    }
}
