use std::collections::BTreeSet;

use super::*;

const SHIPPED: &str = include_str!("../../config/enlace.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("x.toml"), [])
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("x.toml"), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn the_shipped_file_equals_the_built_in_values() {
    assert_eq!(parse(SHIPPED).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

/// Every key that is read stands in the shipped file, commented out or not, so that it is documented.
#[test]
fn every_key_is_in_the_shipped_file() {
    let uncommented: String = SHIPPED
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let key = bare.split(['=', ' ']).next().unwrap_or("");
            let is_key = bare.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_key || bare.starts_with('[') { format!("{bare}\n") } else { "\n".into() }
        })
        .collect();
    let uncommented = uncommented
        .lines()
        .filter(|line| !line.starts_with("password =") && !line.starts_with("client_secret =") && !line.starts_with("url = \"postgres"))
        .collect::<Vec<_>>()
        .join("\n");
    let table: toml::Table = uncommented.parse().unwrap_or_else(|error| panic!("{error}"));
    let mut there: BTreeSet<String> = BTreeSet::new();
    collect("", &toml::Value::Table(table), &mut there);
    for section in [
        "service",
        "store",
        "web",
        "relay",
        "senders",
        "dkim",
        "directory",
        "directory.ldap",
        "oidc",
        "schedule",
        "meetings",
        "limits",
        "retention",
    ] {
        let wrong = format!("[{section}]\nx_y_z = 1");
        let message = toml::from_str::<Config>(&wrong).unwrap_err().message().to_owned();
        let expected: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
        assert!(!expected.is_empty(), "{message}");
        for key in expected {
            let documented = there.contains(&format!("{section}.{key}")) || ["password", "client_secret", "url"].contains(&key);
            assert!(documented, "{section}.{key} is not in config/enlace.toml");
        }
    }
}

fn collect(path: &str, value: &toml::Value, there: &mut BTreeSet<String>) {
    there.insert(path.to_owned());
    if let toml::Value::Table(table) = value {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            collect(&path, value, there);
        }
    }
}

#[test]
fn unknown_keys_are_refused_with_line_and_nearest_key() {
    assert_eq!(error("[relay]\nport = 25\nhots = \"x\"\n"), "x.toml, line 3: unknown key \"hots\"; the nearest known key is \"host\"");
    assert_eq!(error("\n[servce]\n"), "x.toml, line 2: unknown key \"servce\"; the nearest known key is \"service\"");
    assert!(error("[limits]\nzzz = 1").contains("known here: message_size"), "{}", error("[limits]\nzzz = 1"));
    assert!(error("[[listen]]\nprotocol = \"lmtp\"\naddress = \"127.0.0.1:1\"\ntrusted_network = []").contains("line 4"));
}

#[test]
fn wrong_values_are_refused_with_line_and_remedy() {
    for (text, line, part) in [
        ("[service]\ntimezone = \"Mars/Olympus\"", 2, "Mars/Olympus"),
        ("[service]\ndomain = \"not a domain\"", 2, "not a domain name"),
        ("[service]\n\nbase_url = \"ftp://x\"", 3, "http:// or https://"),
        ("[service]\nlanguages = [\"english\"]", 2, "language code"),
        ("[service]\nlanguages = []", 2, "at least \"en\""),
        ("[limits]\nmessage_size = \"25 bananas\"", 2, "25 MiB"),
        ("[limits]\nmessage_size = \"1 B\"", 2, "at least"),
        ("[limits]\nretry_for = \"soon\"", 2, "10 min"),
        ("[limits]\nrecipients = 5", 2, "at least 100"),
        ("[schedule]\ndigest = \"* *\"", 2, "2 fields"),
        ("[schedule]\ndigest = \"0 0 7 30 2 *\"", 2, "never comes"),
        ("[schedule]\ndigest = \"0 0 99 * * *\"", 2, "not a schedule"),
        ("[web]\naddress = \"localhost\"", 2, "socket address"),
        ("[[listen]]\nprotocol = \"lmtp\"\naddress = \"127.0.0.1:1\"\ntrusted_networks = [\"10.0.0.0/40\"]", 4, "not a network"),
        ("[[listen]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1\"", 2, "lmtp"),
        ("[relay]\nport = 70000", 2, "70000"),
        ("[relay]\nconnections = 0", 2, "1 to 1000"),
        ("[relay]\nusername = \"x\"", 2, "password_file"),
        ("[relay]\ntls = \"none\"\nhost = \"mail.example.org\"\nusername = \"x\"\npassword = \"y\"", 2, "in the clear"),
        ("[store]\nbackend = \"postgres\"", 2, "store.url"),
        ("[service\n", 1, ""),
    ] {
        let message = error(text);
        assert!(message.starts_with(&format!("x.toml, line {line}: ")) && message.contains(part), "{text}\n→ {message}");
    }
}

