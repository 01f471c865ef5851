//! A site on a free port, with the sample groups, two accounts and a subscription.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use chrono::{TimeZone, Utc};
use enlace::clock::Clock;
use enlace::config::Config;
use enlace::domain::account::{Account, AccountKind, Category, Standing};
use enlace::domain::group::GroupCode;
use enlace::domain::id::AccountId;
use enlace::domain::post::Audience;
use enlace::domain::subscription::{Provenance, Subscription, SubscriptionState};
use enlace::service::{Actor, Services, group};
use enlace::store::{self, StoreOptions};
use enlace::text::Texts;
use enlace::web::Site;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a page answered.
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    /// The value of a header field, empty if it is not there.
    pub fn field(&self, name: &str) -> &str {
        let found = self.head.lines().filter_map(|line| line.split_once(": ")).find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub services: Arc<Services>,
    pub ana: Account,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

pub fn code(text: &str) -> GroupCode {
    text.parse().unwrap()
}

pub fn account(number: u64, address: &str, country: [u8; 2], languages: &[&str]) -> Account {
    Account {
        id: AccountId(number),
        addresses: vec![address.parse().unwrap()],
        name: "Ana Example".into(),
        kind: AccountKind::Ties,
        category: Category::MemberState,
        organisation: "Administration".into(),
        operating_agency: false,
        country: Some(country),
        study_groups: Vec::new(),
        languages: languages.iter().map(|language| language.parse().unwrap()).collect(),
        expires: None,
        roles: Vec::new(),
        standing: Standing::Active,
        source: "import".into(),
    }
}

impl Running {
    pub async fn start() -> Self {
        Box::pin(Self::start_with(Config::default())).await
    }

    /// With what the configuration says besides the data folder.
    pub async fn start_with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Box::pin(Self::start_on(listener, |given| *given = config)).await
    }

    /// On a listener that is there already, with a configuration that `change` has changed.
    pub async fn start_on(listener: TcpListener, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("var");
        let store =
            store::open(StoreOptions::Sled { data_dir: data_dir.clone(), options: store::sled::SledOptions::default() }).await.unwrap();
        let mut config = Config::default();
        change(&mut config);
        config.service.data_dir = data_dir;
        let clock = Clock::manual(Utc.with_ymd_and_hms(2026, 11, 24, 8, 0, 0).unwrap());
        let services = Services::new(store, Arc::new(config), Arc::new(Texts::load(None).unwrap()), clock).await.unwrap();
        let groups = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/groups.toml")).unwrap();
        group::apply(&services, &Actor::command_line(), &groups, "config/groups.toml", false).await.unwrap();
        let ana = account(1, "ana@example.org", *b"HN", &["es"]);
        services.store.put_accounts(vec![ana.clone()]).await.unwrap();
        let subscription = Subscription::new(code("SG12RG-AMR"), ana.id, Provenance::Own, services.now());
        services.store.put_subscriptions(vec![subscription]).await.unwrap();
        let services = Arc::new(services);
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let executor = Arc::new(enlace::cli::execute::Executor::new(Arc::clone(&services)));
        let site = Site::new(Arc::clone(&services)).unwrap().with_login().unwrap().with_api(executor);
        tokio::spawn(site.serve(listener, stop.clone()));
        Self { address, services, ana, stop, _folder: folder }
    }

    /// Path of Ana's link.
    pub fn link(&self) -> String {
        format!("/u/{}", self.services.keys.one_click(self.ana.id, &code("SG12RG-AMR")))
    }

    pub async fn state(&self) -> SubscriptionState {
        self.services.store.subscription(&code("SG12RG-AMR"), self.ana.id).await.unwrap().unwrap().state
    }

    /// A session of the account, as if she had signed in.
    pub async fn sign_in(&self, account: &Account) -> String {
        enlace::service::session::open(&self.services, account.id).await.unwrap()
    }

    /// Robot mails to the address, once there are `least` of them.
    pub async fn mails_to(&self, address: &str, least: usize) -> Vec<String> {
        let store = &self.services.store;
        for _ in 0..200 {
            let mut mails = Vec::new();
            for post in store.posts_to_plan(self.services.now(), 1_000).await.unwrap() {
                let Audience::Listed(to) = &post.audience else { continue };
                if to.iter().any(|recipient| recipient.address == address) {
                    let body = store.body(&post.editions[0].body).await.unwrap();
                    mails.push(String::from_utf8_lossy(&body).into_owned());
                }
            }
            if mails.len() >= least {
                return mails;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no {least} mails to {address} came");
    }

    /// Path of the sign-in link that was mailed to the address last, once there is one.
    pub async fn mailed_link(&self, address: &str) -> String {
        for _ in 0..200 {
            let mails = self.mails_to(address, 1).await;
            if let Some(mail) = mails.iter().rev().map(|mail| mail.replace("=\r\n", "")).find(|mail| mail.contains("/sign-in/")) {
                let start = mail.find("/sign-in/").unwrap();
                return mail[start..].chars().take_while(|c| !c.is_whitespace()).collect();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no link was mailed to {address}");
    }

    pub async fn get(&self, path: &str) -> Page {
        self.request("GET", path, &[], b"").await
    }

    pub async fn post(&self, path: &str, body: &str) -> Page {
        self.request("POST", path, &["Content-Type: application/x-www-form-urlencoded"], body.as_bytes()).await
    }

    pub async fn request(&self, method: &str, path: &str, fields: &[&str], body: &[u8]) -> Page {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: lists.example.org\r\nConnection: close\r\n");
        for field in fields {
            let _ = write!(head, "{field}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses a large body may close before it has read all of it.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Page { status, head: head.to_owned(), body: body.to_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
