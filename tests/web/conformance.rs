//! Every operation of the API against its own document, by schemathesis: what is wrong is refused, what is answered is documented,
//! nothing ends in a 5xx.
//!
//! `tests/run` fetches schemathesis and names it in `ENLACE_TEST_SCHEMATHESIS`; without it the test says so and is passed over.
//! `ENLACE_TEST_LONG=1` adds random requests to the systematic ones.

use enlace::service::Actor;
use enlace::service::token;

use crate::site::{Running, account};

/// The systematic cases and random ones are the same at each run.
const SEED: &str = "20261126";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      negative_data_rejection,unsupported_method,ignored_auth";

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_keeps_to_the_document() {
    let Some(program) = std::env::var_os("ENLACE_TEST_SCHEMATHESIS") else {
        eprintln!("passed over: ENLACE_TEST_SCHEMATHESIS names no schemathesis");
        return;
    };
    let site = Running::start().await;
    let more: Vec<_> = (2..20).map(|n| account(n, &format!("m{n:02}@example.org"), *b"MX", &["en"])).collect();
    site.services.store.put_accounts(more).await.unwrap();
    let scopes = vec!["all".parse().unwrap()];
    let (_, secret) = token::create(&site.services, &Actor::command_line(), "schemathesis", scopes, None, false).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let long = std::env::var_os("ENLACE_TEST_LONG").is_some();
    let (phases, examples, seconds) = if long { ("coverage,fuzzing", "60", "600") } else { ("coverage", "1", "60") };
    let output = tokio::process::Command::new(program)
        .current_dir(folder.path())
        .args(["run", &format!("http://{}/api/v1/openapi.json", site.address)])
        .args(["--header", &format!("Authorization: Bearer {secret}")])
        .args(["--checks", CHECKS, "--phases", phases, "--max-examples", examples, "--max-time", seconds, "--seed", SEED])
        // The stream stays open; a token must not end itself; a test of a webhook would leave this machine.
        .args(["--exclude-path", "/events", "--exclude-operation-id", "revokeToken", "--exclude-operation-id", "testWebhook"])
        .args(["--workers", "1", "--continue-on-failure", "--request-timeout", "20", "--suppress-health-check", "all"])
        .args(["--warnings", "off", "--no-color"])
        .output()
        .await
        .expect("schemathesis starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" generated") && said.contains("Tested:"), "nothing was tried:\n{said}");
}
