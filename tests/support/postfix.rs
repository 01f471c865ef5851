//! A real Postfix on loopback, with its own configuration and queue in a temporary folder, as `deploy/postfix` has it.
//!
//! Postfix's master wants to be root: as another user it is started through `sudo -n`. The system's own Postfix
//! (`/etc/postfix`, `/var/spool/postfix`) is never touched.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Longest that starting or a condition may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where things listen, all on 127.0.0.1.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Postfix takes mail here.
    pub smtp: u16,
    /// Mail to `lists.example.org` goes there by LMTP.
    pub lmtp: u16,
    /// Everything else goes there by SMTP, such as to an `smtp-sink`.
    pub next: u16,
}

/// A running Postfix; stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Postfix {
    folder: tempfile::TempDir,
    master: Child,
    ports: Ports,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a free port").port()
}

impl Postfix {
    /// Starts it with the recipe of `deploy/postfix/main.cf` and `extra` lines of main.cf, and waits until it greets.
    pub fn start(ports: Ports, extra: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("enlace-postfix-").tempdir().expect("a temporary folder");
        let path = folder.path().to_owned();
        // Postfix's own user walks through it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own folder");
        for name in ["etc", "queue", "data"] {
            fs::create_dir(path.join(name)).expect("own folder");
        }
        fs::write(path.join("etc/main.cf"), main_cf(&path, ports, extra)).expect("own folder");
        fs::write(path.join("etc/master.cf"), master_cf(ports.smtp)).expect("own folder");
        run(&mut as_root(&["chown", "postfix", path.join("data").to_str().expect("a plain path")]));
        run(&mut as_root(&["chown", "root", path.join("queue").to_str().expect("a plain path")]));
        let master = as_root(&["postfix", "-c", path.join("etc").to_str().expect("a plain path"), "start-fg"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postfix is installed (tests/run does that)");
        let postfix = Self { folder, master, ports };
        let greets = || TcpStream::connect(("127.0.0.1", ports.smtp)).is_ok();
        assert!(wait_for(greets), "Postfix did not start:\n{}", postfix.log());
        postfix
    }

    /// Port on which it takes mail.
    pub fn port(&self) -> u16 {
        self.ports.smtp
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until a line of the log has all of `parts`, and returns it.
    pub fn wait_for_log(&self, parts: &[&str]) -> String {
        let found = || self.log().lines().find(|line| parts.iter().all(|part| line.contains(part))).map(ToOwned::to_owned);
        assert!(wait_for(|| found().is_some()), "no line with {parts:?} in the log of Postfix:\n{}", self.log());
        found().unwrap_or_default()
    }

    /// Tries everything that is deferred now.
    pub fn flush(&self) {
        run(&mut as_root(&["postqueue", "-c", self.etc().to_str().expect("a plain path"), "-f"]));
    }

    fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let etc = self.etc();
        let _ = as_root(&["postfix", "-c", etc.to_str().unwrap_or_default(), "stop"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.master.wait();
        // The queue belongs to other users, so the folder's own removal may not be enough.
        let _ = as_root(&["rm", "-rf", self.folder.path().to_str().unwrap_or_default()]).status();
    }
}

/// An `smtp-sink` that keeps each message as a file of its folder; with `lmtp` it speaks LMTP.
#[derive(Debug)]
pub struct Sink {
    folder: tempfile::TempDir,
    process: Child,
}

impl Sink {
    /// Starts it on `port` with more options of smtp-sink(1), and waits until it listens.
    pub fn start(port: u16, lmtp: bool, options: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("enlace-sink-").tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("own folder");
        let mut command = Command::new("smtp-sink");
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "nobody"]);
        }
        if lmtp {
            command.arg("-L");
        }
        command.args(options).arg("-d").arg(folder.path().join("mail.")).arg(format!("127.0.0.1:{port}")).arg("1000");
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("smtp-sink comes with postfix");
        assert!(wait_for(|| TcpStream::connect(("127.0.0.1", port)).is_ok()), "smtp-sink did not start on port {port}");
        Self { folder, process }
    }

    /// Messages that are complete so far, as text, with smtp-sink's own lines (`X-Mail-Args`, `X-Rcpt-Args`) on top.
    pub fn messages(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder.path()) else { return Vec::new() };
        let read = entries.flatten().filter_map(|entry| fs::read(entry.path()).ok());
        read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|text| text.contains("X-Rcpt-Args:")).collect()
    }

    /// Waits until `count` messages satisfy `wanted`, and returns them.
    pub fn wait_for(&self, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let found = || self.messages().into_iter().filter(|text| wanted(text)).collect::<Vec<_>>();
        assert!(wait_for(|| found().len() >= count), "{} of {count} messages came:\n{}", found().len(), self.messages().join("\n----\n"));
        found()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `condition` holds, at most a minute.
pub fn wait_for(condition: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

fn as_root(words: &[&str]) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(words[0])
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("-n").arg(words[0]);
        sudo
    };
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(&words[1..]).env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

fn run(command: &mut Command) {
    let status = command.status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{command:?}: {status:?} (root or sudo without a password is needed)"
    );
}

/// What a test changes around the recipe: folders, ports, the next hop, no names looked up.
fn main_cf(folder: &Path, ports: Ports, extra: &str) -> String {
    let recipe = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postfix/main.cf")).expect("the recipe is there");
    let recipe = recipe.replace("127.0.0.1]:8024", &format!("127.0.0.1]:{}", ports.lmtp));
    let folder = folder.display();
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/data\n\
         maillog_file = {folder}/log\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = mx.example.org\n\
         mydestination =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         alias_maps =\n\
         alias_database =\n\
         smtp_dns_support_level = disabled\n\
         smtpd_peername_lookup = no\n\
         relayhost = [127.0.0.1]:{next}\n\
         minimal_backoff_time = 1s\n\
         queue_run_delay = 1s\n\
         {recipe}\n\
         {extra}\n",
        next = ports.next
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd\n\
         pickup unix n - n 60 1 pickup\n\
         cleanup unix n - n - 0 cleanup\n\
         qmgr unix n - n 300 1 qmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\n\
         defer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\n\
         verify unix - - n - 1 verify\n\
         flush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\n\
         smtp unix - - n - - smtp\n\
         relay unix - - n - - smtp\n\
         showq unix n - n - - showq\n\
         error unix - - n - - error\n\
         retry unix - - n - - error\n\
         discard unix - - n - - discard\n\
         lmtp unix - - n - - lmtp\n\
         anvil unix - - n - 1 anvil\n\
         scache unix - - n - 1 scache\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
