//! `/me`: what a person may see and set of herself, in all her groups.
//!
//! Everything goes through the services that the mail commands use: a role is never changed here, and a right never given.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::NaiveDate;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde::Serialize;

use crate::domain::account::{Account, AccountKind, Category};
use crate::domain::archive::{StatementAccess, is_archived, statement_access};
use crate::domain::group::GroupCode;
use crate::domain::language::Language;
use crate::domain::mistake::Mistake;
use crate::domain::post::{Post, PostKind};
use crate::domain::subscription::{Delivery, DeliveryMode, Stream, Subscription, SubscriptionState};
use crate::service::subscribe::{self, Outcome, Settings, Wish};
use crate::service::{Failure, account, meeting, reconfirm, report};
use crate::web::form::Form;
use crate::web::page::choices::{Choice, delivery_choices, language_choices, language_name, languages_of, settings_of};
use crate::web::{Problem, Site, Visit, after};

/// Posts shown as the latest.
const LATEST: usize = 10;
/// Groups whose latest posts are looked at.
const GROUPS_LOOKED_AT: usize = 12;

/// A subscription as its card shows it.
#[derive(Serialize)]
struct Card {
    code: String,
    name: String,
    state: &'static str,
    reason: Option<String>,
    role: &'static str,
    summary: String,
    deliveries: Vec<Choice>,
    until: Option<String>,
    streams: Vec<Choice>,
    languages: Vec<Vec<Choice>>,
    both: bool,
    own_posts: bool,
    links: bool,
    plain_digest: bool,
    invitations: bool,
    may_return: bool,
    invited_until: Option<String>,
}

/// A post in the list of the latest.
#[derive(Serialize)]
struct Latest {
    group: String,
    id: String,
    message_id: String,
    subject: String,
    at: String,
}

/// `GET /me`
pub async fn show(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let subscribed = subscribe::which(&site.services, account).await?;
    let cards: Vec<Card> = subscribed.iter().map(|one| card(&site, &visit, &one.subscription, one.name.clone())).collect();
    let vacation = rest(site.services.today(), subscribed.iter().map(|one| &one.subscription));
    let absent =
        vacation.map(|(from, until)| (site.services.texts.date(visit.language, from), site.services.texts.date(visit.language, until)));
    let begun = vacation.is_some_and(|(from, _)| from <= site.services.today());
    let active: Vec<&GroupCode> =
        subscribed.iter().filter(|one| one.subscription.is_active()).map(|one| &one.subscription.group).take(GROUPS_LOOKED_AT).collect();
    let latest = latest(&site, &visit, &active).await?;
    let waiting = account::addresses::waiting(&site.services, account.id).await?;
    let waiting: Vec<String> = waiting.into_iter().map(|wish| wish.address.to_string()).collect();
    let questions: Vec<Value> = reconfirm::open(&site.services, account)
        .await?
        .into_iter()
        .map(|one| {
            let by = site.services.texts.date(visit.language, one.by);
            context! { organisation => one.organisation, by => by, action => format!("/c/{}", one.token) }
        })
        .collect();
    let confirmed = reconfirm::Confirmations::of(&site.services, std::slice::from_ref(account)).await?.about(account).confirmed;
    let content = context! {
        questions => questions,
        confirmed => confirmed.map(|day| site.services.texts.date(visit.language, day)),
        person => Value::from(Serde(person(&site, &visit, account))),
        cards => Value::from(Serde(&cards)),
        languages => Value::from(Serde(&language_choices(&site, &visit, &account.languages))),
        vacation => absent.as_ref().map(|(_, until)| until),
        vacation_from => absent.as_ref().map(|(from, _)| from).filter(|_| !begun),
        today => site.services.today().to_string(),
        has_active => !active.is_empty(),
        tomorrow => (site.services.today() + chrono::Days::new(1)).to_string(),
        latest => Value::from(Serde(&latest)),
        calendar => meeting::feed_link(&site.services, account, false).await?,
        waiting => waiting,
    };
    Ok(site.show(&visit, "me.html", &site.word(&visit, "my-page"), content))
}

