//! One file a noun: what a page shows.

#![allow(clippy::missing_errors_doc, reason = "a page fails with its `Problem`, which the guard makes the page of")]

pub mod admin;
pub mod archive;
pub mod calendar;
pub mod choices;
pub mod confirm;
pub mod feed;
pub mod group;
pub mod liaison;
pub mod manage;
pub mod me;
pub mod meeting;
pub mod oidc;
pub mod own_data;
pub mod rich;
pub mod sign_in;
pub mod statement_words;
pub mod unsubscribe;
