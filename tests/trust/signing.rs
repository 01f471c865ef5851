//! What we send: our signatures and our seal under dkimpy's eyes, the author's signature through us, and DMARC.

use std::os::unix::fs::PermissionsExt;

use enlace::mail::sign::Key as OurKey;
use serde_json::{Value, json};

use crate::signer::{Dkimpy, Key};
use crate::support::client::lmtp;
use crate::support::daemon::{Daemon, GROUPS, Setup, wait_for};
use crate::support::dns::NameServer;

const LIST: &str = "sg12rg-amr@lists.example.org";

struct World {
    daemon: Daemon,
    server: NameServer,
    dkimpy: Dkimpy,
    key: Key,
    records: Value,
    _keys: tempfile::TempDir,
}

/// A service that signs with two keys; `example.org` has a key of its own.
fn start() -> World {
    let server = NameServer::start();
    let mut dkimpy = Dkimpy::start();
    let key = Key::rsa(&mut dkimpy, 2048);
    let keys = tempfile::tempdir().unwrap();
    let mut records = json!({ "s._domainkey.example.org": key.record() });
    server.txt("s._domainkey.example.org", key.record());
    for (selector, ed25519) in [("rsa", false), ("ed", true)] {
        let pem = OurKey::generate(ed25519).unwrap();
        let record = OurKey::from_pem(selector, &pem).unwrap().record();
        std::fs::write(keys.path().join(selector), pem).unwrap();
        std::fs::set_permissions(keys.path().join(selector), std::fs::Permissions::from_mode(0o600)).unwrap();
        records[format!("{selector}._domainkey.lists.example.org")] = record.clone().into();
        server.txt(&format!("{selector}._domainkey.lists.example.org"), record);
    }
    let at = |name: &str| keys.path().join(name).display().to_string();
    let more = format!(
        "nameserver = \"{}\"\n[dkim]\nselector = \"rsa\"\nkey_file = \"{}\"\n[[dkim.also]]\nselector = \"ed\"\nkey_file = \"{}\"\n",
        server.address,
        at("rsa"),
        at("ed")
    );
    let groups = format!(
        "{GROUPS}\n[[group]]\ncode = \"QSDG\"\nkind = \"other\"\nlist = \"qsdg\"\nname = {{ en = \"Quality\" }}\nfooter = {{ en = \"The footer\" }}\n"
    );
    let mut daemon = Daemon::prepare(&Setup { more, groups: Some(groups), ..Setup::default() });
    for group in ["SG12RG-AMR", "QSDG"] {
        daemon.cli_ok(&["member", "add", group, "ana@example.org", "ben@example.org"]);
    }
    daemon.run();
    World { daemon, server, dkimpy, key, records, _keys: keys }
}

impl World {
    /// Ben's copy of a post by Ana.
    fn copy(&mut self, list: &str, id: &str, signed: bool, results: &str, more: &str) -> String {
        let message = format!(
            "From: Ana Example <ana@example.org>\r\nTo: <{list}>\r\nSubject: Hola\r\nDate: Tue, 06 Apr 2027 10:00:00 +0000\r\n\
             Message-ID: <{id}>\r\n{more}\r\nText with trailing space \r\n\r\n\r\n"
        );
        let message = if signed { self.dkimpy.sign(&self.key, "example.org", &message, json!({})) } else { message };
        let message = format!("Authentication-Results: mx.example.org; {results}\r\n{message}");
        let answer = lmtp(self.daemon.address("lmtp"), "ana@example.org", &[list], message.as_bytes());
        assert_eq!(answer[0].code, 250, "{answer:?}");
        wait_for("both copies", || {
            let copies: Vec<_> = self.daemon.outbox().into_iter().map(|copy| String::from_utf8(copy).unwrap()).collect();
            let mut ours: Vec<_> = copies.into_iter().filter(|copy| copy.contains(&format!("<{id}>"))).collect();
            (ours.len() == 2).then(|| ours.remove(0))
        })
    }

    fn verify(&mut self, copy: &str) -> Vec<Value> {
        self.dkimpy.verify(copy.as_bytes(), &self.records)
    }
}

