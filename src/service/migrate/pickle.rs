//! Reads what Python 2 pickled, without executing anything.
//!
//! A pickle is a program for a stack machine. This reader knows the instructions that make values, and takes a class or a call only
//! as an opaque mark, so that no name is ever looked up and nothing is ever called. Two names are known as words: with them Python 3
//! writes octets in the old protocols, as `_codecs.encode(text, 'latin1')` and `bytes()`. Values are shared, never copied, so a file
//! that doubles a list fifty times stays as small in memory as it is on disk. Protocols 0 to 2, which is all that Mailman 2 wrote.

use std::collections::HashMap;
use std::rc::Rc;

use super::value::{Maker, Value};

/// Most values of one file.
const VALUES: usize = 20_000_000;
/// Deepest nesting that is followed when values are looked at.
const STACK: usize = 1_000_000;

/// Why a file is no pickle that this reader takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("octet {at}: {text}")]
pub struct PickleError {
    at: usize,
    text: String,
}

enum Item {
    Value(Value),
    Mark,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Item>,
    memo: HashMap<u32, Value>,
    made: usize,
}

/// All objects of a file, one behind the other.
///
/// # Errors
/// At the first instruction that is unknown, cut off, or makes too much.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, PickleError> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: HashMap::new(), made: 0 };
    let mut found = Vec::new();
    while machine.at < bytes.len() {
        found.push(machine.object()?);
        machine.stack.clear();
        machine.memo.clear();
    }
    Ok(found)
}

fn list(values: Vec<Value>) -> Value {
    Value::List(Rc::new(std::cell::RefCell::new(values)))
}

fn map(pairs: Vec<(Value, Value)>) -> Value {
    Value::Map(Rc::new(std::cell::RefCell::new(pairs)))
}

fn text(octets: &[u8]) -> Value {
    Value::Text(octets.into())
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
}

