//! Commands by mail: who asks is proved, or is asked back once; what is refused is refused in the session.
//!
//! A mail whose every command is refused gets the reason as an SMTP answer and no mail. Otherwise one answer tells what
//! came of each command, in the sender's language. An unproved sender with an account gets at most one question a day
//! over all groups; one without an account gets nothing but the SMTP answer.

use std::sync::Arc;

use serde_json::{Value, json};

use super::tokens::used;
use super::{Incoming, Refusal};
use crate::domain::account::Account;
use crate::domain::address::EmailAddress;
use crate::domain::audience::wanted_languages;
use crate::domain::group::Group;
use crate::domain::id::{PostId, RequestId};
use crate::domain::language::Language;
use crate::domain::mistake::Advice;
use crate::domain::reason::{Reason, Rule, fill};
use crate::domain::subscription::{Absence, Delivery};
use crate::mail::command::{self, Command, Problem, Switch};
use crate::mail::token::Purpose;
use crate::service::robot::{self, Allowance, RobotMail};
use crate::service::subscribe::{self, Outcome, Settings, Wish, delivery_text};
use crate::service::{Actor, Failure, explain, meeting};

/// Octets of a mail's text that are searched for commands.
const TEXT_OCTETS: usize = 64 * 1024;

/// Verbs of requests that a command by mail can make.
const OF_COMMANDS: [&str; 3] = ["subscribe", "unsubscribe", "set"];

/// The person who asks.
struct Person<'a> {
    address: &'a EmailAddress,
    account: Account,
    language: Language,
}

/// What came of one command.
struct Done {
    command: String,
    text: String,
    outcome: Option<Outcome>,
    /// Did it only ask, so that without an answer nothing was done?
    is_question: bool,
}

impl Incoming {
    /// `L-request@`.
    pub(super) async fn request(&self, group: &Arc<Group>) -> Result<String, Refusal> {
        self.refuse_robots(group, "request")?;
        let text = self.text("commands", TEXT_OCTETS).await?;
        let mut commands = command::read(&self.message.subject, &text);
        if commands.is_empty() {
            commands.push(Command::Help);
        }
        self.commands(group, commands).await
    }

    /// `L-join@` and `L-leave@`.
    pub(super) async fn one_command(&self, group: &Arc<Group>, address: &str, command: Command) -> Result<String, Refusal> {
        self.refuse_robots(group, address)?;
        self.commands(group, vec![command]).await
    }