/// The copy without the envelope lines that the folder transport may put on top.
fn message(copy: &str) -> String {
    let start = copy.find("DKIM-Signature:").expect("signed");
    copy[start..].to_owned()
}

#[test]
fn our_signatures_and_the_authors_verify_and_the_one_click_link_is_under_ours() {
    let mut world = start();
    let copy = world.copy(LIST, "g1@example.org", true, "dkim=pass header.d=example.org", "");
    let copy = message(&copy);
    assert_eq!(world.verify(&copy), [json!(true), json!(true), json!(true)], "{copy}");
    let author = copy.rfind("DKIM-Signature:").unwrap();
    assert!(copy[author..].contains("d=example.org;"), "the author's is the last one");
    for (what, changed) in [
        ("the one-click link", copy.replace("/u/", "/v/")),
        ("the one-click field", copy.replace("List-Unsubscribe=One-Click", "List-Unsubscribe=Two-Click")),
        ("a second Subject", format!("Subject: Bargain\r\n{copy}")),
        ("a second From", format!("From: <eva@example.org>\r\n{copy}")),
        ("the body", copy.replace("Text with", "Test with")),
    ] {
        assert_ne!(changed, copy, "{what}");
        let results = world.verify(&changed);
        assert!(results[..2].iter().all(|result| *result != json!(true)), "{what}: {results:?}");
    }
    let seal = world.dkimpy.verify_arc(copy.as_bytes(), &world.records);
    assert_eq!(seal["cv"], "pass", "{seal}\n{copy}");
    assert!(copy.contains("ARC-Authentication-Results: i=1; lists.example.org;\r\n\tdkim=pass header.d=example.org\r\n"), "{copy}");
    assert!(!copy.contains("\r\nAuthentication-Results:"), "{copy}");

    // What is published is what we sign with, and others may not read it.
    let records = world.daemon.json_of_check("dkim");
    assert!(records.len() == 2 && records.iter().all(|finding| finding["state"] == "ok"), "{records:?}");
    world.server.txt("ed._domainkey.lists.example.org", "v=DKIM1; k=ed25519; p=AAAA");
    std::fs::set_permissions(world._keys.path().join("rsa"), std::fs::Permissions::from_mode(0o644)).unwrap();
    world.daemon.stop();
    let found = world.daemon.json_of_check("dkim");
    let errors: Vec<_> =
        found.iter().filter(|finding| finding["state"] == "error").map(|finding| finding["text"].as_str().unwrap()).collect();
    assert!(errors.len() == 2 && errors[0].contains("may be read by others") && errors[1].contains("another key"), "{found:?}");
}

#[test]
fn from_is_rewritten_only_where_the_authors_name_would_be_lost() {
    let mut world = start();
    let (own, via) = ("From: Ana Example <ana@example.org>\r\n", "From: Ana Example via SG12RG-AMR <sg12rg-amr@lists.example.org>\r\n");
    // Before her domain publishes anything, her name stays.
    let copy = world.copy(
        "qsdg@lists.example.org",
        "d1@example.org",
        false,
        "dkim=pass header.d=example.net; dmarc=pass header.from=example.org",
        "",
    );
    assert!(copy.contains(own), "{copy}");
    drop(world);

    let mut world = start();
    world.server.txt("_dmarc.example.org", "v=DMARC1; p=reject");
    let copy = world.copy(LIST, "d2@example.org", true, "dkim=pass header.d=example.org", "");
    assert!(copy.contains(own) && !copy.contains(" via "), "her signature survives: {copy}");
    let copy = world.copy(LIST, "d3@example.org", false, "spf=pass smtp.mailfrom=example.org", "");
    assert!(copy.contains(via) && copy.contains("Reply-To: ana@example.org\r\n") && !copy.contains(own), "{copy}");
    assert_eq!(world.verify(&message(&copy)), [json!(true), json!(true)], "signed in the list's name: {copy}");
    assert!(copy.ends_with("\r\n\r\nText with trailing space \r\n\r\n\r\n"), "the body is untouched: {copy:?}");
    let copy = world.copy(LIST, "d4@example.org", false, "spf=pass smtp.mailfrom=example.org", "Reply-To: office@example.org\r\n");
    assert!(copy.contains(via) && copy.contains("Reply-To: office@example.org\r\n") && copy.matches("Reply-To:").count() == 1, "{copy}");
    // A footer breaks her signature, so it goes out in the list's name.
    let copy = world.copy("qsdg@lists.example.org", "d5@example.org", true, "dkim=pass header.d=example.org", "");
    assert!(copy.contains("From: Ana Example via QSDG <qsdg@lists.example.org>\r\n") && copy.contains("The footer"), "{copy}");
    assert_eq!(world.verify(&message(&copy)), [json!(true), json!(true)], "her broken signature is gone: {copy}");
}

