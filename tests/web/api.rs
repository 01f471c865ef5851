//! The API from outside: tokens and their scopes, what is answered, repetitions, pages, and the document.

use std::collections::BTreeSet;

use clap::Parser;
use enlace::cli::arguments::Arguments;
use enlace::service::Actor;
use enlace::service::token::{self, Scope};
use enlace::web::api::document;
use enlace::web::api::operation::{Operation, Shape};
use enlace::web::api::table::OPERATIONS;
use serde_json::{Map, Value, json};

use crate::site::{Page, Running, account};

struct Program<'a> {
    site: &'a Running,
    bearer: String,
}

impl<'a> Program<'a> {
    async fn with(site: &'a Running, scopes: &[&str]) -> Self {
        let parsed: Vec<Scope> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        let name = format!("program {}", scopes.join(" "));
        let (_, secret) = token::create(&site.services, &Actor::command_line(), &name, parsed, None, false).await.unwrap();
        Self { site, bearer: format!("Authorization: Bearer {secret}") }
    }

    async fn get(&self, path: &str) -> Page {
        self.site.request("GET", &format!("/api/v1{path}"), &[&self.bearer], b"").await
    }

    async fn send(&self, method: &str, path: &str, fields: &[&str], body: &Value) -> Page {
        let mut all = vec![self.bearer.as_str(), "Content-Type: application/json"];
        all.extend(fields);
        self.site.request(method, &format!("/api/v1{path}"), &all, body.to_string().as_bytes()).await
    }
}

fn body(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap_or_else(|error| panic!("{error}: {}", page.body))
}

/// Values of the right shape for every field.
fn sample(operation: &Operation) -> Map<String, Value> {
    operation
        .fields
        .iter()
        .filter(|field| !matches!(field.name, "off" | "clear"))
        .map(|field| {
            let value = match (field.shape, field.name) {
                // Each excludes another field of its operation, as `off` and `clear` do.
                (_, "after") => Value::Null,
                (Shape::Text, "role") => json!("member"),
                (Shape::Text, "delivery") => json!("each"),
                (Shape::Text, "format") => json!("json"),
                (Shape::Text, _) => json!("2027-01-15"),
                (Shape::Texts, _) => json!(["es"]),
                (Shape::Pairs, _) => json!({ "country": "MX" }),
                (Shape::Truth | Shape::Switch, _) => json!(true),
                (Shape::Number, _) => json!(7),
                (Shape::File, _) => json!("text"),
            };
            (field.name.to_owned(), value)
        })
        .collect()
}

#[test]
fn every_operation_is_a_command_that_exists() {
    for operation in OPERATIONS {
        let parts: Vec<String> = operation.parts().map(|_| "X".to_owned()).collect();
        let mut given = sample(operation);
        if operation.rehearses {
            given.insert("dry_run".into(), json!(true));
        }
        let words = operation.words(&parts, given).unwrap();
        let line: Vec<String> = std::iter::once("enlace".to_owned()).chain(words.words).collect();
        if let Err(error) = Arguments::try_parse_from(&line) {
            panic!("{}: {line:?}\n{error}", operation.id);
        }
    }
}

/// Commands for which there is no operation, and why.
const ONLY_ON_THE_MACHINE: [(&str, &str); 14] = [
    ("serve", "the daemon itself"),
    ("demo", "a daemon in a folder of its own"),
    ("backup", "writes a file of the machine"),
    ("restore", "needs the daemon to rest"),
    ("store back", "needs the daemon to rest"),
    ("store copy", "needs the daemon to rest"),
    ("store migrate", "needs the daemon to rest"),
    ("dkim generate", "writes a file of the machine"),
    ("archive export", "writes a file of any size"),
    ("migrate", "reads a folder of the machine"),
    ("bounce parse", "needs no service"),
    ("completions", "for a shell"),
    ("man", "for a terminal"),
    ("pdf-text", "for the daemon"),
];

#[test]
fn every_command_is_an_operation_or_says_why_not() {
    use clap::CommandFactory;
    fn leaves(command: &clap::Command, front: &str, found: &mut Vec<String>) {
        let name = if front.is_empty() { command.get_name().to_owned() } else { format!("{front} {}", command.get_name()) };
        if command.has_subcommands() {
            command.get_subcommands().for_each(|inner| leaves(inner, &name, found));
        } else {
            found.push(name);
        }
    }
    let mut commands = Vec::new();
    Arguments::command().get_subcommands().for_each(|command| leaves(command, "", &mut commands));
    let operations: BTreeSet<String> = OPERATIONS.iter().map(|operation| operation.command.join(" ")).collect();
    for command in &commands {
        let excused = ONLY_ON_THE_MACHINE.iter().any(|(name, _)| name == command);
        assert!(operations.contains(command) != excused, "`enlace {command}` has no operation, or has one and an excuse");
    }
    assert!(commands.len() > 60 && ONLY_ON_THE_MACHINE.iter().all(|(name, _)| commands.iter().any(|command| command == name)));
}