/// The account of a visitor whom `authority` let through.
pub fn signed(visit: &Visit) -> Result<&Account, Problem> {
    visit.account().ok_or(Problem::Status(axum::http::StatusCode::FORBIDDEN))
}

/// An account as pages show it.
#[derive(Serialize)]
pub struct Person {
    name: String,
    addresses: Vec<String>,
    kind: String,
    category: Option<String>,
    organisation: String,
    country: String,
    study_groups: Vec<String>,
    languages: Vec<String>,
    expires: Option<String>,
}

/// The account in the visitor's language.
pub fn person(site: &Site, visit: &Visit, account: &Account) -> Person {
    let word = |key: &str| site.services.texts.word(visit.language, key).to_owned();
    let kind = match account.kind {
        AccountKind::Ties => "kind.ties",
        AccountKind::Guest => "kind.guest",
    };
    Person {
        name: account.name.clone(),
        addresses: account.addresses.iter().map(ToString::to_string).collect(),
        kind: word(kind),
        category: (account.category != Category::None).then(|| word(category_key(account.category))),
        organisation: account.organisation.clone(),
        country: account.country_code().to_owned(),
        study_groups: account.study_groups.iter().map(ToString::to_string).collect(),
        languages: account.languages.iter().map(|language| language_name(site, *language)).collect(),
        expires: account.expires.map(|day| site.services.texts.date(visit.language, day)),
    }
}

/// Key of a category among the words.
pub fn category_key(category: Category) -> &'static str {
    match category {
        Category::MemberState => "category.member-state",
        Category::SectorMember => "category.sector-member",
        Category::Associate => "category.associate",
        Category::Academia => "category.academia",
        Category::None => "category.none",
    }
}

/// Does her mail rest for a reason that she can end herself?
pub fn may_return(subscription: &Subscription) -> bool {
    matches!(&subscription.state, SubscriptionState::Suspended(reason) if subscribe::may_come_back(reason.rule))
}

fn card(site: &Site, visit: &Visit, subscription: &Subscription, name: String) -> Card {
    let texts = &site.services.texts;
    let word = |key: String| texts.word(visit.language, &key).to_owned();
    let mode = subscription.delivery.mode_on(site.services.today());
    let streams: Vec<Choice> = Stream::ALL
        .into_iter()
        .map(|stream| Choice {
            value: stream.as_str().into(),
            text: word(format!("stream.{}", stream.as_str())),
            on: subscription.streams.contains(&stream),
        })
        .collect();
    Card {
        code: subscription.group.to_string(),
        name,
        state: subscription.state.as_str(),
        reason: subscription.state.reason().map(|reason| texts.reason(visit.language, reason)),
        role: super::choices::role_text(subscription.role),
        summary: streams.iter().filter(|stream| stream.on).map(|stream| stream.text.as_str()).collect::<Vec<_>>().join(" · "),
        deliveries: delivery_choices(site, visit, mode),
        until: subscription.delivery.until.filter(|_| mode != DeliveryMode::Each).map(|day| day.to_string()),
        streams,
        languages: languages_of(site, visit, &subscription.languages),
        both: subscription.both,
        own_posts: subscription.own_posts,
        links: subscription.links,
        plain_digest: subscription.plain_digest,
        invitations: subscription.invitations,
        may_return: may_return(subscription),
        invited_until: subscription.invitation.as_ref().and_then(|invitation| invitation.until).map(|day| texts.date(visit.language, day)),
    }
}

/// The days on which mail rests, now or later, if it rests in some group: the latest.
fn rest<'a>(today: NaiveDate, subscriptions: impl Iterator<Item = &'a Subscription>) -> Option<(NaiveDate, NaiveDate)> {
    subscriptions
        .filter_map(|subscription| {
            let off = subscription.delivery.until.filter(|_| subscription.delivery.mode == DeliveryMode::None).map(|until| (today, until));
            subscription.absence.map(|absence| (absence.from, absence.until)).or(off)
        })
        .filter(|(_, until)| *until >= today)
        .max_by_key(|(_, until)| *until)
}

