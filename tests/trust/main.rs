//! Who sent it, what we sign, who may log in, and what an attacker does not gain. Real peers: dkimpy, OpenDKIM, Postfix.

mod crowd;
mod fuzz;
mod hostile;
mod meeting;
mod opendkim;
mod proof;
mod quarantine;
mod readers;
mod signer;
mod signing;
mod submission;
#[path = "../support/mod.rs"]
mod support;
mod synced;
mod trail;
