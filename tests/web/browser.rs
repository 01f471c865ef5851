//! Journeys in Chromium (`browser/journeys.mjs`): pictures of every page lie in `target/screens` afterwards.
//!
//! `ENLACE_TEST_NODE` names a folder with the packages `playwright-core` and `axe-core`, which `tests/run` prepares.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::stage::{GROUP, Stage, Who};

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).flat_map(|folder| names.iter().map(move |name| folder.join(name))).find(|file| file.exists())
}

/// What drives a browser: the folder of the node packages, node, Chromium. `None`, with a word about it, where the packages are not.
pub fn tools() -> Option<(OsString, PathBuf, PathBuf)> {
    let Some(modules) = std::env::var_os("ENLACE_TEST_NODE") else {
        println!("ENLACE_TEST_NODE is not set; no browser was used");
        return None;
    };
    let node = program(&["node", "nodejs"]).expect("node is installed");
    let chromium = program(&["chromium", "chromium-browser", "google-chrome"]).expect("Chromium is installed");
    Some((modules, node, chromium))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn journeys_of_each_role_in_a_browser() {
    let Some((modules, node, chromium)) = tools() else { return };
    let stage = Stage::set(false).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("stage.json");
    let (post, held) = (stage.post, stage.held);
    let manage = |rest: &str| format!("/manage/{GROUP}{rest}");
    let story = json!({
        "base": format!("http://{}", stage.site.address),
        "modules": modules.to_string_lossy(),
        "chromium": chromium,
        "pictures": root.join("target/screens"),
        "group": GROUP,
        "address": "tess@example.org",
        "vacation": "2026-12-24",
        "statement": stage.statement,
        "sessions": {
            "member": stage.session(Who::Member), "manager": stage.session(Who::Manager), "moderator": stage.session(Who::Moderator),
            "guest": stage.session(Who::Guest), "operator": stage.session(Who::Operator), "tsb": stage.session(Who::Tsb),
            "resting": stage.resting,
        },
        "paths": {
            "anonymous": ["/", "/liaisons", format!("/liaisons/{}", stage.statement), format!("/groups/{GROUP}"), "/groups/SG12", format!("/groups/{GROUP}/data-protection"), "/sign-in", format!("/meetings/{}", stage.meeting), stage.site.link()],
            "member": [format!("/liaisons/{}", stage.statement), "/me", "/me/why?message=one@example.org", "/me/erase", format!("/groups/{GROUP}"), format!("/groups/{GROUP}/archive"),
                format!("/groups/{GROUP}/archive/{post}"), format!("/groups/{GROUP}/archive/{post}?view=html")],
            "guest": [format!("/groups/{GROUP}"), "/me"],
            "moderator": ["/manage", manage("")],
            "manager": ["/manage", manage(""), manage("/members"), manage("/members/0000000000000001"), manage("/requests"), manage("/bounces"), "/liaisons?group=SG12RG-AMR&sort=deadline".to_owned(), manage("/held"),
                manage(&format!("/held/{held}")), manage("/meetings"), manage(&format!("/meetings/{}", stage.meeting)), manage("/rules"), manage("/rehearsal?kind=liaison&in-es=on"),
                manage("/reports"), manage("/settings"), manage("/audit"), manage("/why?message=one@example.org&address=rita@example.org")],
            "operator": ["/manage"],
            "tsb": ["/admin"],
            "resting": ["/me"],
            "admin": ["/admin", format!("/admin/liaisons/{}", stage.statement), "/admin/queue", "/admin/jobs", "/admin/groups", "/admin/period", "/admin/tokens",
                "/admin/audit?q=meeting"],
        },
    });
    std::fs::File::create(&told).unwrap().write_all(story.to_string().as_bytes()).unwrap();

    let mut child = tokio::process::Command::new(node)
        .arg(root.join("tests/web/browser/journeys.mjs"))
        .arg(&told)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "ASKED" {
            let link = stage.site.mailed_link("tess@example.org").await;
            use tokio::io::AsyncWriteExt as _;
            child.stdin.as_mut().unwrap().write_all(format!("{link}\n").as_bytes()).await.unwrap();
        }
        last = line;
    }
    let status = child.wait().await.unwrap();
    assert!(status.success() && last == "DONE", "{status}: {last}");
}
