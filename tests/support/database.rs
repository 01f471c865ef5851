//! A real PostgreSQL for the tests of one process: its own cluster on a free loopback port, gone with the process.
//!
//! A shell that runs as an unprivileged user holds the server. It obeys lines on its standard input, and ends everything
//! when that closes, which also happens when the test process is killed.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// Starts, stops and starts again; speed instead of safety, since the data is thrown away. A crash test asks for `fsync`.
const KEEPER: &str = r#"
set -u
start() {
    "$BIN/postgres" -D "$DIR/data" -k "$DIR" -p "$PORT" -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off \
        -c max_connections=300 -c shared_buffers=64MB -c wal_level=minimal -c max_wal_senders=0 -c autovacuum=on \
        -c log_min_messages=warning >>"$DIR/log" 2>&1 &
    pid=$!
}
"$BIN/initdb" -D "$DIR/data" -A trust -U enlace -E UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 || exit 1
start
while read -r word; do
    case "$word" in
        crash) kill -QUIT "$pid"; wait "$pid"; start ;;
        stop) kill -INT "$pid"; wait "$pid" ;;
        start) start ;;
    esac
done
kill -INT "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
rm -rf "$DIR"
"#;

/// The cluster of this process.
pub struct Cluster {
    port: u16,
    orders: Mutex<ChildStdin>,
    folder: PathBuf,
}

fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|list| list.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).collect())
        .unwrap_or_default();
    versions.sort();
    versions.pop().expect("the tests need the package postgresql (tests/run installs it)")
}

/// Somebody without rights, in whose name PostgreSQL may run; `None` when the test itself is such a one.
fn nobody() -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").map_or(0, |meta| std::os::unix::fs::MetadataExt::uid(&meta));
    if own != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

impl Cluster {
    /// Starts one.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("enlace-postgres-").tempdir().unwrap().keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER]).env("BIN", programs()).env("DIR", &folder).env("PORT", port.to_string()).env("LC_ALL", "C");
        keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        // Out of the way of signals that are meant for the test.
        keeper.process_group(0);
        if let Some((user, group)) = nobody() {
            chown(&folder, Some(user), Some(group)).unwrap();
            keeper.uid(user).gid(group);
        }
        let orders = Mutex::new(keeper.spawn().unwrap().stdin.take().unwrap());
        let cluster = Self { port, orders, folder };
        cluster.wait();
        cluster
    }

    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Waits until it takes queries.
    pub fn wait(&self) {
        let began = Instant::now();
        while self.query("postgres", "SELECT 1").is_none() {
            assert!(began.elapsed() < Duration::from_secs(90), "PostgreSQL does not start; see {}", self.folder.join("log").display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells the keeper: `crash` (at once, and starts again), `stop`, `start`.
    pub fn order(&self, word: &str) {
        let mut orders = self.orders.lock().unwrap();
        writeln!(orders, "{word}").unwrap();
        orders.flush().unwrap();
    }

    /// Runs SQL with `psql`; `None` when that fails.
    pub fn query(&self, database: &str, sql: &str) -> Option<String> {
        let output = Command::new(programs().join("psql"))
            .args(["-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-U", "enlace", "-p", &self.port.to_string(), "-d", database, "-c", sql])
            .stderr(Stdio::null())
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A new, empty database; its URL.
    pub fn database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.query("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0")).expect("a new database");
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://enlace@127.0.0.1:{}/{name}", self.port)
    }

    /// The whole cluster as `pg_dumpall` writes it.
    pub fn dump(&self) -> Vec<u8> {
        let output = Command::new(programs().join("pg_dumpall"))
            .args(["-h", "127.0.0.1", "-U", "enlace", "-p", &self.port.to_string()])
            .output()
            .expect("pg_dumpall starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Where its files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
