//! The whole story on one machine: real SMTP in, the gate, copies out, `explain`, pages. No mail server, no database.
//!
//! Everything below is done through the doors that users have: the command line's handler, SMTP, the web. Only the
//! relay is a folder (`relay.transport = "directory"`), so that each copy can be opened as a file.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use enlace::cli::control::{Handler, NamedFile, Request};
use enlace::cli::execute::Executor;
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::serve::{self, Running};
use lettre::address::Envelope;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

const GROUPS: &str = include_str!("../config/demo/groups.toml");
const ACCOUNTS: &str = include_str!("../config/demo/accounts.csv");

const MEETING: &str = include_str!("../config/demo/meeting.toml");

const STATEMENT: &str = include_str!("../config/demo/statement.txt");

const SECRETARIAT: &str = "tsbsg12@itu.example";

const LIST: &str = "sg12rg-amr@lists.example.org";

/// Tells the story; `once` ends with it, otherwise the pages stay up until Ctrl-C.
pub async fn run(once: bool) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("enlace-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let story = Story::begin(&folder).await?;
    let told = story.tell().await;
    if told.is_ok() && !once {
        println!("\nThe pages stay up at {} until Ctrl-C. Everything lies in {}.", story.pages, folder.display());
        tokio::signal::ctrl_c().await?;
    }
    story.running.stop().await?;
    if once || told.is_ok() {
        std::fs::remove_dir_all(&folder).ok();
    }
    told
}

struct Story {
    running: Running,
    executor: Executor,
    outbox: std::path::PathBuf,
    smtp: SocketAddr,
    pages: String,
}

impl Story {
    async fn begin(folder: &Path) -> Result<Self> {
        // The links in the mails name the port of the pages, so it has to be known before.
        let port = [8025, 0]
            .into_iter()
            .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok())
            .context("no free port")?
            .local_addr()?
            .port();
        let pages = format!("http://127.0.0.1:{port}");
        let data_dir = folder.join("var");
        let text = format!(
            "[service]\ndomain = \"lists.example.org\"\nbase_url = \"{pages}\"\ndata_dir = {data:?}\n\
             [[listen]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:0\"\ntrusted_networks = [\"127.0.0.0/8\"]\n\
             [web]\naddress = \"127.0.0.1:{port}\"\n[relay]\ntransport = \"directory\"\n[senders]\nauthserv_id = \"mx.example.org\"\n",
            data = data_dir.display().to_string(),
        );
        let config = Config::parse(&text, Path::new("demo"), [])?;
        let running = serve::start(Arc::new(config), Clock::system()).await?;
        let smtp = running.listeners.iter().find(|(name, _)| name == "smtp").context("no listener")?.1;
        let executor = Executor::new(Arc::clone(&running.services));
        Ok(Self { executor, outbox: serve::outbox(&data_dir), smtp, pages, running })
    }

    async fn tell(&self) -> Result<()> {
        println!("Enlace runs: mail by SMTP at {}, pages at {}\n", self.smtp, self.pages);
        chapter("1. Groups, accounts, subscribers: the gate lets in who has the right");
        self.command(&["group", "apply", "groups.toml"], &[("groups.toml", GROUPS)]).await?;
        self.command(&["account", "import", "accounts.csv"], &[("accounts.csv", ACCOUNTS)]).await?;
        self.refused(&[
            "member",
            "add",
            "SG12RG-AMR",
            "ana@example.org",
            "ben@example.com",
            "caro@example.net",
            "gus@example.net",
            "zoe@example.edu",
        ])
        .await?;
        self.command(&["member", "set", "SG12RG-AMR", "caro@example.net", "--streams", "announce,liaison"], &[]).await?;

        chapter("2. A delegate writes; the copies go out, each with its own one-click link");
        let id = "demo-1@example.org";
        self.mail("ana@example.org", &[LIST], &message("Ana Example <ana@example.org>", LIST, "Calidad de servicio en Honduras", id, POST))
            .await?;
        self.settled().await?;
        self.command(&["explain", id], &[]).await?;
        self.show_copy(id)?;

        chapter("3. Who may not post is refused in the session, with the reason; nothing bounces later");
        let stranger = message("Zoe Example <zoe@example.edu>", LIST, "Hello", "demo-2@example.edu", "Hello\r\n");
        match self.mail("zoe@example.edu", &[LIST], &stranger).await {
            Ok(()) => bail!("the stranger's message was taken"),
            // The error of the client says the answer twice, as its text and as its cause.
            Err(error) => println!("zoe@example.edu → {LIST}\n  {error}\n"),
        }

        chapter("4. Why did somebody not get it?");
        for address in ["caro@example.net", "zoe@example.edu"] {
            self.command(&["explain", id, address], &[]).await?;
        }

        chapter("5. The secretariat mails a liaison statement in two languages; each reader gets hers, TSAG the English one");
        self.mail(SECRETARIAT, &["sg12rg-amr-liaison@lists.example.org"], &statement()).await?;
        self.received("SG12RG-AMR, TSAG and the secretariat", "LS/o", 7).await?;
        self.command(&["liaison", "show", "SG12RG-AMR-LS1"], &[]).await?;

        chapter("6. A meeting: announced in each reader's language with its calendar object, reminders planned");
        self.command(&["meeting", "apply", "meeting.toml"], &[("meeting.toml", &meeting(chrono::Utc::now().date_naive()))]).await?;
        self.command(&["meeting", "plan", "sg12rg-amr-demo"], &[]).await?;
        self.received("each subscriber of SG12RG-AMR", "BEGIN:VCALENDAR", 1).await
    }

    /// Waits for `least` copies that hold `mark` and prints who got which subject.
    async fn received(&self, code: &str, mark: &str, least: usize) -> Result<()> {
        let mut bell = self.running.services.store.bell();
        for _ in 0..600 {
            if self.copies(mark)?.len() >= least {
                break;
            }
            tokio::time::timeout(Duration::from_millis(50), bell.changed()).await.ok();
        }
        self.settled().await?;
        let copies = self.copies(mark)?;
        if copies.len() < least {
            bail!("fewer than {least} copies with {mark} went out within 30 s");
        }
        println!("What {code} got:");
        for (to, subject) in copies {
            println!("  {to}: {subject}");
        }
        println!();
        Ok(())
    }

    /// Receiver and subject of the copies that hold `mark`, in their bytes or in their subject, by receiver.
    fn copies(&self, mark: &str) -> Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.outbox)? {
            let bytes = std::fs::read(entry?.path())?;
            let text = String::from_utf8_lossy(&bytes);
            let Some(message) = mail_parser::MessageParser::default().parse(&bytes[..]) else { continue };
            let subject = message.subject().unwrap_or_default().to_owned();
            if text.contains(mark) || subject.contains(mark) {
                let to = text.lines().find_map(|line| line.strip_prefix("Delivered-To: ")).unwrap_or_default().trim().to_owned();
                found.push((to, subject));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Runs a command of the command line and shows it with its answer.
    async fn command(&self, words: &[&str], files: &[(&str, &str)]) -> Result<()> {
        let status = self.any_command(words, files).await;
        if status != 0 {
            bail!("`enlace {}` ended with status {status}", words.join(" "));
        }
        Ok(())
    }

    /// The same, where some of it is meant to be refused.
    async fn refused(&self, words: &[&str]) -> Result<()> {
        self.any_command(words, &[]).await;
        Ok(())
    }

    async fn any_command(&self, words: &[&str], files: &[(&str, &str)]) -> u8 {
        let request = Request {
            words: std::iter::once("enlace").chain(words.iter().copied()).map(str::to_owned).collect(),
            files: files.iter().map(|(name, text)| NamedFile { name: (*name).to_owned(), bytes: text.as_bytes().to_vec() }).collect(),
            ..Request::default()
        };
        let answer = self.executor.handle(request, &|_| {}).await;
        println!("$ enlace {}", words.join(" "));
        for line in answer.output.lines().chain(answer.errors.lines()) {
            println!("  {line}");
        }
        println!();
        answer.status
    }

    /// Hands a message over by SMTP, as the mail server in front of Enlace would.
    async fn mail(&self, from: &str, to: &[&str], message: &[u8]) -> Result<()> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.smtp.ip().to_string()).port(self.smtp.port()).build();
        let recipients = to.iter().map(|address| address.parse()).collect::<Result<Vec<_>, _>>()?;
        let envelope = Envelope::new(Some(from.parse()?), recipients)?;
        transport.send_raw(&envelope, message).await?;
        Ok(())
    }

    /// Waits until every post is planned and nobody is open in the ledger.
    async fn settled(&self) -> Result<()> {
        let store = &self.running.services.store;
        let mut bell = store.bell();
        for _ in 0..600 {
            let unplanned = store.next_plan_time().await?.is_some();
            if !unplanned && store.total_counts().await?.open() == 0 && store.open_posts(1).await?.is_empty() {
                return Ok(());
            }
            tokio::time::timeout(Duration::from_millis(50), bell.changed()).await.ok();
        }
        bail!("the copies did not go out within 30 s")
    }

    /// Prints the header of one copy of a message, as its receiver's program gets it.
    fn show_copy(&self, id: &str) -> Result<()> {
        for entry in std::fs::read_dir(&self.outbox)? {
            let path = entry?.path();
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            if text.contains(id) {
                let head = text.split("\r\n\r\n").next().unwrap_or_default();
                println!("One of the copies, {}:", path.file_name().unwrap_or_default().to_string_lossy());
                for line in head.lines() {
                    println!("  | {line}");
                }
                println!();
                return Ok(());
            }
        }
        bail!("no copy of {id} in {}", self.outbox.display())
    }
}

