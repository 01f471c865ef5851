//! Our own look at DKIM, SPF, DMARC and ARC: mails signed by dkimpy, keys and policies from a name server of the test.

use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use enlace::domain::address::ReversePath;
use enlace::domain::proof::{ArcChain, DmarcPolicy, ProofMethod, SenderProof};
use enlace::mail::message;
use enlace::smtp::proof::dns::Dns;
use enlace::smtp::proof::own::{Evidence, Found, Need, look};
use serde_json::{Value, json};

use crate::signer::{Dkimpy, Key};
use crate::support::dns::{NameServer, Says};

const LIST: &str = "sg12rg-amr-announce@lists.example.org";

/// A domain `member.test` with a key at selector `s`, its name server, and a signer.
struct World {
    server: NameServer,
    dns: Dns,
    dkimpy: Dkimpy,
    key: Key,
    now: DateTime<Utc>,
}

fn mail(body: &str) -> String {
    format!(
        "From: Ana Example <ana@member.test>\r\nTo: {LIST}\r\nSubject: Meeting in April\r\nDate: {}\r\nMessage-ID: <1@member.test>\r\n\r\n{body}",
        Utc::now().to_rfc2822()
    )
}

impl World {
    fn new() -> Self {
        let server = NameServer::start();
        let dns = Dns::new(Some(server.address)).unwrap();
        let mut dkimpy = Dkimpy::start();
        let key = Key::rsa(&mut dkimpy, 2048);
        server.txt("s._domainkey.member.test", key.record());
        Self { server, dns, dkimpy, key, now: Utc::now() }
    }

    fn signed(&mut self, message: &str, more: Value) -> String {
        self.dkimpy.sign(&self.key, "member.test", message, more)
    }

    fn evidence(&self, message: &str) -> Evidence {
        let message = Bytes::from(message.to_owned());
        let read = message::read(&message).unwrap();
        Evidence {
            author: read.author.as_ref().unwrap().address.clone(),
            date: read.date.map(|date| date.with_timezone(&Utc)),
            header: read.header,
            message,
            reverse_path: ReversePath::Null,
            helo: "mail.member.test".into(),
            client: None,
            relay_spf: None,
            now: self.now,
            arc_sealers: Vec::new(),
        }
    }

    async fn found(&self, message: &str) -> Found {
        look(&self.dns, &self.evidence(message)).await
    }

    async fn speaks(&self, message: &str) -> bool {
        let found = self.found(message).await;
        found.proof(&self.evidence(message).author, Need::Speak).is_proved()
    }

    /// Good enough for an announcement?
    async fn announces(&self, message: &str) -> bool {
        let list_named = message::read(message.as_bytes()).unwrap().shown_recipients.iter().any(|shown| shown == LIST);
        let found = self.found(message).await;
        found.proof(&self.evidence(message).author, Need::SpeakForTheGroup { list_named }).is_proved()
    }
}

fn way(proof: &SenderProof) -> Option<ProofMethod> {
    match proof {
        SenderProof::Proved { method, .. } => Some(*method),
        SenderProof::Unproved { .. } => None,
    }
}

