//! A mail with a liaison statement, read: each field with where it was found.

pub mod contacts;
pub mod dates;
pub mod sheet;
pub mod values;
