//! The real binary on free loopback ports in a folder of its own, stopped when dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for something that should happen at once; a condition is polled, nothing sleeps this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Folder, configuration and process of one daemon.
pub struct Daemon {
    pub dir: TempDir,
    process: Option<Child>,
    listeners: Vec<(String, SocketAddr)>,
    arguments: Vec<String>,
    log_level: Option<&'static str>,
    environment: Vec<(&'static str, String)>,
    /// Program and arguments that start the binary, if it is watched.
    wrapper: Vec<String>,
}

/// What a test wants to be different from the defaults.
#[derive(Clone)]
pub struct Setup {
    /// The list domain.
    pub domain: &'static str,
    /// `relay` table of the configuration.
    pub relay: String,
    /// Further TOML.
    pub more: String,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// Data folder; `None`: `var` in its own folder.
    pub data_dir: Option<PathBuf>,
    /// Groups file; `None` for the one with SG12, SG12RG-AMR, SG12RG-AFR and TSAG.
    pub groups: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            domain: "lists.example.org",
            relay: "transport = \"directory\"".into(),
            more: String::new(),
            arguments: Vec::new(),
            data_dir: None,
            groups: None,
        }
    }
}

pub const GROUPS: &str = r#"
[[group]]
code = "TSAG"
kind = "advisory"
list = "tsag"
name = { en = "Telecommunication Standardization Advisory Group" }
contact = "tsbtsag@itu.example"

[[group]]
code = "SG12"
kind = "study"
list = "sg12"
name = { en = "ITU-T Study Group 12" }
secretariat = ["tsbsg12@itu.example"]

[[group]]
code = "SG12RG-AMR"
kind = "regional"
parent = "SG12"
region = "americas"
list = "sg12rg-amr"
languages = ["en", "es"]
name = { en = "ITU-T SG12 Regional Group for the Americas", es = "Grupo Regional de la CE 12 del UIT-T para las Américas" }
timezone = "America/Mexico_City"
secretariat = ["tsbsg12@itu.example"]
contact = "tsbsg12@itu.example"
supporting_members = ["Mexico", "Brazil"]
grace = "0"

[[group]]
code = "SG12RG-AFR"
kind = "regional"
parent = "SG12"
region = "africa"
list = "sg12rg-afr"
languages = ["en", "fr"]
name = { en = "ITU-T SG12 Regional Group for Africa", fr = "Groupe régional de la CE 12 de l'UIT-T pour l'Afrique" }
supporting_members = ["Kenya", "Ghana"]
grace = "0"
"#;

pub const ACCOUNTS: &str = "\
email,name,kind,category,organisation,country,study_groups,languages,expires,roles
ana@example.org,Ana Example,ties,member-state,Administration of Honduras,HN,SG12,es,,
ben@example.org,Ben Example,ties,sector-member,Example Telecom,US,SG12,en,,
caro@example.org,Caro Example,ties,member-state,Administration of Mexico,MX,SG12,es;en,,
gus@example.net,Gus Guest,guest,none,,HN,,es,,
zoe@example.com,Zoe Example,ties,member-state,Administration of Kenya,KE,SG12,en,,
tsb@itu.example,TSB SG12,ties,none,ITU,CH,,en,,tsb
";

/// Another build of the program to be tried instead of that of these tests (`ENLACE_TEST_BINARY`), such as a release build.
pub fn binary() -> Option<std::ffi::OsString> {
    std::env::var_os("ENLACE_TEST_BINARY")
}

impl Daemon {
    /// Folder and configuration, groups and accounts, nothing running.
    pub fn prepare(setup: &Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("enlace-test-").tempdir().expect("temporary folder");
        let config = format!(
            r#"
[service]
domain = "{domain}"
base_url = "http://127.0.0.1:8025"
data_dir = "{data}"

[[listen]]
protocol = "lmtp"
address = "127.0.0.1:0"
trusted_networks = ["127.0.0.0/8"]

[[listen]]
protocol = "smtp"
address = "127.0.0.1:0"
trusted_networks = ["127.0.0.0/8"]

[web]
address = "127.0.0.1:0"

[relay]
{relay}

[senders]
authserv_id = "mx.example.org"
verify = "headers"

{more}
"#,
            data = setup.data_dir.clone().unwrap_or_else(|| dir.path().join("var")).display(),
            domain = setup.domain,
            relay = setup.relay,
            more = setup.more,
        );
        fs::write(dir.path().join("enlace.toml"), config).expect("configuration");
        fs::write(dir.path().join("groups.toml"), setup.groups.as_deref().unwrap_or(GROUPS)).expect("groups");
        fs::write(dir.path().join("accounts.csv"), ACCOUNTS).expect("accounts");
        let daemon = Self {
            dir,
            process: None,
            listeners: Vec::new(),
            arguments: setup.arguments.clone(),
            log_level: None,
            environment: Vec::new(),
            wrapper: Vec::new(),
        };
        daemon.cli_ok(&["group", "apply", daemon.path("groups.toml").to_str().unwrap()]);
        daemon.cli_ok(&["account", "import", daemon.path("accounts.csv").to_str().unwrap()]);
        daemon
    }

    /// Prepared and running.
    pub fn start(setup: &Setup) -> Self {
        let mut daemon = Self::prepare(setup);
        daemon.run();
        daemon
    }

