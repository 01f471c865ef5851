//! Full-text search over the archives: an index on disk that is a cache of the record.
//!
//! `analysis` turns text of each language into terms, `detect` guesses the language of a text, `question` reads what people
//! type, `index` keeps the terms (tantivy) and the threads. Not here: what is archived, who may read it, and messages; the
//! service feeds entries and asks. The surprise: nothing here is worth a backup, for it is made again from the record.

pub mod analysis;
pub mod detect;
pub mod document;
pub mod index;
pub mod question;

pub use index::{Entry, Found, Index, Scope, SearchError};
pub use question::Question;
