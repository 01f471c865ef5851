//! What a copy looks like: an edition is rendered once a group, a copy is its personal lines in front of it.
//!
//! On the wire a copy is [`Rendered::personal_lines`], [`Rendered::shared_head`], [`Rendered::body`], in this order. The body
//! is a slice of the stored bytes, so no copy costs more than a few hundred octets of its own; fields of the author that
//! pass (`mail::headers`) are not changed, so a signature that was valid stays valid.
//! Sources: RFC 2369, RFC 2919, RFC 5064, RFC 8058, RFC 3834. The surprise: a footer is the only thing here that breaks an
//! author's signature, and the list's name in From, which takes it away.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::field::{self, Header, HeaderError};
use super::footer;
use super::headers;
use super::seals;
use super::sign::{self, Signer};
use super::signatures;
use super::token::{Keys, Verp};
use crate::domain::audience::linked_language;
use crate::domain::group::{Group, GroupCode};
use crate::domain::id::{AccountId, PostId};
use crate::domain::post::{Post, PostKind};
use crate::domain::proof::{ArcChain, SenderFindings};

/// Local part that stands for the service where a group has no list of its own.
pub const SERVICE_LIST: &str = "enlace";

/// What of the service a copy shows.
#[derive(Debug, Clone)]
pub struct Service {
    /// The list domain.
    pub domain: String,
    /// For links, without the last slash.
    pub base_url: String,
}

/// What a rendering is made for: one edition of one post as it goes to the readers of one group.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The service.
    pub service: &'a Service,
    /// The post.
    pub post: &'a Post,
    /// Index of the edition in the post; beyond the last one, `original` was altered on its way (`mail::links`).
    pub edition: usize,
    /// The group whose list headers the copy carries.
    pub group: &'a Group,
}

/// Whose copy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// Number of the batch.
    pub batch: u32,
    /// Index in the batch.
    pub index: u16,
    /// Whose one-click link it carries; `None` for mailboxes of bodies.
    pub account: Option<AccountId>,
}

/// A copy without its personal lines. On the wire: personal lines (or [`Rendered::common_lines`]), `shared_head`, `body`.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Fields that all copies share, and the empty line.
    pub shared_head: Bytes,
    /// The body; a slice of the original wherever nothing is appended.
    pub body: Bytes,
    post: PostId,
    group: GroupCode,
    is_list_mail: bool,
    /// `List-Unsubscribe: <…/u/`
    click_front: String,
    /// `>, <mailto:…>` and `List-Unsubscribe-Post`.
    click_back: String,
    /// `List-Unsubscribe` without a link of one's own; empty where it is no list mail.
    plain_unsubscribe: String,
    common_lines: Bytes,
    bounce_front: String,
    bounce_back: String,
    common_reverse_path: String,
    signature: Option<sign::Prepared>,
}

/// The stable identifier of a list (RFC 2919): what stands in `List-Id` between the angle brackets.
pub fn list_id(group: &Group, domain: &str) -> String {
    format!("{}.{domain}", list_of(group))
}

fn list_of(group: &Group) -> &str {
    if group.list.is_empty() { SERVICE_LIST } else { &group.list }
}

/// Renders an edition for the readers of a group. `original` is the stored message, header and body, CRLF.
///
/// # Errors
/// When the header of `original` passes the limits of [`field::split`]; such a message is refused when it comes in.
pub fn render(original: &Bytes, form: &Form<'_>) -> Result<Rendered, HeaderError> {
    render_as(original, form, false)
}

/// As [`render`], in the list's name: From is the list, `Ana Example via SG12RG-AMR`, and Reply-To the author.
///
/// For authors whose domain asks others to refuse what it did not sign (RFC 7489), where its signature is missing or does not survive.
///
/// # Errors
/// As [`render`].
pub fn render_in_the_lists_name(original: &Bytes, form: &Form<'_>) -> Result<Rendered, HeaderError> {
    render_as(original, form, true)
}

/// Does the copy of this form leave what the author signed as it was: the body, and each field that her signature names?
pub fn keeps_signatures(original: &[u8], form: &Form<'_>) -> bool {
    let untouched = footer_of(form).is_none() && form.edition < form.post.editions.len();
    untouched
        && form
            .post
            .author_address()
            .is_none_or(|author| field::split(original).is_ok_and(|header| signatures::hold_in_a_copy(original, &header, author)))
}

