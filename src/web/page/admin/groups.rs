//! `/admin/groups`: groups begin, change and end; a new regional group drafts its statement to TSAG. `/admin/period`: a new study period.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;
use serde_json::Value as Json;

use super::{order, show};
use crate::domain::group::GroupKind;
use crate::web::form::Form;
use crate::web::{Problem, Site, Visit};

/// Regions, as the groups file writes them.
const REGIONS: [&str; 6] = ["africa", "americas", "arab-states", "asia-pacific", "eecat", "europe"];

/// What was done to a group, or would be.
#[derive(Serialize)]
struct Changed {
    code: String,
    change: String,
    fields: Vec<(String, String, String)>,
    draft: Option<String>,
}

/// What stands above the forms.
#[derive(Default, Serialize)]
struct Said {
    done: bool,
    /// The group about whose end is asked.
    ends: Option<String>,
    changed: Vec<Changed>,
    warnings: Vec<String>,
}

/// `GET /admin/groups`
pub async fn list(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    page(&site, &visit, "", None).await
}

async fn page(site: &Site, visit: &Visit, text: &str, said: Option<Said>) -> Result<Response, Problem> {
    let (groups, _) = order(site, visit, &["group", "list"], None).await?;
    let table = site.services.groups();
    let parents: Vec<String> = table
        .iter()
        .filter(|group| !group.retired && matches!(group.kind, GroupKind::Study | GroupKind::Advisory))
        .map(|group| group.code.to_string())
        .collect();
    let languages: Vec<(String, String)> = site
        .settings()
        .languages
        .iter()
        .map(|language| (language.to_string(), crate::web::page::choices::language_name(site, *language)))
        .collect();
    let content = context! {
        groups => Value::from(Serde(&groups)),
        text => text,
        said => Value::from(Serde(&said)),
        parents => parents,
        regions => REGIONS.to_vec(),
        offered => Value::from(Serde(&languages)),
    };
    Ok(show(site, visit, "admin-groups.html", "groups", content))
}

/// `POST /admin/groups`: makes the text of a new regional group, previews or applies a text, or ends a group.
pub async fn act(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let mut text = form.get("text").replace("\r\n", "\n");
    let (words, done): (Vec<&str>, bool) = match form.get("act") {
        "new" => {
            text = new_group(&form);
            (vec!["group", "apply", "--dry-run", "--", "-"], false)
        }
        "preview" => (vec!["group", "apply", "--dry-run", "--", "-"], false),
        "apply" => (vec!["group", "apply", "--", "-"], true),
        "end" => (vec!["group", "retire", "--dry-run", "--", form.get("code")], false),
        "retire" => (vec!["group", "retire", "--", form.get("code")], true),
        _ => return Err(Problem::missing()),
    };
    let file = (words[1] == "apply").then(|| text.clone());
    let (report, problems) = order(&site, &visit, &words, file).await?;
    let rows: Vec<&Json> = match report["groups"].as_array() {
        Some(rows) => rows.iter().collect(),
        None => vec![&report],
    };
    let ends = (form.get("act") == "end").then(|| form.get("code").to_owned());
    let mut said = Said { done, ends, changed: rows.into_iter().map(changed).collect(), warnings: problems };
    said.warnings.extend(report["warnings"].as_array().into_iter().flatten().map(one_text));
    page(&site, &visit, if done { "" } else { &text }, Some(said)).await
}

fn one_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn changed(row: &Json) -> Changed {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let fields = row["fields"].as_array().into_iter().flatten();
    Changed {
        code: text(&row["code"]),
        change: text(&row["change"]),
        fields: fields.map(|field| (text(&field["field"]), text(&field["from"]), text(&field["to"]))).collect(),
        draft: row["draft"].as_str().map(ToOwned::to_owned),
    }
}

/// The table of a groups file that a form describes; every value is a quoted text, so that none can be more than a value.
fn new_group(form: &Form) -> String {
    use std::fmt::Write as _;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = String::from("[[group]]\nkind = \"regional\"\n");
    for key in ["code", "parent", "region", "list"] {
        let _ = writeln!(text, "{key} = {}", quoted(form.get(key)));
    }
    let list = |name: &str| form.all(name).filter(|value| !value.is_empty()).map(quoted).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "languages = [{}]", list("languages"));
    let names: Vec<String> = ["en", "fr", "es", "ar", "zh", "ru"]
        .into_iter()
        .filter(|language| !form.get(&format!("name-{language}")).is_empty())
        .map(|language| format!("{language} = {}", quoted(form.get(&format!("name-{language}")))))
        .collect();
    let _ = writeln!(text, "name = {{ {} }}", names.join(", "));
    let members: Vec<String> = form.get("members").lines().map(str::trim).filter(|line| !line.is_empty()).map(quoted).collect();
    if !members.is_empty() {
        let _ = writeln!(text, "supporting_members = [{}]", members.join(", "));
    }
    text
}

/// `GET /admin/period`
pub async fn period(State(site): State<Site>, visit: Visit) -> Response {
    period_page(&site, &visit, &Form::default(), None)
}

/// `POST /admin/period`: first what a new study period would do, then, with `act=do`, done.
pub async fn begin_period(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let answer_by = format!("--answer-by={}", form.get("answer_by"));
    let groups: Vec<String> = form
        .get("groups")
        .split([',', ';', ' ', '\n', '\r', '\t'])
        .filter(|code| !code.is_empty())
        .map(|code| format!("--group={code}"))
        .collect();
    let mut words = vec!["group", "new-period", answer_by.as_str()];
    words.extend(groups.iter().map(String::as_str));
    if form.get("act") != "do" {
        words.push("--dry-run");
    }
    words.extend(["--", form.get("period")]);
    let (report, _) = order(&site, &visit, &words, None).await?;
    Ok(period_page(&site, &visit, &form, Some(&report)))
}

fn period_page(site: &Site, visit: &Visit, form: &Form, report: Option<&Json>) -> Response {
    let content = context! {
        report => Value::from(Serde(&report)),
        period => form.get("period"),
        answer_by => form.get("answer_by"),
        chosen => form.get("groups"),
        tomorrow => (site.services.today() + chrono::Days::new(1)).to_string(),
    };
    show(site, visit, "admin-period.html", "period", content)
}
