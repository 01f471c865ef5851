//! The text of HTML, as a person reads it: each block on a line of its own, cells with a blank between them, nothing that is not shown.
//!
//! One linear pass over what strangers send, bounded by its caller; a tree is not needed for words and lines, and building one takes
//! the square of its depth. mail-parser's own reduction joins items, cells and blocks, and ends a tag at a `>` within quotes; its
//! table of character references is used.

use mail_parser::decoders::html::add_html_token;
use memchr::memmem;

/// Longest character reference that is looked for, in octets.
const REFERENCE: usize = 34;

/// What stands between the words before and those after; the larger one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Blank,
    Line,
    /// `<br><br>`: an empty line.
    Empty,
}

struct Writer {
    text: String,
    gap: Gap,
    /// Depth of `pre`, whose white space counts.
    verbatim: usize,
}

impl Writer {
    fn widen(&mut self, gap: Gap) {
        self.gap = self.gap.max(gap);
    }

    fn push(&mut self, piece: &str) {
        let between = match self.gap {
            Gap::None => "",
            Gap::Blank => " ",
            Gap::Line => "\n",
            Gap::Empty => "\n\n",
        };
        let needless = self.text.is_empty() || (self.gap == Gap::Blank && self.text.ends_with('\n'));
        if !needless {
            self.text.push_str(between);
        }
        self.gap = Gap::None;
        self.text.push_str(piece);
    }

    /// Words between tags, with their references.
    fn words(&mut self, mut words: &str) {
        while let Some(first) = words.bytes().next() {
            if self.verbatim == 0 && first.is_ascii_whitespace() {
                self.widen(Gap::Blank);
                words = words.trim_ascii_start();
                continue;
            }
            let length = match first {
                b'&' => reference(words).unwrap_or(1),
                _ => words.bytes().position(|b| b == b'&' || (self.verbatim == 0 && b.is_ascii_whitespace())).unwrap_or(words.len()),
            };
            let (piece, rest) = words.split_at(length);
            if length > 1 && first == b'&' {
                let mut sign = String::new();
                add_html_token(&mut sign, piece.as_bytes(), false);
                self.push(&sign);
            } else {
                self.push(piece);
            }
            words = rest;
        }
    }

    /// What an element does where it begins (or, with `closes`, ends).
    fn element(&mut self, name: &str, closes: bool) {
        match name {
            "br" if self.gap >= Gap::Line => self.widen(Gap::Empty),
            "br" => self.widen(Gap::Line),
            "td" | "th" => self.widen(Gap::Blank),
            "pre" => {
                self.widen(Gap::Line);
                self.verbatim = if closes { self.verbatim.saturating_sub(1) } else { self.verbatim + 1 };
            }
            name if BLOCKS.contains(&name) => self.widen(Gap::Line),
            _ => {}
        }
    }
}

/// Elements that stand on lines of their own (HTML 15.3.3 and 15.3.7 to 15.3.9).
const BLOCKS: [&str; 39] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "legend",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "section",
    "summary",
    "table",
    "tr",
    "ul",
];

/// Elements whose content is not shown, up to their end tag.
const UNSEEN: [&str; 5] = ["script", "style", "template", "title", "noframes"];