fn render_as(original: &Bytes, form: &Form<'_>, in_the_lists_name: bool) -> Result<Rendered, HeaderError> {
    let header = field::split(original)?;
    let body = header.body.map_or_else(Bytes::new, |start| original.slice(start..));
    let mut head = String::with_capacity(2_048);
    if form.post.kind.is_list_mail() {
        head.push_str(&list_fields(form));
    }
    head.push_str(&own_fields(original, &header, form));
    let mut head = head.into_bytes();
    let footed = footer_of(form).map(|text| footer::with_footer(original, &header, &body, text, form.post.id));
    if in_the_lists_name {
        head.extend_from_slice(headers::in_the_lists_name(original, &header, form.post.author_address(), &list_author(form)).as_bytes());
    }
    // Seals that claim to be ours pass only with a chain that holds.
    let verified = form.post.sender.is_none() || form.post.arrival.found.arc == ArcChain::Pass;
    let forged = if verified { seals::Forged::default() } else { seals::forged(original, &header, &form.service.domain) };
    for field in headers::passing(original, &header, form.post.author_address()).filter(|field| !forged.has(original, field)) {
        if in_the_lists_name && headers::gives_way_to_the_list(&field.name) {
            continue;
        }
        if field.name == "message-id" && has_no_message_id(original, &header) {
            continue;
        }
        if footed.as_ref().is_some_and(|footed| footed.replaces(&field.name)) {
            continue;
        }
        head.extend_from_slice(&original[field.whole.clone()]);
        if !head.ends_with(b"\n") {
            head.extend_from_slice(b"\r\n");
        }
    }
    let body = match footed {
        Some(footed) => {
            head.extend_from_slice(footed.head.as_bytes());
            footed.body
        }
        None => body,
    };
    head.extend_from_slice(b"\r\n");
    Ok(assemble(form, head, body))
}

fn assemble(form: &Form<'_>, head: Vec<u8>, body: Bytes) -> Rendered {
    let (list, domain, base) = (list_of(form.group), &form.service.domain, &form.service.base_url);
    let is_list_mail = form.post.kind.is_list_mail();
    let leave = format!("<mailto:{list}-leave@{domain}>");
    let plain_unsubscribe = if is_list_mail {
        headers::pieces("List-Unsubscribe", [format!("<{base}/groups/{}>", form.group.code).as_str(), &leave], ",")
    } else {
        String::new()
    };
    Rendered {
        shared_head: head.into(),
        body,
        post: form.post.id,
        group: form.group.code.clone(),
        is_list_mail,
        click_front: format!("List-Unsubscribe: <{base}/u/"),
        click_back: format!(">,\r\n {leave}\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"),
        common_lines: format!("{plain_unsubscribe}X-Enlace-Ref: {}\r\n", form.post.id).into(),
        plain_unsubscribe,
        bounce_front: format!("{list}-bounces+"),
        bounce_back: format!("@{domain}"),
        common_reverse_path: format!("{list}-bounces@{domain}"),
        signature: None,
    }
}

/// The list as an author: its acronym and its address.
fn list_author(form: &Form<'_>) -> (String, String) {
    (form.group.code.to_string(), format!("{}@{}", list_of(form.group), form.service.domain))
}

/// The list's own fields, the same for every reader of the group.
fn list_fields(form: &Form<'_>) -> String {
    let (group, domain, base) = (form.group, &form.service.domain, &form.service.base_url);
    let (list, code) = (list_of(group), &group.code);
    let language = form.post.editions.get(form.edition).and_then(|edition| edition.language);
    let languages: Vec<_> = language.into_iter().chain(group.languages.iter().copied()).collect();
    let name = group.name.best(&languages).map_or(code.as_str(), String::as_str);
    // Only the secretariat may write to these streams, so there is nowhere to post (RFC 2369 section 3.4).
    let may_post = matches!(form.post.kind, PostKind::Discussion | PostKind::Digest) && !group.retired && !group.list.is_empty();
    let post = if may_post { format!("<mailto:{list}@{domain}>") } else { "NO".to_owned() };
    let mut fields = headers::list_id(name, &list_id(group, domain));
    for (name, values) in [
        ("List-Post", vec![post]),
        ("List-Help", vec![format!("<mailto:{list}-request@{domain}?subject=help>")]),
        ("List-Owner", vec![format!("<mailto:{list}-owner@{domain}>")]),
        ("List-Subscribe", vec![format!("<{base}/groups/{code}>"), format!("<mailto:{list}-join@{domain}>")]),
        ("List-Archive", vec![format!("<{base}/groups/{code}/archive>")]),
        ("Archived-At", vec![format!("<{base}/groups/{code}/archive/{}>", form.post.id)]),
        ("X-Loop", vec![format!("{list}@{domain}")]),
        ("Precedence", vec!["list".to_owned()]),
    ] {
        fields.push_str(&headers::pieces(name, values.iter().map(String::as_str), ","));
    }
    if form.post.groups.len() > 1 {
        fields.push_str(&headers::pieces("X-Enlace-Groups", form.post.groups.iter().map(GroupCode::as_str), ","));
    }
    fields
}

