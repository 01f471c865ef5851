//! From texts, tables, names and Subject to one reading: the order of the sources lives here.

use std::collections::BTreeMap;

use crate::domain::language::Language;
use crate::domain::liaison::bodies::Body;
use crate::domain::liaison::labels::{Field, Labels};
use crate::domain::liaison::plain::{plain, plain_lines};
use crate::domain::liaison::statement::{Destination, Doubt, Prepared, Purpose, Symbol};
use crate::mail::docx;

use super::sheet::{self, Row, Section, Sheet};
use super::{EditionReading, Found, FoundIn, Posted, PostedFile, Reading, contacts, dates, files, title, values};

/// Most documents whose head is read.
const DOCUMENTS: usize = 40;

/// A header with its place, in the order in which headers are believed.
struct Source {
    sheet: Sheet,
    found_in: FoundIn,
    language: Option<Language>,
}

/// A text of the mail with its header, if it has one.
struct TextSection {
    section: Section,
    language: Option<Language>,
    subject: String,
}

pub(super) fn assemble(posted: &Posted, labels: &Labels) -> Reading {
    let mut reading = Reading::default();
    let texts = text_sections(posted, labels);
    let languages = file_languages(posted);
    let (documents, file_languages) = documents(posted, languages, labels, &mut reading);
    let main = main_language(&texts, &documents);
    let mut sources: Vec<Source> = Vec::new();
    for text in texts.iter().filter(|text| !text.section.sheet.rows.is_empty()) {
        sources.push(Source { sheet: text.section.sheet.clone(), found_in: FoundIn::Body, language: text.language });
    }
    sources.extend(documents);
    let headers_in_documents = sources.iter().any(|source| source.found_in != FoundIn::Body);
    titles(&sources, &texts, posted, main, labels, &mut reading);
    neutral_fields(&sources, labels, &mut reading);
    symbol(&sources, posted, labels, &mut reading);
    marks_of_titles(posted, main, labels, &mut reading);
    reading.editions = editions(&texts, &file_languages, main, headers_in_documents);
    reading
}

pub(super) fn correction(text: &str, labels: &Labels) -> Reading {
    let own = text.lines().take_while(|line| !line.trim_start().starts_with('>')).collect::<Vec<_>>().join("\n");
    let mut reading = Reading::default();
    let sections = sheet::sections(&own, labels, 1);
    let sources: Vec<Source> = sections
        .into_iter()
        .map(|section| Source { language: section.sheet.language(), sheet: section.sheet, found_in: FoundIn::Body })
        .collect();
    for source in &sources {
        title_of_sheet(source, Language::ENGLISH, labels, &mut reading);
    }
    neutral_fields(&sources, labels, &mut reading);
    symbol(&sources, &Posted::default(), labels, &mut reading);
    reading
}

fn text_sections(posted: &Posted, labels: &Labels) -> Vec<TextSection> {
    let mut out = Vec::new();
    for text in &posted.texts {
        for section in sheet::sections_of_mail(&text.text, labels) {
            let declared = text.language.filter(|language| section.sheet.rows.is_empty() || section.sheet.may_be(*language));
            let language = declared.or_else(|| section.sheet.language());
            out.push(TextSection { section, language, subject: text.subject.clone() });
        }
    }
    out
}

fn file_languages(posted: &Posted) -> Vec<Option<Language>> {
    posted.files.iter().map(|file| files::language(&file.name).or(file.language)).collect()
}

/// Reads the heads of the documents; gives those that are headers, one a language, and the languages of all files.
fn documents(
    posted: &Posted,
    mut languages: Vec<Option<Language>>,
    labels: &Labels,
    reading: &mut Reading,
) -> (Vec<Source>, Vec<Option<Language>>) {
    let mut found: Vec<(bool, bool, bool, Source)> = Vec::new();
    for (at, file) in posted.files.iter().enumerate().take(DOCUMENTS) {
        let from_pdf = file.text.is_some();
        let Some(sheet) = sheet_of_file(posted, at, labels, reading) else { continue };
        if !sheet.is_header() {
            continue;
        }
        let lettered = files::language(&file.name).is_some();
        let language = languages[at].or_else(|| sheet.language());
        languages[at] = language;
        let english = language == Some(Language::ENGLISH);
        found.push((from_pdf, !lettered, !english, Source { sheet, found_in: FoundIn::Table(file.name.clone()), language }));
    }
    // Word before PDF, because its rows are certain; a name with its language before one without, which may be an annex.
    found.sort_by_key(|(from_pdf, unlettered, foreign, _)| (*from_pdf, *unlettered, *foreign));
    let mut sources: Vec<Source> = Vec::new();
    for (.., source) in found {
        if !sources.iter().any(|other| other.language == source.language) {
            sources.push(source);
        }
    }
    (sources, languages)
}