#[test]
fn the_document_has_every_operation_and_no_reference_without_a_target() {
    let document = document::document();
    let mut named = BTreeSet::new();
    for operation in OPERATIONS {
        let described = &document["paths"][operation.path][operation.method.to_ascii_lowercase()];
        assert_eq!(described["operationId"], operation.id);
        assert!(described["responses"]["200"].is_object() && described["responses"]["403"].is_object(), "{}", operation.id);
        named.insert(operation.id);
    }
    assert_eq!(named.len(), OPERATIONS.len());
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let target = reference.split('/').fold(&document, |at, part| &at[part]);
        assert!(target.is_object(), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_that_covers_it_nothing_is_done() {
    let site = Running::start().await;
    for fields in [vec![], vec!["Authorization: Bearer enlace_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"], vec!["Authorization: Basic YTpi"]] {
        let page = site.request("GET", "/api/v1/groups", &fields, b"").await;
        assert_eq!(page.status, 401, "{}", page.body);
        assert_eq!(page.field("content-type"), "application/problem+json");
        assert!(page.field("www-authenticate").starts_with("Bearer"));
    }
    let reader = Program::with(&site, &["members:read@SG12RG-AMR"]).await;
    for operation in OPERATIONS {
        let path: String = operation.path.replace("{code}", "SG12RG-AFR").replace(['{', '}'], "");
        let page = if operation.writes {
            reader.send(operation.method, &path, &[], &Value::Object(sample(operation))).await
        } else {
            reader.get(&path).await
        };
        assert_eq!(page.status, 403, "{} {path}: {}", operation.method, page.body);
    }
    assert_eq!(reader.get("/groups/SG12RG-AMR/members").await.status, 200);
    let add = json!({ "addresses": ["ana@example.org"] });
    assert_eq!(reader.send("POST", "/groups/SG12RG-AMR/members", &[], &add).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_opens_nothing() {
    let site = Running::start().await;
    let program = Program::with(&site, &["read"]).await;
    assert_eq!(program.get("/groups").await.status, 200);
    token::revoke(&site.services, &Actor::command_line(), "program read", false).await.unwrap();
    assert_eq!(program.get("/groups").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_listed_in_pages_added_set_and_removed() {
    let site = Running::start().await;
    let accounts: Vec<_> = (2..=25).map(|n| account(n, &format!("m{n:02}@example.org"), *b"MX", &["en"])).collect();
    let addresses: Vec<String> = accounts.iter().map(|account| account.address().to_string()).collect();
    site.services.store.put_accounts(accounts).await.unwrap();
    let program = Program::with(&site, &["members@SG12RG-AMR"]).await;
    let path = "/groups/SG12RG-AMR/members";

    let rehearsed = program.send("POST", path, &[], &json!({ "addresses": addresses, "dry_run": true })).await;
    assert_eq!(body(&rehearsed)["dry_run"], true, "{}", rehearsed.body);
    let added = program.send("POST", path, &[], &json!({ "addresses": addresses, "languages": ["en", "es"] })).await;
    assert_eq!((added.status, body(&added)["members"].as_array().unwrap().len()), (200, 24), "{}", added.body);

    let (mut seen, mut next) = (Vec::new(), format!("{path}?limit=10"));
    loop {
        let page = body(&program.get(&next).await);
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["address"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("{path}?limit=10&cursor={cursor}");
    }
    let expected: Vec<String> = std::iter::once("ana@example.org".to_owned()).chain(addresses).collect();
    assert_eq!(seen, expected);

    let one = "/groups/SG12RG-AMR/members/m02%40example.org";
    assert_eq!(program.send("PATCH", one, &[], &json!({ "delivery": "digest" })).await.status, 200);
    let absence = async || {
        let list = body(&program.get(&format!("{path}?limit=1000")).await);
        list["items"].as_array().unwrap().iter().find(|item| item["address"] == "m02@example.org").unwrap()["absence"].clone()
    };
    for (sent, status, kept) in [
        ("from 2027-01-10 until 2027-01-15", 200, json!("from 2027-01-10 until 2027-01-15")),
        ("from 2027-01-15 until 2027-01-10", 422, json!("from 2027-01-10 until 2027-01-15")),
        ("none", 200, Value::Null),
    ] {
        let answer = program.send("PATCH", one, &[], &json!({ "absence": sent })).await;
        assert_eq!((answer.status, absence().await), (status, kept), "{sent}: {}", answer.body);
    }
    assert_eq!(program.send("DELETE", one, &[], &json!({})).await.status, 200);
    let list = body(&program.get(&format!("{path}?limit=1000")).await);
    let gone = list["items"].as_array().unwrap().iter().find(|item| item["address"] == "m02@example.org").unwrap().clone();
    assert_eq!((gone["state"].as_str(), gone["delivery"].as_str()), (Some("unsubscribed"), Some("digest")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_carried_out_once() {
    let site = Running::start().await;
    let program = Program::with(&site, &["all"]).await;
    let make = json!({ "name": "other", "scope": ["read"] });
    let first = program.send("POST", "/tokens", &["Idempotency-Key: k1"], &make).await;
    let again = program.send("POST", "/tokens", &["Idempotency-Key: k1"], &make).await;
    assert_eq!((first.status, again.status), (200, 200), "{} {}", first.body, again.body);
    assert_eq!(body(&first)["token"], body(&again)["token"]);
    assert_eq!(again.field("idempotency-replayed"), "true");
    let other = program.send("POST", "/tokens", &["Idempotency-Key: k1"], &json!({ "name": "third", "scope": ["read"] })).await;
    assert_eq!(other.status, 422, "{}", other.body);
    let anew = program.send("POST", "/tokens", &["Idempotency-Key: k2"], &make).await;
    assert_eq!(anew.status, 422, "a second token of that name: {}", anew.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_somebody_else_changed_is_refused() {
    let site = Running::start().await;
    let program = Program::with(&site, &["accounts"]).await;
    let path = "/accounts/ana@example.org";
    let tag = program.get(path).await.field("etag").to_owned();
    let known = site.request("GET", &format!("/api/v1{path}"), &[&program.bearer, &format!("If-None-Match: {tag}")], b"").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let set = json!({ "fields": { "organisation": "Conatel" } });
    assert_eq!(program.send("PATCH", path, &[&format!("If-Match: {tag}")], &set).await.status, 200);
    let set = json!({ "fields": { "organisation": "Other" } });
    let late = program.send("PATCH", path, &[&format!("If-Match: {tag}")], &set).await;
    assert_eq!((late.status, late.field("content-type")), (412, "application/problem+json"));
    assert!(program.get(path).await.body.contains("Conatel"));
    // Of many who saw the same, one is in time, also when all come at the same moment.
    let tag = format!("If-Match: {}", program.get(path).await.field("etag"));
    let sets: Vec<Value> = (0..6).map(|number| json!({ "fields": { "organisation": format!("Number {number}") } })).collect();
    let fields = [tag.as_str()];
    let answers = futures_util::future::join_all(sets.iter().map(|set| program.send("PATCH", path, &fields, set))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_answered_as_a_problem_and_changes_nothing() {
    let site = Running::start().await;
    let program = Program::with(&site, &["all"]).await;
    for (method, path, sent, status) in [
        ("GET", "/groups/NOSUCH", Value::Null, 404),
        ("GET", "/groups/%2e%2e", Value::Null, 422),
        ("GET", "/nothing", Value::Null, 404),
        ("DELETE", "/groups", Value::Null, 405),
        ("GET", "/groups?limit=0", Value::Null, 422),
        ("GET", "/groups?cursor=%2b", Value::Null, 422),
        ("GET", "/explain", Value::Null, 422),
        ("POST", "/groups", json!({ "toml": "[[group]]\ncode = 1" }), 422),
        ("POST", "/groups", json!([]), 400),
        ("POST", "/groups/SG12RG-AMR/members", json!({ "addresses": ["ana@example.org"], "roles": "x" }), 422),
        ("POST", "/tokens", json!({ "name": "x", "scope": ["everything"] }), 422),
        ("POST", "/holds/0000000000000000/release", json!({}), 404),
        ("POST", "/queue/pause?dry_run=true", json!({ "dry_run": false }), 422),
        ("POST", "/queue/pause?dry_run=2", json!({ "dry_run": true }), 422),
        ("POST", "/queue/pause?dryrun=true", json!({}), 422),
    ] {
        let page = match method {
            "GET" => program.get(path).await,
            _ => program.send(method, path, &[], &sent).await,
        };
        assert_eq!(page.status, status, "{method} {path}: {}", page.body);
        assert_eq!(page.field("content-type"), "application/problem+json", "{method} {path}");
        let problem = body(&page);
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    let deep = format!("{{\"toml\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let page = site.request("POST", "/api/v1/groups", &[&program.bearer, "Content-Type: application/json"], deep.as_bytes()).await;
    assert_eq!(page.status, 400, "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_be_the_body_itself() {
    let site = Running::start().await;
    let program = Program::with(&site, &["accounts"]).await;
    let fields = [program.bearer.as_str(), "Content-Type: text/csv"];
    let csv = b"email,kind\nbea@example.org,guest\n";
    let page = site.request("POST", "/api/v1/accounts/import?dry_run=true", &fields, csv).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(program.get("/accounts/bea@example.org").await.status, 404);
    let page = site.request("POST", "/api/v1/accounts/import", &fields, csv).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(program.get("/accounts/bea@example.org").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_names_the_token() {
    let site = Running::start().await;
    let program = Program::with(&site, &["accounts"]).await;
    assert_eq!(program.send("POST", "/accounts/ana@example.org/suspend", &[], &json!({ "reason": "moved" })).await.status, 200);
    let trail = site.services.store.audit(None, 10).await.unwrap();
    assert!(trail.iter().any(|entry| entry.actor == "token program accounts"), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_a_page_at_a_time() {
    let site = Running::start().await;
    let accounts: Vec<_> = (2..=1_200).map(|n| account(n, &format!("a{n:04}@example.org"), *b"MX", &["en"])).collect();
    site.services.store.put_accounts(accounts).await.unwrap();
    let program = Program::with(&site, &["accounts:read"]).await;
    let (mut seen, mut next, mut pages) = (BTreeSet::new(), "/accounts?limit=500".to_owned(), 0);
    loop {
        let page = body(&program.get(&next).await);
        pages += 1;
        let items = page["items"].as_array().unwrap();
        assert!(!items.is_empty() && items.len() <= 500);
        for item in items {
            assert!(seen.insert(item["address"].as_str().unwrap().to_owned()), "{item} twice");
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        next = format!("/accounts?limit=500&cursor={cursor}");
    }
    assert_eq!((seen.len(), pages), (1_200, 3));
    let wrong = program.get("/accounts?cursor=eA").await;
    assert_eq!(wrong.status, 422, "a cursor that is no mark: {}", wrong.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_told_as_it_changes() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let site = Running::start().await;
    let program = Program::with(&site, &["queue:read"]).await;
    let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    let head = format!("GET /api/v1/events HTTP/1.1\r\nHost: lists.example.org\r\n{}\r\n\r\n", program.bearer);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut event = async || loop {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line()).await.expect("an event in time");
        if let Some(data) = line.unwrap().expect("the stream stays open").strip_prefix("data: ") {
            return serde_json::from_str::<Value>(data).unwrap();
        }
    };
    assert_eq!(event().await["planned"], 0);
    let group = site.services.group(&"SG12RG-AMR".parse().unwrap()).unwrap();
    let mail = enlace::service::robot::RobotMail {
        to: site.ana.address(),
        account: None,
        group: &group,
        template: "probe",
        context: json!({ "reason": "550 no such user", "link": "https://lists.example.org/me" }),
        reply_to: None,
        in_reply_to: None,
        allowance: enlace::service::robot::Allowance::Receipt,
    };
    enlace::service::robot::send(&site.services, mail).await.unwrap();
    assert!(event().await["planned"].is_number(), "a new post rings the bell");
    let other = Program::with(&site, &["members:read"]).await;
    assert_eq!(other.get("/events").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_feed_is_for_whoever_may_read_and_ends_with_a_new_address() {
    let site = Running::start().await;
    let program = Program::with(&site, &["archive"]).await;
    let path = "/groups/SG12RG-AMR/members/ana@example.org/feed";
    let feed = async |renew: bool| {
        let answer = program.send("POST", path, &[], &json!({ "renew": renew })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let link = body(&answer)["feed"].as_str().unwrap().to_owned();
        link[link.find("/feed/").unwrap()..].to_owned()
    };
    let first = feed(false).await;
    assert_eq!(feed(false).await, first, "the same address as long as nobody asks for another");
    let page = site.get(&first).await;
    assert_eq!((page.status, page.field("content-type")), (200, "application/atom+xml; charset=utf-8"));
    assert!(page.body.contains("<feed") && page.field("cache-control").contains("private"), "{}", page.body);
    let second = feed(true).await;
    assert_eq!((site.get(&first).await.status, site.get(&second).await.status), (404, 200));
    for wrong in [second.replace(".atom", ""), second.replace(".atom", "x.atom"), "/feed/x.atom".to_owned()] {
        assert_eq!(site.get(&wrong).await.status, 404, "{wrong}");
    }
    let mut left = site.services.store.subscription(&"SG12RG-AMR".parse().unwrap(), site.ana.id).await.unwrap().unwrap();
    left.state = enlace::domain::subscription::SubscriptionState::Unsubscribed(enlace::domain::reason::Reason::new(
        enlace::domain::reason::Rule::OptedOut,
        ["ana@example.org", "SG12RG-AMR", "2026-11-24"],
    ));
    site.services.store.put_subscriptions(vec![left]).await.unwrap();
    assert_eq!(site.get(&second).await.status, 404, "it ends with her right");
    assert_eq!(program.send("POST", path, &[], &json!({})).await.status, 409);
}

#[tokio::test]
async fn what_cannot_be_read_or_meant_is_a_problem_in_plain_words() {
    let site = Running::start().await;
    let program = Program::with(&site, &["all"]).await;
    let page = program.get("/groups/%ff").await;
    assert_eq!((page.status, page.field("content-type")), (400, "application/problem+json"), "{}", page.body);
    for filter in ["state=foo", "group=NOPE", "question=foo", "direction=foo"] {
        let page = program.get(&format!("/liaisons?{filter}")).await;
        assert_eq!((page.status, page.field("content-type")), (422, "application/problem+json"), "{filter}: {}", page.body);
    }
    for filter in ["state=held", "group=SG12RG-AMR", "question=7/12", "question=Q7%2F12", "question=12", "question=ALL%2F12"] {
        assert_eq!(program.get(&format!("/liaisons?{filter}")).await.status, 200, "{filter}");
    }
    let page = program.send("POST", "/webhooks/x/replay", &[], &json!({})).await;
    assert!(page.status == 422 && !page.body.contains("Usage") && page.body.contains("`since` or `after`"), "{}", page.body);
    let wanted = &document::document()["paths"]["/webhooks/{name}/replay"]["post"]["requestBody"];
    assert_eq!(
        (&wanted["required"], wanted["content"]["application/json"]["schema"]["anyOf"].as_array().unwrap().len()),
        (&json!(true), 2)
    );
    let known = site.request("GET", "/api/v1/groups", &[&program.bearer, "If-None-Match: *"], b"").await;
    assert_eq!(known.status, 304);
}

#[tokio::test]
async fn a_token_of_one_group_reads_what_is_of_that_group() {
    use crate::stage::{GROUP, Stage};
    let stage = Box::pin(Stage::set(false)).await;
    let program = Program::with(&stage.site, &[&format!("read@{GROUP}")]).await;
    let held = body(&program.get("/holds").await);
    let groups: BTreeSet<&str> = held["items"].as_array().unwrap().iter().map(|item| item["group"].as_str().unwrap()).collect();
    assert_eq!(groups, [GROUP].into());
    assert_eq!(program.get(&format!("/holds/{}", stage.held)).await.status, 200);
    assert_eq!(program.get(&format!("/holds/{}", stage.other_held)).await.status, 404, "of another group");
    let of = |page: &Page, group: &str| body(page)["items"].as_array().unwrap().iter().all(|item| item["group"] == group);
    let listed = program.get("/liaisons").await;
    assert!(listed.body.contains(&stage.statement) && of(&listed, GROUP), "{}", listed.body);
    assert_eq!(program.get(&format!("/liaisons/{}", stage.statement)).await.status, 200);
    assert_eq!(program.get(&format!("/meetings/{}", stage.meeting)).await.status, 200);
    let told = program.get("/explain?message_id=one@example.org").await;
    assert!(told.status == 200 && told.body.contains("ana@example.org"), "{}", told.body);
    assert_eq!(program.get("/explain?message_id=three@example.org").await.status, 404);
    for closed in ["/accounts", "/queue", "/audit", "/groups"] {
        assert_eq!(program.get(closed).await.status, 403, "{closed}");
    }
    let other = Program::with(&stage.site, &["read@SG2RG-AMR"]).await;
    assert!(of(&other.get("/liaisons").await, "SG2RG-AMR"));
    let writes = stage.site.request("POST", &format!("/api/v1/holds/{}/discard", stage.held), &[&program.bearer], b"").await;
    assert_eq!(writes.status, 403);
}