/// What Enlace says of the message itself: where it came in, and what its author left out.
fn own_fields(original: &[u8], header: &Header, form: &Form<'_>) -> String {
    let post = form.post;
    let mut fields = String::new();
    if !post.arrival.listener.is_empty() {
        fields.push_str(&received(post, &form.service.domain));
    }
    let missing = |name: &str| header.count(name) == 0;
    if post.kind.is_composed() {
        if missing("auto-submitted") {
            fields.push_str("Auto-Submitted: auto-generated\r\n");
        }
        if let Some(language) = post.editions.get(form.edition).and_then(|edition| edition.language)
            && missing("content-language")
        {
            fields.push_str(&headers::unstructured("Content-Language", language.as_str()));
        }
    }
    if has_no_message_id(original, header) {
        fields.push_str(&headers::pieces("Message-ID", [format!("<{}>", post.message_id).as_str()], ""));
    }
    if missing("date") {
        fields.push_str(&headers::unstructured("Date", &post.received_at.to_rfc2822()));
    }
    fields
}

/// None at all, or a field without a value, which identifies nothing.
fn has_no_message_id(original: &[u8], header: &Header) -> bool {
    header.named("message-id").all(|found| field::unfolded(original, found).trim().is_empty())
}

/// Our trace field (RFC 5321 section 4.4); what the client said of itself is cut down to host name characters.
fn received(post: &Post, domain: &str) -> String {
    let plain = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-:[]_".contains(*c)).take(120).collect() };
    let protocol = match post.arrival.listener.split(' ').next() {
        Some("lmtp") => "LMTP",
        Some("submission") => "ESMTPSA",
        _ => "ESMTP",
    };
    let helo = Some(plain(&post.arrival.helo)).filter(|helo| !helo.is_empty()).unwrap_or_else(|| "unknown".into());
    format!(
        "Received: from {helo} ([{}])\r\n\tby {domain} (Enlace) with {protocol} id {};\r\n\t{}\r\n",
        plain(&post.arrival.peer).trim_matches(['[', ']']),
        post.id,
        post.received_at.to_rfc2822()
    )
}

/// The group's footer, for discussion posts only; in the language of the copy where it has one (links in place of files), else in the
/// group's first language that has a footer.
fn footer_of<'a>(form: &Form<'a>) -> Option<&'a str> {
    let of_copy = u8::try_from(form.edition).ok().and_then(linked_language);
    let languages: Vec<_> = of_copy.into_iter().chain(form.group.languages.iter().copied()).collect();
    (form.post.kind == PostKind::Discussion)
        .then(|| form.group.footer.as_ref()?.best(&languages))
        .flatten()
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

impl Rendered {
    /// The same, so that every copy is signed; what somebody else wrote is sealed too (`mail::sign`).
    #[must_use]
    pub fn signed(mut self, signer: Arc<Signer>, found: Option<&SenderFindings>, now: DateTime<Utc>) -> Self {
        let prepared = sign::Prepared::new(signer, &self.shared_head, &self.body, now);
        if let Some(seal) = found.and_then(|found| prepared.seal(&self.shared_head, found)) {
            self.shared_head = [seal, self.shared_head.to_vec()].concat().into();
        }
        self.common_lines = [prepared.fields(&self.common_lines), self.common_lines.to_vec()].concat().into();
        self.signature = Some(prepared);
        self
    }

