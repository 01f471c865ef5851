//! From the words of the command line to what the process prints and how it ends.
//!
//! The named files are read here, by the person's own rights. Then the daemon is asked; without one, the store is
//! opened in this process and the same handler runs. Not here: `serve` and `demo`, which live on the floor above.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressStyle};

use super::arguments::{Account, Archive, Arguments, Bounce, Command, Group, Liaison, Meeting, Member, Shell};
use super::control::{self, Handler, NamedFile, REQUEST_OCTETS, Request, Step};
use super::report::{Answer, Failure};

/// The man pages, written by the build.
pub const MAN_PAGES: &str = include_str!(concat!(env!("OUT_DIR"), "/enlace.1"));
/// How long to wait for another process that has the store open and does not answer: a daemon that starts or stops, or a command.
const STORE_FREE_WITHIN: Duration = Duration::from_secs(15);

/// Work that takes no longer shows no sign of life on the terminal.
const SHORT: Duration = Duration::from_secs(1);

/// Why the store was not opened.
#[derive(Debug)]
pub enum NotOpened {
    /// Another process has it: worth asking again.
    Busy(Failure),
    /// It will not open by itself.
    Broken(Failure),
}

/// Opens the store in this process.
#[async_trait::async_trait]
pub trait Opener: Send + Sync {
    /// A handler over the opened store.
    async fn open(&self) -> Result<Arc<dyn Handler>, NotOpened>;
    /// Writes everything out, after the last command.
    async fn close(&self) -> Result<(), Failure>;
}

/// Commands that need neither configuration nor store; `None` for all others.
pub fn without_store(command: Option<&Command>, as_json: bool) -> Option<Answer> {
    let output = match command? {
        Command::Dkim(command) => return Some(super::dkim::answer(command, as_json)),
        Command::Man => MAN_PAGES.to_owned(),
        Command::Completions { shell } => completions(*shell),
        Command::Bounce(Bounce::Parse { files }) => return Some(super::bounce::parse(files, read_report)),
        Command::PdfText => return Some(pdf_text()),
        _ => return None,
    };
    Some(Answer { output, ..Answer::default() })
}

/// A message that came back, for `bounce parse`.
fn read_report(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, REQUEST_OCTETS)
}

/// Memory of the process that reads a PDF, in octets, and its time on the processor, in seconds.
const PDF_MEMORY: u64 = 512 * 1024 * 1024;
const PDF_SECONDS: u64 = 8;

/// Reads a PDF from standard input under limits that the system holds, whatever the file makes the reader do.
fn pdf_text() -> Answer {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let limited = [(Resource::As, PDF_MEMORY), (Resource::Cpu, PDF_SECONDS), (Resource::Nofile, 16), (Resource::Core, 0)];
    if limited.into_iter().any(|(resource, most)| setrlimit(resource, limit(most)).is_err()) {
        return Answer { status: 1, ..Answer::default() };
    }
    // What it says about a broken file helps nobody.
    std::panic::set_hook(Box::new(|_| ()));
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(REQUEST_OCTETS as u64).read_to_end(&mut bytes);
    match read.map_err(|error| error.to_string()).and_then(|_| crate::mail::pdf::text(&bytes)) {
        Ok(output) => Answer { output, ..Answer::default() },
        Err(errors) => Answer { errors, status: 1, ..Answer::default() },
    }
}

