//! Meetings from outside: calendar objects before other readers, and two simulated years of notices.

mod calendar;
mod given;
mod grace;
mod service;
mod years;