#[tokio::test]
async fn s7_honest_signatures_prove_and_every_weak_one_does_not() {
    let mut world = World::new();
    let everything = json!({ "headers": ["From", "Subject", "To", "Date", "Message-ID"] });
    let honest = world.signed(&mail("Text\r\n"), everything.clone());
    assert!(world.speaks(&honest).await && world.announces(&honest).await);
    for canonical in ["simple/simple", "relaxed/simple", "simple/relaxed"] {
        let mut how = everything.clone();
        how["canonical"] = canonical.into();
        let signed = world.signed(&mail("Text  with \t space \r\n\r\n\r\n"), how);
        assert!(world.announces(&signed).await, "{canonical}");
    }
    let ed = Key::ed25519(&mut world.dkimpy);
    world.server.txt("e._domainkey.member.test", format!("v=DKIM1; k=ed25519; p={}", ed.public));
    let mut how = everything.clone();
    (how["selector"], how["algorithm"]) = ("e".into(), "ed25519-sha256".into());
    let signed = world.dkimpy.sign(&ed, "member.test", &mail("Text\r\n"), how);
    assert!(world.announces(&signed).await, "Ed25519");
    // A body whose last lines are blank but not empty, which relaxed canonicalisation ignores.
    let blank = world.signed(&mail("Text\r\n \t\r\n  \r\n"), everything.clone());
    assert!(world.speaks(&blank).await, "blank lines at the end");

    // Not enough to announce, but it is hers.
    for missing in ["Subject", "To", "Date", "Message-ID"] {
        let names: Vec<_> = ["From", "Subject", "To", "Date", "Message-ID"].into_iter().filter(|name| *name != missing).collect();
        let signed = world.signed(&mail("Text\r\n"), json!({ "headers": names }));
        assert!(world.speaks(&signed).await && !world.announces(&signed).await, "{missing} is not signed");
    }
    let elsewhere = world.signed(&mail("Text\r\n").replace(LIST, "other@lists.example.org"), everything.clone());
    assert!(world.speaks(&elsewhere).await && !world.announces(&elsewhere).await, "sent to another list before");
    for (name, field) in [
        ("Subject", "Subject: Meeting cancelled\r\n"),
        ("To", "To: other@lists.example.org\r\n"),
        ("Date", "Date: Mon, 05 Apr 2027 10:00:00 +0000\r\n"),
        ("Message-ID", "Message-ID: <2@member.test>\r\n"),
        ("Cc", "Cc: a@x.test\r\nCc: b@x.test\r\n"),
    ] {
        assert!(!world.announces(&format!("{field}{honest}")).await, "a second {name} on top");
    }
    let now = world.now;
    world.now = now + TimeDelta::days(8);
    assert!(!world.announces(&honest).await, "older than a week");
    world.now = now - TimeDelta::days(2);
    assert!(!world.speaks(&honest).await, "made in the future");
    world.now = now;

    // Nobody's.
    let cut = json!({ "length": true, "headers": ["From", "Subject", "To", "Date", "Message-ID"] });
    let cut = world.signed(&mail("Text\r\n"), cut);
    assert!(!world.speaks(&cut).await, "l=");
    assert!(!world.speaks(&format!("{cut}more\r\n")).await, "l= and more text");
    let sha1 = world.signed(&mail("Text\r\n"), json!({ "algorithm": "rsa-sha1" }));
    assert!(!world.speaks(&sha1).await, "rsa-sha1");
    assert!(!world.speaks(&honest.replace("Meeting in April", "Meeting in March")).await, "another subject");
    assert!(!world.speaks(&honest.replace("Text", "Tent")).await, "another body");
    assert!(!world.speaks(&honest.replace("ana@member.test", "eva@member.test")).await, "another author");
    assert!(!world.speaks(&honest.replace("d=member.test", "d=other.test")).await, "another domain");
}

#[tokio::test]
async fn s7_keys_that_are_short_revoked_for_tests_or_for_sha1_prove_nothing() {
    let mut world = World::new();
    let message = mail("Text\r\n");
    let honest = world.signed(&message, json!({}));
    for (what, record) in [
        ("revoked", "v=DKIM1; p=".to_owned()),
        ("h=sha1", format!("v=DKIM1; h=sha1; p={}", world.key.public)),
        ("t=y", format!("v=DKIM1; t=y; p={}", world.key.public)),
        ("k=unknown", format!("v=DKIM1; k=magic; p={}", world.key.public)),
        ("another key", format!("v=DKIM1; p={}", Key::rsa(&mut world.dkimpy, 2048).public)),
        ("no record", "hello".to_owned()),
    ] {
        let server = NameServer::start();
        server.txt("s._domainkey.member.test", record);
        world.dns = Dns::new(Some(server.address)).unwrap();
        let found = world.found(&honest).await;
        assert!(!found.proof(&world.evidence(&honest).author, Need::Speak).is_proved(), "{what}");
        assert!(!found.is_trouble(), "{what} is an answer");
    }
    world.dns = Dns::new(Some(world.server.address)).unwrap();
    assert!(world.speaks(&honest).await);
    let short = Key::rsa(&mut world.dkimpy, 768);
    world.server.txt("short._domainkey.member.test", short.record());
    let signed = world.dkimpy.sign(&short, "member.test", &message, json!({ "selector": "short" }));
    assert!(!world.speaks(&signed).await, "768 bits");
    // t=s: the signer may not speak for a name below its own.
    world.server.txt("strict._domainkey.member.test", format!("v=DKIM1; t=s; p={}", world.key.public));
    let of_whole = world.signed(&message, json!({ "selector": "strict" }));
    assert!(world.speaks(&of_whole).await, "t=s of the very domain");
    // A public suffix signs for nobody below it.
    world.server.txt("s._domainkey.co.uk", world.key.record());
    let suffix = world.dkimpy.sign(&world.key, "co.uk", &message.replace("member.test", "member.co.uk"), json!({}));
    assert!(!world.speaks(&suffix).await, "d=co.uk");
    // A domain below or above the author's counts, unless she publishes that it does not.
    let below = world.dkimpy.sign(&world.key, "member.test", &message.replace("ana@member.test", "ana@dept.member.test"), json!({}));
    assert!(world.speaks(&below).await, "relaxed alignment");
    world.server.txt("_dmarc.member.test", "v=DMARC1; p=reject; adkim=s; aspf=s");
    world.dns = Dns::new(Some(world.server.address)).unwrap();
    assert!(!world.speaks(&below).await, "adkim=s");
    assert!(world.speaks(&honest).await, "adkim=s and the very domain");
}

