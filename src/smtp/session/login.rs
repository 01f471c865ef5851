//! STARTTLS (RFC 3207), and AUTH (RFC 4954), which is offered only inside TLS on a submission listener (RFC 6409).

use std::sync::Arc;

use super::auth::{Credentials, Exchange};
use super::command::Mechanism;
use super::{At, Lines, Protocol, Question, Session, Step};
use crate::smtp::{Answer, Login};

/// Failed log-ins before the session ends.
const FAILED_LOGINS: usize = 3;

impl Session {
    pub(super) fn offers_auth(&self) -> bool {
        self.config.protocol == Protocol::Submission && self.info.tls
    }

    pub(super) fn starttls(&mut self) -> Option<Step> {
        if !self.config.starttls {
            self.wrong(&Answer::new(502, (5, 5, 1), "STARTTLS is not offered"));
        } else if self.info.tls || self.envelope.is_some() {
            self.wrong(&Answer::new(503, (5, 5, 1), "not now"));
        } else {
            self.answer(&Answer::new(220, (2, 0, 0), "go ahead"));
            self.at = At::Asked(Question::Tls);
            return Some(Step::StartTls);
        }
        None
    }

    /// Everything said before is forgotten (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        self.at = At::Command;
        self.lines = Lines::default();
        self.greeted = false;
        let info = Arc::make_mut(&mut self.info);
        info.tls = true;
        info.helo.clear();
    }

    pub(super) fn auth(&mut self, mechanism: Mechanism, initial: Option<&str>) -> Option<Step> {
        let refusal = if self.config.protocol != Protocol::Submission {
            Some(Answer::new(502, (5, 5, 1), "AUTH is not offered"))
        } else if !self.info.tls {
            Some(Answer::new(530, (5, 7, 0), "STARTTLS comes first"))
        } else if !self.greeted || self.info.authenticated.is_some() || self.envelope.is_some() {
            Some(Answer::new(503, (5, 5, 1), "not now"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.wrong(&refusal);
            return None;
        }
        let exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::LoginUser,
        };
        match initial {
            Some(initial) => self.auth_response(exchange, initial),
            None => self.challenge(exchange),
        }
    }

    pub(super) fn challenge(&mut self, exchange: Exchange) -> Option<Step> {
        self.line(334, exchange.challenge());
        self.at = At::Authenticating(exchange);
        None
    }

    pub(super) fn auth_response(&mut self, exchange: Exchange, response: &str) -> Option<Step> {
        if response == "*" {
            self.wrong(&Answer::new(501, (5, 7, 0), "given up"));
            return None;
        }
        match exchange.response(response) {
            None => {
                self.wrong(&Answer::new(501, (5, 5, 2), "the response cannot be decoded"));
                None
            }
            Some(Err(next)) => self.challenge(next),
            Some(Ok(Credentials { user, password })) => {
                self.at = At::Asked(Question::Credentials);
                Some(Step::Authenticate { user, password })
            }
        }
    }

    /// What came of the credentials.
    pub fn authenticated(&mut self, login: Login) {
        if !matches!(self.at, At::Asked(Question::Credentials)) {
            return;
        }
        self.at = At::Command;
        match login {
            Login::Welcome(who) => {
                Arc::make_mut(&mut self.info).authenticated = Some(who);
                return self.answer(&Answer::new(235, (2, 7, 0), "welcome"));
            }
            Login::Later => return self.answer(&Answer::new(454, (4, 7, 0), "the log-in cannot be checked now, try again later")),
            Login::Wrong => {}
        }
        self.failed_logins += 1;
        self.slowdowns += 1;
        if self.failed_logins >= FAILED_LOGINS {
            return self.end_with(&Answer::new(421, (4, 7, 0), "too many failed log-ins"));
        }
        self.wrong(&Answer::new(535, (5, 7, 8), "user or password is wrong"));
    }
}
