//! Behind a real Postfix: a delegate's message in by SMTP, to Enlace by LMTP, copies back through Postfix.

use super::support::client::{lmtp, proved, smtp};
use super::support::daemon::{Daemon, Setup};
use super::support::postfix::{Ports, Postfix, Sink, free_port};

const LIST: &str = "sg12rg-amr@lists.example.org";

#[test]
fn copies_go_out_through_postfix_and_a_refusal_is_its_bounce() {
    // Enlace needs to know where Postfix listens and Postfix where Enlace does: the port of Postfix is chosen first.
    let (port, next) = (free_port(), free_port());
    let relay = format!("transport = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}");
    let mut daemon = Daemon::prepare(&Setup { relay, ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org", "caro@example.org"]);
    daemon.run();
    let sink = Sink::start(next, false, &[]);
    let postfix = Postfix::start(Ports { smtp: port, lmtp: daemon.address("lmtp").port(), next }, "");
    let postfix_address = format!("127.0.0.1:{}", postfix.port()).parse().unwrap();

    let message = proved("ana@example.org", LIST, "Hola", "pf1@example.org", "Estimados colegas");
    let answer = smtp(postfix_address, "ana@example.org", &[LIST], &message);
    assert_eq!(answer.code, 250, "{answer:?}");
    let copies = sink.wait_for(3, |text| text.contains("pf1@example.org"));
    for who in ["ana@example.org", "ben@example.org", "caro@example.org"] {
        let copy =
            copies.iter().find(|copy| copy.contains(&format!("X-Rcpt-Args: <{who}>"))).unwrap_or_else(|| panic!("no copy for {who}"));
        assert!(copy.contains("X-Mail-Args: <sg12rg-amr-bounces+"), "{copy}");
        assert!(copy.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "{copy}");
        assert!(copy.contains("Estimados colegas"), "{copy}");
    }

    let stranger = proved("zoe@example.com", LIST, "Hello", "pf2@example.com", "Hello");
    assert_eq!(smtp(postfix_address, "zoe@example.com", &[LIST], &stranger).code, 250, "Postfix takes it for the list domain");
    let bounce = sink.wait_for(1, |text| text.contains("X-Rcpt-Args: <zoe@example.com>"));
    assert!(bounce[0].contains("X-Mail-Args: <>"), "{}", bounce[0]);
    assert!(bounce[0].contains("not subscribed to SG12RG-AMR"), "the reason is Enlace's: {}", bounce[0]);
    assert!(bounce[0].contains("mx.example.org"), "the bounce is Postfix's own: {}", bounce[0]);
    assert_eq!(sink.messages().len(), 4, "nothing else left");
    assert_eq!(lmtp(daemon.address("lmtp"), "zoe@example.com", &[LIST], &stranger)[0].code, 550);
}
