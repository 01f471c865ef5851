//! `/metrics` counts what happened, and every metric that the dashboard or an alert asks for exists.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::support::client::{lmtp, proved};
use crate::support::daemon::{Daemon, Setup, wait_for};
use crate::support::sink::Sink;

const LIST: &str = "sg12rg-amr@lists.example.org";

pub fn metrics(daemon: &Daemon) -> String {
    let web = daemon.address("web");
    let mut stream = TcpStream::connect(web).unwrap();
    stream.write_all(format!("GET /metrics HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

/// Words of a file that look like names of our metrics, without the suffixes that a histogram adds.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| word.starts_with("enlace_") || word.starts_with("process_"))
        .map(|word| ["_bucket", "_sum", "_count"].iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word).to_owned())
        .collect()
}

#[test]
fn what_happened_is_counted_and_every_metric_of_the_dashboard_exists() {
    let sink = Sink::start(std::time::Duration::ZERO);
    let mut daemon = Daemon::prepare(&Setup { relay: sink.relay(2), ..Setup::default() });
    daemon.cli_ok(&["member", "add", "SG12RG-AMR", "ana@example.org", "ben@example.org"]);
    daemon.run();
    let post = proved("ana@example.org", LIST, "x", "counted@example.org", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "ana@example.org", &[LIST], &post)[0].code, 250);
    let stranger = proved("zoe@example.com", LIST, "x", "refused@example.com", "x");
    assert_eq!(lmtp(daemon.address("lmtp"), "zoe@example.com", &[LIST], &stranger)[0].code, 550);
    wait_for("two copies", || (daemon.json(&["queue", "list"])["sent"] == 2).then_some(()));
    let text = wait_for("the counters", || Some(metrics(&daemon)).filter(|text| text.contains("enlace_outcomes_total{state=\"sent\"} 2")));
    for line in [
        "enlace_answers_total{protocol=\"lmtp\",code=\"250\"} 1",
        "enlace_answers_total{protocol=\"lmtp\",code=\"550\"} 1",
        "enlace_recipients_planned_total 2",
        "enlace_queue_recipients{state=\"sent\"} 2",
        "enlace_queue_recipients{state=\"planned\"} 0",
        "enlace_store_healthy 1",
        "enlace_queue_paused 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    for stage in ["accept", "judge", "commit", "plan", "relay", "outcome", "store"] {
        let count = format!("enlace_stage_seconds_count{{stage=\"{stage}\"}} ");
        let count = text.lines().find_map(|line| line.strip_prefix(&count)).unwrap_or_else(|| panic!("no {stage} in\n{text}"));
        assert!(count.parse::<u64>().unwrap() > 0, "{stage} was never timed");
    }
    assert!(!text.contains('@') && !text.contains("SG12"), "nobody and no group stands in it: {text}");
    let resident: f64 = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap().parse().unwrap();
    assert!(resident > 1e6, "{resident}");

    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for file in ["grafana/enlace.json", "prometheus/enlace.rules.yml"] {
        let asked = std::fs::read_to_string(deploy.join(file)).unwrap();
        let asked = names(&asked);
        assert!(asked.len() > 5, "{file}: {asked:?}");
        for name in asked {
            assert!(text.contains(&format!("# TYPE {name} ")), "{file} asks for {name}, which does not exist");
        }
    }
    let dashboard = std::fs::read_to_string(deploy.join("grafana/enlace.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}