impl<'a> Machine<'a> {
    fn wrong<T>(&self, text: &str) -> Result<T, PickleError> {
        Err(PickleError { at: self.at, text: text.to_owned() })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => self.wrong("the file ends too early"),
        }
    }

    fn number(&mut self, octets: usize) -> Result<usize, PickleError> {
        let taken = self.take(octets)?;
        Ok(taken.iter().rev().fold(0, |number, octet| number << 8 | usize::from(*octet)))
    }

    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let Some(end) = memchr::memchr(b'\n', rest) else { return self.wrong("a line without end") };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        self.made += 1;
        if self.made > VALUES || self.stack.len() > STACK {
            return self.wrong("it makes more values than any list has");
        }
        self.stack.push(Item::Value(value));
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        match self.stack.pop() {
            Some(Item::Value(value)) => Ok(value),
            _ => self.wrong("a value is missing"),
        }
    }

    fn top(&self) -> Result<Value, PickleError> {
        match self.stack.last() {
            Some(Item::Value(value)) => Ok(value.clone()),
            _ => self.wrong("a value is missing"),
        }
    }

    /// Everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Value>, PickleError> {
        let mut values = Vec::new();
        loop {
            match self.stack.pop() {
                Some(Item::Value(value)) => values.push(value),
                Some(Item::Mark) => break,
                None => return self.wrong("a mark is missing"),
            }
        }
        values.reverse();
        Ok(values)
    }

    fn opaque(&mut self) -> Result<(), PickleError> {
        self.push(Value::Object(Rc::default()))
    }

    fn append(&mut self, values: Vec<Value>) -> Result<(), PickleError> {
        match &self.top()? {
            Value::List(list) => list.borrow_mut().extend(values),
            Value::Object(_) => {}
            _ => return self.wrong("something is appended to what is no list"),
        }
        Ok(())
    }

    fn set(&mut self, entries: Vec<(Value, Value)>) -> Result<(), PickleError> {
        match &self.top()? {
            Value::Map(map) => map.borrow_mut().extend(entries),
            Value::Object(_) => {}
            _ => return self.wrong("something is put into what is no dictionary"),
        }
        Ok(())
    }

    fn remember(&mut self, place: usize) -> Result<(), PickleError> {
        let value = self.top()?;
        self.memo.insert(u32::try_from(place).unwrap_or(u32::MAX), value);
        Ok(())
    }

    fn recall(&mut self, place: usize) -> Result<(), PickleError> {
        match self.memo.get(&u32::try_from(place).unwrap_or(u32::MAX)).cloned() {
            Some(value) => self.push(value),
            None => self.wrong("it recalls what it never kept"),
        }
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, PickleError> {
        let line = self.line()?;
        match std::str::from_utf8(line).ok().and_then(|line| line.trim_end_matches('L').parse().ok()) {
            Some(value) => Ok(value),
            None => self.wrong("a number is none"),
        }
    }

    fn object(&mut self) -> Result<Value, PickleError> {
        loop {
            let op = self.take(1)?[0];
            match op {
                b'.' => return self.pop(),
                b'(' => self.stack.push(Item::Mark),
                b'0' => drop(self.stack.pop()),
                b'1' => drop(self.marked()?),
                b'2' => {
                    let value = self.top()?;
                    self.push(value)?;
                }
                b'\x80' => {
                    if self.number(1)? > 2 {
                        return self.wrong("it is of a protocol that Mailman 2 never wrote");
                    }
                }
                b'N' => self.push(Value::None)?,
                b'\x88' => self.push(Value::Bool(true))?,
                b'\x89' => self.push(Value::Bool(false))?,
                b'I' => match self.line()? {
                    b"01" => self.push(Value::Bool(true))?,
                    b"00" => self.push(Value::Bool(false))?,
                    line => match std::str::from_utf8(line).ok().and_then(|line| line.trim().parse().ok()) {
                        Some(number) => self.push(Value::Integer(number))?,
                        None => return self.wrong("a number is none"),
                    },
                },
                b'L' => {
                    let number = self.parsed::<i128>()?;
                    self.push(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))?;
                }
                b'F' => {
                    let number = self.parsed()?;
                    self.push(Value::Float(number))?;
                }
                b'J' => {
                    let number = u32::try_from(self.number(4)?).unwrap_or_default();
                    self.push(Value::Integer(i64::from(number.cast_signed())))?;
                }
                b'K' => self.integer(1)?,
                b'M' => self.integer(2)?,
                b'\x8a' | b'\x8b' => {
                    let octets = if op == b'\x8a' { self.number(1)? } else { self.number(4)? };
                    let taken = self.take(octets)?;
                    let number = taken.iter().take(8).rev().fold(0_i64, |number, octet| number << 8 | i64::from(*octet));
                    self.push(Value::Integer(number))?;
                }
                b'G' => {
                    let octets = self.take(8)?.first_chunk::<8>().copied().unwrap_or_default();
                    self.push(Value::Float(f64::from_be_bytes(octets)))?;
                }
                b'U' => self.text(1)?,
                b'T' | b'X' => self.text(4)?,
                b'S' | b'V' => {
                    let line = self.line()?;
                    self.push(text(&if op == b'S' { unescaped(line) } else { raw_unicode(line) }))?;
                }
                b']' | b')' => self.push(list(Vec::new()))?,
                b'}' => self.push(map(Vec::new()))?,
                b'l' | b't' => {
                    let values = self.marked()?;
                    self.push(list(values))?;
                }
                b'd' => {
                    let values = self.marked()?;
                    self.push(map(pairs(values)))?;
                }
                b'\x85'..=b'\x87' => {
                    let mut values = Vec::new();
                    for _ in 0..=(op - b'\x85') {
                        values.push(self.pop()?);
                    }
                    values.reverse();
                    self.push(list(values))?;
                }
                b'a' => {
                    let value = self.pop()?;
                    self.append(vec![value])?;
                }
                b'e' => {
                    let values = self.marked()?;
                    self.append(values)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![(key, value)])?;
                }
                b'u' => {
                    let values = self.marked()?;
                    self.set(pairs(values))?;
                }
                b'p' => {
                    let place = self.parsed()?;
                    self.remember(place)?;
                }
                b'q' => {
                    let place = self.number(1)?;
                    self.remember(place)?;
                }
                b'r' => {
                    let place = self.number(4)?;
                    self.remember(place)?;
                }
                b'g' => {
                    let place = self.parsed()?;
                    self.recall(place)?;
                }
                b'h' => {
                    let place = self.number(1)?;
                    self.recall(place)?;
                }
                b'j' => {
                    let place = self.number(4)?;
                    self.recall(place)?;
                }
                // A class by name, and calls of it: what they would do is never done.
                b'c' => match (self.line()?, self.line()?) {
                    (b"_codecs" | b"codecs", b"encode") => self.push(Value::Octets(Maker::Encode))?,
                    (b"__builtin__" | b"builtins", b"bytes" | b"bytearray") => self.push(Value::Octets(Maker::Bytes))?,
                    _ => self.opaque()?,
                },
                b'i' => {
                    self.line()?;
                    self.line()?;
                    self.marked()?;
                    self.opaque()?;
                }
                b'o' => {
                    self.marked()?;
                    self.opaque()?;
                }
                b'R' | b'\x81' => {
                    let (given, name) = (self.pop()?, self.pop()?);
                    match octets_of_call(&name, &given) {
                        Some(octets) => self.push(text(&octets))?,
                        None => self.opaque()?,
                    }
                }
                b'b' => {
                    let state = self.pop()?;
                    if let Value::Object(object) = &self.top()? {
                        *object.borrow_mut() = Some(state);
                    }
                }
                other => return self.wrong(&format!("the instruction {other:#04x} is not one that makes plain values")),
            }
        }
    }

    fn integer(&mut self, octets: usize) -> Result<(), PickleError> {
        let number = self.number(octets)?;
        self.push(Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn text(&mut self, octets: usize) -> Result<(), PickleError> {
        let length = self.number(octets)?;
        let taken = self.take(length)?;
        self.push(text(taken))
    }
}

/// The octets that a call stands for; `None` of any other call.
fn octets_of_call(name: &Value, given: &Value) -> Option<Vec<u8>> {
    let Value::Octets(maker) = name else { return None };
    let given = given.items();
    match (maker, &given[..]) {
        (Maker::Bytes, []) => Some(Vec::new()),
        (_, [Value::Text(text), Value::Text(charset)]) => {
            let text = std::str::from_utf8(text).ok()?;
            match &charset[..] {
                b"latin1" | b"latin-1" | b"iso-8859-1" => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect(),
                b"utf8" | b"utf-8" | b"ascii" => Some(text.as_bytes().to_vec()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A text in Python's `raw-unicode-escape`, as UTF-8: Latin-1, and `\u20ac` for what is beyond it.
fn raw_unicode(line: &[u8]) -> Vec<u8> {
    let (mut decoded, mut rest) = (String::with_capacity(line.len()), line);
    while let [octet, behind @ ..] = rest {
        let digits = match behind {
            [b'u', behind @ ..] if *octet == b'\\' => behind.get(..4),
            [b'U', behind @ ..] if *octet == b'\\' => behind.get(..8),
            _ => None,
        };
        let escaped = digits.and_then(|digits| char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?));
        decoded.push(escaped.unwrap_or(char::from(*octet)));
        rest = match (escaped, digits) {
            (Some(_), Some(digits)) => &behind[digits.len() + 1..],
            _ => behind,
        };
    }
    decoded.into_bytes()
}

/// A string as Python's `repr` writes it.
fn unescaped(line: &[u8]) -> Vec<u8> {
    let inner = match line {
        [first @ (b'\'' | b'"'), inner @ .., last] if first == last => inner,
        other => other,
    };
    let (mut octets, mut rest) = (Vec::with_capacity(inner.len()), inner);
    while let [octet, behind @ ..] = rest {
        rest = behind;
        if *octet != b'\\' {
            octets.push(*octet);
            continue;
        }
        match behind {
            [b'x', a, b, behind @ ..] => {
                let hex = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default();
                octets.push(u8::try_from(hex(a) * 16 + hex(b)).unwrap_or_default());
                rest = behind;
            }
            [escaped, behind @ ..] => {
                octets.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest = behind;
            }
            [] => {}
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_the_old_protocols_are_read() {
        // pickle.dumps({'a': [1, 'x\xe9', None, True], 'b': (2.5,)}, 0) and the same in protocol 2.
        for bytes in [
            &b"(dp0\nS'a'\np1\n(lp2\nI1\naS'x\\xe9'\np3\naNaI01\nasS'b'\np4\n(F2.5\ntp5\ns."[..],
            b"\x80\x02}q\x00(U\x01aq\x01]q\x02(K\x01U\x02x\xe9q\x03N\x88eU\x01bq\x04G@\x04\x00\x00\x00\x00\x00\x00\x85q\x05u.",
        ] {
            let found = read_all(bytes).unwrap();
            let pairs = found[0].pairs();
            assert_eq!(pairs.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
            let items = pairs[0].1.items();
            assert_eq!((items[0].number(), items[1].text().as_deref(), items[3].number()), (Some(1), Some("xé"), Some(1)));
            assert_eq!(pairs[1].1.items()[0].number(), Some(2));
        }
    }

    #[test]
    fn a_class_is_never_looked_up_and_its_call_never_made() {
        let hostile = b"cos\nsystem\n(S'touch /tmp/enlace-was-here'\ntR.";
        let found = read_all(hostile).unwrap();
        assert!(matches!(found[0], Value::Object(_)));
        let info = b"(dS'a@x.test'\n(iMailman.Bouncer\n_BounceInfo\n(dS'score'\nF2.0\nsbs.";
        assert!(matches!(read_all(info).unwrap()[0].pairs()[0].1, Value::Object(_)));
    }

    #[test]
    fn octets_of_python_3_are_octets_and_no_other_call_is() {
        // pickle.dumps({b'caf\xe9': b''}, 2) and the same in protocol 0, by Python 3.
        for bytes in [
            &b"\x80\x02}q\x00c_codecs\nencode\nq\x01X\x05\0\0\0caf\xc3\xa9q\x02X\x06\0\0\0latin1q\x03\x86q\x04Rq\x05c__builtin__\nbytes\nq\x06)Rq\x07s."[..],
            b"(dp0\nc_codecs\nencode\np1\n(Vcaf\xe9\np2\nVlatin1\np3\ntp4\nRp5\nc__builtin__\nbytes\np6\n(tRp7\ns.",
        ] {
            let pairs = read_all(bytes).unwrap()[0].pairs();
            assert_eq!((pairs[0].0.as_str(), pairs[0].1.text().as_deref()), ("café", Some("")), "{pairs:?}");
        }
        for other in [
            &b"c_codecs\nencode\n(Vx\nVrot13\ntR."[..],
            b"c_codecs\ndecode\n(Vx\nVlatin1\ntR.",
            b"c__builtin__\nbytes\n(I5\ntR.",
            b"c_codecs\nencode\n(V\\u20ac\nVlatin1\ntR.",
        ] {
            assert!(matches!(read_all(other).unwrap()[0], Value::Object(_)), "{other:?}");
        }
        assert_eq!(read_all(b"Va\\u20ac\\u12\n.").unwrap()[0].text().as_deref(), Some("a€\\u12"));
        let mixed = read_all(b"(dVa\nI1\nscos\nx\nI2\ns.").unwrap().remove(0);
        assert_eq!((mixed.unreadable(), mixed.pairs().len(), Value::Integer(1).unreadable(), Value::None.unreadable()), (1, 1, 1, 0));
    }

    #[test]
    fn hostile_files_are_refused_or_stay_small() {
        // A list that holds itself twice, fifty times over: 2^50 values if it were copied.
        let mut doubling = b"(lp0\n".to_vec();
        for n in 0..50 {
            doubling.extend(format!("(g{n}\ng{n}\nlp{}\n", n + 1).bytes());
        }
        doubling.push(b'.');
        read_all(&doubling).unwrap();
        let mut deep = vec![b'('; 0];
        deep.extend(b"]".repeat(200_000));
        deep.extend(b"a".repeat(199_999));
        deep.push(b'.');
        read_all(&deep).unwrap();
        for bad in [&b"X\xff\xff\xff\xff"[..], b"\x80\x05N.", b"g7\n.", b"a.", b"e.", b"I1x\n.", b"\x95\0\0\0\0\0\0\0\0.", b"("] {
            assert!(read_all(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_stops_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
        }
    }
}
