//! The way from an accepted post to the relay, against a relay written for these tests.

mod announced;
mod flow;
mod relay;
mod sink;
mod world;
