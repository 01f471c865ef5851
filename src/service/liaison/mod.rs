//! Liaison statements: taken from a mail, judged, circulated in each reader's language, followed until answered.
//!
//! The rules are `domain::liaison`, the reading is `mail::statement`; here facts are fetched and decisions are carried out.
//! A flow, a page, a mail and the command line call the same functions. What happened is a list of events that is only
//! ever appended to; what went out are posts of their own, found by the statement's identifier.

mod circulate;
mod correct;
mod draft;
mod edition;
mod entry;
mod export;
mod files;
mod follow;
mod handling;
mod intake;
mod judge;
pub mod pdf;
mod place;
mod receipt;
mod record;
mod register;
mod remind;
mod wishes;
mod withdraw;

pub use circulate::{circulate, send_due};
pub use correct::correct;
pub use draft::{Matter, draft};
pub use edition::{attachment_url, page_url};
pub use entry::{Submitted, answer_receipt, confirmed, may_liaise, posts_of_mail, submit_file, unknown_group};
pub use export::{Bundle, Form as ExportForm, export};
pub use follow::{answer, close};
pub use handling::{acknowledge, reassign, resend, take};
pub use intake::{Answered, Mail, NewMail, group_of, preview, read, submit, taken_before};
pub use receipt::{Receipt, problem_in_words, route_reason, send_receipt};
pub use record::{Dossier, Sent};
pub use register::{
    AttachmentFile, Filter, Found, Line, RouteView, Shown, TEXTS_READ, attachment, contacts_of, erase_contacts, find, list, poster, search,
    show, show_in, statement,
};
pub use remind::remind;
pub use wishes::{send_digest, set_wish, wish, wishes};
pub use withdraw::withdraw;