#[tokio::test]
async fn p22_a_dead_or_lying_name_server_proves_nothing_and_refuses_nothing() {
    let mut world = World::new();
    let honest = world.signed(&mail("Text\r\n"), json!({}));
    for says in [Says::Fail, Says::Silence] {
        let server = NameServer::start();
        server.put("s._domainkey.member.test", says.clone());
        world.dns = Dns::new(Some(server.address)).unwrap();
        let began = Instant::now();
        let found = world.found(&honest).await;
        assert!(began.elapsed().as_secs() < 5, "{says:?}: {:?}", began.elapsed());
        assert!(!found.proof(&world.evidence(&honest).author, Need::Speak).is_proved() && found.is_trouble(), "{says:?}");
    }
    // Two thousand signatures: a few are looked at.
    world.dns = Dns::new(Some(world.server.address)).unwrap();
    world.server.asked();
    let mut many = String::new();
    for number in 0..1_200 {
        many.push_str(&format!("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d{number}.test; s=s; h=From; bh=AAAA; b=AAAA\r\n"));
    }
    let message = format!("{many}{}", mail("Text\r\n"));
    let message =
        if message.lines().count() > 990 { message.lines().skip(300).map(|line| format!("{line}\r\n")).collect() } else { message };
    let began = Instant::now();
    assert!(!world.speaks(&message).await);
    // Five of them and the policy of her domain: less than the ration would allow, so it is the choice that bounds them.
    let asked = world.server.asked();
    assert!(began.elapsed().as_secs() < 5 && asked <= 8, "{asked} in {:?}", began.elapsed());
    // A genuine one below them is found all the same.
    let many: String = many.lines().take(500).map(|line| format!("{line}\r\n")).collect();
    assert!(world.speaks(&format!("{many}{honest}")).await);
    // SPF records that go round in circles.
    for number in 0..30 {
        world.server.txt(
            &format!("l{number}.test"),
            format!("v=spf1 include:l{}.test include:l{}.test ?all", (number + 1) % 30, (number + 7) % 30),
        );
    }
    world.server.asked();
    let mut evidence = world.evidence(&mail("Text\r\n").replace("member.test", "l0.test"));
    (evidence.reverse_path, evidence.client) = (ReversePath::Path("ana@l0.test".parse().unwrap()), "192.0.2.1".parse().ok());
    let found = look(&world.dns, &evidence).await;
    assert!(!found.proof(&evidence.author, Need::Speak).is_proved() && world.server.asked() <= 30);
    // And one that names ten exchangers with ten hosts each, which the limit of RFC 7208 lets through: the ration ends it.
    let names: Vec<_> = (0..9).map(|number| format!("m{number}.test")).collect();
    for name in &names {
        let hosts: Vec<_> = (0..10).map(|host| format!("h{host}.{name}")).collect();
        for host in &hosts {
            world.server.put(host, Says::A(vec![[198, 51, 100, 9]]));
        }
        world.server.put(name, Says::Mail(hosts, Vec::new()));
    }
    let mechanisms: String = names.iter().map(|name| format!(" mx:{name}")).collect();
    world.server.txt("wide.test", format!("v=spf1{mechanisms} -all"));
    world.server.asked();
    let mut evidence = world.evidence(&mail("Text\r\n").replace("member.test", "wide.test"));
    (evidence.reverse_path, evidence.client) = (ReversePath::Path("ana@wide.test".parse().unwrap()), "192.0.2.1".parse().ok());
    let found = look(&world.dns, &evidence).await;
    let asked = world.server.asked();
    assert!(!found.proof(&evidence.author, Need::Speak).is_proved() && asked <= 20, "{asked} questions");
}

