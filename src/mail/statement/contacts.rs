//! Contact rows: names, organisations, telephones and mail addresses, of one person or several.
//!
//! The left cell has name, organisation and country, the right one telephone and mail (ITU-T A.1, figure 1-1); mails have
//! it all on one line. Addresses are also written `ana [at] example.org` and `ana(AT)example.org`.

use crate::domain::address::EmailAddress;
use crate::domain::liaison::labels::{ContactLabel, Labels};
use crate::domain::liaison::plain::{is_colon, plain};
use crate::domain::liaison::statement::Contact;

/// Most contacts that are taken.
const MOST: usize = 50;

enum Piece {
    Text(String),
    Telephone(String),
    Email(EmailAddress),
}

/// The contacts of one Contact row, given as its cells from left to right.
pub fn contacts(cells: &[String], labels: &Labels) -> Vec<Contact> {
    if cells.iter().all(|cell| labels.is_none(cell)) {
        return Vec::new();
    }
    if let [left, right] = cells {
        let (left, right) = (blocks(left), blocks(right));
        if left.len() > 1 && left.len() == right.len() {
            return left
                .iter()
                .zip(&right)
                .flat_map(|(left, right)| gather(&pieces(&format!("{left}\n{right}"), labels)))
                .take(MOST)
                .collect();
        }
    }
    gather(&pieces(&cells.join("\n"), labels))
}

/// Blocks of lines between empty lines.
fn blocks(cell: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    for line in cell.lines().map(str::trim) {
        if !line.is_empty() {
            let block = out.last_mut().expect("there is one from the start");
            block.push_str(line);
            block.push('\n');
        } else if out.last().is_some_and(|block| !block.is_empty()) {
            out.push(String::new());
        }
    }
    out.retain(|block| !block.is_empty());
    out
}

fn pieces(text: &str, labels: &Labels) -> Vec<Piece> {
    let mut out = Vec::new();
    for line in text.lines() {
        let wide = line.replace("   ", "\t");
        for part in wide.split(['\t', ';', ',', '，', '、', '،', '؛', '；', '|']) {
            labelled(&mend_at(&plain(part)), labels, &mut out);
        }
    }
    out
}

/// `ana [at] example [dot] org` as `ana@example.org`.
fn mend_at(text: &str) -> String {
    let mut out = text.to_owned();
    for (open, close) in [('[', ']'), ('(', ')'), ('{', '}')] {
        for (word, character) in [("at", "@"), ("dot", ".")] {
            let mark = format!("{open}{word}{close}");
            while let Some(at) = out.to_ascii_lowercase().find(&mark) {
                let before = out[..at].trim_end().to_owned();
                let after = out[at + mark.len()..].trim_start().to_owned();
                out = before + character + &after;
            }
        }
    }
    out
}

/// Cuts a piece at the labels in it: "Tel: +41 22 000 0000 E-mail: ana@example.org".
fn labelled(text: &str, labels: &Labels, out: &mut Vec<Piece>) {
    let starts: Vec<usize> = text.char_indices().filter(|(at, _)| *at == 0 || text[..*at].ends_with(' ')).map(|(at, _)| at).collect();
    let mut open: Option<ContactLabel> = None;
    let mut from = 0;
    for start in starts {
        if start < from {
            continue;
        }
        if let Some((label, length)) = label_at(&text[start..], labels) {
            value(open, &text[from..start], out);
            (open, from) = (Some(label), start + length);
        }
    }
    value(open, &text[from..], out);
}

/// A label with its colon, or one that a number or an address follows.
fn label_at(text: &str, labels: &Labels) -> Option<(ContactLabel, usize)> {
    let colon = text.char_indices().take(30).find(|(_, c)| is_colon(*c));
    if let Some((at, c)) = colon
        && let Some(label) = labels.contact_label(&text[..at])
    {
        return Some((label, at + c.len_utf8()));
    }
    let number = text.char_indices().take(30).find(|(_, c)| c.is_ascii_digit() || *c == '+' || *c == '(').map(|(at, _)| at);
    if let Some(at) = number.filter(|at| *at > 0)
        && let Some(label) = labels.contact_label(&text[..at]).filter(|label| *label != ContactLabel::Email)
    {
        return Some((label, at));
    }
    let space = text.find(' ')?;
    let address_follows = text[space..].split_whitespace().next().is_some_and(|word| word.contains('@'));
    labels.contact_label(&text[..space]).filter(|label| *label == ContactLabel::Email && address_follows).map(|label| (label, space))
}

fn value(label: Option<ContactLabel>, text: &str, out: &mut Vec<Piece>) {
    let mut rest = String::new();
    for word in text.split([' ', '<', '>', '(', ')', '[', ']', '"', '（', '）']) {
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation() && c != '+' && c != '-' && c != '_');
        let address = bare.strip_prefix("mailto:").unwrap_or(bare);
        match address.contains('@').then(|| address.parse::<EmailAddress>()) {
            Some(Ok(address)) => out.push(Piece::Email(address)),
            Some(Err(_)) => {}
            None if matches!(word, "mailto:" | "") => {}
            None => {
                rest.push_str(word);
                rest.push(' ');
            }
        }
    }
    let rest = rest.trim_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '-' | '–' | '：' | '/'));
    if rest.is_empty() {
        return;
    }
    let digits = rest.chars().filter(char::is_ascii_digit).count();
    let looks_like_number = digits >= 6 && !rest.chars().any(char::is_alphabetic);
    match label {
        Some(ContactLabel::Telephone) => out.push(Piece::Telephone(rest.to_owned())),
        Some(ContactLabel::Fax | ContactLabel::Email) => {}
        None if looks_like_number => out.push(Piece::Telephone(rest.to_owned())),
        // The name precedes its address in "Ana Example <ana@example.org>".
        None => match out.last() {
            Some(Piece::Email(_)) if text.trim_start().starts_with(|c: char| c.is_alphabetic()) && text.contains('@') => {
                let address = out.pop().expect("the last one is there");
                out.push(Piece::Text(rest.to_owned()));
                out.push(address);
            }
            _ => out.push(Piece::Text(rest.to_owned())),
        },
    }
}