/// Octets of the character reference at the beginning.
fn reference(text: &str) -> Option<usize> {
    let end = text.bytes().take(REFERENCE).position(|b| b == b';')?;
    (end > 1 && text[1..end].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#')).then_some(end + 1)
}

/// The text of `html`; lines end with LF.
pub fn text_of(html: &str) -> String {
    let mut writer = Writer { text: String::with_capacity(html.len() / 2), gap: Gap::None, verbatim: 0 };
    let mut quotes = Quotes::default();
    let mut at = 0;
    while let Some(start) = memchr::memchr(b'<', &html.as_bytes()[at..]).map(|found| at + found) {
        writer.words(&html[at..start]);
        let inside = &html[start + 1..];
        let closes = inside.starts_with('/');
        let name_at = usize::from(closes);
        at = match inside.as_bytes().get(name_at) {
            _ if inside.starts_with("!--") => comment_end(html, start),
            Some(b'!' | b'?') => tag_end(html, start),
            Some(first) if first.is_ascii_alphabetic() => {
                let name: String =
                    inside[name_at..].chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
                let end = quotes.tag_end(html, start + 1 + name_at + name.len());
                writer.element(&name, closes);
                if !closes && UNSEEN.contains(&name.as_str()) { unseen_end(html, end, &name) } else { end }
            }
            // A sign of its own, as in "2 < 3".
            _ => {
                writer.push("<");
                start + 1
            }
        };
    }
    writer.words(&html[at..]);
    writer.text
}

/// Behind the comment that begins at `start`; one that does not end hides everything.
fn comment_end(html: &str, start: usize) -> usize {
    let body = start + "<!--".len();
    if html[body..].starts_with('>') {
        return body + 1;
    }
    memmem::find(&html.as_bytes()[body..], b"-->").map_or(html.len(), |end| body + end + 3)
}

fn tag_end(html: &str, from: usize) -> usize {
    memchr::memchr(b'>', &html.as_bytes()[from..]).map_or(html.len(), |end| from + end + 1)
}

/// Where the content of the element ends that began before `from`.
fn unseen_end(html: &str, from: usize, name: &str) -> usize {
    let mut at = from;
    while let Some(found) = memmem::find(&html.as_bytes()[at..], b"</").map(|found| at + found) {
        at = found + 2;
        if html.as_bytes()[at..].get(..name.len()).is_some_and(|there| there.eq_ignore_ascii_case(name.as_bytes())) {
            return found;
        }
    }
    html.len()
}

/// Which quotation marks do not come any more, so that no part of the text is looked through twice.
#[derive(Default)]
struct Quotes {
    no_double: bool,
    no_single: bool,
}

impl Quotes {
    /// Behind the `>` of the tag whose attributes begin at `at`: one within a quoted value (HTML 13.1.2.3) does not end it.
    fn tag_end(&mut self, html: &str, mut at: usize) -> usize {
        let octets = html.as_bytes();
        while let Some(found) = octets[at..].iter().position(|b| matches!(b, b'>' | b'=')).map(|found| at + found) {
            at = found + 1;
            if octets[found] == b'>' {
                return at;
            }
            let blanks = octets[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
            let Some(mark @ (b'"' | b'\'')) = octets.get(at + blanks) else { continue };
            let missing = if *mark == b'"' { &mut self.no_double } else { &mut self.no_single };
            let value = at + blanks + 1;
            if *missing {
                continue;
            }
            match memchr::memchr(*mark, &octets[value..]) {
                Some(end) => at = value + end + 1,
                None => *missing = true,
            }
        }
        html.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_break_lines_and_cells_are_apart() {
        for (html, text) in [
            ("<ul><li>Alpha</li><li>Beta</li></ul>", "Alpha\nBeta"),
            ("<table><tr><th>Day</th><th>Room</th></tr><tr><td>Mon</td><td>A</td></tr></table>", "Day Room\nMon A"),
            ("<div>one</div><div>two <b>bold</b>face</div>three", "one\ntwo boldface\nthree"),
            ("<h1>Title</h1><p>First</p>\r\n<p>Second<br>line<br><br>apart</p>", "Title\nFirst\nSecond\nline\n\napart"),
            ("<p title=\"a > b\">seen</p><p title='>'>too</p>", "seen\ntoo"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc"),
            ("<head><title>no</title><style>p{}</style></head><body>yes<script>if (a<b) x()</SCRIPT> and</body>", "yes and"),
            ("a &amp; b &lt;x&gt; &eacute;&#8211;&#x41; &nosuch; 2 < 3 & 4", "a & b <x> é–A &nosuch; 2 < 3 & 4"),
            ("a<!-- > not <p> -->b<!-->c", "abc"),
            ("<dl><dt>Term</dt><dd>Meaning</dd></dl><blockquote>said</blockquote>", "Term\nMeaning\nsaid"),
            ("<o:p></o:p>word<a href=x>link</a>", "wordlink"),
            ("<p>unended <b", "unended"),
        ] {
            assert_eq!(text_of(html).trim_end(), text, "{html}");
        }
    }

    #[test]
    fn a_megabyte_of_open_quotes_takes_no_time() {
        let began = std::time::Instant::now();
        for piece in ["<a b=\">", "<a b='", "<script></", "<!-", "&amp", "<pre>&;", "</style>", "<a =\" '>"] {
            text_of(&piece.repeat(1024 * 1024 / piece.len()));
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(html in "(<|>|&|;|\"|'|=|/|!|-|é|script|pre|br| |\n|a|#|x){0,60}") {
            text_of(&html);
        }
    }
}