fn sheet_of_file(posted: &Posted, at: usize, labels: &Labels, reading: &mut Reading) -> Option<Sheet> {
    let file = &posted.files[at];
    if let Some(text) = &file.text {
        return sheet::sections(text, labels, 2).into_iter().next().map(|section| section.sheet);
    }
    if !files::is_docx(&file.name, &file.media_type) {
        return None;
    }
    match docx::head(&file.bytes) {
        Ok(head) => {
            if head.macros {
                reading.macros.push(at);
            }
            let sheet = sheet::of_table(&head.rows, labels);
            if sheet.is_header() {
                return Some(sheet);
            }
            sheet::sections(&head.text, labels, 2).into_iter().next().map(|section| section.sheet)
        }
        Err(error) => {
            reading.doubts.push(Doubt::Unreadable { file: file.name.clone(), why: error.to_string() });
            None
        }
    }
}

fn main_language(texts: &[TextSection], documents: &[Source]) -> Language {
    let with_header = texts.iter().find(|text| !text.section.sheet.rows.is_empty()).and_then(|text| text.language);
    let declared = || texts.iter().find_map(|text| text.language);
    let of_document = || documents.iter().find_map(|source| source.language);
    with_header.or_else(of_document).or_else(declared).unwrap_or(Language::ENGLISH)
}

/// The title of each language: from its own header, from the Subject of its own part, at last from the mail's Subject.
fn titles(sources: &[Source], texts: &[TextSection], posted: &Posted, main: Language, labels: &Labels, reading: &mut Reading) {
    for source in sources {
        title_of_sheet(source, main, labels, reading);
    }
    for text in texts.iter().filter(|text| !text.subject.is_empty()) {
        let found = Found { value: text.subject.clone(), found_in: FoundIn::Subject };
        reading.title.entry(text.language.unwrap_or(main)).or_insert(found);
    }
    let subject = bare_subject(&posted.subject);
    if reading.title.is_empty() && !subject.is_empty() {
        reading.title.insert(main, Found { value: subject, found_in: FoundIn::Subject });
    }
}

fn title_of_sheet(source: &Source, main: Language, labels: &Labels, reading: &mut Reading) {
    let language = source.language.unwrap_or(main);
    // `Objet` is the purpose in French documents and the subject in French letters: its value decides.
    let objet = source.sheet.row(Field::Purpose).filter(|row| values::purpose(&row.text(), labels).is_none());
    let rows = [source.sheet.row(Field::Title), source.sheet.row(Field::Subject), objet];
    let title = rows.into_iter().flatten().map(|row| plain(&row.text())).find(|title| !labels.is_none(title));
    if let Some(value) = title {
        reading.title.entry(language).or_insert(Found { value, found_in: source.found_in.clone() });
    }
    // "Title: …" and "Título: …" in one block: each is in its own language.
    for row in source.sheet.rows.iter().filter(|row| row.field == Field::Title && !row.languages.contains(&language)) {
        let value = plain(&row.text());
        if let ([own], false) = (&row.languages[..], labels.is_none(&value)) {
            reading.title.entry(*own).or_insert(Found { value, found_in: source.found_in.clone() });
        }
    }
    if let Some(row) = source.sheet.row(Field::Abstract) {
        reading.summary.entry(language).or_insert_with(|| plain_lines(&row.text()));
    }
}

