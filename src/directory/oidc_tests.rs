//! A provider that can lie in every way.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD as BASE64;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A key pair of openssl's.
struct Key {
    folder: tempfile::TempDir,
    modulus: String,
    name: &'static str,
}

fn openssl(arguments: &[&str], input: &[u8], folder: &std::path::Path) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

impl Key {
    fn new(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(&["genrsa", "-out", "key.pem", "2048"], b"", folder.path());
        let shown = openssl(&["rsa", "-in", "key.pem", "-noout", "-modulus"], b"", folder.path());
        let hex = String::from_utf8(shown).unwrap().trim().trim_start_matches("Modulus=").to_owned();
        let modulus = BASE64.encode(&data_encoding::HEXUPPER.decode(hex.as_bytes()).unwrap());
        Self { folder, modulus, name }
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.name, "n": self.modulus, "e": "AQAB" })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", BASE64.encode(header.to_string().as_bytes()), BASE64.encode(claims.to_string().as_bytes()));
        let signature = openssl(&["dgst", "-sha256", "-sign", "key.pem"], input.as_bytes(), self.folder.path());
        format!("{input}.{}", BASE64.encode(&signature))
    }
}

/// What the provider answers, changed by each case.
#[derive(Default)]
struct Script {
    discovery: Value,
    keys: Value,
    token: Value,
    requests: Vec<(String, String)>,
}

async fn provider() -> (String, Arc<Mutex<Script>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(Mutex::new(Script::default()));
    let answers = Arc::clone(&script);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).await.unwrap_or(0);
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text
                    .to_lowercase()
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok())
                    .unwrap_or(0);
                if count == 0 || text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= length) {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
            let answer = {
                let mut script = answers.lock().unwrap();
                script.requests.push((path.clone(), body));
                match path.as_str() {
                    "/.well-known/openid-configuration" => script.discovery.to_string(),
                    "/keys" => script.keys.to_string(),
                    _ => script.token.to_string(),
                }
            };
            let _ = stream
                .write_all(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                        answer.len()
                    )
                    .as_bytes(),
                )
                .await;
        }
    });
    (issuer, script)
}

fn settings(issuer: &str) -> Oidc {
    toml::from_str(&format!(
        "issuer = \"{issuer}\"\nclient_id = \"enlace\"\nclient_secret = \"secret\"\nclaims = {{ name = \"name\", country = \"c\", languages = \"langs\", email = \"nickname\" }}\n"
    ))
    .unwrap()
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"]
    })
}

