//! `ENLACE_ARCHIVE_MAILS=1000000 cargo test --release --lib service::archive::measure_tests -- --nocapture` measures import, index and search.

use std::fmt::Write as _;
use std::io::Read;
use std::time::{Duration, Instant};

use super::*;
use crate::service::trial::{Trial, code, operator};

/// Mails of a group in four languages, made while they are read.
struct Generated {
    next: usize,
    mails: usize,
    ready: Vec<u8>,
    at: usize,
}

const WORDS: [&[&str]; 4] = [
    &[
        "declaración",
        "reunión",
        "grupo",
        "regional",
        "informe",
        "calidad",
        "servicio",
        "red",
        "documento",
        "coordinador",
        "de",
        "la",
        "los",
        "para",
        "que",
    ],
    &[
        "statement",
        "meeting",
        "group",
        "regional",
        "report",
        "quality",
        "service",
        "network",
        "document",
        "chairman",
        "the",
        "of",
        "and",
        "for",
        "to",
    ],
    &[
        "déclaration",
        "réunion",
        "groupe",
        "régional",
        "rapport",
        "qualité",
        "service",
        "réseau",
        "document",
        "président",
        "le",
        "la",
        "des",
        "pour",
        "et",
    ],
    &["بيان", "اجتماع", "فريق", "إقليمي", "تقرير", "جودة", "خدمة", "شبكة", "وثيقة", "رئيس", "من", "في", "على", "إلى", "هذا"],
];

impl Generated {
    fn mail(&mut self) {
        let number = self.next;
        self.next += 1;
        let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut chance = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap_or_default()
        };
        let words = WORDS[chance(WORDS.len())];
        let at = chrono::DateTime::from_timestamp(900_000_000 + number as i64 * 800, 0).unwrap();
        let mut text = String::new();
        for position in 0..180 {
            // Most words are common, some are rare numbers and names, as in mails.
            if position % 9 == 8 {
                let _ = write!(text, "x{} ", chance(200_000));
            } else {
                let _ = write!(text, "{} ", words[chance(words.len())]);
            }
            if position % 12 == 11 {
                text.push('\n');
            }
        }
        let answer =
            if number > 5 && chance(10) < 6 { format!("In-Reply-To: <{}@x.test>\n", number - 1 - chance(5)) } else { String::new() };
        self.ready = format!(
            "From a@x.test {}\nFrom: Person {} <p{}@x.test>\nMessage-ID: <{number}@x.test>\n{answer}Date: {}\nSubject: {} {} {}\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n",
            at.format("%a %b %e %H:%M:%S %Y"), chance(500), chance(500), at.to_rfc2822(), words[chance(10)], words[chance(10)], chance(1000)
        ).into_bytes();
        self.at = 0;
    }
}

impl Read for Generated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.ready.len() {
            if self.next >= self.mails {
                return Ok(0);
            }
            self.mail();
        }
        let count = buffer.len().min(self.ready.len() - self.at);
        buffer[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_archive() {
    let Some(mails) = std::env::var("ENLACE_ARCHIVE_MAILS").ok().and_then(|number| number.parse::<usize>().ok()) else { return };
    let trial = Trial::peopled().await;
    let input = Generated { next: 0, mails, ready: Vec::new(), at: 0 };
    let begun = Instant::now();
    let given = Mails::Mbox { input: Box::new(input), octets: 0 };
    let report = import(&trial.services, &operator(), &code("AMR"), given, "generated.mbox", None, false, &|_, _| {}).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(report.added, mails as u64);
    eprintln!(
        "import: {mails} mails in {took:.1?}, {:.0}/s, {} MiB resident, {} MiB at most",
        mails as f64 / took.as_secs_f64(),
        memory("VmRSS"),
        memory("VmHWM")
    );
    let begun = Instant::now();
    let fed = feed(&trial.services).await.unwrap();
    rest(&trial.services).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(fed.posts, mails as u64);
    eprintln!(
        "index: {:.0}/s in {took:.1?}, {} MiB resident, {} MiB at most",
        mails as f64 / took.as_secs_f64(),
        memory("VmRSS"),
        memory("VmHWM")
    );
    let questions = [
        "declaraciones",
        "statement quality",
        "بيانات",
        "\"meeting report\"",
        "réunion -rapport",
        "from:person x1234",
        "x77",
        "reuniones grupos after:2000-01-01",
        "the",
        "informe",
    ];
    let mut times: Vec<Duration> = Vec::new();
    for round in 0..50 {
        for question in questions {
            let begun = Instant::now();
            let page = search(&trial.services, &code("AMR"), Reader::Operator, question, (round % 3) * 20, 20).await.unwrap();
            times.push(begun.elapsed());
            assert!(page.complete);
        }
    }
    times.sort();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    eprintln!("search: median {:.1?}, p99 {:.1?}, worst {:.1?} of {}", at(50), at(99), at(100), times.len());
    for question in ["declaraciones", "بيانات"] {
        assert!(search(&trial.services, &code("AMR"), Reader::Operator, question, 0, 20).await.unwrap().total > mails / 100, "{question}");
    }
    let begun = Instant::now();
    let page = threads(&trial.services, &code("AMR"), Reader::Operator, None, 50).await.unwrap();
    eprintln!("first page of {} threads in {:.1?}", page.threads.len(), begun.elapsed());
}
