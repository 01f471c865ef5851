//! Log-ins of the submission listener: checked by the service, and counted here so that guessing does not pay.
//!
//! [`WRONG_OF_ACCOUNT`] wrong passwords for one name, or [`WRONG_OF_NETWORK`] from one network, within [`LOCKED_FOR`] close it for that
//! long. A name counts whether or not somebody has it, so a closed door tells nothing. Kept in memory: a restart forgives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::service::password::{self, Checked};
use crate::service::{Failure, Services};
use crate::smtp::{Login, SessionInfo};

/// Wrong passwords for one name before it is closed.
pub const WRONG_OF_ACCOUNT: u32 = 10;
/// Wrong passwords from one network before it is closed.
pub const WRONG_OF_NETWORK: u32 = 30;
/// So long wrong ones are counted, and a closed door stays closed.
pub const LOCKED_FOR: Duration = Duration::from_mins(15);
/// Doors that are remembered; more are forgotten, the oldest first.
const DOORS: usize = 20_000;

/// The doors at which somebody knocked in vain.
#[derive(Default)]
pub(super) struct Doors(Mutex<HashMap<String, Door>>);

#[derive(Clone, Copy)]
struct Door {
    wrong: u32,
    since: Instant,
}

impl Doors {
    /// Is one of the doors closed at `now`?
    fn is_closed(&self, keys: &[(String, u32)], now: Instant) -> bool {
        let doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().any(|(key, most)| {
            doors.get(key).is_some_and(|door| door.wrong >= *most && now.saturating_duration_since(door.since) < LOCKED_FOR)
        })
    }

    fn wrong(&self, keys: &[(String, u32)], now: Instant) {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.len() > DOORS {
            doors.retain(|_, door| now.saturating_duration_since(door.since) < LOCKED_FOR);
            if doors.len() > DOORS
                && let Some(oldest) = doors.iter().min_by_key(|(_, door)| door.since).map(|(key, _)| key.clone())
            {
                doors.remove(&oldest);
            }
        }
        for (key, most) in keys {
            let door = doors.entry(key.clone()).or_insert(Door { wrong: 0, since: now });
            if now.saturating_duration_since(door.since) >= LOCKED_FOR {
                *door = Door { wrong: 0, since: now };
            }
            door.wrong += 1;
            if door.wrong == *most {
                // Closed from now on, not from the first knock.
                door.since = now;
                tracing::warn!(door = key.split(' ').next(), "Too many wrong passwords: closed for {} min", LOCKED_FOR.as_secs() / 60);
            }
        }
    }

    fn right(&self, account: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(account);
    }

    /// Who it is; counted.
    pub(super) async fn log_in(&self, services: &Services, session: &SessionInfo, user: &str, password: &str) -> Login {
        let keys = keys(user, session.peer.ip());
        if self.is_closed(&keys, Instant::now()) {
            return Login::Wrong;
        }
        match password::check(services, user, password).await {
            Ok(Checked::Right(address)) => {
                self.right(&keys[0].0);
                Login::Welcome(address)
            }
            Ok(Checked::Wrong) => {
                self.wrong(&keys, Instant::now());
                Login::Wrong
            }
            Ok(Checked::Busy) => Login::Later,
            Err(error) => {
                let kind = if matches!(error, Failure::Store(_)) { "store" } else { "check" };
                tracing::error!(%error, kind, "Could not check a password");
                Login::Later
            }
        }
    }
}

/// The door of the name and the door of the network.
fn keys(user: &str, client: IpAddr) -> [(String, u32); 2] {
    let user: String = user.chars().take(320).flat_map(char::to_lowercase).collect();
    let network = match client.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}")
        }
        IpAddr::V6(v6) => format!("{:?}", &v6.octets()[..7]),
    };
    [(format!("account {user}"), WRONG_OF_ACCOUNT), (format!("network {network}"), WRONG_OF_NETWORK)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn m8_a_name_and_a_network_close_and_open_again() {
        let (doors, began) = (Doors::default(), Instant::now());
        let at = |minutes: u64| began + Duration::from_mins(minutes);
        for number in 0..WRONG_OF_ACCOUNT {
            assert!(!doors.is_closed(&keys("Ana", IpAddr::from([10, 0, u8::try_from(number).unwrap(), 1])), at(1)));
            doors.wrong(&keys("ana", IpAddr::from([10, 0, u8::try_from(number).unwrap(), 1])), at(1));
        }
        assert!(doors.is_closed(&keys("ANA", client(1)), at(2)), "the name, wherever it is tried");
        assert!(!doors.is_closed(&keys("ben", client(1)), at(2)));
        assert!(doors.is_closed(&keys("ana", client(1)), at(15)) && !doors.is_closed(&keys("ana", client(1)), at(16)));
        for number in 0..WRONG_OF_NETWORK {
            doors.wrong(&keys(&format!("u{number}"), client(u8::try_from(number).unwrap())), at(20));
        }
        assert!(doors.is_closed(&keys("new", client(200)), at(21)), "the network, whatever name is tried");
        assert!(!doors.is_closed(&keys("new", IpAddr::from([192, 0, 3, 1])), at(21)));
        doors.right("account u1");
        assert!(doors.0.lock().unwrap().len() < 60);
    }

    #[test]
    fn knocking_at_many_doors_does_not_fill_the_memory() {
        let (doors, now) = (Doors::default(), Instant::now());
        for number in 0..DOORS + 100 {
            doors.wrong(&keys(&format!("u{number}"), client(1))[..1], now);
        }
        assert!(doors.0.lock().unwrap().len() <= DOORS + 2);
    }
}