    async fn commands(&self, group: &Arc<Group>, commands: Vec<Command>) -> Result<String, Refusal> {
        // A token is a proof of its own.
        if let [Command::Confirm(token)] = &commands[..] {
            return self.confirm(group, token).await;
        }
        let proof = self.proof().await?;
        let address = proof.author();
        if let Some(reason) = self.too_much(group, &proof) {
            return Err(reason.into());
        }
        let Some(account) = self.services.store.account_by_address(address).await? else {
            return Err(Reason::new(Rule::NoAccount, [address.as_str()]).into());
        };
        let names = [group.list.clone(), group.code.to_string(), group.address(&self.services.site.domain)].map(|name| name.to_lowercase());
        let addresses: Vec<String> = account.addresses.iter().map(EmailAddress::key).collect();
        let commands: Vec<Command> = commands.into_iter().map(|command| command.of_sender(&names, &addresses)).collect();
        let language = robot::language_for(&self.services, Some(&account), group);
        let person = Person { address, account, language };
        if !proof.is_proved() {
            return self.ask_back(group, &person, &commands).await;
        }
        let mut done = Vec::with_capacity(commands.len());
        for command in &commands {
            done.push(self.carry_out(group, &person, command).await?);
        }
        let refused = |done: &Done| match &done.outcome {
            Some(Outcome::Refused(reason)) => Some(reason.clone()),
            _ => None,
        };
        if let Some(reason) = done.iter().map(refused).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next()) {
            return Err(reason.into());
        }
        let template = match (&commands[..], &done[..]) {
            ([Command::Help], _) => "help",
            (_, [one]) => one.outcome.as_ref().and_then(mail_of).unwrap_or("commands"),
            _ => "commands",
        };
        if self.answer_commands(group, &person, template, &done).await?.is_some() {
            return Ok("done; the answer is on its way".into());
        }
        let used_up = Reason::new(Rule::AnswersUsedUp, [person.address.as_str()]);
        if done.iter().all(|done| done.is_question) {
            return Err(used_up.into());
        }
        Ok(format!("done, without an answer: {}", used_up.text()))
    }

    async fn answer_commands(
        &self,
        group: &Group,
        person: &Person<'_>,
        template: &'static str,
        done: &[Done],
    ) -> Result<Option<PostId>, Refusal> {
        let results: Vec<Value> = done.iter().map(|done| json!({ "command": done.command, "text": done.text })).collect();
        let texts = &self.services.texts;
        let settings = match self.services.store.subscription(&group.code, person.account.id).await? {
            Some(subscription) => json!({
                "languages": wanted_languages(group, &person.account, &subscription),
                "streams": subscription.streams,
                "delivery": texts.word(person.language, &format!("delivery.{}", subscription.delivery.mode.as_str())),
                "until": subscription.delivery.until,
                "state": subscription.state.as_str(),
            }),
            None => Value::Null,
        };
        self.mail(group, person, template, json!({ "results": results, "settings": settings }), None, Allowance::Answer).await
    }

    /// Yes to a request, by its token: its person is told by mail what came of it, as if she had been proved at once.
    pub(super) async fn confirm_request(&self, id: RequestId) -> Result<String, Refusal> {
        let request = self.services.store.request(id).await?;
        let outcome = subscribe::confirm(&self.services, id).await.map_err(used)?;
        if let Outcome::Refused(reason) = outcome {
            return Err(reason.into());
        }
        if let Some(request) = request.filter(|request| OF_COMMANDS.contains(&request.verb.as_str()))
            && let Some(account) = self.services.store.account_by_address(&request.address).await?
        {
            let group = self.services.group(&request.group)?;
            let language = robot::language_for(&self.services, Some(&account), &group);
            let person = Person { address: &request.address, account, language };
            let command = [vec![request.verb.clone()], request.arguments.clone()].concat().join(" ");
            let text = self.outcome_text(&group, &person, &outcome);
            let template = mail_of(&outcome).unwrap_or("commands");
            let done = Done { command, text, outcome: Some(outcome.clone()), is_question: false };
            if let Err(refusal) = self.answer_commands(&group, &person, template, &[done]).await {
                tracing::error!(group.code = %group.code, ?refusal, "Could not tell about a confirmed request");
            }
        }
        Ok(outcome.text())
    }

    async fn mail(
        &self,
        group: &Group,
        person: &Person<'_>,
        template: &'static str,
        context: Value,
        reply_to: Option<String>,
        allowance: Allowance,
    ) -> Result<Option<PostId>, Refusal> {
        let mail = RobotMail {
            to: person.address,
            account: Some(&person.account),
            group,
            template,
            context,
            reply_to,
            in_reply_to: self.message.message_id.as_deref(),
            allowance,
        };
        Ok(robot::send(&self.services, mail).await?)
    }

    /// Keeps the first wish of an unproved sender and asks whether it was meant.
    async fn ask_back(&self, group: &Group, person: &Person<'_>, commands: &[Command]) -> Result<String, Refusal> {
        let Some((command, wish)) = commands.iter().find_map(|command| wish(command).map(|wish| (command, wish))) else {
            return Err(Reason::new(Rule::Unproved, [person.address.as_str()]).into());
        };
        if let Some(advice) = self.mistake(&wish) {
            return Err(Reason::new(Rule::NotDone, [advice.to_string()]).into());
        }
        let asked = subscribe::ask(&self.services, group, person.address, &wish).await?;
        let token = self.services.keys.address_token(Purpose::Confirm, asked.id.0);
        let template = match wish {
            Wish::Unsubscribe => "confirm-unsubscription",
            Wish::Subscribe | Wish::SubscribeWith(_) | Wish::Set(_) => "confirm-subscription",
        };
        let context = json!({
            "command": words(command),
            "confirm_address": format!("{}-confirm+{token}@{}", group.list, self.services.site.domain),
            "link": format!("{}/c/{token}", self.services.site.base_url),
        });
        let reply_to = Some(format!("{}-confirm+{token}", group.list));
        if self.mail(group, person, template, context, reply_to, Allowance::Question).await?.is_none() {
            subscribe::forget(&self.services, asked).await?;
            if asked.is_new {
                return Err(Reason::new(Rule::RateLimited, [person.address.as_str()]).into());
            }
        }
        Ok("not proved to come from you: a question was sent to your address, at most one a day".into())
    }

    async fn carry_out(&self, group: &Group, person: &Person<'_>, command: &Command) -> Result<Done, Refusal> {
        let services = &self.services;
        let word = |key: &str, about: &[String]| fill(services.texts.word(person.language, key), about);
        let mut outcome = None;
        let text = match command {
            Command::Help => word("command.help", &[group.sub_address("request", &services.site.domain)]),
            Command::Which => self.which(person).await?,
            Command::Calendar(anew) => word("command-calendar", &[meeting::feed_link(services, &person.account, *anew).await?]),
            Command::Why(message_id) => self.why(person, message_id).await?,
            Command::Confirm(token) => match self.confirm_in_passing(token).await? {
                Some(confirmed) => self.outcome_text(group, person, outcome.insert(confirmed)),
                None => word("command.token", &[]),
            },
            Command::Unknown(line, Problem::Word(None)) => word("command.unknown", &[shown(line)]),
            Command::Unknown(line, Problem::Word(Some(near))) => word("command.near", &[shown(line), (*near).to_owned()]),
            Command::Unknown(line, Problem::Arguments(expected)) => word("command.arguments", &[shown(line), (*expected).to_owned()]),
            _ => match wish(command) {
                Some(wish) => {
                    if let Some(advice) = self.mistake(&wish) {
                        services.texts.advice(person.language, &advice)
                    } else {
                        let done = subscribe::own(services, &Actor::from(person.address), group, person.address, wish).await?;
                        self.outcome_text(group, person, outcome.insert(done))
                    }
                }
                None => word("command.unknown", &[words(command)]),
            },
        };
        let is_question = outcome.is_none() && !matches!(command, Command::Calendar(true));
        Ok(Done { command: words(command), text, outcome, is_question })
    }

    /// What of a wish cannot be meant.
    fn mistake(&self, wish: &Wish) -> Option<Advice> {
        match wish {
            Wish::SubscribeWith(settings) | Wish::Set(settings) => settings.mistake(self.services.today(), &self.services.config),
            Wish::Subscribe | Wish::Unsubscribe => None,
        }
    }

    fn outcome_text(&self, group: &Group, person: &Person<'_>, outcome: &Outcome) -> String {
        let texts = &self.services.texts;
        match outcome {
            Outcome::Subscribed(_) | Outcome::AlreadySubscribed | Outcome::Unsubscribed(_) | Outcome::Changed(_) | Outcome::Unchanged => {
                fill(texts.word(person.language, &format!("outcome.{}", outcome.key())), &[group.code.to_string()])
            }
            Outcome::AwaitsApproval(reason) | Outcome::NotSubscribed(reason) | Outcome::Declined(reason) | Outcome::Refused(reason) => {
                texts.reason(person.language, reason)
            }
        }
    }

    /// A confirmation among other commands: only of a request, since a post is confirmed by its own reply address.
    async fn confirm_in_passing(&self, token: &str) -> Result<Option<Outcome>, Refusal> {
        let Some(id) = self.services.keys.read_address_token(Purpose::Confirm, token) else { return Ok(None) };
        match subscribe::confirm(&self.services, RequestId(id)).await {
            Ok(outcome) => Ok(Some(outcome)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    async fn which(&self, person: &Person<'_>) -> Result<String, Refusal> {
        let texts = &self.services.texts;
        let mut lines = Vec::new();
        for entry in subscribe::which(&self.services, &person.account).await? {
            let subscription = &entry.subscription;
            let streams: Vec<&str> = subscription.streams.iter().map(|stream| stream.as_str()).collect();
            let languages: Vec<&str> = subscription.languages.iter().map(Language::as_str).collect();
            let state = match subscription.state.reason() {
                Some(reason) => texts.reason(person.language, reason),
                None => texts.word(person.language, "state.active").to_owned(),
            };
            lines.push(format!(
                "{} ({}): {state}; {}; {}; {}",
                subscription.group,
                entry.name,
                delivery_text(subscription.delivery),
                streams.join(", "),
                if languages.is_empty() { "-".to_owned() } else { languages.join(", ") },
            ));
        }
        Ok(if lines.is_empty() { texts.word(person.language, "command.which-none").to_owned() } else { lines.join("\n") })
    }

    /// For oneself only: the address asked for is always the sender's.
    async fn why(&self, person: &Person<'_>, message_id: &str) -> Result<String, Refusal> {
        let texts = &self.services.texts;
        match explain::explain(&self.services, message_id, Some(person.address)).await {
            Ok(explanation) => {
                let lines: Vec<String> = explanation
                    .recipients
                    .iter()
                    .map(|recipient| {
                        let last = recipient
                            .attempts
                            .last()
                            .map(|attempt| format!(" ({}: {})", attempt.at.format("%Y-%m-%d %H:%M UTC"), attempt.reply));
                        let key = format!("ledger.{}", recipient.state);
                        let state = texts.word(person.language, &key);
                        let reason = recipient.cause.as_ref().map(|reason| texts.reason(person.language, reason));
                        let reason = reason.as_ref().unwrap_or(&recipient.reason);
                        format!("{} {}: {state}: {reason}{}", recipient.group, recipient.address, last.unwrap_or_default())
                    })
                    .collect();
                Ok(lines.join("\n"))
            }
            Err(Failure::NotFound(_)) => Ok(fill(texts.word(person.language, "command.why-none"), &[shown(message_id)])),
            Err(other) => Err(other.into()),
        }
    }
}

/// The mail that an outcome has of its own.
fn mail_of(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Subscribed(_) => Some("subscribed"),
        Outcome::AwaitsApproval(_) => Some("awaits-approval"),
        Outcome::Unsubscribed(_) => Some("unsubscribed"),
        _ => None,
    }
}

/// What a command wants changed, if it wants something changed.
fn wish(command: &Command) -> Option<Wish> {
    Some(match command {
        Command::Subscribe => Wish::Subscribe,
        Command::SubscribeAs(mode) => {
            Wish::SubscribeWith(Settings { delivery: Some(Delivery { mode: *mode, until: None }), ..Settings::default() })
        }
        Command::Unsubscribe => Wish::Unsubscribe,
        Command::SetLanguages(languages) => Wish::Set(Settings { languages: Some(languages.clone()), ..Settings::default() }),
        Command::SetDelivery(mode, until) => {
            // Who says how posts are to reach her is back.
            Wish::Set(Settings { delivery: Some(Delivery { mode: *mode, until: *until }), absence: Some(None), ..Settings::default() })
        }
        Command::SetAbsence(from, until) => {
            Wish::Set(Settings { absence: Some(Some(Absence { from: *from, until: *until })), ..Settings::default() })
        }
        Command::SetStreams(streams) => Wish::Set(Settings { streams: Some(streams.clone()), ..Settings::default() }),
        Command::SetSwitch(switch, on) => {
            let on = Some(*on);
            Wish::Set(match switch {
                Switch::OwnPosts => Settings { own_posts: on, ..Settings::default() },
                Switch::Links => Settings { links: on, ..Settings::default() },
                Switch::Both => Settings { both: on, ..Settings::default() },
                Switch::PlainDigest => Settings { plain_digest: on, ..Settings::default() },
                Switch::Invitations => Settings { invitations: on, ..Settings::default() },
            })
        }
        Command::Help
        | Command::Confirm(_)
        | Command::Calendar(_)
        | Command::Which
        | Command::Why(_)
        | Command::SubscribeWith(_)
        | Command::UnsubscribeWith(_)
        | Command::Unknown(..) => return None,
    })
}

/// The command as it could have been written.
fn words(command: &Command) -> String {
    match command {
        Command::Help => "help".into(),
        Command::Subscribe => "subscribe".into(),
        Command::SubscribeAs(mode) => format!("subscribe {}", mode.as_str()),
        Command::SubscribeWith(words) => shown(&format!("subscribe {}", words.join(" "))),
        Command::Unsubscribe => "unsubscribe".into(),
        Command::UnsubscribeWith(words) => shown(&format!("unsubscribe {}", words.join(" "))),
        Command::Confirm(_) => "confirm".into(),
        Command::SetLanguages(languages) => {
            format!("set language {}", languages.iter().map(Language::as_str).collect::<Vec<_>>().join(","))
        }
        Command::SetDelivery(mode, until) => format!("set delivery {}", delivery_text(Delivery { mode: *mode, until: *until })),
        Command::SetAbsence(from, until) => format!("set delivery none from {from} until {until}"),
        Command::SetStreams(streams) => {
            format!("set streams {}", streams.iter().map(|stream| stream.as_str()).collect::<Vec<_>>().join(","))
        }
        Command::SetSwitch(switch, on) => format!("set {} {}", switch.as_str(), if *on { "on" } else { "off" }),
        Command::Calendar(false) => "calendar".into(),
        Command::Calendar(true) => "calendar new".into(),
        Command::Which => "which".into(),
        Command::Why(message_id) => format!("why {}", shown(message_id)),
        Command::Unknown(line, _) => shown(line),
    }
}

/// A line of a stranger, shortened and on one line.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}