#[tokio::test]
async fn spf_proves_the_path_of_the_authors_own_domain_only() {
    let world = World::new();
    world.server.txt("member.test", "v=spf1 ip4:192.0.2.0/24 -all");
    world.server.txt("other.test", "v=spf1 ip4:192.0.2.0/24 -all");
    let message = mail("Text\r\n");
    let try_path = async |path: &str, client: &str| {
        let mut evidence = world.evidence(&message);
        evidence.reverse_path = if path.is_empty() { ReversePath::Null } else { ReversePath::Path(path.parse().unwrap()) };
        evidence.client = client.parse().ok();
        let found = look(&world.dns, &evidence).await;
        (way(&found.proof(&evidence.author, Need::Speak)), found.findings(&evidence.author))
    };
    assert_eq!(try_path("ana@member.test", "192.0.2.9").await.0, Some(ProofMethod::Spf));
    assert_eq!(try_path("bounce@member.test", "192.0.2.9").await.0, Some(ProofMethod::Spf));
    assert_eq!(try_path("ana@member.test", "198.51.100.1").await.0, None);
    assert_eq!(try_path("", "192.0.2.9").await.0, None);
    let (proof, findings) = try_path("x@other.test", "192.0.2.9").await;
    assert_eq!(proof, None);
    assert_eq!(findings.ways, ["spf:other.test", "net:192.0.2.0/24"], "what may be remembered when she confirms it");
    assert_eq!(findings.policy, DmarcPolicy::None);
    assert!(findings.results.contains("spf=pass smtp.mailfrom=other.test"), "{}", findings.results);
}

#[tokio::test]
async fn seals_of_forwarders_are_looked_at_and_only_named_ones_believed() {
    let mut world = World::new();
    let sealer = Key::rsa(&mut world.dkimpy, 2048);
    world.server.txt("a._domainkey.gateway.test", sealer.record());
    // The gateway changed the subject, so the signature is broken, and sealed what it had found before.
    let results = "Authentication-Results: gateway.test; dkim=pass header.d=member.test\r\n";
    let changed = format!("{results}{}", mail("Text\r\n").replace("Subject: ", "Subject: [x] "));
    let job =
        json!({ "do": "seal", "key": sealer.pem, "selector": "a", "domain": "gateway.test", "srv_id": "gateway.test", "message": changed });
    let sealed = world.dkimpy.ask(&job)["message"].as_str().unwrap().to_owned();
    let mut evidence = world.evidence(&sealed);
    let found = look(&world.dns, &evidence).await;
    assert_eq!(found.findings(&evidence.author).arc, ArcChain::Pass);
    assert_eq!(way(&found.proof(&evidence.author, Need::Speak)), None, "nobody named the gateway");
    evidence.arc_sealers = vec!["gateway.test".into()];
    let found = look(&world.dns, &evidence).await;
    assert_eq!(way(&found.proof(&evidence.author, Need::Speak)), Some(ProofMethod::Arc));
    assert!(!found.proof(&evidence.author, Need::SpeakForTheGroup { list_named: true }).is_proved(), "not for the group");
    let mut broken = world.evidence(&sealed.replace("Text", "Tent"));
    broken.arc_sealers = vec!["gateway.test".into()];
    let found = look(&world.dns, &broken).await;
    assert_eq!(found.findings(&broken.author).arc, ArcChain::Fail);
    assert_eq!(way(&found.proof(&broken.author, Need::Speak)), None);
}
