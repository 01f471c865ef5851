//! `enlace token`: tokens of programs that use the API.

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::arguments::Token as Command;
use super::execute::Context;
use super::report::{Failure, Report, Table, one_line};
use crate::service::token::{self, Scope, Token};

/// Carries it out.
///
/// # Errors
/// When a scope or date is wrong, the name is taken or unknown, or the store fails.
pub async fn execute(context: &Context<'_>, command: Command) -> Result<Report, Failure> {
    let services = context.services;
    match command {
        Command::Create { name, scope, expires, change } => {
            let scopes = scope.iter().map(|text| text.parse::<Scope>()).collect::<Result<Vec<_>, _>>().map_err(|error| {
                Failure::new(error, "name what the program has to do and no more, such as --scope members:read@SG12RG-AMR")
            })?;
            let expires = expires
                .map(|text| text.parse::<NaiveDate>())
                .transpose()
                .map_err(|_| Failure::new("the last day is no date", "write it as year, month and day: --expires 2027-12-31"))?;
            let (token, secret) = token::create(services, &context.actor, &name, scopes, expires, change.dry_run).await?;
            let mut json = row(&token);
            json["dry_run"] = json!(change.dry_run);
            if change.dry_run {
                return Ok(Report::new(format!("{} would be made\n", one_line(&token.name)), json));
            }
            json["token"] = json!(secret);
            Ok(Report::new(format!("{secret}\n\nIt is shown only now. A program sends it as `Authorization: Bearer …`.\n"), json))
        }
        Command::List => {
            let tokens = token::list(services).await?;
            let mut table = Table::new(["name", "scope", "created", "last day", "by"]);
            for token in &tokens {
                let expires = token.expires.map_or_else(|| "-".to_owned(), |day| day.to_string());
                let created = token.created.format("%Y-%m-%d").to_string();
                table.row([token.name.clone(), scopes(token).join(" "), created, expires, token.by.clone()]);
            }
            Ok(Report::new(table.or("There is no token"), Value::Array(tokens.iter().map(row).collect())))
        }
        Command::Revoke { name, change } => {
            let token = token::revoke(services, &context.actor, &name, change.dry_run).await?;
            let tense = if change.dry_run { "would be" } else { "is" };
            let mut json = row(&token);
            json["dry_run"] = json!(change.dry_run);
            Ok(Report::new(format!("{} {tense} revoked\n", one_line(&token.name)), json))
        }
    }
}

fn scopes(token: &Token) -> Vec<String> {
    token.scopes.iter().map(ToString::to_string).collect()
}

fn row(token: &Token) -> Value {
    json!({ "name": token.name, "scopes": scopes(token), "created": token.created, "expires": token.expires, "by": token.by })
}