#[test]
fn a_directory_is_looked_at_before_the_server_is_asked() {
    let ldap = |more: &str| format!("[directory.ldap]\nbase = \"dc=x\"\nurl = \"ldaps://x.test\"\n{more}\n");
    assert!(parse(&ldap("")).is_ok(), "without a name");
    assert!(parse(&ldap("bind_dn = \"cn=x\"\npassword = \"y\"\nattributes = { email = \"mail\" }\nfilter = \"(&(a=b)(c=*))\"")).is_ok());
    for (more, part) in [
        ("attributes = { emial = \"mail\" }", "line 4: \"emial\" is no column of an account; the nearest known column is \"email\""),
        ("values = { kimd = { a = \"ties\" } }", "nearest known column is \"kind\""),
        ("defaults = { xyzzy = \"a\" }", "known are email, name"),
        ("filter = \"(objectClass=person\"", "line 4: \"(objectClass=person\" is no filter"),
        ("starttls = true", "TLS already"),
        ("bind_dn = \"cn=x\"", "bind_dn has no password"),
        ("password = \"x\"", "nobody's"),
    ] {
        let said = error(&ldap(more));
        assert!(said.contains(part), "{said}");
    }
    assert!(error(&ldap("").replace("ldaps:", "http:")).contains("not the address of an LDAP server"));
}

#[test]
fn believing_everybody_is_refused_with_a_public_listener() {
    let text = |address: &str| format!("[[listen]]\nprotocol = \"smtp\"\naddress = \"{address}\"\n[senders]\nverify = \"none\"\n");
    assert!(parse(&text("127.0.0.1:2525")).is_ok());
    assert!(parse(&text("[::1]:2525")).is_ok());
    for public in ["0.0.0.0:2525", "192.0.2.1:25", "[::]:25"] {
        assert!(error(&text(public)).starts_with("x.toml, line 5: verify = \"none\""), "{}", error(&text(public)));
    }
    let submission = "[[listen]]\nprotocol = \"submission\"\naddress = \"0.0.0.0:587\"";
    assert!(error(submission).contains("in the clear"));
}

