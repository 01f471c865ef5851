//! Where accounts come from. Knows people, not mail, and no rights: what an account may do is `domain::gate`.

pub mod builtin;
pub mod ldap;
pub mod oidc;
pub mod table;
