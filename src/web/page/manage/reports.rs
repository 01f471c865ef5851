//! `/manage/CODE/reports`: participation as plots, and what became of the latest posts.

use axum::extract::State;
use axum::response::Response;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use super::show;
use crate::service::report;
use crate::web::authority::Scope;
use crate::web::page::choices::{language_name, moment};
use crate::web::{Problem, Site, Visit};

/// Posts shown.
const POSTS: usize = 25;
/// Bars of a plot; the rest is one bar.
const BARS: usize = 15;
/// Characters of a label, which stands left of its bar.
const LABEL: usize = 18;
/// Width of the longest bar in the units of the drawing.
const WIDTH: u64 = 190;

/// A bar of a plot.
#[derive(Serialize)]
pub struct Bar {
    label: String,
    count: u64,
    width: u64,
    y: usize,
}

/// Bars for `counts`, the longest first.
fn bars(counts: Vec<(String, u64)>, rest: &str) -> Vec<Bar> {
    let mut counts = counts;
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if counts.len() > BARS {
        let others = counts.split_off(BARS - 1).iter().map(|(_, count)| count).sum();
        counts.push((rest.to_owned(), others));
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    counts
        .into_iter()
        .enumerate()
        .map(|(place, (label, count))| Bar {
            label: label.chars().take(LABEL).collect(),
            count,
            width: (count * WIDTH / most).max(1),
            y: place * 26,
        })
        .collect()
}

#[derive(Serialize)]
struct Delivery {
    message_id: String,
    subject: String,
    kind: String,
    at: String,
    sent: u64,
    open: u64,
    failed: u64,
    bounced: u64,
    suppressed: u64,
}

/// `GET /manage/CODE/reports`
pub async fn reports(State(site): State<Site>, visit: Visit, scope: Scope) -> Result<Response, Problem> {
    let counted = site.participation(&scope.group.code).await?;
    let texts = &site.services.texts;
    let rest = site.word(&visit, "others");
    let unknown = site.word(&visit, "unknown");
    let countries = counted.countries.iter().map(|(code, count)| (if code.is_empty() { unknown.clone() } else { code.clone() }, *count));
    let categories = counted.categories.iter().map(|(key, count)| (texts.word(visit.language, key).to_owned(), *count));
    let languages = counted.languages.iter().map(|(code, count)| {
        let name = code.parse().map_or_else(|_| code.clone(), |language| language_name(&site, language));
        (name, *count)
    });
    let plots = [
        ("by-country", bars(countries.collect(), &rest)),
        ("by-category", bars(categories.collect(), &rest)),
        ("by-language", bars(languages.collect(), &rest)),
    ];
    let deliveries: Vec<Delivery> = report::deliveries(&site.services, &scope.group.code, POSTS)
        .await?
        .into_iter()
        .map(|(post, counts)| Delivery {
            kind: site.word(&visit, &format!("post-{}", post.kind.as_str())),
            at: moment(&site, post.received_at),
            sent: counts.sent,
            open: counts.open(),
            failed: counts.failed,
            bounced: counts.bounced,
            suppressed: counts.suppressed,
            message_id: post.message_id,
            subject: post.subject,
        })
        .collect();
    let content = context! {
        plots => Value::from(Serde(&plots)),
        states => Value::from(Serde(&counted.states)),
        bouncing => counted.bouncing,
        deliveries => Value::from(Serde(&deliveries)),
    };
    Ok(show(&site, &visit, &scope, "reports", "manage-reports.html", content))
}
