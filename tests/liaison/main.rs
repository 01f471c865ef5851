//! Liaison statements from mail to record: a corpus that these tests write themselves, and what hostile files do.

mod bench;
mod corpus;
mod document;
mod docx;
mod follow;
mod identity;
mod odd;
mod traps;
mod words;
