//! Signing in through a real OpenID Connect provider (the npm package `oidc-provider`), in Chromium: `browser/oidc.mjs`.
//!
//! What a lying provider could do is tested beside the code (`src/directory/oidc_tests.rs`); here it is one that works.

use std::path::Path;
use std::process::Stdio;

use enlace::config::Oidc;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::browser::tools;
use crate::site::Running;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_signs_people_in_and_out_and_what_is_not_in_order_signs_nobody_in() {
    let Some((modules, node, chromium)) = tools() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut child = tokio::process::Command::new(node)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/browser/oidc.mjs"))
        .args([modules.as_os_str(), base.as_ref(), chromium.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap_or_default();
    let issuer = first.strip_prefix("ISSUER ").unwrap_or_else(|| panic!("no provider: {first}")).to_owned();
    let site = Running::start_on(listener, |config| {
        config.service.base_url.clone_from(&base);
        let oidc = format!(
            "issuer = \"{issuer}\"\nclient_id = \"enlace\"\nclient_secret = \"secret\"\n\
            claims = {{ name = \"name\", country = \"nation\", languages = \"locales\", organisation = \"employer\" }}\n"
        );
        config.oidc = Some(toml::from_str::<Oidc>(&oidc).unwrap());
    })
    .await;
    child.stdin.as_mut().unwrap().write_all(b"GO\n").await.unwrap();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    let status = child.wait().await.unwrap();
    assert!(status.success() && last == "DONE", "{status}: {last}");

    // Ana was there before and is hers of another directory; Eva came with the sign-in, and her claims became her account.
    let find = async |address: &str| site.services.store.account_by_address(&address.parse().unwrap()).await.unwrap();
    let ana = find("ana@example.org").await.unwrap();
    assert_eq!((ana.name.as_str(), ana.source.as_str()), ("Ana Example", "import"));
    let eva = find("eva@new.example").await.unwrap();
    let languages: Vec<&str> = eva.languages.iter().map(enlace::domain::language::Language::as_str).collect();
    assert_eq!(
        (eva.name.as_str(), eva.source.as_str(), eva.country_code(), eva.organisation.as_str(), languages),
        ("Eva Of The Provider", "oidc", "MX", "Ministry", vec!["es", "en"])
    );
    assert!(find("una@example.org").await.is_none(), "an address that the provider did not verify is none");
}
