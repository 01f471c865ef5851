//! One file a noun: what a page shows.

pub mod group;
pub mod unsubscribe;
