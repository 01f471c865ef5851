//! Values that people write with a unit or in a form of their own.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

/// A size, written as `"25 MiB"`; units B, KB, KiB, MB, MiB, GB, GiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Octets(pub u64);

/// A duration, written as `"10 min"` or `"5 days"`; units s, min, h, days, weeks, years; `"0"` is none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

/// A cron expression of six fields: second, minute, hour, day of month, month, day of week (names, or numbers as in crontab(5): 0 and 7 are Sunday).
///
/// Five fields are taken with second 0. Evaluated on the clock of `service.timezone`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cron {
    text: String,
    schedule: cron::Schedule,
}

/// A network in CIDR form, `127.0.0.0/8`; an address alone is a network of one.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// `"10 min"` into 10 and `min`.
fn split(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim().to_ascii_lowercase()))
}

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a size: write a number and a unit, such as \"25 MiB\"", text.escape_debug());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor: u64 = match unit.as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "kib" => 1 << 10,
            "mb" => 1_000_000,
            "mib" => 1 << 20,
            "gb" => 1_000_000_000,
            "gib" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{}\" is not a duration: write a number and a unit, such as \"10 min\" or \"5 days\"", text.escape_debug());
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let seconds: u64 = match unit.as_str() {
            "" if number == 0 => 0,
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3_600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            "y" | "year" | "years" => 365 * 86_400,
            _ => return Err(wrong()),
        };
        // A century is more than any of these can mean, and keeps every sum with an instant in range.
        let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 100 * 365 * 86_400).ok_or_else(wrong)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fields = text.split_whitespace().count();
        let full = weekdays(&if fields == 5 { format!("0 {}", text.trim()) } else { text.trim().to_owned() });
        let wrong = |why: &str| {
            format!(
                "\"{}\" is not a schedule: {why}; write second, minute, hour, day, month, weekday, such as \"0 0 7 * * *\"",
                text.escape_debug()
            )
        };
        if fields != 5 && fields != 6 {
            return Err(wrong(&format!("it has {fields} fields")));
        }
        let schedule = cron::Schedule::from_str(&full).map_err(|error| wrong(&error.to_string()))?;
        // 30 February parses and never comes; a leap day is found within eight years.
        let start = chrono::DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        if schedule.after(&start).next().is_none() {
            return Err(wrong("it never comes"));
        }
        Ok(Self { text: full, schedule })
    }
}

/// Numbers of the day of week as crontab(5) counts them (0 and 7 are Sunday), as names: the crate counts Sunday as 1.
fn weekdays(expression: &str) -> String {
    const NAMES: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let mut fields: Vec<String> = expression.split_whitespace().map(str::to_owned).collect();
    let Some(field) = fields.get_mut(5) else { return expression.to_owned() };
    let name = |word: &str| word.parse::<usize>().ok().and_then(|n| NAMES.get(n)).map_or_else(|| word.to_owned(), |n| (*n).to_owned());
    let item = |item: &str| match item.split_once('/') {
        // What stands behind a slash is a step and no day.
        Some((days, step)) => format!("{}/{step}", days.split('-').map(name).collect::<Vec<_>>().join("-")),
        None => item.split('-').map(name).collect::<Vec<_>>().join("-"),
    };
    *field = field.split(',').map(item).collect::<Vec<_>>().join(",");
    fields.join(" ")
}

impl Cron {
    /// The parsed expression; ask it with wall-clock time of the service's zone presented as UTC.
    pub fn schedule(&self) -> &cron::Schedule {
        &self.schedule
    }

    /// The expression with six fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// From an expression known to be right.
    pub(super) fn known(text: &str) -> Self {
        text.parse().expect("the built-in expressions are tested")
    }
}

impl Network {
    /// The machine itself.
    pub const LOOPBACK: Self = Self { address: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), bits: 8 };

    /// Is the address in it? An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let (own, other) = (self.address.to_canonical(), address.to_canonical());
        let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
        own.is_ipv4() == other.is_ipv4() && bits(own) & mask == bits(other) & mask
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is not a network: write 127.0.0.0/8, 2001:db8::/32 or one address", text.escape_debug());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(longest), |bits| bits.trim().parse().map_err(|_| wrong()))?;
        if bits > longest { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl fmt::Display for Span {
    /// As it is written: in the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, "days"), (3_600, "h"), (60, "min"), (1, "s")];
        match units.into_iter().find(|(length, _)| seconds != 0 && seconds.is_multiple_of(*length)) {
            Some((length, unit)) => write!(f, "{} {unit}", seconds / length),
            None => f.write_str("0"),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} octets", self.0)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

macro_rules! from_text {
    ($($name:ident),*) => {
        $(impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        })*
    };
}

from_text!(Octets, Span, Cron, Network);