/// A Subject without `Re:`, `Fwd:` and the name of a list in front.
fn bare_subject(subject: &str) -> String {
    let mut rest = subject.trim();
    loop {
        let lower = rest.to_lowercase();
        let reply =
            ["re:", "fw:", "fwd:", "rv:", "tr:", "aw:", "回复:", "回复：", "rép:"].iter().find(|prefix| lower.starts_with(**prefix));
        let list = rest
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
            .filter(|(name, after)| !name.contains(' ') && !after.trim().is_empty());
        match (reply, list) {
            (Some(prefix), _) => rest = rest.get(prefix.len()..).unwrap_or_default().trim_start(),
            (None, Some((_, after))) => rest = after.trim_start(),
            (None, None) => return plain(rest),
        }
    }
}

/// Rows of a field in the order of belief.
fn rows(sources: &[Source], field: Field) -> impl Iterator<Item = (&Row, &Source)> {
    sources.iter().filter_map(move |source| source.sheet.row(field).map(|row| (row, source)))
}

/// The first row of `field` from which `read` makes something.
fn first<T>(sources: &[Source], field: Field, read: impl Fn(&Row) -> Option<T>) -> Option<Found<T>> {
    rows(sources, field).find_map(|(row, source)| read(row).map(|value| Found { value, found_in: source.found_in.clone() }))
}

fn neutral_fields(sources: &[Source], labels: &Labels, reading: &mut Reading) {
    // "From: TSB <…>" of a forwarded mail is no source.
    reading.source =
        first(sources, Field::Source, |row| Some(plain(&row.text())).filter(|text| !labels.is_none(text) && !text.contains('@')));
    let addressed = |field, purpose| first(sources, field, |row: &Row| Some(values::destinations(&row.text(), purpose, labels)));
    reading.action = addressed(Field::Action, Purpose::Action);
    reading.comment = addressed(Field::Comment, Purpose::Comment);
    reading.information = addressed(Field::Information, Purpose::Information);
    reading.other_destinations = to_and_for(sources, labels);
    reading.questions = first(sources, Field::Questions, |row| {
        let questions = values::questions(&row.cells.join(", ").replace('\n', ", "));
        (!questions.is_empty()).then_some(questions)
    });
    reading.approval = first(sources, Field::Approval, |row| Some(values::approval(&row.text(), labels)).filter(|a| !a.text.is_empty()));
    reading.contacts = contact_rows(sources, labels);
    reading.original = first(sources, Field::Original, |row| labels.language_named(&row.text()));
    reading.reply = first(sources, Field::Reply, |row| Some(plain(&row.text())).filter(|text| !labels.is_none(text)));
    prepared(sources, labels, reading);
    deadline(sources, labels, reading);
}

/// The ITU-D form: "To" with one "For" for all (WTDC Resolution 1 annex 4).
fn to_and_for(sources: &[Source], labels: &Labels) -> Option<Found<Vec<Destination>>> {
    rows(sources, Field::To).find_map(|(row, source)| {
        let purpose = values::purpose(&source.sheet.row(Field::For)?.text(), labels)?;
        let mut value = values::destinations(&row.text(), purpose, labels);
        value.retain(|destination| !destination.name.contains('@'));
        Some(Found { value, found_in: source.found_in.clone() })
    })
}

fn contact_rows(sources: &[Source], labels: &Labels) -> Option<Found<Vec<crate::domain::liaison::statement::Contact>>> {
    sources.iter().find_map(|source| {
        let rows = source.sheet.rows.iter().filter(|row| row.field == Field::Contact);
        let mut value = Vec::new();
        for contact in rows.flat_map(|row| contacts::contacts(&row.cells, labels)) {
            if !value.contains(&contact) {
                value.push(contact);
            }
        }
        (!value.is_empty()).then(|| Found { value, found_in: source.found_in.clone() })
    })
}