#[test]
fn a_forged_seal_in_our_name_does_not_pass_and_a_chain_of_others_passes_with_what_the_relay_says_of_it() {
    let mut world = start();
    let forged = |domain: &str, id: &str| {
        format!(
            "ARC-Seal: i=1; a=rsa-sha256; cv=none; d={domain}; s=rsa; t=1775469600; b=Rk9SR0VE\r\n\
             ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/simple; d={domain}; s=rsa; h=from; bh=Rk9SR0VE; b=Rk9SR0VE\r\n\
             ARC-Authentication-Results: i=1; {id}; dmarc=pass header.from=bank.example\r\n"
        )
    };
    for (number, (domain, id)) in
        [("lists.example.org", "lists.example.org"), ("evil.example", "lists.example.org"), ("evil.example", "mx.example.org")]
            .into_iter()
            .enumerate()
    {
        let id_of_mail = format!("a{number}@example.org");
        let copy = message(&world.copy(LIST, &id_of_mail, false, "dkim=pass header.d=example.org", &forged(domain, id)));
        assert!(!copy.contains("Rk9SR0VE") && !copy.contains("bank.example"), "{domain} {id}: {copy}");
        let seal = world.dkimpy.verify_arc(copy.as_bytes(), &world.records);
        assert_eq!(seal["cv"], "pass", "what is left is our own seal alone: {seal}\n{copy}");
        assert!(copy.contains("ARC-Seal: i=1;"), "{copy}");
    }

    let sealer = Key::rsa(&mut world.dkimpy, 2048);
    world.records["a._domainkey.gateway.test"] = sealer.record().into();
    for (said, instance, cv) in [("arc=pass", 2, "pass"), ("arc=fail", 0, "pass"), ("dkim=none", 0, "pass")] {
        let id = format!("chain-{said}@example.org").replace('=', "-");
        let plain = format!(
            "Authentication-Results: gateway.test; dkim=pass header.d=example.org\r\nFrom: Ana Example <ana@example.org>\r\nTo: <{LIST}>\r\nSubject: Hola\r\n\
             Date: Tue, 06 Apr 2027 10:00:00 +0000\r\nMessage-ID: <{id}>\r\n\r\nText\r\n"
        );
        let job = json!({ "do": "seal", "key": sealer.pem, "selector": "a", "domain": "gateway.test", "srv_id": "gateway.test", "message": plain });
        let sealed = world.dkimpy.ask(&job)["message"].as_str().unwrap().to_owned();
        let mail = format!("Authentication-Results: mx.example.org; {said}; dkim=pass header.d=example.org\r\n{sealed}");
        let answer = lmtp(world.daemon.address("lmtp"), "ana@example.org", &[LIST], mail.as_bytes());
        assert_eq!(answer[0].code, 250, "{answer:?}");
        let copy = wait_for("a copy", || {
            let copies = world.daemon.outbox().into_iter().map(|copy| String::from_utf8(copy).unwrap());
            copies.into_iter().find(|copy| copy.contains(&format!("<{id}>")))
        });
        let copy = message(&copy);
        assert!(copy.contains("d=gateway.test"), "{said}: the chain of others stays: {copy}");
        assert_eq!(copy.contains("d=lists.example.org; s=rsa; t="), said == "arc=pass", "{said}: {copy}");
        if instance == 2 {
            let seal = world.dkimpy.verify_arc(copy.as_bytes(), &world.records);
            assert_eq!(seal["cv"], cv, "{seal}\n{copy}");
            assert!(copy.contains("ARC-Seal: i=2;"), "{copy}");
        }
    }
}
