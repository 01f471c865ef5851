//! SMTP AUTH, the part that is decoding (RFC 4954; PLAIN is RFC 4616, LOGIN is practice).

use data_encoding::BASE64;

/// What a client that authenticates claims to be.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// How far an exchange has come.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Exchange {
    Plain,
    LoginUser,
    LoginPassword { user: String },
}

impl Exchange {
    /// The challenge, already in base 64.
    pub(super) fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginUser => "VXNlcm5hbWU6",
            Self::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Takes one response; `None` if it cannot be decoded.
    pub(super) fn response(self, response: &str) -> Option<Result<Credentials, Self>> {
        // An empty response is written `=` as an initial one (RFC 4954 section 4).
        let decoded = if response == "=" { Vec::new() } else { BASE64.decode(response.as_bytes()).ok()? };
        let text = String::from_utf8(decoded).ok()?;
        match self {
            Self::Plain => plain(&text).map(Ok),
            Self::LoginUser => Some(Err(Self::LoginPassword { user: text })),
            Self::LoginPassword { user } => Some(Ok(Credentials { user, password: text })),
        }
    }
}

/// Acting for somebody else is not offered: the first name is empty or equal to the second.
fn plain(text: &str) -> Option<Credentials> {
    let mut parts = text.split('\0');
    let (acting_for, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    let complete = parts.next().is_none() && !user.is_empty() && !password.is_empty();
    (complete && (acting_for.is_empty() || acting_for == user))
        .then(|| Credentials { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_of(text: &str) -> Option<String> {
        match Exchange::Plain.response(&BASE64.encode(text.as_bytes()))? {
            Ok(credentials) => Some(format!("{}:{}", credentials.user, credentials.password)),
            Err(_) => None,
        }
    }

    #[test]
    fn plain_has_three_parts_and_nobody_acts_for_another() {
        assert_eq!(plain_of("\0ana\0secret").as_deref(), Some("ana:secret"));
        assert_eq!(plain_of("ana\0ana\0secret").as_deref(), Some("ana:secret"));
        for text in ["bob\0ana\0secret", "ana\0secret", "\0ana\0", "\0\0secret", "\0ana\0secret\0more", ""] {
            assert_eq!(plain_of(text), None, "{text:?}");
        }
        assert!(Exchange::Plain.response("not base 64").is_none());
        assert!(Exchange::Plain.response("=").is_none());
    }
}
