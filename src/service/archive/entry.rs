//! A post as the index takes it: its words in each language, its attachments' too, and what it answers.

use bytes::Bytes;

use crate::domain::archive;
use crate::domain::language::Language;
use crate::domain::post::Post;
use crate::mail::{content, message};
use crate::search::{Entry, detect, document};
use crate::service::quarantine::Work;
use crate::service::{Failure, Services};
use crate::store::StoreError;

/// Most octets of a message's own text.
const TEXT_OCTETS: usize = 256 * 1024;
/// Most octets of attachments that are decoded for their text.
const ATTACHED_OCTETS: usize = 64 * 1024 * 1024;

/// Reads the editions of a post. A body that is damaged or malformed leaves its words out, not the post.
pub(super) async fn of_post(services: &Services, post: &Post) -> Result<Entry, Failure> {
    let mut entry = Entry {
        post: post.id,
        groups: post.groups.clone(),
        kind: post.kind,
        message_ids: vec![post.message_id.clone()],
        references: Vec::new(),
        bundle: archive::bundle(&post.origin).map(str::to_owned),
        author: post.author_address().map(ToString::to_string).unwrap_or_default(),
        subject: post.subject.clone(),
        texts: Vec::new(),
    };
    let table = services.groups();
    let working: Vec<Language> =
        post.groups.iter().filter_map(|code| table.get(code)).flat_map(|group| group.languages.iter().copied()).collect();
    for number in archive::readable_editions(post) {
        let edition = &post.editions[number];
        let bytes = match services.store.body(&edition.body).await {
            Ok(bytes) => bytes,
            Err(StoreError::Damaged(why)) => {
                tracing::warn!(post = %post.id, %why, "A body is left out of the index");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let language = edition.language;
        let working = working.clone();
        let work = Work::on_post(post.id, &format!("index {number}"));
        let read = {
            let bytes = bytes.clone();
            move || words(&bytes, language, &working)
        };
        let Ok(Some(words)) = services.quarantine.run_aside(&work, &bytes, read).await else { continue };
        if entry.references.is_empty() {
            entry.references = words.references;
        }
        if !words.author.is_empty() {
            entry.author = words.author;
        }
        entry.message_ids.extend(words.message_id.filter(|id| *id != post.message_id));
        entry.texts.extend(words.texts);
    }
    Ok(entry)
}

struct Words {
    author: String,
    message_id: Option<String>,
    references: Vec<String>,
    texts: Vec<(Option<Language>, String)>,
}

/// `working` are the languages of the groups: a short text that does not show its own is in each of them.
fn words(bytes: &Bytes, language: Option<Language>, working: &[Language]) -> Option<Words> {
    let head = message::read(bytes).ok()?;
    let author = match &head.author {
        Ok(author) if author.name.is_empty() => author.address.to_string(),
        Ok(author) => format!("{} <{}>", author.name, author.address),
        Err(_) => String::new(),
    };
    let mut references = head.references;
    references.extend(head.in_reply_to);
    let mut texts = Vec::new();
    if let Ok(parsed) = content::parse(bytes) {
        let said = language.or_else(|| head.languages.first().copied().filter(|_| head.languages.len() == 1));
        let mut add = |given: Option<Language>, text: String| {
            if !text.trim().is_empty() {
                // What a text shows of itself counts more than what its header claims.
                let shown = detect::language_of(&text).or(given);
                if shown.is_none() {
                    texts.extend(working.iter().map(|language| (Some(*language), text.clone())));
                }
                texts.push((shown, text));
            }
        };
        let body = content::text_body(&parsed, TEXT_OCTETS);
        // The subject has no field by language of its own; with the text it is stemmed like it.
        add(said, format!("{}\n{body}", head.subject));
        for file in content::attachments(&parsed, ATTACHED_OCTETS) {
            let text = document::text_of(&file.name, &file.content_type, &file.bytes);
            add(file.language.or(said), format!("{}\n{text}", file.name));
        }
    }
    Some(Words { author, message_id: head.message_id, references, texts })
}
