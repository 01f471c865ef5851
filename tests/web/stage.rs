//! A group with everything in it, and one person of each role; names, subjects and texts are hostile.

use std::path::Path;

use bytes::Bytes;
use enlace::domain::account::{Account, AccountKind, Category, DirectoryRole};
use enlace::domain::group::GroupCode;
use enlace::domain::house::MemberRule;
use enlace::domain::id::{AccountId, PostId};
use enlace::domain::ledger::{PlannedRecipient, RecipientState};
use enlace::domain::post::{Arrival, Audience, Edition, Post, PostKind, PostState};
use enlace::domain::proof::{ProofMethod, SenderProof};
use enlace::domain::reason::{Reason, Rule};
use enlace::domain::subscription::{Provenance, Role, Subscription};
use enlace::service::subscribe::{self, Wish};
use enlace::service::{Actor, archive, liaison, meeting};
use enlace::store::{BatchKey, BodySource, LedgerKey};

use crate::site::{Page, Running, account, code};

/// The group of the stage, and another one that shares nobody with it but the operator and the secretariat.
pub const GROUP: &str = "SG12RG-AMR";
pub const OTHER: &str = "SG2RG-AMR";

/// What a stranger could write into any field.
pub const PAYLOADS: [&str; 8] = [
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</title><svg onload=alert(1)>",
    "</pre></textarea><iframe src=javascript:alert(1)>",
    "javascript:alert(1)//",
    "{{ 7*7 }}{% include 'layout.html' %}",
    "\u{202e}gpj.exe \u{feff}",
    "&lt;b onmouseover=alert(1)&gt;",
];

/// The kinds of visitor, the least entitled first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    Anonymous,
    Outsider,
    Guest,
    Member,
    Moderator,
    OtherManager,
    Manager,
    Tsb,
    Operator,
}

impl Who {
    pub const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::Outsider,
        Self::Guest,
        Self::Member,
        Self::Moderator,
        Self::OtherManager,
        Self::Manager,
        Self::Tsb,
        Self::Operator,
    ];
}

pub struct Stage {
    pub site: Running,
    sessions: Vec<(Who, Account, String)>,
    pub post: PostId,
    pub held: PostId,
    pub other_post: PostId,
    pub other_held: PostId,
    pub request: String,
    pub other_request: String,
    pub meeting: &'static str,
    pub statement: String,
    /// Session of a member whose mail came back.
    pub resting: String,
}

