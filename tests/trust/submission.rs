//! People who send through the submission listener: Python's smtplib as their program.

use std::process::Command;

use crate::support::daemon::{Daemon, Setup, wait_for};

const LIST: &str = "sg12rg-amr@lists.example.org";
const PASSWORD: &str = "a long enough password";

struct World {
    daemon: Daemon,
    _keys: tempfile::TempDir,
}

fn start() -> World {
    let keys = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (keys.path().join("cert.pem"), keys.path().join("key.pem"));
    std::fs::write(&certificate, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let listener = |implicit: bool| {
        format!(
            "[[listen]]\nprotocol = \"submission\"\naddress = \"127.0.0.1:0\"\n\
             tls = {{ certificate = \"{}\", key = \"{}\", implicit = {implicit} }}\n",
            certificate.display(),
            key.display()
        )
    };
    let mut daemon = Daemon::prepare(&Setup { more: listener(false), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.cli_with_input(&["account", "password", "ana@example.org"], &format!("{PASSWORD}\n"));
    daemon.run();
    World { daemon, _keys: keys }
}

impl World {
    /// What smtplib says: `sent`, or the error.
    fn send(&self, user: &str, password: &str, from: &str, to: &str, id: &str) -> String {
        let script = r#"
import smtplib, ssl, sys
port, user, password, sender, to, id = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with smtplib.SMTP("127.0.0.1", int(port), timeout=30) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth"), "AUTH is offered without TLS"
        smtp.starttls(context=context)
        if user:
            smtp.login(user, password)
        smtp.sendmail(sender, [to], f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: x\r\nMessage-ID: <{id}>\r\n\r\nText\r\n")
        print("sent")
except Exception as error:
    print(type(error).__name__, str(error))
"#;
        let port = self.daemon.address("submission").port().to_string();
        let output = Command::new("/usr/bin/python3").args(["-c", script, &port, user, password, from, to, id]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn copies(&self, id: &str) -> usize {
        self.daemon.outbox().iter().filter(|copy| String::from_utf8_lossy(copy).contains(&format!("<{id}>"))).count()
    }
}

#[test]
fn who_logs_in_posts_as_herself_and_as_nobody_else() {
    let world = start();
    assert_eq!(world.send("ana@example.org", PASSWORD, "ana@example.org", LIST, "s1@example.org"), "sent");
    wait_for("two copies", || (world.copies("s1@example.org") == 2).then_some(()));
    // S5: her password, his name: held, and he is asked; nothing is distributed.
    assert_eq!(world.send("ana@example.org", PASSWORD, "ben@example.org", LIST, "s2@example.org"), "sent");
    let held = world.daemon.json(&["hold", "list"]);
    assert!(held.as_array().unwrap().iter().any(|post| post["from"] == "ben@example.org"), "{held}");
    assert_eq!(world.copies("s2@example.org"), 0);
    // Not a relay for the world, not even for her.
    let abroad = world.send("ana@example.org", PASSWORD, "ana@example.org", "somebody@elsewhere.example", "s3@example.org");
    assert!(abroad.contains("550") && abroad.contains("5.1.1"), "{abroad}");
    // Without a log-in nothing goes.
    assert!(world.send("", "", "ana@example.org", LIST, "s4@example.org").contains("530"));
    // The trail names the act and not the word; so do the logs.
    let trail = world.daemon.json(&["audit"]);
    assert!(trail.as_array().unwrap().iter().any(|entry| entry["act"] == "account password"), "{trail}");
    assert!(!world.daemon.log().contains(PASSWORD) && !trail.to_string().contains(PASSWORD));
    // Taken away, it is of no use at once.
    world.daemon.cli_ok(&["account", "password", "ana@example.org", "--clear"]);
    assert!(world.send("ana@example.org", PASSWORD, "ana@example.org", LIST, "s5@example.org").contains("535"));
}

#[test]
fn m8_guessing_closes_the_name_and_tells_nothing() {
    let world = start();
    let time = |user: &str| {
        let began = std::time::Instant::now();
        let said = world.send(user, "wrong", "ana@example.org", LIST, "x@example.org");
        assert!(said.contains("535"), "{said}");
        began.elapsed()
    };
    let (known, unknown) = (time("ana@example.org"), time("nobody@example.org"));
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.4..2.5).contains(&ratio), "{known:?} for a user, {unknown:?} for nobody");
    for _ in 0..9 {
        time("ana@example.org");
    }
    let right = world.send("ana@example.org", PASSWORD, "ana@example.org", LIST, "x@example.org");
    assert!(right.contains("535"), "closed, though the password is right: {right}");
    // Others are not touched: a post by the relay goes on meanwhile.
    let post = crate::support::client::proved("ana@example.org", LIST, "x", "m8@example.org", "Text");
    let began = std::time::Instant::now();
    assert_eq!(crate::support::client::lmtp(world.daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    assert!(began.elapsed().as_secs() < 5);
}
