//! Identifiers: 64 bits, time first, so that they sort by age and need no sequence that nodes would share.
//!
//! 42 bits of milliseconds since 1970-01-01 UTC (enough until 2109), so that an archive from before has its place too, and 22 bits of chance, given by the caller.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// An identifier of that instant; `chance` is any random number, of which 22 bits are used.
            pub fn new(now: DateTime<Utc>, chance: u64) -> Self {
                Self(compose(now, chance))
            }

            /// The instant it was made for, in milliseconds.
            pub fn instant(self) -> DateTime<Utc> {
                i64::try_from(self.0 >> 22).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                u64::from_str_radix(text, 16)
                    .ok()
                    .filter(|_| text.len() == 16)
                    .map(Self)
                    .ok_or_else(|| format!("\"{}\" is not an identifier: 16 hexadecimal digits are expected", text.escape_debug()))
            }
        }
    };
}

identifier!(
    /// An account of the directory.
    AccountId
);
identifier!(
    /// An accepted, held or awaited post.
    PostId
);
identifier!(
    /// A request that waits for an answer: a subscription to be approved or confirmed.
    RequestId
);
identifier!(
    /// A liaison statement.
    LiaisonId
);

fn compose(now: DateTime<Utc>, chance: u64) -> u64 {
    let milliseconds = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    ((milliseconds & ((1 << 42) - 1)) << 22) | (chance & ((1 << 22) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_sort_by_age_and_survive_their_text_form() {
        let early = PostId::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap(), u64::MAX);
        let late = PostId::new(DateTime::from_timestamp(1_700_000_001, 0).unwrap(), 0);
        assert!(early < late);
        assert_eq!(late.instant().timestamp(), 1_700_000_001);
        assert_eq!(early.to_string().parse::<PostId>(), Ok(early));
        assert!("xyz".parse::<PostId>().is_err());
    }
}
