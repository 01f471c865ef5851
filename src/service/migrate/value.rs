//! Values of a pickle, shared and never copied, and the questions that are asked of them.

use std::rc::Rc;

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
    /// A name whose call stands for octets; what it names is never looked up.
    Octets(Maker),
}

/// A way in which Python 3 writes octets in the old protocols (`Lib/pickle.py`, `save_bytes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// `_codecs.encode(text, 'latin1')`.
    Encode,
    /// `bytes()`, which is empty.
    Bytes,
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

    /// How much of a table of texts, or of a list of them, cannot be read as such: keys or elements; all of another value is one.
    pub fn unreadable(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Map(map) => map.borrow().iter().filter(|(key, _)| key.text().is_none()).count(),
            Self::List(list) => list.borrow().iter().filter(|value| value.text().is_none()).count(),
            _ => 1,
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