async fn latest(site: &Site, visit: &Visit, groups: &[&GroupCode]) -> Result<Vec<Latest>, Problem> {
    let mut posts = Vec::new();
    for code in groups {
        // What guests get nothing of is not named to them either.
        let hides = statement_access(&*site.services.group(code)?, visit.account()) == StatementAccess::Nothing;
        let wanted = |post: &Post| is_archived(post) && !(hides && post.kind == PostKind::Liaison);
        posts.extend(report::latest(&site.services, code, LATEST, wanted).await?);
    }
    posts.sort_by_key(|post| std::cmp::Reverse(post.id));
    posts.dedup_by_key(|post| post.id);
    posts.truncate(LATEST);
    Ok(posts
        .into_iter()
        .map(|post| Latest {
            group: post.groups[0].to_string(),
            id: post.id.to_string(),
            at: super::choices::day(site, visit, post.received_at),
            message_id: post.message_id,
            subject: post.subject,
        })
        .collect())
}

/// `POST /me/subscriptions/CODE`: settings, or leaving.
pub async fn set(State(site): State<Site>, visit: Visit, Path(code): Path<String>, form: Form) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let code: GroupCode = code.parse().map_err(|_| Problem::missing())?;
    let group = site.services.group(&code)?;
    let wish = match form.get("act") {
        "leave" => Wish::Unsubscribe,
        "return" => Wish::Subscribe,
        _ => Wish::Set(settings_of(&site, &form)?),
    };
    let done = match subscribe::own(&site.services, &visit.actor(), &group, account.address(), wish).await? {
        Outcome::Unsubscribed(_) => "left",
        Outcome::Changed(_) => "saved",
        Outcome::Subscribed(_) => "returned",
        Outcome::Refused(reason) | Outcome::Declined(reason) | Outcome::NotSubscribed(reason) => {
            return Err(Failure::Refused(reason).into());
        }
        _ => "unchanged",
    };
    Ok(after("/me", done))
}

/// `POST /groups/CODE/join`
pub async fn join(State(site): State<Site>, visit: Visit, Path(code): Path<String>) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let group = site.services.group(&code.parse().map_err(|_| Problem::missing())?)?;
    let done = match subscribe::own(&site.services, &visit.actor(), &group, account.address(), Wish::Subscribe).await? {
        Outcome::Subscribed(_) => "joined",
        Outcome::AwaitsApproval(_) => "awaits",
        Outcome::Refused(reason) | Outcome::Declined(reason) => return Err(Failure::Refused(reason).into()),
        _ => "unchanged",
    };
    Ok(after(&format!("/groups/{}", group.code), done))
}

/// `POST /groups/CODE/leave`
pub async fn leave(State(site): State<Site>, visit: Visit, Path(code): Path<String>) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let group = site.services.group(&code.parse().map_err(|_| Problem::missing())?)?;
    subscribe::own(&site.services, &visit.actor(), &group, account.address(), Wish::Unsubscribe).await?;
    Ok(after(&format!("/groups/{}", group.code), "left"))
}

/// `POST /me/languages`: her languages in order, for pages and mail.
pub async fn languages(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let mut chosen: Vec<&str> = Vec::new();
    for code in form.all("language").filter(|code| !code.is_empty()) {
        let known = code.parse::<Language>().is_ok_and(|language| site.settings().languages.contains(&language));
        if !known {
            return Err(Failure::from(Mistake::LanguageUnknown.about([code])).into());
        }
        if !chosen.contains(&code) {
            chosen.push(code);
        }
    }
    let fields = [format!("languages={}", chosen.join(";"))];
    account::set(&site.services, &visit.actor(), account.address(), &fields, false).await?;
    // The account speaks now, not a choice made before.
    let response = after("/me", "saved");
    Ok(crate::web::with_cookie(response, site.cookie(crate::web::visit::LANGUAGE, "", None)))
}

