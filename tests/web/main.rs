//! The pages from outside: over a real socket, with a real store.

mod headers;
mod sign_in;
mod site;
mod unsubscribe;
