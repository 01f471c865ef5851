//! The way from an accepted post to the relay, against a relay written for these tests.

mod relay;
mod sink;
