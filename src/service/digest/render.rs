//! The mails of an issue: each (set, language, form) is written once, whatever the number of its readers.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::json;

use super::gather::Bucket;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::PostId;
use crate::domain::ledger::PlannedRecipient;
use crate::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use crate::mail::digest::{self, Item};
use crate::mail::write::{Automatic, Letter, Mailbox};
use crate::service::robot::{group_context, group_name};
use crate::service::{Failure, Services};
use crate::store::BodySource;

/// What the mails of an issue have as their origin.
pub(super) fn origin(group: &GroupCode, number: u32) -> String {
    format!("digest:{group}:{number}")
}

/// Writes the mails of one issue.
pub(super) struct Rendering<'a> {
    services: &'a Services,
    group: &'a Group,
    number: u32,
    posts: &'a [Post],
    /// By set and form, since a set of one language is asked for by each slice of its readers.
    written: BTreeMap<Bucket, (String, String, Edition)>,
}

impl<'a> Rendering<'a> {
    pub fn new(services: &'a Services, group: &'a Group, number: u32, posts: &'a [Post]) -> Self {
        Self { services, group, number, posts, written: BTreeMap::new() }
    }

    /// The post that brings the messages `wanted` to `readers`.
    pub async fn post(&mut self, bucket: &Bucket, wanted: &[usize], readers: Vec<PlannedRecipient>) -> Result<Post, Failure> {
        if !self.written.contains_key(bucket) {
            let written = self.write(bucket, wanted).await?;
            self.written.insert(bucket.clone(), written);
        }
        let (message_id, subject, edition) = self.written[bucket].clone();
        let now = self.services.now();
        Ok(Post {
            id: PostId::new(now, self.services.chance()),
            groups: vec![self.group.code.clone()],
            kind: PostKind::Digest,
            message_id,
            subject,
            sender: None,
            author: None,
            received_at: now,
            not_before: now,
            editions: vec![edition],
            audience: Audience::Listed(readers),
            state: PostState::Accepted,
            arrival: Arrival::default(),
            origin: origin(&self.group.code, self.number),
        })
    }

    async fn write(&self, bucket: &Bucket, wanted: &[usize]) -> Result<(String, String, Edition), Failure> {
        let (services, group, language) = (self.services, self.group, bucket.language);
        let domain = &services.site.domain;
        let mut items = Vec::with_capacity(wanted.len());
        for post in wanted.iter().filter_map(|index| self.posts.get(*index)) {
            let Some(edition) = post.editions.first() else { continue };
            let link = format!("{}/groups/{}/archive/{}", services.site.base_url, group.code, post.id);
            let bytes = services.store.body(&edition.body).await?;
            // What breaks its reader is announced by its subject and its link, so that all others get their digest.
            let is_readable = services.quarantine.look(post.id, "digest", &bytes, |bytes| digest::is_readable(bytes).then_some(())).await;
            let bytes = if is_readable.is_some() { bytes } else { digest::stand_in(&post.subject, &link) };
            items.push(Item { post: post.id, bytes, link });
        }
        let contents: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let heading = digest::heading(item);
                json!({ "number": index + 1, "subject": heading.subject, "author": heading.author, "date": heading.date, "link": item.link })
            })
            .collect();
        let context = json!({
            "group": group_context(services, group, language),
            "service": { "name": services.config.service.name, "domain": domain, "base_url": services.site.base_url },
            "language": language,
            "number": self.number,
            "contents": contents,
        });
        let mail = services.texts.mail(language, Some(group.code.as_str()), "digest", context)?;
        let message_id = format!("{}.digest@{domain}", PostId::new(services.now(), services.chance()));
        let letter = Letter {
            from: Mailbox { name: group_name(group, language), address: group.sub_address("request", domain) },
            to: vec![Mailbox { name: String::new(), address: group.address(domain) }],
            cc: Vec::new(),
            reply_to: Some(Mailbox { name: String::new(), address: group.address(domain) }),
            subject: mail.subject.clone(),
            message_id: message_id.clone(),
            date: services.now().with_timezone(&group.timezone).fixed_offset(),
            language: Some(language),
            automatic: Automatic::Generated,
            in_reply_to: None,
            references: Vec::new(),
            text: mail.text,
            html: None,
            calendar: None,
            files: Vec::new(),
        };
        let octets = if bucket.plain {
            digest::plain(&letter, &items, &format!("{} Digest {}", group.code, self.number))
        } else {
            digest::mime(&letter, &items)
        };
        let body = services.store.put_body(BodySource::Bytes(Bytes::from(octets))).await?;
        Ok((message_id, mail.subject, Edition { language: Some(language), body }))
    }
}