#[test]
fn the_environment_wins_over_the_file_and_names_itself_in_errors() {
    let config = with(
        "[relay]\nhost = \"a\"\n",
        &[
            ("ENLACE_RELAY__HOST", "b"),
            ("ENLACE_RELAY__PORT", "2525"),
            ("ENLACE_SERVICE__NAME", "25"),
            ("ENLACE_SERVICE__LANGUAGES", "[\"en\", \"es\"]"),
            ("ENLACE_LISTEN__0__ADDRESS", "127.0.0.1:9024"),
            ("ENLACE_LIMITS__MESSAGE_SIZE", "1 MiB"),
            ("ENLACE_DKIM__SELECTOR", "s"),
            ("ENLACE_DKIM__KEY_FILE", "k.pem"),
            ("ENLACE_LOG", "debug"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!((config.relay.host.as_str(), config.relay.port, config.service.name.as_str()), ("b", 2525, "25"));
    assert_eq!(config.service.languages.len(), 2);
    assert_eq!(config.listen[0].address.port(), 9024);
    assert_eq!(config.limits.message_size, Octets(1 << 20));
    assert_eq!(config.dkim.unwrap().selector, "s");
    let message = with("", &[("ENLACE_RELAY__HOTS", "b")]).unwrap_err().to_string();
    assert_eq!(message, "environment variable ENLACE_RELAY__HOTS: unknown key \"hots\"; the nearest known key is \"host\"");
    assert!(with("", &[("ENLACE_RELAY__PORT", "many")]).unwrap_err().to_string().contains("ENLACE_RELAY__PORT"));
    assert!(with("", &[("ENLACE_DKIM__SELECTOR", "s")]).unwrap_err().to_string().contains("key_file"));
}

#[test]
fn a_variable_that_sets_nothing_is_named_with_the_one_that_was_meant() {
    let names = ["ENLACE_FOO", "ENLACE_RELAY_HOST", "ENLACE_RELAY__HOST", "ENLACE_LOG", "ENLACE_TEST_LONG", "ENLACE_SERVICE_HOST", "PATH"];
    let stray = Config::stray_variables(names.map(str::to_owned));
    assert_eq!(stray, [("ENLACE_FOO".to_owned(), None), ("ENLACE_RELAY_HOST".to_owned(), Some("ENLACE_RELAY__HOST".to_owned()))]);
}

#[test]
fn secrets_come_from_files_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").unwrap();
    let text = format!("[relay]\nusername = \"u\"\npassword_file = \"{}\"\n", file.display());
    let config = parse(&text).unwrap();
    assert_eq!(config.relay.password.as_ref().unwrap().reveal(), "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
    assert!(error(&format!("{text}password = \"x\"\n")).contains("leave one of them out"));
    let missing = error("[relay]\nusername = \"u\"\npassword_file = \"/nowhere/at/all\"");
    assert!(missing.contains("line 3") && missing.contains("cannot read /nowhere/at/all"), "{missing}");
}

#[test]
fn networks_contain_what_they_should() {
    for (network, address, inside) in [
        ("127.0.0.0/8", "127.1.2.3", true),
        ("127.0.0.0/8", "128.0.0.1", false),
        ("127.0.0.0/8", "::ffff:127.0.0.1", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
    ] {
        assert_eq!(network.parse::<Network>().unwrap().contains(address.parse().unwrap()), inside, "{network} {address}");
    }
}

#[test]
fn units_are_read() {
    for (text, seconds) in
        [("0", 0), ("30 s", 30), ("10 min", 600), ("10min", 600), ("2 hours", 7200), ("5 days", 432_000), ("1 year", 31_536_000)]
    {
        let span = text.parse::<Span>().unwrap();
        assert_eq!(span.0.as_secs(), seconds, "{text}");
        assert_eq!(span.to_string().parse::<Span>().unwrap().0, span.0, "{span}");
    }
    for bad in ["", "5", "-1 s", "1.5 h", "99999999999999999999 s", "9999999999999 years", "1 fortnight"] {
        assert!(bad.parse::<Span>().is_err(), "{bad}");
    }
    for (text, octets) in [("0", 0), ("1 KiB", 1024), ("1 kb", 1000), ("25MiB", 26_214_400)] {
        assert_eq!(text.parse::<Octets>().unwrap().0, octets, "{text}");
    }
    assert!("99999999999 GiB".parse::<Octets>().is_err());
    assert_eq!("30 7 * * Mon-Fri".parse::<Cron>().unwrap().as_str(), "0 30 7 * * Mon-Fri");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/enlace.toml")), []).unwrap_err().to_string();
    assert!(error.contains("cannot read /nowhere/enlace.toml") && error.contains("--config"), "{error}");
}

#[test]
fn numbers_of_weekdays_are_those_of_crontab() {
    for (text, full) in [
        ("0 7 * * 1", "0 0 7 * * Mon"),
        ("0 0 7 * * 0", "0 0 7 * * Sun"),
        ("0 7 * * 7", "0 0 7 * * Sun"),
        ("0 7 * * 1-5", "0 0 7 * * Mon-Fri"),
        ("0 7 * * 1,3,Fri", "0 0 7 * * Mon,Wed,Fri"),
        ("0 7 * * */2", "0 0 7 * * */2"),
    ] {
        assert_eq!(text.parse::<Cron>().unwrap().as_str(), full, "{text}");
    }
    assert!("0 7 * * 8".parse::<Cron>().is_err());
}