impl Stage {
    /// Everything set; `hostile` says whether the texts are.
    pub async fn set(hostile: bool) -> Self {
        let site = Running::start().await;
        let text = |number: usize, plain: &str| if hostile { PAYLOADS[number % PAYLOADS.len()].to_owned() } else { plain.to_owned() };
        let people: Vec<(Who, Account)> = [
            (Who::Outsider, "eva@example.org", *b"FR"),
            (Who::Guest, "gus@example.org", *b"MX"),
            (Who::Moderator, "bruno@example.org", *b"BR"),
            (Who::OtherManager, "otto@example.org", *b"MX"),
            (Who::Manager, "mona@example.org", *b"MX"),
            (Who::Tsb, "tess@example.org", *b"CH"),
            (Who::Operator, "olga@example.org", *b"CH"),
        ]
        .into_iter()
        .enumerate()
        .map(|(number, (who, address, country))| {
            let mut person = account(10 + number as u64, address, country, &["en"]);
            person.name = text(number, ["Eva", "Gus", "Bruno", "Otto", "Mona", "Tess", "Olga"][number]);
            person.organisation = text(number + 1, "Ministry of Communications");
            match who {
                Who::Guest => person.kind = AccountKind::Guest,
                Who::Tsb => person.roles.push(DirectoryRole::Tsb),
                Who::Operator => person.roles.push(DirectoryRole::Operator),
                _ => {}
            }
            (who, person)
        })
        .collect();
        let store = &site.services.store;
        store.put_accounts(people.iter().map(|(_, person)| person.clone()).collect()).await.unwrap();
        let mut ana = site.ana.clone();
        ana.name = text(0, "Ana");
        ana.languages = vec!["en".parse().unwrap()];
        store.put_accounts(vec![ana.clone()]).await.unwrap();
        let find = |wanted: Who| people.iter().find(|(who, _)| *who == wanted).unwrap().1.clone();
        let (bruno, mona, otto) = (find(Who::Moderator), find(Who::Manager), find(Who::OtherManager));
        for (person, group, role) in [(&bruno, GROUP, Role::Moderator), (&mona, GROUP, Role::Manager), (&otto, OTHER, Role::Manager)] {
            let mut subscription = Subscription::new(code(group), person.id, Provenance::Own, site.services.now());
            subscription.role = role;
            store.put_subscriptions(vec![subscription]).await.unwrap();
        }
        let resting = account(30, "rita@example.org", *b"CO", &["es"]);
        store.put_accounts(vec![resting.clone()]).await.unwrap();
        let mut subscription = Subscription::new(code(GROUP), resting.id, Provenance::Own, site.services.now());
        let why = Reason::new(Rule::Bouncing, ["rita@example.org".to_owned(), text(1, "550 5.1.1 no such user")]);
        subscription.state = enlace::domain::subscription::SubscriptionState::Suspended(why);
        store.put_subscriptions(vec![subscription]).await.unwrap();

        let subject = text(0, "LS/o on the quality of voice services");
        let post = keep(&site, GROUP, &ana, &subject, &message(&ana, &text, "one@example.org"), PostState::Accepted).await;
        plan(&site, post, &ana, &text(1, "250 2.0.0 queued as 4Bx")).await;
        let held = PostState::Held(Reason::new(Rule::HeldNonmember, ["ana@example.org", GROUP]));
        let held = keep(&site, GROUP, &ana, &text(2, "A question from outside"), &message(&ana, &text, "two@example.org"), held).await;
        let other_post = keep(
            &site,
            OTHER,
            &otto,
            "Private to the other group",
            &message(&otto, &|_, _| "Secret of others".to_owned(), "three@example.org"),
            PostState::Accepted,
        )
        .await;
        plan(&site, other_post, &otto, "250 ok").await;
        let other_held = PostState::Held(Reason::new(Rule::HeldNonmember, ["otto@example.org", OTHER]));
        let other_held = keep(
            &site,
            OTHER,
            &otto,
            "Held in the other group",
            &message(&otto, &|_, _| "Secret of others".to_owned(), "four@example.org"),
            other_held,
        )
        .await;

        let request = ask(&site, GROUP, 40, "gil@example.org", &text(1, "Gil")).await;
        let other_request = ask(&site, OTHER, 41, "gia@example.org", "Gia").await;
        let toml = MEETING
            .replace("TITLE", &toml_text(&text(0, "Meeting on quality of service")))
            .replace("VENUE", &toml_text(&text(1, "Centro de Convenciones")));
        meeting::apply(&site.services, &Actor::command_line(), Path::new("m.toml"), &toml, false).await.unwrap();
        site.services
            .audit(&Actor { name: text(1, "mona@example.org") }, &text(2, "member add"), Some(&code(GROUP)), text(0, "ana"))
            .await
            .unwrap();
        let store = &site.services.store;
        let mut ruled = (*site.services.group(&code(GROUP)).unwrap()).clone();
        let rule =
            MemberRule { categories: vec![Category::MemberState], affiliations: vec![code("SG12")], remove: true, ..MemberRule::default() };
        ruled.house.rules.push(rule);
        store.put_groups(vec![ruled]).await.unwrap();
        site.services.reload_groups().await.unwrap();
        store
            .put_entry("sender-allowed", &format!("{GROUP}|{}", text(4, "eva@example.org")), 0, b"mona@example.org".to_vec())
            .await
            .unwrap();
        let statement = statement(&site, &text(1, "This is the body of the statement."), &text(2, "TD364-E.txt")).await;
        archive::feed(&site.services).await.unwrap();

        let mut sessions = vec![(Who::Member, ana.clone(), site.sign_in(&ana).await)];
        for (who, person) in people {
            let session = site.sign_in(&person).await;
            sessions.push((who, person, session));
        }
        let resting = site.sign_in(&resting).await;
        Self { site, sessions, post, held, other_post, other_held, request, other_request, meeting: "sg12rg-amr-2027", statement, resting }
    }