fn gather(pieces: &[Piece]) -> Vec<Contact> {
    let mut out = Vec::new();
    let mut texts: Vec<&str> = Vec::new();
    let mut current = Contact::default();
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => {
                let another = pieces[at..].iter().any(|later| matches!(later, Piece::Email(_)));
                if current.email.is_some() && another {
                    finish(&mut out, &mut current, &mut texts);
                }
                texts.push(text);
            }
            Piece::Telephone(number) => {
                if current.telephone.is_empty() {
                    current.telephone.clone_from(number);
                } else {
                    current.telephone = format!("{}, {number}", current.telephone);
                }
            }
            Piece::Email(address) if current.email.as_ref() == Some(address) => {}
            Piece::Email(address) => {
                if current.email.is_some() {
                    finish(&mut out, &mut current, &mut texts);
                }
                current.email = Some(address.clone());
            }
        }
    }
    finish(&mut out, &mut current, &mut texts);
    out.truncate(MOST);
    out
}

fn finish(out: &mut Vec<Contact>, current: &mut Contact, texts: &mut Vec<&str>) {
    let mut contact = std::mem::take(current);
    match texts.as_slice() {
        [] => {}
        [name] => (*name).clone_into(&mut contact.name),
        [name, organisation] => {
            (*name).clone_into(&mut contact.name);
            (*organisation).clone_into(&mut contact.organisation);
        }
        [name, organisation @ .., country] => {
            (*name).clone_into(&mut contact.name);
            contact.organisation = organisation.join(", ");
            (*country).clone_into(&mut contact.country);
        }
    }
    texts.clear();
    if contact != Contact::default() {
        out.push(contact);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cells: &[&str]) -> Vec<String> {
        let cells: Vec<String> = cells.iter().map(|cell| (*cell).to_owned()).collect();
        let show = |c: &Contact| {
            format!("{}|{}|{}|{}|{}", c.name, c.organisation, c.country, c.telephone, c.email.as_ref().map_or("", EmailAddress::as_str))
        };
        contacts(&cells, &Labels::shipped()).iter().map(show).collect()
    }

    #[test]
    fn contacts_of_all_forms() {
        let ana = "Ana Example|Example Telecom|Mexico|+41 22 000 0000|ana@example.org";
        for (cells, expected) in [
            (&["Ana Example, tel +41 22 000 0000, ana@itu.example"][..], &["Ana Example|||+41 22 000 0000|ana@itu.example"][..]),
            (&["Ana Example\nExample Telecom\nMexico", "Tel: +41 22 000 0000\nFax: +41 22 000 0001\nE-mail: ana@example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "Tel: +41 22 000 0000 E\u{2011}mail: ana@example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "Tél.\u{a0}: +41 22 000 0000\nCourriel\u{a0}: ana [at] example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "Teléfono: +41 22 000 0000\nCorreo-e: ana(AT)example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "Correo electrónico: ana@example.org\nTel.: +41 22 000 0000"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "电话：+41 22 000 0000\n电子邮件：ana@example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "Тел.: +41 22 000 0000\nЭл. почта: ana@example.org"], &[ana]),
            (&["Ana Example\nExample Telecom\nMexico", "الهاتف: +41 22 000 0000\nالبريد الإلكتروني: ana@example.org"], &[ana]),
            (
                &["Ana Example <ana@example.org>; Luis Example <luis@example.org>"],
                &["Ana Example||||ana@example.org", "Luis Example||||luis@example.org"],
            ),
            (
                &["Ana Example, ana@example.org, Luis Example, luis@example.org"],
                &["Ana Example||||ana@example.org", "Luis Example||||luis@example.org"],
            ),
            (
                &["Ana Example\nTelecom\n\nLuis Example\nAgency", "E-mail: ana@example.org\n\nE-mail: luis@example.org"],
                &["Ana Example|Telecom|||ana@example.org", "Luis Example|Agency|||luis@example.org"],
            ),
            (&["TSB (tsbsg12@itu.example)"], &["TSB||||tsbsg12@itu.example"]),
            (&["tsbsg12@itu.example"], &["||||tsbsg12@itu.example"]),
            (&["Ana Example\tE-mail: ana@example.org <mailto:ana@example.org>"], &["Ana Example||||ana@example.org"]),
            (&["Ana Example"], &["Ana Example||||"]),
            (&["Ana Example, ana@@broken"], &["Ana Example||||"]),
            (&["N/A"], &[]),
            (&["", ""], &[]),
        ] {
            assert_eq!(shown(cells), expected, "{cells:?}");
        }
    }
}
