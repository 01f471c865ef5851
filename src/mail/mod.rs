//! Bytes to values and back: what a message says, what a copy looks like, what a token carries.
//!
//! No sockets, no disk, no clock: bytes and instants are passed in. Nothing here decides who may do what
//! (`domain::gate`) or looks anything up. A message from outside is scanned for nesting before the parser sees it;
//! whoever needs the parsed tree asks [`content::parse`] for it and nothing else.

pub mod author;
pub mod calendar;
pub mod command;
pub mod compose;
pub mod content;
pub mod convening;
pub mod digest;
pub mod docx;
pub mod field;
mod footer;
pub mod headers;
pub mod html;
pub mod links;
pub mod mbox;
pub mod message;
pub mod pdf;
pub mod report;
mod seals;
pub mod sign;
mod signatures;
pub mod statement;
pub mod token;
pub mod write;
