//! One file a noun: what a page shows.

pub mod calendar;
pub mod group;
pub mod sign_in;
pub mod unsubscribe;
