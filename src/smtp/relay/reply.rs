//! What the relay says, read as hostile input: bounded in octets, lines and time, shown as one clean line.

use std::fmt::Write as _;
use std::task::Poll;
use std::time::Duration;

use smtp_proto::Response;
use smtp_proto::response::parser::ResponseReceiver;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::domain::ledger::REPLY_OCTETS;

/// Most octets of one reply, all lines together; RFC 5321 section 4.5.3.1.5 allows 512 a line.
const REPLY_LIMIT: usize = 16 * 1024;
/// Octets taken from the socket at once.
const READ_OCTETS: usize = 4096;

/// One reply (RFC 5321 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Basic code.
    pub code: u16,
    /// Code, enhanced code and text in one line of at most [`REPLY_OCTETS`], without control characters.
    pub line: String,
    message: String,
}

impl Reply {
    /// Text of each line without codes, for EHLO.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.message.lines().map(|text| text.trim_end_matches('\r'))
    }

    /// 2xx?
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// The session is over, and in whose words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// End of stream.
    #[error("the relay closed the connection {0}")]
    Closed(&'static str),
    /// The system reported an error.
    #[error("the connection broke {step}: {cause}")]
    Broken {
        /// When.
        step: &'static str,
        /// In the system's words.
        cause: String,
    },
    /// Nothing came in time.
    #[error("the relay did not answer within {seconds} s {step}")]
    Silent {
        /// When.
        step: &'static str,
        /// How long it was waited.
        seconds: u64,
    },
    /// Something came that is no SMTP reply, or not one of this step.
    #[error("the relay's answer {step} cannot be understood: {shown}")]
    Nonsense {
        /// When.
        step: &'static str,
        /// Its first octets, cleaned.
        shown: String,
    },
}

/// Reads replies from a stream, one after the other.
#[derive(Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    taken: usize,
}

impl ReplyReader {
    /// Octets that came without being asked for, if any, as one line.
    pub fn unasked(&self) -> Option<String> {
        (self.taken < self.buffer.len()).then(|| one_line(&String::from_utf8_lossy(&self.buffer[self.taken..])))
    }

    /// The next reply. `step` says when, for errors.
    ///
    /// # Errors
    /// [`Lost`]; the session cannot go on.
    pub async fn read(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin + ?Sized),
        step: &'static str,
        wait: Duration,
    ) -> Result<Reply, Lost> {
        match tokio::time::timeout(wait, self.read_unbounded(stream, step)).await {
            Ok(reply) => reply,
            Err(_) => Err(Lost::Silent { step, seconds: wait.as_secs() }),
        }
    }

    async fn read_unbounded(&mut self, stream: &mut (impl AsyncRead + Unpin + ?Sized), step: &'static str) -> Result<Reply, Lost> {
        let mut receiver = ResponseReceiver::default();
        let mut seen = 0;
        let mut start = Vec::new();
        loop {
            let unread = &self.buffer[self.taken..];
            if !unread.is_empty() {
                if start.len() < 80 {
                    start.extend_from_slice(&unread[..unread.len().min(80)]);
                }
                let mut octets = unread.iter();
                let parsed = receiver.parse(&mut octets);
                let used = unread.len() - octets.len();
                self.taken += used;
                seen += used;
                match parsed {
                    Ok(response) if (200..600).contains(&response.code) => return Ok(reply_of(response)),
                    Err(smtp_proto::Error::NeedsMoreData { .. }) if seen <= REPLY_LIMIT => {}
                    Ok(_) | Err(_) => return Err(Lost::Nonsense { step, shown: one_line(&String::from_utf8_lossy(&start)) }),
                }
            }
            self.buffer.clear();
            self.taken = 0;
            self.buffer.reserve(READ_OCTETS);
            match (&mut *stream).take(READ_OCTETS as u64).read_buf(&mut self.buffer).await {
                Ok(0) => return Err(Lost::Closed(step)),
                Ok(_) => {}
                Err(error) => return Err(Lost::Broken { step, cause: error.to_string() }),
            }
        }
    }

    /// Takes what has already arrived without waiting; an end of stream is told as [`Lost`].
    pub async fn look(&mut self, stream: &mut (impl AsyncRead + Unpin + ?Sized)) -> Result<(), Lost> {
        let step = "between two transactions";
        if let Some(shown) = self.unasked() {
            return Err(Lost::Nonsense { step, shown });
        }
        self.buffer.clear();
        self.taken = 0;
        self.buffer.reserve(READ_OCTETS);
        let arrived = {
            let mut bounded = (&mut *stream).take(READ_OCTETS as u64);
            let mut read = std::pin::pin!(bounded.read_buf(&mut self.buffer));
            std::future::poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await
        };
        match arrived {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(0)) => Err(Lost::Closed(step)),
            Poll::Ready(Ok(_)) => Err(Lost::Nonsense { step, shown: self.unasked().unwrap_or_default() }),
            Poll::Ready(Err(error)) => Err(Lost::Broken { step, cause: error.to_string() }),
        }
    }
}