/// `POST /me/vacation`: no mail of any group from a day (today, if none is named) until a day, or again.
pub async fn vacation(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    let end = form.get("act") == "end";
    let mut settings = Settings::default();
    let from = if form.get("from").is_empty() { site.services.today().to_string() } else { form.get("from").to_owned() };
    let absence = if end { "none".to_owned() } else { format!("from {from} until {}", form.get("until")) };
    settings
        .set("absence", &absence, &site.services.config)
        .map_err(|_| Failure::from(Mistake::AbsenceUnclear.about([&*from, form.get("until")])))?;
    if settings.absence.flatten().is_some_and(|absence| absence.until < site.services.today()) {
        return Err(Failure::from(Mistake::AbsenceOver.about([form.get("until")])).into());
    }
    for one in subscribe::which(&site.services, account).await? {
        let off = one.subscription.delivery.mode == DeliveryMode::None && one.subscription.delivery.until.is_some();
        if one.subscription.is_active() && (!end || off || one.subscription.absence.is_some()) {
            let group = site.services.group(&one.subscription.group)?;
            // What was switched off up to a day by other means comes back too.
            settings.delivery = (end && off).then_some(Delivery::EACH);
            subscribe::own(&site.services, &visit.actor(), &group, account.address(), Wish::Set(settings.clone())).await?;
        }
    }
    Ok(after("/me", if end { "vacation-over" } else { "vacation" }))
}

/// `POST /me/address`: which of her addresses gets the mail, one more, or one less.
pub async fn address(State(site): State<Site>, visit: Visit, form: Form) -> Result<Response, Problem> {
    let account = signed(&visit)?;
    if form.has("remove") {
        account::addresses::remove(&site.services, &visit.actor(), account, form.get("remove")).await?;
        return Ok(after("/me", "saved"));
    }
    if form.get("act") == "add" {
        let address = form.get("address").parse().map_err(|_| Failure::Invalid(site.word(&visit, "sign-in-wrong")))?;
        account::addresses::ask(&site.services, &visit.actor(), account, &address).await?;
        return Ok(after("/me", "address-asked"));
    }
    account::addresses::choose(&site.services, &visit.actor(), account, form.get("first")).await?;
    Ok(after("/me", "saved"))
}

/// `GET /me/address/TOKEN`: the question behind the link that was mailed to a new address.
pub async fn ask_address(State(site): State<Site>, visit: Visit, Path(token): Path<String>) -> Result<Response, Problem> {
    let Some(address) = account::addresses::look(&site.services, signed(&visit)?, &token).await? else {
        return Ok(bad_address_link(&site, &visit));
    };
    let content = context! { address => address.to_string(), action => format!("/me/address/{token}") };
    Ok(site.show(&visit, "new-address.html", &site.word(&visit, "address-add"), content))
}

/// `POST /me/address/TOKEN`
pub async fn add_address(State(site): State<Site>, visit: Visit, Path(token): Path<String>) -> Result<Response, Problem> {
    match account::addresses::confirm(&site.services, &visit.actor(), signed(&visit)?, &token).await? {
        Some(_) => Ok(after("/me", "address-added")),
        None => Ok(bad_address_link(&site, &visit)),
    }
}

fn bad_address_link(site: &Site, visit: &Visit) -> Response {
    let word = |key: &str| site.word(visit, key);
    site.say(visit, StatusCode::NOT_FOUND, &word("sign-in-bad-title"), &[word("address-bad")])
}

/// `POST /me/calendar`: another address for her private calendar; the one before ends.
pub async fn calendar(State(site): State<Site>, visit: Visit) -> Result<Response, Problem> {
    meeting::feed_link(&site.services, signed(&visit)?, true).await?;
    Ok(after("/me", "calendar-new"))
}