    /// The few lines in front of one person's copy: her one-click link and the ledger key. One allocation.
    pub fn personal_lines(&self, keys: &Keys, recipient: Recipient) -> Vec<u8> {
        use std::io::Write as _;
        let mut lines = Vec::with_capacity(self.click_front.len() + self.click_back.len() + 160);
        match recipient.account {
            Some(account) if self.is_list_mail => {
                lines.extend_from_slice(self.click_front.as_bytes());
                lines.extend_from_slice(keys.one_click(account, &self.group).as_bytes());
                lines.extend_from_slice(self.click_back.as_bytes());
            }
            _ => lines.extend_from_slice(self.plain_unsubscribe.as_bytes()),
        }
        // Writing to a Vec does not fail.
        let _ = write!(lines, "X-Enlace-Ref: {}.{}.{}\r\n", self.post, recipient.batch, recipient.index);
        match &self.signature {
            Some(signature) => [signature.fields(&lines), lines].concat(),
            None => lines,
        }
    }

    /// The lines in front of a copy that many recipients of a transaction share.
    pub fn common_lines(&self) -> &Bytes {
        &self.common_lines
    }

    /// Envelope sender of one person's copy, `L-bounces+TOKEN@domain`; without a token past 16.7 million recipients of one post.
    pub fn reverse_path(&self, keys: &Keys, recipient: Recipient) -> String {
        let verp = Verp { post: self.post, batch: recipient.batch, index: recipient.index };
        match keys.verp(verp) {
            Some(token) => {
                let mut path = String::with_capacity(self.bounce_front.len() + token.len() + self.bounce_back.len());
                path.push_str(&self.bounce_front);
                path.push_str(&token);
                path.push_str(&self.bounce_back);
                path
            }
            None => self.common_reverse_path.clone(),
        }
    }

    /// Envelope sender of a copy with many recipients, `L-bounces@domain`.
    pub fn common_reverse_path(&self) -> &str {
        &self.common_reverse_path
    }

