//! Reads what Python 2 pickled, without executing anything.
//!
//! A pickle is a program for a stack machine. This reader knows the instructions that make values, and takes a class or a call only
//! as an opaque mark, so that no name is ever looked up and nothing is ever called. Values are shared, never copied, so a file that
//! doubles a list fifty times stays as small in memory as it is on disk. Protocols 0 to 2, which is all that Mailman 2 wrote.

use std::collections::HashMap;
use std::rc::Rc;

/// Most values of one file.
const VALUES: usize = 20_000_000;
/// Deepest nesting that is followed when values are looked at.
const STACK: usize = 1_000_000;

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// A whole number; larger ones are cut.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text of either kind, as octets.
    Text(Rc<[u8]>),
    /// A list, tuple or set.
    List(Rc<std::cell::RefCell<Vec<Value>>>),
    /// A dictionary, in order.
    Map(Rc<std::cell::RefCell<Vec<(Value, Value)>>>),
    /// An instance of a class, of which only the state is kept.
    Object(Rc<std::cell::RefCell<Option<Value>>>),
}

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
                    self.push(text(&if op == b'S' { unescaped(line) } else { line.to_vec() }))?;
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
                b'c' => {
                    self.line()?;
                    self.line()?;
                    self.opaque()?;
                }
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
                    self.pop()?;
                    self.pop()?;
                    self.opaque()?;
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

impl Value {
    /// As text in the old list's charset: UTF-8 if it is, else Latin-1.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Text(octets) => Some(match std::str::from_utf8(octets) {
                Ok(text) => text.to_owned(),
                Err(_) => octets.iter().map(|octet| char::from(*octet)).collect(),
            }),
            _ => None,
        }
    }

    /// As a number; truth is 1.
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bool(yes) => Some(i64::from(*yes)),
            #[allow(clippy::cast_possible_truncation, reason = "instants of a mailing list are small")]
            Self::Float(number) => Some(*number as i64),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn items(&self) -> Vec<Self> {
        match self {
            Self::List(list) => list.borrow().clone(),
            _ => Vec::new(),
        }
    }

    /// All pairs of a dictionary.
    pub fn entries(&self) -> Vec<(Self, Self)> {
        match self {
            Self::Map(map) => map.borrow().clone(),
            _ => Vec::new(),
        }
    }

    /// The pairs of a dictionary whose keys are texts.
    pub fn pairs(&self) -> Vec<(String, Self)> {
        match self {
            Self::Map(map) => map.borrow().iter().filter_map(|(key, value)| Some((key.text()?, value.clone()))).collect(),
            _ => Vec::new(),
        }
    }
}

impl Drop for Value {
    /// Nested lists are dropped without recursion: a file of a million `]` in each other would end the process otherwise.
    fn drop(&mut self) {
        let mut waiting = Vec::new();
        children(self, &mut waiting);
        while let Some(mut value) = waiting.pop() {
            children(&mut value, &mut waiting);
        }
    }
}

/// Takes the children out of a value that nobody else holds.
fn children(value: &mut Value, waiting: &mut Vec<Value>) {
    match value {
        Value::List(list) => {
            if let Some(list) = Rc::get_mut(list) {
                waiting.append(list.get_mut());
            }
        }
        Value::Map(map) => {
            if let Some(map) = Rc::get_mut(map) {
                waiting.extend(map.get_mut().drain(..).flat_map(|(key, value)| [key, value]));
            }
        }
        Value::Object(object) => {
            if let Some(object) = Rc::get_mut(object) {
                waiting.extend(object.get_mut().take());
            }
        }
        _ => {}
    }
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
