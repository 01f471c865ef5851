//! dkimpy as signer and as verifier, and keys made by OpenSSL.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// A Python process with dkimpy.
pub struct Dkimpy {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Dkimpy {
    pub fn start() -> Self {
        let python = std::env::var("ENLACE_TEST_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trust/keys.py");
        let mut process =
            Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 with dkimpy");
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output }
    }

    pub fn ask(&mut self, job: &Value) -> Value {
        writeln!(self.input, "{job}").expect("dkimpy takes the job");
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).expect("dkimpy answers") > 0, "dkimpy gave up on {job}");
        serde_json::from_str(&line).expect("JSON")
    }

    /// `more` are further keys of the job, see `keys.py`.
    pub fn sign(&mut self, key: &Key, domain: &str, message: &str, more: Value) -> String {
        let mut job = json!({ "do": "sign", "key": key.pem, "selector": "s", "domain": domain, "message": message });
        job.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        self.ask(&job)["message"].as_str().unwrap().to_owned()
    }

    /// One result a signature, from top to bottom: `true`, `false`, or what went wrong.
    pub fn verify(&mut self, message: &[u8], records: &Value) -> Vec<Value> {
        let message = String::from_utf8(message.to_vec()).expect("the test's messages are UTF-8");
        self.ask(&json!({ "do": "verify", "message": message, "records": records }))["results"].as_array().unwrap().clone()
    }

    pub fn verify_arc(&mut self, message: &[u8], records: &Value) -> Value {
        let message = String::from_utf8(message.to_vec()).expect("the test's messages are UTF-8");
        self.ask(&json!({ "do": "verify-arc", "message": message, "records": records }))
    }
}

impl Drop for Dkimpy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A private key with its public half as a DNS record has it.
pub struct Key {
    pub pem: String,
    pub public: String,
}

impl Key {
    pub fn rsa(dkimpy: &mut Dkimpy, bits: u32) -> Self {
        let pem = openssl(&["genrsa", "-traditional", &bits.to_string()]);
        let public = dkimpy.ask(&json!({ "do": "public", "key": pem }))["public"].as_str().unwrap().to_owned();
        Self { pem, public }
    }

    pub fn ed25519(dkimpy: &mut Dkimpy) -> Self {
        let pem = openssl(&["genpkey", "-algorithm", "ed25519"]);
        let der = dkimpy.ask(&json!({ "do": "public", "key": pem }))["public"].as_str().unwrap().to_owned();
        // The record has the bare 32 octets (RFC 8463 section 4), which end the DER form.
        let der = data_encoding::BASE64.decode(der.as_bytes()).unwrap();
        Self { pem, public: data_encoding::BASE64.encode(&der[der.len() - 32..]) }
    }

    pub fn record(&self) -> String {
        format!("v=DKIM1; k=rsa; p={}", self.public)
    }
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
