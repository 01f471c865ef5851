//! What the relay offers in its EHLO reply (RFC 5321 section 4.1.1.1).

use lettre::transport::smtp::authentication::Mechanism;

/// Offered extensions; all absent after HELO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an extension that is offered or not")]
pub struct Features {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 6531.
    pub utf8: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 1870.
    pub size: bool,
    /// Largest message in octets, if the relay names one.
    pub size_limit: Option<u64>,
    /// The SASL mechanism that we would use (RFC 4954): PLAIN before LOGIN.
    pub mechanism: Option<Mechanism>,
}

impl Features {
    /// From the texts of the reply's lines, the first of which is the relay's name.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut features = Self::default();
        for line in lines.into_iter().skip(1) {
            // "AUTH=PLAIN" is an old spelling that some servers still send beside the right one.
            let mut words = line.split([' ', '=', '\t']).filter(|word| !word.is_empty());
            match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
                "PIPELINING" => features.pipelining = true,
                "8BITMIME" => features.eight_bit = true,
                "SMTPUTF8" => features.utf8 = true,
                "STARTTLS" => features.starttls = true,
                "SIZE" => {
                    features.size = true;
                    features.size_limit = words.next().and_then(|octets| octets.parse().ok()).filter(|&octets| octets > 0);
                }
                "AUTH" => {
                    let offered: Vec<_> = words.map(str::to_ascii_uppercase).collect();
                    let offers = |name: &str| offered.iter().any(|word| word == name);
                    features.mechanism = match features.mechanism {
                        None if offers("PLAIN") => Some(Mechanism::Plain),
                        None if offers("LOGIN") => Some(Mechanism::Login),
                        known => known,
                    };
                }
                _ => {}
            }
        }
        features
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_without_regard_to_case_and_rubbish_is_passed_over() {
        let features = Features::of(["PIPELINING.example greets you", "pipelining", "SIZE 1000", "AUTH=LOGIN PLAIN", "", "X-\u{fffd}"]);
        let expected =
            Features { pipelining: true, size: true, size_limit: Some(1000), mechanism: Some(Mechanism::Plain), ..Features::default() };
        assert_eq!(features, expected);
        assert_eq!(Features::of(["SIZE 5"]), Features::default());
        assert_eq!(Features::of(["x", "SIZE 0", "SIZE"]).size_limit, None);
    }
}