    /// A file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the process with a log of this level and waits until every listener accepts.
    pub fn run_with_log(&mut self, level: &'static str) {
        self.log_level = Some(level);
        self.run();
    }

    /// Starts the process and waits until every listener accepts.
    pub fn run(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("log");
        let mut process =
            self.command().arg("serve").args(&self.arguments).stdout(Stdio::piped()).stderr(log).spawn().expect("the binary starts");
        let (sender, lines) = mpsc::channel();
        let stdout = process.stdout.take().expect("stdout is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        self.listeners.clear();
        let deadline = Instant::now() + PATIENCE;
        // The pages are named last.
        while !self.listeners.iter().any(|(name, _)| name == "web") {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.listeners.extend(listener(&line)),
                Err(_) => panic!("no listener after {PATIENCE:?}; log:\n{}", fs::read_to_string(self.path("log")).unwrap_or_default()),
            }
        }
        self.process = Some(process);
    }

    /// Stops the process and starts it again with its clock at `instant`, such as `2027-01-11T06:05:00Z`.
    pub fn restart_at(&mut self, instant: &str) {
        assert_eq!(self.stop(), Some(0), "the daemon ends in order");
        self.arguments = vec!["--clock".into(), instant.into()];
        self.run();
    }

    /// Starts the process with other arguments of `serve` than before, such as another `--clock`.
    pub fn run_with(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
        self.run();
    }

    /// Runs every process from now on with this variable.
    pub fn set_environment(&mut self, name: &'static str, value: &str) {
        self.environment.retain(|(set, _)| *set != name);
        self.environment.push((name, value.to_owned()));
    }

    /// Starts the process under a program that watches it, such as `strace`.
    pub fn run_under(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self.run();
        self.wrapper.clear();
    }

    /// Starts the process, which is to end by itself, and waits for that.
    pub fn run_until_death(&mut self) -> std::process::ExitStatus {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("log");
        let process = self.command().arg("serve").args(&self.arguments).stdout(Stdio::null()).stderr(log).spawn();
        self.process = Some(process.expect("the binary starts"));
        self.wait_for_death()
    }

    /// Waits until the process has ended by itself; by a signal it has no exit code.
    pub fn wait_for_death(&mut self) -> std::process::ExitStatus {
        let mut process = self.process.take().expect("running");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.try_wait().expect("our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon lives on after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where `protocol` (`lmtp`, `smtp`, `web`) listens.
    pub fn address(&self, protocol: &str) -> SocketAddr {
        self.listeners.iter().find(|(name, _)| name == protocol).unwrap_or_else(|| panic!("no {protocol} listener")).1
    }

    fn command(&self) -> Command {
        let program = binary().unwrap_or_else(|| env!("CARGO_BIN_EXE_enlace").into());
        let mut command = match self.wrapper.split_first() {
            None => Command::new(program),
            Some((watcher, arguments)) => {
                let mut command = Command::new(watcher);
                command.args(arguments).arg(program);
                command
            }
        };
        command.arg("--config").arg(self.path("enlace.toml")).current_dir(self.dir.path()).stdin(Stdio::null());
        if let Some(level) = self.log_level {
            command.env("RUST_LOG", level);
        }
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command
    }

    /// Runs a command of the command line.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the binary runs")
    }

    /// Runs a command that must succeed; its standard output.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs a command that must succeed and reads this from its standard input; its standard output.
    pub fn cli_with_input(&self, arguments: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut command = self.command();
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
        child.stdin.take().unwrap().write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{arguments:?}: {}", output.status);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What `enlace check` found of one thing.
    pub fn json_of_check(&self, check: &str) -> Vec<serde_json::Value> {
        let output = self.cli(&["--json", "check"]);
        let all: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        all.as_array().unwrap().iter().filter(|finding| finding["check"] == check).cloned().collect()
    }

    /// Runs a command with `--json`; its document.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let text = self.cli_ok(&all);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}\n{text}"))
    }

    /// Ends the process without warning (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().expect("running");
        rustix::process::kill_process(rustix::process::Pid::from_child(process), signal).expect("the process is ours");
    }

    /// Asks the process to end (SIGTERM) and waits; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut process = self.process.take()?;
        let id = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the process is ours");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.try_wait().expect("our child") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the daemon did not stop within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process, for its memory.
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("running").id()
    }

    /// Copies in the outbox of the `directory` transport.
    pub fn outbox(&self) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = match fs::read_dir(self.path("var/outbox")) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).filter(|path| is_mail(path)).collect(),
            Err(_) => Vec::new(),
        };
        names.sort();
        names.into_iter().map(|path| fs::read(path).expect("a copy")).collect()
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the daemon ---\n{}", self.log());
        }
        self.kill();
    }
}

fn is_mail(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "eml")
}

/// `listening lmtp 127.0.0.1:40123` or `listening web http://127.0.0.1:40124`.
fn listener(line: &str) -> Option<(String, SocketAddr)> {
    let mut words = line.split_whitespace();
    (words.next() == Some("listening")).then_some(())?;
    let name = words.next()?.to_owned();
    let address = words.next()?.trim_start_matches("http://").trim_end_matches('/').parse().ok()?;
    Some((name, address))
}

/// Waits until `condition` gives something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
