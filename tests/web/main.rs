//! The pages from outside: over a real socket, with a real store.

mod api;
mod authority;
mod browser;
mod confirm;
mod conformance;
mod feeds;
mod headers;
mod hostile;
mod leftovers;
mod managing;
mod oidc;
mod sign_in;
mod site;
mod stage;
mod unsubscribe;