    /// Octets of a copy without its personal lines.
    pub fn octets(&self) -> u64 {
        (self.shared_head.len() + self.body.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::group::{
        GroupKind, GuestLiaison, GuestPolicy, MissingEdition, NonmemberPolicy, ParticipationPolicy, SubscriptionPolicy,
    };
    use crate::domain::language::{Language, Localized};
    use crate::domain::post::{Arrival, Audience, BodyRef, Edition, PostState};
    use crate::domain::proof::{ProofMethod, SenderProof};

    fn group() -> Group {
        Group {
            code: "SG12RG-AMR".parse().unwrap(),
            kind: GroupKind::Regional,
            parent: None,
            region: None,
            list: "sg12rg-amr".into(),
            languages: vec![Language::ENGLISH],
            name: Localized::single(Language::ENGLISH, "Grupo Regional para las Américas".into()),
            timezone: chrono_tz::UTC,
            subscription: SubscriptionPolicy::Open,
            guests: GuestPolicy::None,
            participation: ParticipationPolicy::Standard,
            nonmember: NonmemberPolicy::Reject,
            guest_liaison: GuestLiaison::Cover,
            missing_edition: MissingEdition::Send,
            secretariat: Vec::new(),
            contact: None,
            supporting_members: Vec::new(),
            grace: std::time::Duration::ZERO,
            personal: true,
            footer: None,
            house: crate::domain::house::HouseRules::default(),
            monthly_reminder: false,
            archive: crate::domain::group::ArchiveAccess::Members,
            archive_keep: std::time::Duration::ZERO,
            aliases: Vec::new(),
            retired: false,
            parent_must_endorse: false,
            meetings: crate::domain::meeting::OwnLeadTimes::default(),
        }
    }

    fn post(kind: PostKind) -> Post {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let author = "ana@example.org".parse().unwrap();
        Post {
            id: PostId(0x0123_4567_89ab_cdef),
            groups: vec!["SG12RG-AMR".parse().unwrap()],
            kind,
            message_id: "made@lists.example.org".into(),
            subject: String::new(),
            sender: Some(SenderProof::Proved { author, method: ProofMethod::Auth }),
            author: None,
            received_at: at,
            not_before: at,
            editions: vec![Edition { language: None, body: BodyRef { key: String::new(), octets: 0 } }],
            audience: Audience::Subscribers,
            state: PostState::Accepted,
            arrival: Arrival {
                listener: "lmtp 127.0.0.1:8024".into(),
                peer: "192.0.2.1".into(),
                helo: "mx.example.org".into(),
                ..Arrival::default()
            },
            origin: String::new(),
        }
    }

    fn service() -> Service {
        Service { domain: "lists.example.org".into(), base_url: "https://lists.example.org".into() }
    }

    fn copy(original: &[u8], post: &Post, group: &Group) -> (Vec<u8>, Rendered) {
        let rendered = render(&Bytes::copy_from_slice(original), &Form { service: &service(), post, edition: 0, group }).unwrap();
        let keys = Keys::new(&[1; 32]);
        let mut copy = rendered.personal_lines(&keys, Recipient { batch: 3, index: 9, account: Some(AccountId(7)) });
        copy.extend_from_slice(&rendered.shared_head);
        copy.extend_from_slice(&rendered.body);
        (copy, rendered)
    }

    fn values(copy: &[u8], name: &str) -> Vec<String> {
        let header = field::split(copy).unwrap();
        header.named(name).map(|f| field::unfolded(copy, f)).collect()
    }

    const MAIL: &[u8] = b"List-Id: <evil>\r\nFrom: Ana <ana@example.org>\r\nSubject:  a\r\n b \r\nTo: sg12rg-amr@lists.example.org\r\nMessage-ID: <1@example.org>\r\nDate: Mon, 5 Jul 2027 10:00:00 +0200\r\n\r\n.hello\r\n \r\n\r\n";

    #[test]
    fn a_copy_carries_the_headers_that_readers_expect() {
        let (copy, rendered) = copy(MAIL, &post(PostKind::Discussion), &group());
        let one = |name: &str| {
            let found = values(&copy, name);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            found[0].clone()
        };
        assert_eq!(one("list-id"), "=?utf-8?B?R3J1cG8gUmVnaW9uYWwgcGFyYSBsYXMgQW3DqXJpY2Fz?= <sg12rg-amr.lists.example.org>");
        assert_eq!(one("list-post"), "<mailto:sg12rg-amr@lists.example.org>");
        assert_eq!(one("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
        assert_eq!(one("x-enlace-ref"), "0123456789abcdef.3.9");
        assert_eq!(one("precedence"), "list");
        assert_eq!(one("archived-at"), "<https://lists.example.org/groups/SG12RG-AMR/archive/0123456789abcdef>");
        assert_eq!(one("message-id"), "<1@example.org>");
        assert_eq!(one("subject"), "a b");
        let unsubscribe = one("list-unsubscribe");
        let token = unsubscribe.strip_prefix("<https://lists.example.org/u/").unwrap().split('>').next().unwrap();
        let keys = Keys::new(&[1; 32]);
        assert_eq!(keys.read_one_click(token), Some((AccountId(7), "SG12RG-AMR".parse().unwrap())));
        assert!(unsubscribe.ends_with("<mailto:sg12rg-amr-leave@lists.example.org>"));
        let recipient = Recipient { batch: 3, index: 9, account: None };
        let path = rendered.reverse_path(&keys, recipient);
        let token = path.strip_prefix("sg12rg-amr-bounces+").unwrap().strip_suffix("@lists.example.org").unwrap();
        assert_eq!(keys.read_verp(token), Some(Verp { post: PostId(0x0123_4567_89ab_cdef), batch: 3, index: 9 }));
        assert!(path.parse::<crate::domain::address::EmailAddress>().is_ok());
        let lines = rendered.personal_lines(&keys, recipient);
        assert!(!String::from_utf8(lines).unwrap().contains("/u/"), "a body has no one-click link");
        assert!(std::str::from_utf8(rendered.common_lines()).unwrap().contains("X-Enlace-Ref: 0123456789abcdef\r\n"));
    }

    #[test]
    fn streams_of_the_secretariat_have_nowhere_to_post_and_robot_mail_no_list_headers() {
        let (notice, _) = copy(MAIL, &post(PostKind::Meeting), &group());
        assert_eq!(values(&notice, "list-post"), ["NO"]);
        assert_eq!(values(&notice, "auto-submitted"), ["auto-generated"]);
        for kind in [PostKind::Robot, PostKind::Owner] {
            let (robot, _) = copy(MAIL, &post(kind), &group());
            assert!(
                values(&robot, "list-id").is_empty()
                    && values(&robot, "list-unsubscribe").is_empty()
                    && values(&robot, "precedence").is_empty()
            );
            assert_eq!(values(&robot, "x-enlace-ref").len(), 1);
        }
    }

    #[test]
    fn a_copy_that_comes_back_is_recognised_even_through_another_list() {
        let (first, _) = copy(MAIL, &post(PostKind::Discussion), &group());
        let mut other = group();
        other.list = "sg3rg-afr".into();
        let (second, _) = copy(&first, &post(PostKind::Discussion), &other);
        for wire in [&first, &second] {
            let message = crate::mail::message::read(wire).unwrap();
            assert!(message.has_been_through("sg12rg-amr@lists.example.org", &list_id(&group(), "lists.example.org")));
        }
        let reply = b"From: b@example.org\r\nIn-Reply-To: <1@example.org>\r\n\r\n> quoted\r\n";
        assert!(
            !crate::mail::message::read(reply).unwrap().has_been_through("sg12rg-amr@lists.example.org", "sg12rg-amr.lists.example.org")
        );
    }

    #[test]
    fn what_an_author_left_out_is_added() {
        let (copy, _) = copy(b"From: a@example.org\r\n\r\nx\r\n", &post(PostKind::Discussion), &group());
        assert_eq!(values(&copy, "message-id"), ["<made@lists.example.org>"]);
        let (empty, _) = self::copy(b"From: a@example.org\r\nMessage-ID:  \r\n\r\nx\r\n", &post(PostKind::Discussion), &group());
        assert_eq!(values(&empty, "message-id"), ["<made@lists.example.org>"]);
        assert_eq!(values(&copy, "date"), ["Fri, 15 Jan 2027 08:00:00 +0000"]);
    }

    #[test]
    fn a_footer_is_appended_or_wrapped() {
        let mut group = group();
        group.footer = Some(Localized::single(Language::ENGLISH, "To leave: write".into()));
        let (plain, _) = copy(MAIL, &post(PostKind::Discussion), &group);
        assert!(plain.ends_with(b"\r\n \r\n\r\n_______________________________________________\r\nTo leave: write\r\n"));
        let html = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/html;\r\n charset=utf-8\r\n\r\n<p>x</p>\r\n";
        let (wrapped, _) = copy(html, &post(PostKind::Discussion), &group);
        let message = mail_parser::MessageParser::default().parse(&wrapped).unwrap();
        assert_eq!(message.parts.len(), 3);
        assert_eq!(values(&wrapped, "mime-version").len(), 1);
        assert_eq!(values(&wrapped, "content-type").len(), 1);
        assert!(String::from_utf8_lossy(&wrapped).contains("Content-Type: text/html;\r\n charset=utf-8\r\n\r\n<p>x</p>\r\n"));
        let (announcement, _) = copy(MAIL, &post(PostKind::Announcement), &group);
        assert!(announcement.ends_with(b".hello\r\n \r\n\r\n"), "only discussion posts get a footer");
    }

    proptest! {
        #[test]
        fn the_body_and_the_passing_fields_keep_their_octets(body in proptest::collection::vec(any::<u8>(), 0..300), subject in "[ -~]{0,60}") {
            let head = format!("From: a@example.org\r\nSubject: {subject}\r\n\r\n");
            let mail = [head.as_bytes(), &body].concat();
            let (copy, rendered) = copy(&mail, &post(PostKind::Discussion), &group());
            prop_assert!(copy.ends_with(&mail[head.len() - 2..]));
            prop_assert_eq!(&rendered.body[..], &body[..]);
            let text = format!("From: a@example.org\r\nSubject: {subject}\r\n\r\n");
            prop_assert!(copy.windows(text.len()).any(|w| w == text.as_bytes()));
        }

        #[test]
        fn nothing_injects_a_field(name in any::<String>(), helo in any::<String>(), id in any::<String>(), foot in any::<String>()) {
            let mut group = group();
            group.name = Localized::single(Language::ENGLISH, format!("{name}\r\nX-Injected: 1"));
            group.footer = Some(Localized::single(Language::ENGLISH, foot));
            let mut post = post(PostKind::Discussion);
            post.arrival.helo = format!("{helo}\r\nX-Injected: 1\r\n\r\n");
            post.arrival.peer = post.arrival.helo.clone();
            post.message_id = format!("{id}\r\nX-Injected: 1");
            let (copy, _) = copy(b"From: a@example.org\r\n\r\nx\r\n", &post, &group);
            prop_assert!(values(&copy, "x-injected").is_empty());
            prop_assert_eq!(values(&copy, "from").len(), 1);
        }
    }
}
