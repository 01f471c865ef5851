//! HTML from mail, made harmless: capped first, because cleaning deeply nested HTML takes the square of its depth, then cleaned.
//!
//! What is left: text, structure, links that open without a referrer. No image, no style, no form, nothing that is fetched. Where a
//! cap is hit there is no HTML, and the page shows text.

use std::collections::HashSet;

use mail_parser::MimeHeaders;

use crate::mail::content;

/// Largest HTML that is looked at, in octets.
const OCTETS: usize = 1_000_000;
/// Largest cleaned HTML that a page shows, in octets.
const SHOWN_OCTETS: usize = 40_000;
/// Deepest nesting.
const DEPTH: usize = 256;
/// Most attributes of one tag.
const ATTRIBUTES: usize = 256;

/// The HTML body of a message, cleaned; `None` when it has none, or is more than the caps allow.
pub fn html_of(message: &[u8]) -> Option<String> {
    let parsed = content::parse(message).ok()?;
    let part = parsed.html_body.iter().find_map(|place| {
        let part = parsed.parts.get(usize::try_from(*place).ok()?)?;
        part.is_content_type("text", "html").then_some(part)
    })?;
    let html = text_of(part.text_contents()?);
    (within_caps(&html)).then(|| clean(&html)).filter(|clean| clean.len() <= SHOWN_OCTETS && !clean.trim().is_empty())
}

/// Without controls, which a reader's terminal could obey when a page is copied into it.
fn text_of(html: &str) -> String {
    html.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect()
}

/// Does the HTML keep to the caps? Counts tags without understanding them: never less than a parser would find.
fn within_caps(html: &str) -> bool {
    if html.len() > OCTETS {
        return false;
    }
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap_or(tag);
        // Without a closing `>` everything that follows is of this tag.
        if inside.matches('=').count().max(inside.split_ascii_whitespace().count()) > ATTRIBUTES {
            return false;
        }
        match tag.as_bytes().first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(first) if first.is_ascii_alphabetic() && !is_void(inside) => depth += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest <= DEPTH
}

/// Elements that never nest (HTML 13.1.2), and paragraphs and items, whose end people leave out.
fn is_void(tag: &str) -> bool {
    let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    matches!(
        name.as_str(),
        "br" | "img" | "hr" | "meta" | "link" | "input" | "col" | "wbr" | "area" | "base" | "p" | "li" | "td" | "tr" | "th" | "dd" | "dt"
    )
}

fn clean(html: &str) -> String {
    ammonia::Builder::default()
        .tags(HashSet::from([
            "a",
            "b",
            "blockquote",
            "br",
            "caption",
            "code",
            "dd",
            "del",
            "dl",
            "dt",
            "em",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "i",
            "ins",
            "li",
            "ol",
            "p",
            "pre",
            "s",
            "small",
            "strong",
            "sub",
            "sup",
            "table",
            "tbody",
            "td",
            "tfoot",
            "th",
            "thead",
            "tr",
            "u",
            "ul",
            "div",
            "span",
        ]))
        .generic_attributes(HashSet::from(["dir", "lang"]))
        .tag_attributes(
            [("a", HashSet::from(["href"])), ("td", HashSet::from(["colspan", "rowspan"])), ("th", HashSet::from(["colspan", "rowspan"]))]
                .into(),
        )
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"))
        .clean(html)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(html: &str) -> Option<String> {
        html_of(format!("Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{html}").as_bytes())
    }

    #[test]
    fn nothing_that_runs_or_is_fetched_is_left() {
        let html = "<p onclick=alert(1) style='background:url(//evil.example)'>Hi <img src=//evil.example/x.png><script>alert(1)</script>\
                    <a href='javascript:alert(1)'>a</a><a href='//evil.example'>b</a><a href='https://x.example/'>c</a>\
                    <svg onload=alert(1)><form action=/sign-out><input><button>x</button></form><iframe src=x></iframe><style>p{}</style>\
                    <math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>";
        let clean = shown(html).unwrap();
        for gone in
            ["onclick", "style", "<img", "<script", "javascript:", "//evil", "<svg", "<form", "<input", "<iframe", "onerror=alert(1)>"]
        {
            assert!(!clean.contains(gone), "{gone} in {clean}");
        }
        assert!(clean.contains("https://x.example/") && clean.contains("noreferrer"), "{clean}");
    }

    #[test]
    fn a_bomb_is_not_cleaned_but_left_out() {
        let began = std::time::Instant::now();
        assert_eq!(shown(&"<div>".repeat(10_000)), None);
        assert_eq!(shown(&format!("<p {}>x", "a=1 ".repeat(100_000))), None);
        assert_eq!(shown(&"x".repeat(OCTETS + 1)), None);
        assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(shown(&"<p>paragraph<br>".repeat(300)).is_some(), "unclosed paragraphs are no nesting");
    }
}
