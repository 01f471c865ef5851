//! The command line: read input, call one service, print the answer.

pub mod account;
pub mod archive;
pub mod arguments;
pub mod audit;
pub mod backup;
pub mod bounce;
pub mod check;
pub mod control;
pub mod directory;
pub mod dkim;
pub mod execute;
pub mod explain;
pub mod group;
pub mod hold;
pub mod key;
pub mod liaison;
pub mod meeting;
pub mod member;
pub mod migrate;
pub mod queue;
pub mod records;
pub mod report;
pub mod run;
pub mod store;
pub mod token;
pub mod webhook;