/// The meeting: a row of its own, or the cell beside the Questions, or what the approval says in brackets.
fn prepared(sources: &[Source], labels: &Labels, reading: &mut Reading) {
    let of_lines = |cell: &String| cell.lines().find_map(|line| values::prepared(line, labels)).or_else(|| values::prepared(cell, labels));
    let of_cells = |row: &Row| row.cells.iter().find_map(of_lines);
    let fields = [Field::Meeting, Field::Questions, Field::Approval, Field::Source];
    reading.prepared = fields.into_iter().find_map(|field| first(sources, field, of_cells)).or_else(|| {
        // A symbol line may carry it without a label: "Geneva, 9-18 September 2025".
        sources.iter().find_map(|source| {
            let value = source.sheet.loose.iter().find_map(|cell| values::prepared(cell, labels))?;
            matches!(&value, Prepared::Meeting { place, .. } if !place.is_empty())
                .then(|| Found { value, found_in: source.found_in.clone() })
        })
    });
}

fn deadline(sources: &[Source], labels: &Labels, reading: &mut Reading) {
    for (row, source) in rows(sources, Field::Deadline) {
        let text = plain(&row.text());
        let value = dates::find(&text, labels).first().map(|span| span.start);
        match &reading.deadline {
            None => {
                if value.is_none() && !labels.is_none(&text) {
                    reading.doubts.push(Doubt::DeadlineUnclear(text.clone()));
                }
                if let Some(day) = value.filter(|_| dates::may_be_month_first(&text)) {
                    reading.doubts.push(Doubt::DayFirst { written: text.clone(), day });
                }
                reading.deadline = Some(Found { value, found_in: source.found_in.clone() });
            }
            Some(used) if used.value != value && !text.is_empty() => {
                let shown = |value: Option<chrono::NaiveDate>| value.map_or_else(|| "N/A".to_owned(), |day| day.to_string());
                let doubt = Doubt::Differs { field: "deadline".into(), used: shown(used.value), other: shown(value) };
                reading.doubts.push(doubt);
            }
            Some(_) => {}
        }
    }
}

/// The symbol: a row, a cell of the table's head, a file name, the Subject. The highest revision of the same symbol counts.
fn symbol(sources: &[Source], posted: &Posted, labels: &Labels, reading: &mut Reading) {
    let body = reading.source.as_ref().and_then(|source| Body::of(&source.value, labels).code());
    let named: Vec<(Symbol, &PostedFile)> = posted.files.iter().filter_map(|file| Some((files::symbol(&file.name)?, file))).collect();
    // "TD 8/WP1" does not say whose: a file of that number does, else the source.
    let short = |text: &str| {
        let of_body = |body: &str| values::number_only(text, body);
        let of_file = || {
            let bodies = named.iter().filter_map(|(symbol, _)| Some((symbol, of_body(symbol.text.rsplit_once('-')?.0)?)));
            bodies.into_iter().find(|(symbol, own)| symbol.is_same_document(own)).map(|(_, own)| own)
        };
        of_file().or_else(|| of_body(body.as_ref()?.as_str()))
    };
    let mut found: Vec<Found<Symbol>> = Vec::new();
    found.extend(first(sources, Field::Document, |row| values::symbol(&row.text()).or_else(|| short(&row.text()))));
    for source in sources {
        let mut cells = source.sheet.loose.iter().filter(|cell| cell.chars().count() <= 40);
        let symbol = cells.find_map(|cell| short(cell).or_else(|| values::symbol(cell)));
        found.extend(symbol.map(|value| Found { value, found_in: source.found_in.clone() }));
    }
    found.extend(named.iter().map(|(value, file)| Found { value: value.clone(), found_in: FoundIn::FileName(file.name.clone()) }));
    let subject = without_brackets(&posted.subject);
    found.extend(values::symbol(&subject).map(|value| Found { value, found_in: FoundIn::Subject }));
    let Some(mut used) = found.first().cloned() else { return };
    for other in found.iter().map(|found| &found.value) {
        if other.is_same_document(&used.value) {
            used.value.revision = used.value.revision.max(other.revision);
            used.value.subgroup = used.value.subgroup.take().or_else(|| other.subgroup.clone());
            used.value.period = used.value.period.take().or_else(|| other.period.clone());
        }
    }
    other_documents(&named, &used.value, reading);
    reading.symbol = Some(used);
}

