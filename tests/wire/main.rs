//! The listener over real sockets: every command, every limit, every trick with line ends.

mod chunks;
mod commands;
mod content;
mod crowd;
mod limits;
mod lmtp;
mod shutdown;
mod smuggling;
mod support;
mod tls;