    pub fn cookie(&self, who: Who) -> Option<String> {
        self.sessions.iter().find(|(one, ..)| *one == who).map(|(.., session)| format!("Cookie: enlace-session={session}"))
    }

    pub fn session(&self, who: Who) -> Option<&str> {
        self.sessions.iter().find(|(one, ..)| *one == who).map(|(.., session)| session.as_str())
    }

    pub async fn get(&self, who: Who, path: &str) -> Page {
        let cookie = self.cookie(who);
        let fields: Vec<&str> = cookie.iter().map(String::as_str).collect();
        self.site.request("GET", path, &fields, b"").await
    }

    /// Sends a form with the key that this person's own page would carry.
    pub async fn post(&self, who: Who, path: &str, body: &str) -> Page {
        let key = self.key(who, path);
        self.post_with(who, path, &format!("key={key}&{body}")).await
    }

    pub async fn post_with(&self, who: Who, path: &str, body: &str) -> Page {
        let cookie = self.cookie(who);
        let mut fields = vec!["Content-Type: application/x-www-form-urlencoded"];
        fields.extend(cookie.as_deref());
        self.site.request("POST", path, &fields, body.as_bytes()).await
    }

    /// The key of the form that this person sends to `path`.
    pub fn key(&self, who: Who, path: &str) -> String {
        use sha2::{Digest, Sha256};
        let Some(session) = self.session(who) else { return String::new() };
        let (account, secret) = session.split_once('.').unwrap();
        let name = format!("{account}-{}", data_encoding::HEXLOWER.encode(&Sha256::digest(secret)));
        enlace::web::authority::key(&self.site.services.keys, &name, path.split('?').next().unwrap())
    }

    /// A route's pattern with the objects of the stage in it.
    pub fn path(&self, pattern: &str) -> String {
        let held = pattern.contains("/held/");
        let token = self.site.link();
        pattern
            .replace("{code}", GROUP)
            .replace("{post}", &if held { self.held } else { self.post }.to_string())
            .replace("{request}", &self.request)
            .replace("{account}", &AccountId(1).to_string())
            .replace("{id}", if pattern.contains("/liaisons") { self.statement.as_str() } else { self.meeting })
            .replace("{token}", token.trim_start_matches("/u/"))
            .replace("{sha256}", &"0".repeat(64))
            .replace("{edition}", "0")
            .replace("{name}", "x.txt")
    }
}

const MEETING: &str = r#"[[meeting]]
id = "sg12rg-amr-2027"
groups = ["SG12RG-AMR"]
title = { en = TITLE, es = TITLE }
start = 2027-04-06T09:30:00
end = 2027-04-07T17:30:00
timezone = "America/Mexico_City"
venue = { en = VENUE }
city = "Mexico City"
country = "MX"
host = { en = VENUE }
remote_url = "https://meet.example.org/x?pwd=SECRETPASS"
registration_url = "https://register.example.org/"
status = "announced"
"#;

fn toml_text(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("{kept:?}").replace("\\u{202e}", "").replace("\\u{feff}", "")
}

fn message(author: &Account, text: &dyn Fn(usize, &str) -> String, id: &str) -> String {
    let (subject, body, name) = (
        text(0, "LS/o on the quality of voice services"),
        text(1, "Dear colleagues, please find the statement attached."),
        text(2, "TD364-E.docx"),
    );
    let name = name.replace(['"', '\\', '\r', '\n'], "_");
    format!(
        "From: {}\r\nTo: list@lists.example.org\r\nSubject: =?utf-8?B?{}?=\r\nMessage-ID: <{id}>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n\
         --C\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n--C\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>{body}</p>\
         <script>alert(1)</script><img src=\"http://evil.example/x.png\">\r\n--C--\r\n--B\r\nContent-Type: text/html; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n<script>alert(1)</script>\r\n--B--\r\n",
        author.address(),
        data_encoding::BASE64.encode(subject.as_bytes()),
    )
}

