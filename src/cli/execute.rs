//! From a command to the service that carries it out: the one handler, with and without a daemon.
//!
//! Each noun has its own file, which reads the words, calls one service function and lays out the answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;

use super::arguments::{Arguments, Command};
use super::control::{Handler, NamedFile, Progress, Request};
use super::report::{Answer, Failure, Report};
use super::{
    account, archive, audit, backup, bounce, check, directory, explain, group, hold, key, liaison, meeting, member, migrate, queue, token,
    webhook,
};
use crate::service::command::{Commands, Kind, Order, Outcome};
use crate::service::{self, Actor, Services};

/// Carries requests out with the services of this process.
pub struct Executor {
    services: Arc<Services>,
}

/// What a command works with.
pub struct Context<'a> {
    /// The use cases.
    pub services: &'a Services,
    /// Files that the command line names, already read.
    pub files: &'a [NamedFile],
    /// The folder in which the person stands; `None` for who is not on this machine and may name no files of it.
    pub folder: Option<&'a Path>,
    /// Told how far long work is.
    pub progress: Progress<'a>,
    /// Who asks, for the audit trail.
    pub actor: Actor,
}

impl Context<'_> {
    /// Where a file lies that did not travel.
    ///
    /// # Errors
    /// For who is not on this machine: its files are none of hers.
    pub fn place(&self, name: &Path) -> Result<PathBuf, Failure> {
        let refused =
            || Failure::new(format!("{} was not handed over", name.display()), "hand the file over, or run the command on the machine");
        self.folder.map(|folder| folder.join(name)).ok_or_else(refused)
    }

    /// The contents of a file that the command line names.
    ///
    /// # Errors
    /// When the asker did not hand it over, which a client of this release always does.
    pub fn file(&self, name: &std::path::Path) -> Result<&[u8], Failure> {
        let name = name.to_string_lossy();
        self.files
            .iter()
            .find(|file| file.name == name)
            .map(|file| file.bytes.as_slice())
            .ok_or_else(|| Failure::new(format!("{name} was not handed over"), "use the `enlace` of the same release as the daemon"))
    }
}

impl Executor {
    /// A handler over `services`.
    pub fn new(services: Arc<Services>) -> Self {
        Self { services }
    }
}

#[async_trait]
impl Handler for Executor {
    async fn handle(&self, request: Request, progress: Progress<'_>) -> Answer {
        match Arguments::try_parse_from(&request.words) {
            Ok(arguments) => {
                let context = Context {
                    services: &self.services,
                    files: &request.files,
                    folder: Some(&request.folder),
                    progress,
                    actor: Actor::command_line(),
                };
                Answer::of(execute(&context, arguments.command).await, arguments.json)
            }
            Err(error) => Answer::of(Err(Failure::usage(error)), false),
        }
    }
}

#[async_trait]
impl Commands for Executor {
    async fn carry_out(&self, order: Order) -> Outcome {
        let words = std::iter::once("enlace".to_owned()).chain(order.words);
        let files: Vec<NamedFile> = order.files.into_iter().map(|(name, bytes)| NamedFile { name, bytes }).collect();
        let result = match Arguments::try_parse_from(words) {
            Ok(arguments) => {
                let context = Context { services: &self.services, files: &files, folder: None, progress: &|_| {}, actor: order.actor };
                execute(&context, arguments.command).await
            }
            Err(error) => Err(Failure { remedy: "see /api/v1/openapi.json".into(), ..Failure::usage(without_usage(&error.to_string())) }),
        };
        match result {
            // A file of this machine is nobody's who is not on it.
            Ok(Report { file: Some(file), .. }) => {
                let _ = std::fs::remove_file(file);
                Outcome::Failed { kind: Kind::Invalid, text: "this command writes a file".into(), remedy: "run it on the machine".into() }
            }
            Ok(report) => Outcome::Done { json: report.json, problems: report.problems },
            Err(failure) => Outcome::Failed { kind: failure.kind, text: failure.text, remedy: failure.remedy },
        }
    }
}

/// What a program is told of wrong words: the sentence, without the usage of a command line that it does not write.
fn without_usage(text: &str) -> String {
    let sentence = text.split("\n\nUsage:").next().unwrap_or(text).trim_start_matches("error: ");
    sentence.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Carries a command out.
///
/// # Errors
/// When nothing was done: what was named does not exist, was wrong or refused, or the store failed.
pub async fn execute(context: &Context<'_>, command: Option<Command>) -> Result<Report, Failure> {
    match command {
        Some(Command::Account(command)) => account::execute(context, command).await,
        Some(Command::Bounce(command)) => bounce::execute(context, command).await,
        Some(Command::Archive(command)) => archive::execute(context, command).await,
        Some(Command::Migrate(command)) => migrate::execute(context, command).await,
        Some(Command::Audit(command)) => audit::execute(context, command).await,
        Some(Command::Key(command)) => key::execute(context, command).await,
        Some(Command::Check) => check::execute(context).await,
        Some(Command::Directory(command)) => directory::execute(context, command).await,
        Some(Command::Group(command)) => group::execute(context, command).await,
        Some(Command::Liaison(command)) => liaison::execute(context, command).await,
        Some(Command::Meeting(command)) => meeting::execute(context, command).await,
        Some(Command::Member(command)) => member::execute(context, command).await,
        Some(Command::Hold(command)) => hold::execute(context, command).await,
        Some(Command::Queue(command)) => queue::execute(context, command).await,
        Some(Command::Token(command)) => token::execute(context, command).await,
        Some(Command::Webhook(command)) => webhook::execute(context, command).await,
        Some(Command::Explain(command)) => explain::execute(context, command).await,
        Some(Command::Backup(asked)) => backup::write(context, &asked.file, asked.base.as_deref(), asked.change.dry_run).await,
        None
        | Some(
            Command::Store(_)
            | Command::Restore(_)
            | Command::Serve(_)
            | Command::Demo(_)
            | Command::Dkim(_)
            | Command::Completions { .. }
            | Command::Man
            | Command::PdfText,
        ) => Err(Failure::usage("this command is not one for a running daemon")),
    }
}

impl From<service::Failure> for Failure {
    fn from(failure: service::Failure) -> Self {
        let remedy = match &failure {
            service::Failure::Store(_) => "`enlace check` looks at the store and the disk",
            _ => "",
        };
        let kind = match &failure {
            service::Failure::NotFound(_) => Kind::NotFound,
            service::Failure::Invalid(_) | service::Failure::Mistaken(_) => Kind::Invalid,
            service::Failure::Refused(_) => Kind::Refused,
            service::Failure::Text(_) | service::Failure::Store(_) => Kind::Broken,
        };
        Self { kind, ..Self::new(failure, remedy) }
    }
}
