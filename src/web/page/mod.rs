//! One file a noun: what a page shows.

pub mod admin;
pub mod archive;
pub mod calendar;
pub mod choices;
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
pub mod unsubscribe;