/// Languages that only files of another document or issue bring. An annex with a symbol of its own is none of them, because the
/// statement itself is there in its language.
fn other_documents(named: &[(Symbol, &PostedFile)], used: &Symbol, reading: &mut Reading) {
    let lettered: Vec<_> = named.iter().filter_map(|(symbol, file)| Some((files::language(&file.name)?, symbol, file))).collect();
    let is_used = |symbol: &Symbol| symbol.is_same_document(used) && symbol.revision == used.revision;
    for (language, symbol, file) in &lettered {
        let alone = !lettered.iter().any(|(other, symbol, _)| other == language && is_used(symbol));
        let paired = lettered.iter().any(|(_, symbol, _)| is_used(symbol));
        if !is_used(symbol) && alone && paired {
            reading.doubts.push(Doubt::OtherDocument { file: file.name.clone(), used: used.to_string() });
        }
    }
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0u32;
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// What titles and Subject say in marks and brackets, where no row said it.
fn marks_of_titles(posted: &Posted, main: Language, labels: &Labels, reading: &mut Reading) {
    let mut titles: Vec<(String, FoundIn)> = Vec::new();
    let in_main = reading.title.get(&main).into_iter();
    titles.extend(in_main.chain(reading.title.values()).map(|found| (found.value.clone(), found.found_in.clone())));
    titles.push((posted.subject.clone(), FoundIn::Subject));
    let addressed =
        reading.action.is_some() || reading.comment.is_some() || reading.information.is_some() || reading.other_destinations.is_some();
    for (text, found_in) in titles {
        let marks = title::marks(&text, labels);
        let here = |value| Found { value, found_in: found_in.clone() };
        if reading.direction.is_none() {
            reading.direction = marks.direction.map(|value| Found { value, found_in: found_in.clone() });
        }
        if let Some(reference) = marks.reply {
            match &mut reading.reply {
                None => reading.reply = Some(here(reference)),
                Some(found) if found.value.is_empty() => found.value = reference,
                Some(_) => {}
            }
        }
        if reading.source.is_none() {
            reading.source = marks.source.map(here);
        }
        if !addressed && reading.other_destinations.is_none() && !marks.destinations.is_empty() {
            reading.doubts.extend(marks.assumed.into_iter().map(Doubt::PurposeAssumed));
            reading.other_destinations = Some(Found { value: marks.destinations, found_in });
        }
    }
}

/// Texts and files by language. Files without a language go with every edition.
fn editions(texts: &[TextSection], files: &[Option<Language>], main: Language, headers_in_documents: bool) -> Vec<EditionReading> {
    let mut order: Vec<Language> = Vec::new();
    let mut by_language: BTreeMap<Language, (String, Vec<usize>)> = BTreeMap::new();
    let mut edition = |language: Language| {
        if !order.contains(&language) {
            order.push(language);
        }
    };
    let headers_in_texts = texts.iter().any(|text| !text.section.sheet.rows.is_empty());
    let declared: std::collections::BTreeSet<_> = texts.iter().filter_map(|text| text.language).collect();
    for text in texts {
        let own_header = !text.section.sheet.rows.is_empty();
        let covering = if own_header {
            false
        } else if declared.len() >= 2 {
            // The preface of a mail in several languages belongs to none of them.
            text.language.is_none()
        } else {
            headers_in_texts || headers_in_documents || files.iter().any(Option::is_some)
        };
        if covering || text.section.text.trim().is_empty() {
            continue;
        }
        let language = text.language.unwrap_or(main);
        edition(language);
        let (all, _) = by_language.entry(language).or_default();
        if !all.is_empty() {
            all.push_str("\n\n");
        }
        all.push_str(&text.section.text);
    }
    for (at, language) in files.iter().enumerate() {
        if let Some(language) = language {
            edition(*language);
            by_language.entry(*language).or_default().1.push(at);
        }
    }
    let neutral: Vec<usize> = (0..files.len()).filter(|at| files[*at].is_none()).collect();
    if order.is_empty() && !neutral.is_empty() {
        order.push(main);
    }
    order
        .into_iter()
        .map(|language| {
            let (text, mut own) = by_language.remove(&language).unwrap_or_default();
            own.extend(&neutral);
            own.sort_unstable();
            EditionReading { language, text, files: own }
        })
        .collect()
}