/// The sample meeting, two months ahead.
fn meeting(today: chrono::NaiveDate) -> String {
    let start = today + chrono::TimeDelta::days(63);
    MEETING.replace("START", &format!("{start}T09:30:00")).replace("END", &format!("{}T17:30:00", start + chrono::TimeDelta::days(1)))
}

fn chapter(title: &str) {
    println!("── {title}\n");
}

const POST: &str = "Estimados colegas:\r\n\r\nAdjunto las mediciones de calidad de servicio de este trimestre.\r\n\r\nAna\r\n";

/// The statement as the secretariat's mail program sends it: one part a language, each with its block of labels.
fn statement() -> Vec<u8> {
    let head = "Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=tsbsg12@itu.example\r\n";
    let fields = format!(
        "From: TSB SG12 <{SECRETARIAT}>\r\nTo: <sg12rg-amr-liaison@lists.example.org>\r\nSubject: LS/o on quality of service measurements\r\n\
         Message-ID: <demo-3@itu.example>\r\nDate: {}\r\n",
        chrono::Utc::now().to_rfc2822()
    );
    format!("{head}{fields}{}", STATEMENT.replace("\r\n", "\n").replace('\n', "\r\n")).into_bytes()
}

/// A message as the trusted mail server hands it on: it found the author's DKIM signature valid and says so.
fn message(from: &str, to: &str, subject: &str, id: &str, body: &str) -> Vec<u8> {
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    format!(
        "Authentication-Results: mx.example.org; dkim=pass header.d={domain}\r\nFrom: {from}\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
         Message-ID: <{id}>\r\nDate: {date}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}",
        date = chrono::Utc::now().to_rfc2822()
    )
    .into_bytes()
}
