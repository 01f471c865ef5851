//! Liaison statements from mail to record: a corpus that these tests write themselves, and what hostile files do.

mod corpus;
mod document;
mod docx;
