//! Services over a real store with a clock that stands, for tests of what happens to a statement.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::domain::id::LiaisonId;
use enlace::domain::post::Post;
use enlace::mail::content;
use enlace::service::liaison::{self, Answered, NewMail, Receipt, Shown};
use enlace::service::{Actor, Services, account, group, subscribe};
use enlace::store::sled::{SledOptions, SledStore};
use enlace::text::Texts;

pub const GROUPS: &str = r#"
[[group]]
code = "TSAG"
kind = "advisory"
list = "tsag"
name = { en = "TSAG" }
contact = "tsbtsag@itu.example"
[[group]]
code = "SG2"
kind = "study"
list = "sg2"
name = { en = "ITU-T Study Group 2" }
secretariat = ["tsbsg2@itu.example"]
[[group]]
code = "SG12"
kind = "study"
list = "sg12"
name = { en = "ITU-T Study Group 12" }
secretariat = ["tsbsg12@itu.example"]
grace = "0"
[[group]]
code = "SG12RG-AMR"
kind = "regional"
parent = "SG12"
region = "americas"
list = "sg12rg-amr"
languages = ["en", "es"]
name = { en = "Americas", es = "Américas" }
timezone = "America/Mexico_City"
secretariat = ["tsbsg12@itu.example"]
supporting_members = ["Mexico", "Brazil"]
grace = "0"
[[group]]
code = "SG2RG-ARB"
kind = "regional"
parent = "SG2"
region = "arab-states"
list = "sg2rg-arb"
languages = ["ar", "en", "fr", "es", "ru", "zh"]
name = { en = "Arab States", ar = "الدول العربية" }
supporting_members = ["Egypt", "Tunisia"]
missing_edition = "send"
grace = "10 min"
"#;

const ACCOUNTS: &str = "\
email,name,kind,category,organisation,country,study_groups,languages,expires,roles
ana@example.org,Ana Example,ties,member-state,Administration of Honduras,HN,SG12,es,,
ben@example.org,Ben Example,ties,sector-member,Example Telecom,US,SG12,en,,
mia@example.org,Mia Manager,ties,member-state,Administration of Brazil,BR,SG12,en,,
sam@example.org,Sam Chair,ties,member-state,Administration of Kenya,KE,SG2,en,,
tsb@itu.example,TSB,ties,none,ITU,CH,,en,,tsb
tsb-es@itu.example,TSB,ties,none,ITU,CH,,es,,tsb
tsb-fr@itu.example,TSB,ties,none,ITU,CH,,fr,,tsb
tsb-ar@itu.example,TSB,ties,none,ITU,CH,,ar,,tsb
tsb-zh@itu.example,TSB,ties,none,ITU,CH,,zh,,tsb
tsb-ru@itu.example,TSB,ties,none,ITU,CH,,ru,,tsb
";

pub struct Bench {
    pub services: Arc<Services>,
    pub clock: Clock,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub async fn new(start: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SledStore::open(folder.path(), SledOptions { floor_octets: Some(0), ..SledOptions::default() }).unwrap();
        let clock = Clock::manual(start.parse().unwrap());
        let texts = Arc::new(Texts::load(None).unwrap());
        let services = Arc::new(Services::new(store, Arc::new(Config::default()), texts, clock.clone()).await.unwrap());
        let actor = Actor::command_line();
        group::apply(&services, &actor, GROUPS, "groups.toml", false).await.unwrap();
        account::import(&services, &actor, ACCOUNTS.as_bytes(), "a.csv", account::Manner::default()).await.unwrap();
        Self { services, clock, _folder: folder }
    }

    pub async fn members(&self, csv: &str, code: &str) {
        subscribe::import(&self.services, &Actor::command_line(), &code.parse().unwrap(), csv.as_bytes(), "m.csv", false).await.unwrap();
    }

    /// Takes a mail for a group, as `ingest` does behind the gate.
    pub async fn post(&self, code: &str, from: &str, mail: &[u8]) -> Answered {
        let read = liaison::read(&self.services, Bytes::copy_from_slice(mail)).await.unwrap();
        let group = self.services.group(&code.parse().unwrap()).unwrap();
        let poster = from.parse().unwrap();
        let answered = liaison::submit(&self.services, NewMail { mail: read, group, poster: &poster, post: None }).await.unwrap();
        let receipt = Receipt { id: answered.id(), answered: Some(answered), to: &poster, in_reply_to: None };
        liaison::send_receipt(&self.services, receipt).await.unwrap();
        liaison::send_due(&self.services).await.unwrap();
        answered
    }

    pub async fn show(&self, id: LiaisonId) -> Shown {
        liaison::show(&self.services, id, true).await.unwrap()
    }

    /// Posts of a group whose Message-ID holds `part`, oldest first.
    pub async fn posts(&self, code: &str, part: &str) -> Vec<Post> {
        let mut posts = self.services.store.posts_of_group(&code.parse().unwrap(), None, 500).await.unwrap();
        posts.retain(|post| post.message_id.contains(part));
        posts.reverse();
        posts
    }

    /// Subject and text of an edition.
    pub async fn text(&self, post: &Post, edition: usize) -> (String, String) {
        let bytes = self.services.store.body(&post.editions[edition].body).await.unwrap();
        let parsed = content::parse(&bytes).unwrap();
        (parsed.subject().unwrap_or_default().to_owned(), content::text_body(&parsed, 100_000))
    }

    pub async fn raw(&self, post: &Post, edition: usize) -> String {
        String::from_utf8_lossy(&self.services.store.body(&post.editions[edition].body).await.unwrap()).into_owned()
    }

    pub fn advance(&self, by: TimeDelta) -> DateTime<Utc> {
        self.clock.advance(by);
        self.clock.now()
    }
}

/// A mail with a plain text.
pub fn mail(id: &str, subject: &str, text: &str) -> Vec<u8> {
    format!(
        "From: <tsb@itu.example>\r\nTo: <sg12rg-amr-liaison@lists.example.org>\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
        text.replace('\n', "\r\n")
    )
    .into_bytes()
}

/// A label block with everything that the rules want.
pub fn block(title: &str, action: &str, deadline: &str) -> String {
    format!(
        "Source: ITU-T SG12RG-AMR\nTitle: {title}\nFor action to: {action}\nFor information to: TSAG\nQuestion(s): 7/12\nApproval: ITU-T SG12 meeting (Mexico City, 28 September 2026)\nDeadline: {deadline}\nContact: Ana Example, contact@itu.example\n\nText of the statement.\n"
    )
}