fn completions(shell: Shell) -> String {
    use clap_complete::aot;
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Elvish => aot::Shell::Elvish,
        Shell::Fish => aot::Shell::Fish,
        Shell::Powershell => aot::Shell::PowerShell,
        Shell::Zsh => aot::Shell::Zsh,
    };
    let mut text = Vec::new();
    aot::generate(shell, &mut Arguments::command(), "enlace", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Carries a command out by the daemon of `data_dir`, or in this process.
pub async fn carry_out(arguments: &Arguments, words: Vec<String>, data_dir: &Path, opener: &dyn Opener) -> Answer {
    let files = match arguments.command.as_ref().map_or(Ok(Vec::new()), read_named_files) {
        Ok(files) => files,
        Err(failure) => return Answer::of(Err(failure), arguments.json),
    };
    let bar = Bar::default();
    let work = reach(Request { words, files, folder: std::env::current_dir().unwrap_or_default() }, data_dir, opener, &bar);
    tokio::pin!(work);
    let answer = if let Ok(answer) = tokio::time::timeout(SHORT, &mut work).await {
        answer
    } else {
        bar.wait();
        work.await
    };
    bar.clear();
    answer.unwrap_or_else(|failure| Answer::of(Err(failure), arguments.json))
}

/// Asks daemon and store in turn until one of them is there.
async fn reach(request: Request, data_dir: &Path, opener: &dyn Opener, bar: &Bar) -> Result<Answer, Failure> {
    let progress = |step| bar.show(&step);
    let begun = Instant::now();
    loop {
        if let Some(answer) = control::ask(data_dir, &request, &progress).await.map_err(|error| not_reached(data_dir, &error))? {
            return Ok(answer);
        }
        match opener.open().await {
            Ok(handler) => {
                let answer = handler.handle(request, &progress).await;
                drop(handler);
                opener.close().await?;
                return Ok(answer);
            }
            Err(NotOpened::Broken(failure)) => return Err(failure),
            Err(NotOpened::Busy(failure)) if begun.elapsed() > STORE_FREE_WITHIN => return Err(failure),
            // The other process is starting, stopping, or a command like this one; it tells nobody when it is ready.
            Err(NotOpened::Busy(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn not_reached(data_dir: &Path, error: &io::Error) -> Failure {
    let socket = data_dir.join(control::SOCKET);
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            format!("the daemon's control socket {} is not open to this user", socket.display()),
            "run the command as the user of the daemon (`sudo -u enlace enlace …`)",
        ),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Failure::new(
            format!("the daemon at {} ended before it answered: {error}", socket.display()),
            "look at its log, then run the command again: every command can be repeated",
        ),
        _ => Failure::new(format!("could not speak to the daemon at {}: {error}", socket.display()), "look at the daemon's log"),
    }
}

/// The files that a command names, each read once and whole.
fn read_named_files(command: &Command) -> Result<Vec<NamedFile>, Failure> {
    let mut named: Vec<PathBuf> = match command {
        Command::Group(Group::Apply { file, .. } | Group::Rules { from: Some(file), .. })
        | Command::Meeting(
            Meeting::Apply { file, .. } | Meeting::Letter { file: Some(file), .. } | Meeting::Report { file: Some(file), .. },
        )
        | Command::Liaison(Liaison::Submit { file, .. } | Liaison::Correct { file, .. })
        | Command::Account(Account::Import { file, .. })
        | Command::Member(Member::Import { file, .. }) => {
            vec![file.clone()]
        }
        Command::Account(Account::Password { generate: false, clear: false, .. }) => vec![PathBuf::from("-")],
        Command::Member(Member::Add { addresses, .. } | Member::Remove { addresses, .. } | Member::Set { addresses, .. }) => {
            addresses.iter().filter(|address| *address == "-").map(PathBuf::from).collect()
        }
        Command::Archive(Archive::Import { file, .. }) if small(file) => vec![file.clone()],
        Command::Migrate(migrate) => travelling(&migrate.path)?,
        _ => Vec::new(),
    };
    named.dedup();
    let mut room = REQUEST_OCTETS - 64 * 1024;
    let mut files = Vec::new();
    for path in named {
        let bytes = read_within(&path, room).map_err(|error| {
            Failure::new(
                format!("could not read {}: {error}", path.display()),
                "name a file that exists and that you may read, or - for standard input",
            )
        })?;
        room -= bytes.len();
        files.push(NamedFile { name: path.to_string_lossy().into_owned(), bytes });
    }
    Ok(files)
}

/// Larger files are read by the daemon in their place.
const TRAVELS_OCTETS: u64 = 32 * 1024 * 1024;

fn small(path: &Path) -> bool {
    path == Path::new("-") || path.metadata().is_ok_and(|file| file.is_file() && file.len() <= TRAVELS_OCTETS)
}

/// Folders of a list that hold its mails, which may be many.
const MAILS: [&str; 10] = ["archive", "arc", "arctxt", "archives", "queue", "requeue", "incoming", "bounce", "subconf", "unsubconf"];

/// Most files of a list that travel.
const TRAVELLING_FILES: usize = 20_000;

/// Files of a list of another system that go to the daemon, which may not read them itself: all but its mails. What cannot go along
/// is an error: a list that came over in part would look whole.
fn travelling(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        let found = if path.metadata().is_ok_and(|file| file.len() > TRAVELS_OCTETS) { Vec::new() } else { vec![path.to_owned()] };
        return if found.is_empty() { Err(too_much(path)) } else { Ok(found) };
    }
    let (mut found, mut folders, mut octets) = (Vec::new(), vec![(path.to_owned(), 0)], 0);
    while let Some((folder, depth)) = folders.pop() {
        let mut entries: Vec<_> = std::fs::read_dir(&folder).and_then(Iterator::collect).map_err(|error: io::Error| {
            Failure::new(format!("could not read {}: {error}", folder.display()), "run it as a user who may read the whole list")
        })?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (name, Ok(kind)) = (entry.file_name().to_string_lossy().into_owned(), entry.file_type()) else { continue };
            let size = entry.metadata().map_or(0, |file| file.len());
            if kind.is_dir() && depth < 2 && !MAILS.contains(&name.as_str()) && !name.ends_with(".mbox") {
                folders.push((entry.path(), depth + 1));
            } else if kind.is_file() && !name.ends_with(".mbox") {
                octets += size;
                found.push(entry.path());
                if octets > TRAVELS_OCTETS || found.len() > TRAVELLING_FILES {
                    return Err(too_much(path));
                }
            }
        }
    }
    Ok(found)
}

fn too_much(path: &Path) -> Failure {
    Failure::new(
        format!("{} holds more than the files of one list: over 32 MiB or {TRAVELLING_FILES} files, its mails aside", path.display()),
        "name the folder of that list alone; mails that lie elsewhere are named with --archive",
    )
}

fn read_within(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = most as u64 + 1;
    if path == Path::new("-") {
        io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() > most {
        return Err(io::Error::other(format!("larger than {} MiB; split it", REQUEST_OCTETS / 1024 / 1024)));
    }
    Ok(bytes)
}

/// Writes an answer to standard output and standard error; the exit status is returned.
///
/// A reader that went away (`enlace … | head`) is no failure.
pub fn print(answer: &Answer) -> u8 {
    let mut written = io::stdout().lock().write_all(answer.output.as_bytes()).and_then(|()| io::stdout().flush());
    if let Some(file) = &answer.file {
        if answer.output.is_empty() && written.is_ok() {
            written =
                File::open(file).and_then(|mut file| io::copy(&mut file, &mut io::stdout().lock())).and_then(|_| io::stdout().flush());
        }
        let _ = std::fs::remove_file(file);
    }
    let _ = io::stderr().lock().write_all(answer.errors.as_bytes());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "error: could not write to standard output: {error}");
            answer.status.max(1)
        }
        _ => answer.status,
    }
}