fn reply_of(response: Response<String>) -> Reply {
    let mut line = String::with_capacity(16 + response.message.len().min(REPLY_OCTETS));
    // Writing into a String cannot fail.
    let _ = write!(line, "{}", response.code);
    if response.esc[0] != 0 {
        let [class, subject, detail] = response.esc;
        let _ = write!(line, " {class}.{subject}.{detail}");
    }
    line.push(' ');
    append_line(&mut line, &response.message);
    Reply { code: response.code, line, message: response.message }
}

/// `text` without control characters, its white space runs made one space, cut at [`REPLY_OCTETS`].
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(REPLY_OCTETS));
    append_line(&mut line, text);
    line
}

fn append_line(line: &mut String, text: &str) {
    for c in text.chars() {
        let c = if c.is_control() || c.is_whitespace() { ' ' } else { c };
        if c == ' ' && (line.is_empty() || line.ends_with(' ')) {
            continue;
        }
        if line.len() + c.len_utf8() > REPLY_OCTETS {
            break;
        }
        line.push(c);
    }
    line.truncate(line.trim_end().len());
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    async fn read_all(octets: &[u8]) -> (Vec<Reply>, Lost) {
        let mut stream = octets;
        let mut reader = ReplyReader::default();
        let mut replies = Vec::new();
        loop {
            match reader.read(&mut stream, "here", WAIT).await {
                Ok(reply) => replies.push(reply),
                Err(lost) => return (replies, lost),
            }
        }
    }

    #[tokio::test]
    async fn replies_are_read_one_by_one_and_shown_in_one_line() {
        let octets = b"250 2.1.0 Ok\r\n550-5.1.1 no such\r\n550 5.1.1 user\x07 here\r\n354 go\r\n250\r\n";
        let (replies, end) = read_all(octets).await;
        let shown: Vec<_> = replies.iter().map(|reply| (reply.code, reply.line.as_str())).collect();
        assert_eq!(shown, [(250, "250 2.1.0 Ok"), (550, "550 5.1.1 no such user here"), (354, "354 go"), (250, "250")]);
        assert_eq!(end, Lost::Closed("here"));
    }

    #[tokio::test]
    async fn endless_and_senseless_replies_end_the_session() {
        let endless_line = [b"250 ".as_slice(), &vec![b'x'; 100_000]].concat();
        let endless_lines = b"250-\r\n".repeat(20_000);
        let not_a_code = b"999 hello\r\n".to_vec();
        let noise: Vec<u8> = (0_u32..5000).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
        for octets in [endless_line, endless_lines, not_a_code, noise, b"\r\n\r\n".to_vec(), b"099 x\r\n".to_vec()] {
            let (replies, end) = read_all(&octets).await;
            assert!(replies.is_empty(), "{replies:?}");
            assert!(matches!(end, Lost::Nonsense { .. }), "{end:?}");
            assert!(end.to_string().len() < 700);
        }
    }

    #[tokio::test]
    async fn what_came_unasked_is_noticed_before_the_next_command() {
        let mut stream: &[u8] = b"250 ok\r\n421 4.3.2 shutting down\r\n";
        let mut reader = ReplyReader::default();
        assert_eq!(reader.read(&mut stream, "here", WAIT).await.unwrap().code, 250);
        assert!(reader.unasked().unwrap().starts_with("421"));
        assert!(reader.look(&mut stream).await.is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_relay_says_is_read_in_lines_without_controls(
            words in proptest::collection::vec(proptest::prop_oneof!["[2-5][0-9]{2}[- ]", "[ -~]{0,30}", "\r\n", "\\PC{0,5}", ".{0,3}"], 0..40),
        ) {
            let octets = words.concat().into_bytes();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let (replies, end) = runtime.block_on(read_all(&octets));
            proptest::prop_assert!(replies.iter().all(|reply| !reply.line.contains(char::is_control) && reply.line.len() <= REPLY_OCTETS));
            let told = end.to_string();
            proptest::prop_assert!(!told.contains(char::is_control), "{}", told);
        }
    }

    #[test]
    fn a_long_answer_is_cut_at_a_character() {
        let line = one_line(&"é\r\n".repeat(1000));
        assert!(line.len() <= REPLY_OCTETS && line.starts_with("é é"));
    }
}