async fn keep(site: &Running, group: &str, author: &Account, subject: &str, message: &str, state: PostState) -> PostId {
    let store = &site.services.store;
    let body = store.put_body(BodySource::Bytes(Bytes::from(message.to_owned()))).await.unwrap();
    let id = PostId::new(site.services.now(), site.services.chance());
    let message_id = message.lines().find_map(|line| line.strip_prefix("Message-ID: <")).unwrap().trim_end_matches('>').to_owned();
    let sender = SenderProof::Proved { author: author.address().clone(), method: ProofMethod::Confirmed };
    let post = Post {
        id,
        groups: vec![code(group)],
        kind: PostKind::Discussion,
        message_id,
        subject: subject.to_owned(),
        sender: Some(sender),
        author: Some(author.id),
        received_at: site.services.now(),
        not_before: site.services.now(),
        editions: vec![Edition { language: None, body }],
        audience: Audience::Subscribers,
        state,
        arrival: Arrival::default(),
        origin: String::new(),
    };
    store.keep_post(post, Vec::new()).await.unwrap();
    id
}

/// A plan with one recipient whom the relay answered.
async fn plan(site: &Running, post: PostId, to: &Account, reply: &str) {
    let store = &site.services.store;
    let key = BatchKey { post, number: 0 };
    let recipient = |address: &str, state, reason| PlannedRecipient {
        address: address.to_owned(),
        account: Some(to.id),
        group: 0,
        edition: 0,
        state,
        reason,
    };
    let recipients = vec![
        recipient(to.address().as_str(), RecipientState::Planned, Reason::new(Rule::Subscriber, [GROUP])),
        recipient("rita@example.org", RecipientState::Suppressed, Reason::new(Rule::Bouncing, ["rita@example.org", reply])),
    ];
    store.begin_plan(post).await.unwrap();
    store.add_batch(key, recipients).await.unwrap();
    store.finish_plan(post, 1, site.services.now()).await.unwrap();
    let index = LedgerKey { batch: key, index: 0 };
    store.amend_recipient(index, RecipientState::Failed, site.services.now(), reply.to_owned()).await.unwrap();
}

async fn ask(site: &Running, group: &str, number: u64, address: &str, name: &str) -> String {
    let mut person = account(number, address, *b"MX", &["es"]);
    person.name = name.to_owned();
    person.kind = AccountKind::Guest;
    site.services.store.put_accounts(vec![person.clone()]).await.unwrap();
    let group: GroupCode = code(group);
    let of = site.services.group(&group).unwrap();
    subscribe::own(&site.services, &Actor::from(person.address()), &of, person.address(), Wish::Subscribe).await.unwrap();
    let open = subscribe::requests(&site.services, Some(&group)).await.unwrap();
    open.first().expect("the guest's request waits").id.clone()
}

/// A statement of the secretariat that is out.
async fn statement(site: &Running, body: &str, file: &str) -> String {
    let file = file.replace(['"', '\\', '\r', '\n'], "_");
    let mail = format!(
        "From: tess@example.org\r\nTo: sg12rg-amr-liaison@lists.example.org\r\nSubject: LS/o on the creation of a regional group [to TSAG]\r\n\
         Message-ID: <ls@example.org>\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
         --B\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nSource: ITU-T SG12RG-AMR\r\n\
         Title: LS/o on the creation of a regional group [to TSAG]\r\nFor action to: TSAG\r\nQuestion(s): 7/12\r\n\
         Approval: ITU-T SG12RG-AMR meeting (Mexico City, 28 September 2026)\r\nDeadline: 15 January 2027\r\n\
         Contact: Ana Example, tel +41 22 000 0000, ana@example.org\r\n\r\n{body}\r\n--B\r\nContent-Type: text/plain; name=\"{file}\"\r\n\
         Content-Disposition: attachment; filename=\"{file}\"\r\n\r\nA file.\r\n--B--\r\n"
    );
    let actor = Actor::command_line();
    let submitted = liaison::submit_file(&site.services, &actor, Bytes::from(mail), Some(code(GROUP)), false).await.unwrap();
    let id = submitted.shown.view.id;
    liaison::circulate(&site.services, &actor, id.parse().unwrap(), false).await.unwrap();
    liaison::send_due(&site.services).await.unwrap();
    let shown = liaison::show(&site.services, id.parse().unwrap(), true).await.unwrap();
    assert!(matches!(shown.view.state, "circulated" | "awaiting-reply"), "{}: {:?}", shown.view.state, shown.view.problems);
    id
}