#[tokio::test]
async fn only_a_token_that_is_good_in_every_respect_signs_anybody_in() {
    let (issuer, script) = provider().await;
    let (key, other) = (Key::new("one"), Key::new("two"));
    {
        let mut script = script.lock().unwrap();
        script.discovery = discovery(&issuer);
        script.keys = json!({ "keys": [key.jwk()] });
    }
    let provider = Provider::new(&settings(&issuer), "http://127.0.0.1:1/sign-in/oidc/back".into()).unwrap();
    let begun = provider.begin().await.unwrap();
    let challenge = BASE64.encode(&Sha256::digest(begun.verifier.as_bytes()));
    for part in [
        "response_type=code",
        "code_challenge_method=S256",
        &format!("code_challenge={challenge}"),
        &format!("nonce={}", begun.nonce),
        &format!("state={}", begun.state),
    ] {
        assert!(begun.url.contains(part), "{part}: {}", begun.url);
    }
    let now = chrono::Utc::now().timestamp();
    let good = json!({
        "iss": issuer, "aud": "enlace", "sub": "248289761001", "iat": now, "exp": now + 600, "nonce": begun.nonce,
        "email": "ana@example.org", "email_verified": true, "name": "Ana Example", "c": "MX", "langs": ["es", "en"], "nickname": "boss@example.org"
    });
    let header = json!({ "alg": "RS256", "kid": "one", "typ": "JWT" });
    let answer = |token: String| json!({ "access_token": "x", "token_type": "Bearer", "id_token": token });
    let signed = |change: &[(&str, Value)]| {
        let mut claims = good.clone();
        for (name, value) in change {
            claims[*name] = value.clone();
        }
        key.sign(&header, &claims)
    };
    script.lock().unwrap().token = answer(signed(&[]));
    let known = provider.finish("code", &begun.nonce, &begun.verifier).await.unwrap();
    assert_eq!((known.subject.as_str(), known.email.as_str()), ("248289761001", "ana@example.org"));
    let cells: Vec<_> = known.cells.iter().map(|(column, cell)| format!("{column}={cell}")).collect();
    assert_eq!(cells, ["country=MX", "languages=es;en", "name=Ana Example"], "an address is only taken from the verified claim");
    {
        let script = script.lock().unwrap();
        let (_, body) = script.requests.iter().find(|(path, _)| path == "/token").unwrap();
        assert!(body.contains(&format!("code_verifier={}", begun.verifier)) && body.contains("code=code"), "{body}");
    }
    let part = |value: &Value| BASE64.encode(value.to_string().as_bytes());
    let unsigned = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&good));
    let shared = {
        // HS256 with the public key for the secret.
        use hmac::{Hmac, KeyInit, Mac};
        let input = format!("{}.{}", part(&json!({ "alg": "HS256", "kid": "one" })), part(&good));
        let mut mac = Hmac::<Sha256>::new_from_slice(key.modulus.as_bytes()).unwrap();
        mac.update(input.as_bytes());
        format!("{input}.{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    let client_secret = {
        use hmac::{Hmac, KeyInit, Mac};
        let input = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(&good));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(input.as_bytes());
        format!("{input}.{}", BASE64.encode(&mac.finalize().into_bytes()))
    };
    let tampered = {
        let token = signed(&[]);
        let parts: Vec<&str> = token.split('.').collect();
        let mut claims = good.clone();
        claims["email"] = json!("boss@example.org");
        format!("{}.{}.{}", parts[0], part(&claims), parts[2])
    };
    for (case, token) in [
        ("alg none", unsigned),
        ("HS256 with the public key", shared),
        ("HS256 with the client's secret", client_secret),
        ("claims changed behind the signature", tampered),
        ("another's key under the same name", other.sign(&header, &good)),
        ("a key that nobody published", other.sign(&json!({ "alg": "RS256", "kid": "two" }), &good)),
        ("another issuer", signed(&[("iss", json!("https://evil.example"))])),
        ("another audience", signed(&[("aud", json!("other"))])),
        ("several audiences", signed(&[("aud", json!(["enlace", "other"]))])),
        ("another sign-in's nonce", signed(&[("nonce", json!("stolen"))])),
        ("no nonce", signed(&[("nonce", Value::Null)])),
        ("over", signed(&[("exp", json!(now - 600)), ("iat", json!(now - 1200))])),
        ("unverified e-mail", signed(&[("email_verified", json!(false))])),
        ("e-mail of unknown standing", signed(&[("email_verified", Value::Null)])),
        ("no e-mail", signed(&[("email", Value::Null)])),
        ("no token", "rubbish".into()),
    ] {
        script.lock().unwrap().token = answer(token);
        let refused = provider.finish("code", &begun.nonce, &begun.verifier).await;
        assert!(refused.is_err(), "{case}: {refused:?}");
    }
    let readings = script.lock().unwrap().requests.iter().filter(|(path, _)| path == "/keys").count();
    assert_eq!(readings, 1, "unknown keys do not make us ask again and again");
    script.lock().unwrap().token = json!({ "error": "invalid_grant" });
    assert!(provider.finish("used", &begun.nonce, &begun.verifier).await.is_err());
}

#[tokio::test]
async fn new_keys_are_found_and_a_false_description_is_refused() {
    let (issuer, script) = provider().await;
    let key = Key::new("new");
    script.lock().unwrap().discovery = discovery("https://evil.example");
    script.lock().unwrap().keys = json!({ "keys": [] });
    let provider = Provider::new(&settings(&issuer), "http://127.0.0.1:1/back".into()).unwrap();
    assert!(provider.begin().await.unwrap_err().to_string().contains("discovery"));
    script.lock().unwrap().discovery = discovery(&issuer);
    let begun = provider.begin().await.unwrap();
    // The provider changed its keys more than a minute after we read them.
    script.lock().unwrap().keys = json!({ "keys": [key.jwk()] });
    if let Some((at, _)) = provider.read.lock().unwrap().as_mut() {
        *at = at.checked_sub(AGAIN).unwrap();
    }
    let now = chrono::Utc::now().timestamp();
    let claims = json!({ "iss": issuer, "aud": "enlace", "sub": "1", "iat": now, "exp": now + 60, "nonce": begun.nonce, "email": "a@x.test", "email_verified": true });
    script.lock().unwrap().token =
        json!({ "access_token": "x", "token_type": "Bearer", "id_token": key.sign(&json!({ "alg": "RS256", "kid": "new" }), &claims) });
    assert_eq!(provider.finish("code", &begun.nonce, &begun.verifier).await.unwrap().email, "a@x.test");
}