/// A bar on standard error when that is a terminal; a spinner for work that does not say how long it is.
#[derive(Default)]
struct Bar(Mutex<Option<ProgressBar>>);

impl Bar {
    /// Shows that the work goes on, until it says how far it is.
    fn wait(&self) {
        if let Ok(mut bar) = self.0.lock()
            && bar.is_none()
        {
            let spinner = ProgressBar::new_spinner().with_style(style("{spinner} working for {elapsed}"));
            spinner.enable_steady_tick(Duration::from_millis(120));
            *bar = Some(spinner);
        }
    }

    fn show(&self, step: &Step) {
        let Ok(mut bar) = self.0.lock() else { return };
        let bar = bar.get_or_insert_with(ProgressBar::no_length);
        if bar.length() != Some(step.total) {
            bar.set_style(style("{bar:40} {pos}/{len} {eta}"));
        }
        bar.set_length(step.total);
        bar.set_position(step.done);
    }

    fn clear(&self) {
        if let Ok(Some(bar)) = self.0.lock().as_deref() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::control::Progress;

    /// A store that is busy for a while.
    struct Locked(Mutex<u32>);

    struct Words;

    #[async_trait::async_trait]
    impl Handler for Words {
        async fn handle(&self, request: Request, _: Progress<'_>) -> Answer {
            let files: Vec<_> =
                request.files.iter().map(|file| format!("{}={}", file.name, String::from_utf8_lossy(&file.bytes))).collect();
            Answer { output: files.join(" "), ..Answer::default() }
        }
    }

    #[async_trait::async_trait]
    impl Opener for Locked {
        async fn open(&self) -> Result<Arc<dyn Handler>, NotOpened> {
            let mut left = self.0.lock().unwrap();
            if *left == 0 {
                return Ok(Arc::new(Words));
            }
            *left -= 1;
            Err(NotOpened::Busy(Failure::new("locked", "")))
        }

        async fn close(&self) -> Result<(), Failure> {
            Ok(())
        }
    }

    async fn run(words: &[&str], data_dir: &Path, busy: u32) -> Answer {
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        let arguments = Arguments::try_parse_from(&words).unwrap();
        carry_out(&arguments, words, data_dir, &Locked(Mutex::new(busy))).await
    }

    #[test]
    fn the_tree_of_commands_is_sound() {
        Arguments::command().debug_assert();
        assert!(MAN_PAGES.starts_with(".ie") && MAN_PAGES.contains("enlace-group-apply"), "{}", &MAN_PAGES[..200]);
        assert!(completions(Shell::Bash).contains("explain"));
    }

    #[tokio::test]
    async fn a_busy_store_is_waited_for_and_named_files_travel() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("groups.toml");
        std::fs::write(&file, "x").unwrap();
        let name = file.to_str().unwrap();
        let answer = run(&["enlace", "group", "apply", name], folder.path(), 2).await;
        assert_eq!(answer.output, format!("{name}=x"));
    }

    #[tokio::test]
    async fn a_missing_file_is_said_before_anything_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let answer = run(&["enlace", "account", "import", "/nonexistent/a.csv"], folder.path(), 0).await;
        assert_eq!(answer.status, 1);
        assert!(answer.errors.starts_with("error: could not read /nonexistent/a.csv: "), "{}", answer.errors);
    }

    #[test]
    fn a_list_travels_whole_without_its_mails_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["control/owner", "subscribers.d/a", "archive/1", "rg.mbox"] {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let mut found = travelling(folder.path()).unwrap();
        found.sort();
        assert_eq!(found, ["control/owner", "subscribers.d/a"].map(|name| folder.path().join(name)));
        let large = std::fs::File::create(folder.path().join("member.dump")).unwrap();
        large.set_len(TRAVELS_OCTETS + 1).unwrap();
        assert!(travelling(folder.path()).unwrap_err().to_string().contains("more than the files of one list"));
    }

    #[test]
    fn one_octet_too_many_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read_within(&file, 5).unwrap(), b"12345");
        assert!(read_within(&file, 4).is_err());
    }
}
