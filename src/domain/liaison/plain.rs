//! Text of ITU documents made comparable.
//!
//! ITU texts are full of characters that look alike: non-breaking hyphens (`ITU<U+2011>T`), no-break spaces before
//! colons, full-width punctuation, bidirectional marks. [`plain`] mends what is shown and stored, [`key`] goes further and
//! gives the form in which two texts are compared; a key is never shown.

/// Is it one of the marks that change the direction of writing, or of no width at all?
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{180e}')
}

/// Is it a colon of any script?
pub fn is_colon(c: char) -> bool {
    matches!(c, ':' | '\u{ff1a}' | '\u{fe55}' | '\u{2236}' | '\u{a789}' | '\u{fe13}')
}

/// One line for people: hyphens that do not break become plain ones, all white space one space, invisible marks and
/// controls are gone. A soft hyphen stands for a hyphen between capitals (`ITU<U+00AD>T`) and for nothing elsewhere.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut last = ' ';
    while let Some(c) = characters.next() {
        let c = match c {
            '\u{2010}' | '\u{2011}' | '\u{fe63}' | '\u{ff0d}' => '-',
            '\u{ad}' if last.is_uppercase() && characters.peek().is_some_and(|next| next.is_uppercase()) => '-',
            '\u{ad}' => continue,
            c if is_invisible(c) => continue,
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c,
        };
        if c == ' ' && last == ' ' {
            continue;
        }
        out.push(c);
        last = c;
    }
    out.truncate(out.trim_end().len());
    out
}

/// Several lines for people: as [`plain`], line by line, at most one empty line in a row, none at the ends.
pub fn plain_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(plain) {
        if !(line.is_empty() && (out.is_empty() || out.ends_with("\n\n"))) {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The form in which words are compared: letters and digits only, lower case, without accents, full-width and
/// Arabic-Indic digits as ASCII, the variants of alef, ye and te marbuta as one.
pub fn key(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        fold_into(c, &mut out, false);
    }
    out
}

/// As [`key`], but runs of other characters stay as one space: for finding words in a text.
pub fn words_key(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        fold_into(c, &mut out, true);
    }
    out.truncate(out.trim_end().len());
    out
}

/// Does the text have these words, one after the other? Both are in the form of [`words_key`].
/// In scripts without spaces between words any place counts.
pub fn has_words(text: &str, words: &str) -> bool {
    if words.is_empty() {
        return false;
    }
    text.match_indices(words).any(|(at, found)| {
        let unspaced = words.chars().all(|c| c >= '\u{2e80}');
        let before = text[..at].chars().next_back().is_none_or(|c| c == ' ');
        let after = text[at + found.len()..].chars().next().is_none_or(|c| c == ' ');
        unspaced || (before && after)
    })
}

fn fold_into(c: char, out: &mut String, spaces: bool) {
    let c = match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0).unwrap_or(c),
        '\u{0660}'..='\u{0669}' => char::from_u32(c as u32 - 0x0660 + u32::from(b'0')).unwrap_or(c),
        '\u{06f0}'..='\u{06f9}' => char::from_u32(c as u32 - 0x06f0 + u32::from(b'0')).unwrap_or(c),
        c => c,
    };
    // Combining accents, Arabic vowel signs and the stretching mark carry no meaning here.
    if matches!(c, '\u{0300}'..='\u{036f}' | '\u{064b}'..='\u{065f}' | '\u{0640}' | '\u{0670}' | '\u{ad}') || is_invisible(c) {
        return;
    }
    if !c.is_alphanumeric() {
        if spaces && !out.is_empty() && !out.ends_with(' ') {
            out.push(' ');
        }
        return;
    }
    for lower in c.to_lowercase() {
        match lower {
            'à'..='å' | 'ā' | 'ă' | 'ą' => out.push('a'),
            'ç' | 'ć' | 'č' => out.push('c'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => out.push('e'),
            'ì'..='ï' | 'ī' | 'ı' => out.push('i'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò'..='ö' | 'ø' | 'ō' => out.push('o'),
            'ù'..='ü' | 'ū' | 'ů' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'œ' => out.push_str("oe"),
            'æ' => out.push_str("ae"),
            'ß' => out.push_str("ss"),
            'ё' => out.push('е'),
            'й' => out.push('и'),
            'أ' | 'إ' | 'آ' | 'ٱ' => out.push('ا'),
            'ى' | 'ی' => out.push('ي'),
            'ة' => out.push('ه'),
            'ک' => out.push('ك'),
            '\u{0300}'..='\u{036f}' => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyphens_and_spaces_of_itu_texts_become_plain() {
        assert_eq!(plain("ITU\u{2011}T\u{a0}SG12\u{202f}"), "ITU-T SG12");
        assert_eq!(plain("ITU\u{ad}T liai\u{ad}son"), "ITU-T liaison");
        assert_eq!(plain("\u{200f}العنوان\u{061c}:\r\n\tx"), "العنوان: x");
        assert_eq!(plain_lines("\n\n a \n\n\n\nb\n"), "a\n\nb");
    }

    #[test]
    fn keys_ignore_case_accents_hyphens_spaces_and_colons() {
        for (a, b) in [
            ("Question(s):", "QUESTIONS"),
            ("Cuestio\u{301}n(es)\u{a0}:", "cuestion(es)"),
            ("E\u{2011}mail", "Email"),
            ("Résumé :", "RESUME"),
            ("标题：", "标题"),
            ("المسألة (المسائل):", "المسأله المسائل"),
            ("\u{061c}المصدر:", "المصدر"),
            ("Краткое  содержание:", "краткое содержание"),
        ] {
            assert_eq!(key(a), key(b), "{a} / {b}");
        }
        assert_ne!(key("Source"), key("Sources2"));
    }

    #[test]
    fn words_are_found_as_words() {
        assert!(has_words(&words_key("agreed by correspondence."), "correspondence"));
        assert!(!has_words(&words_key("the correspondences"), "correspondence"));
        assert!(has_words(&words_key("以信函方式批准"), "信函"));
    }
}
