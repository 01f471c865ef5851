//! What stands behind `subscribe` and `unsubscribe`: obeyed where it is understood, refused where it is not.
//!
//! Other list programs take a list's name, an address, a person's name or a delivery there. Somebody else's address, or another list's
//! name, must never be read as one's own.

use super::{Command, Problem};
use crate::domain::subscription::DeliveryMode;

const SUBSCRIBE_EXPECTED: &str = "subscribe, or subscribe digest";
const UNSUBSCRIBE_EXPECTED: &str = "unsubscribe";

/// Words of politeness that change nothing.
const FILLING: [&str; 28] = [
    "me", "my", "please", "from", "to", "this", "the", "list", "group", "mailing", "now", "por", "favor", "de", "del", "la", "esta",
    "este", "lista", "grupo", "s'il", "vous", "plaît", "svp", "cette", "liste", "à", "a",
];

impl Command {
    /// The command as it is meant by somebody who has these addresses and writes to a list with these names (all in lower case).
    ///
    /// What is neither hers nor the list's is [`Command::Unknown`]: nothing is guessed.
    #[must_use]
    pub fn of_sender(self, names: &[String], addresses: &[String]) -> Self {
        match self {
            Self::SubscribeWith(words) => match meant(&words, names, addresses) {
                Some(None) => Self::Subscribe,
                Some(Some(mode)) => Self::SubscribeAs(mode),
                None => Self::Unknown(format!("subscribe {}", words.join(" ")), Problem::Arguments(SUBSCRIBE_EXPECTED)),
            },
            Self::UnsubscribeWith(words) => match meant(&words, names, addresses) {
                Some(None) => Self::Unsubscribe,
                _ => Self::Unknown(format!("unsubscribe {}", words.join(" ")), Problem::Arguments(UNSUBSCRIBE_EXPECTED)),
            },
            other => other,
        }
    }
}

/// The delivery that the words ask for, if any; `None` when one of them is not understood.
#[allow(clippy::option_option, reason = "no delivery, and words that are not understood, are two things")]
fn meant(words: &[String], names: &[String], addresses: &[String]) -> Option<Option<DeliveryMode>> {
    let (mut mode, mut is_named) = (None, false);
    for word in words {
        let bare = |word: &str| word.trim_matches(|c: char| ",.;:!<>\"'()".contains(c)).to_owned();
        let word = bare(word);
        let word = word.strip_prefix("address=").map_or_else(|| word.clone(), bare);
        match word.as_str() {
            "" => {}
            "digest" => mode = Some(DeliveryMode::Digest),
            "nodigest" => mode = Some(DeliveryMode::Each),
            "nomail" => mode = Some(DeliveryMode::None),
            word if names.iter().any(|name| name == word) => is_named = true,
            word if addresses.iter().any(|address| address == word) || FILLING.contains(&word) => {}
            // `subscribe LIST First Last`, as LISTSERV and Sympa have it.
            word if is_named && word.chars().all(|c| c.is_alphabetic() || "-'’.".contains(c)) => {}
            _ => return None,
        }
    }
    Some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_is_obeyed_or_refused() {
        let names = ["sg12rg-amr".to_owned(), "sg12rg-amr@lists.example.org".to_owned()];
        let addresses = ["ana@example.org".to_owned(), "ana@home.example".to_owned()];
        let of = |line: &str| super::super::read("", line).remove(0).of_sender(&names, &addresses);
        for line in [
            "subscribe",
            "subscribe SG12RG-AMR Ana Example-Ruiz",
            "subscribe ana@example.org",
            "subscribe address=Ana@home.example",
            "join me please",
        ] {
            assert_eq!(of(line), Command::Subscribe, "{line}");
        }
        assert_eq!(of("subscribe digest"), Command::SubscribeAs(DeliveryMode::Digest));
        assert_eq!(of("subscribe nodigest address=ana@example.org"), Command::SubscribeAs(DeliveryMode::Each));
        for line in ["unsubscribe", "unsubscribe <ANA@home.example>", "unsubscribe me from this list", "sig sg12rg-amr"] {
            assert_eq!(of(line), Command::Unsubscribe, "{line}");
        }
        for line in
            ["unsubscribe bob@example.org", "unsubscribe sg12rg-afr", "unsubscribe digest", "unsubscribe sg12rg-amr bob@example.org"]
        {
            assert_eq!(of(line), Command::Unknown(line.to_owned(), Problem::Arguments(UNSUBSCRIBE_EXPECTED)), "{line}");
        }
        for line in ["subscribe bob@example.org", "subscribe sg12rg-afr", "subscribe secret"] {
            assert_eq!(of(line), Command::Unknown(line.to_owned(), Problem::Arguments(SUBSCRIBE_EXPECTED)), "{line}");
        }
    }
}
