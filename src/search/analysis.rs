//! Text into terms, in each language by its own rules.
//!
//! Every language: lower case, compatibility digits left alone, accents and combining marks folded. English, French, Spanish and
//! Russian are stemmed (Snowball). Arabic loses vowel marks, the article and the commonest endings, which the stemmer of the
//! index leaves apart (`بيان` and `بيانات`). Chinese has no spaces, so it is cut into overlapping pairs of characters.
//! The surprise: Snowball needs the accent of Spanish `-ción`, which people leave out when they search, so it is put back first.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language as Snowball, Stemmer, TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager,
};

use super::detect;
use super::question::{Place, Question};

/// Fields of text: each language that has rules, and what is in none of them.
pub const FIELDS: [&str; 7] = ["en", "fr", "es", "ar", "zh", "ru", "any"];

/// Longest word that becomes a term, in octets; what is longer is an encoded something.
const WORD_OCTETS: usize = 64;

/// How words of a field are normalised before the stemmer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    Spanish,
    Arabic,
    Russian,
}

/// Cuts text into words and pairs of Chinese characters.
#[derive(Debug, Clone)]
struct Words {
    manner: Manner,
    tokens: Vec<Token>,
}

/// Gives out what was cut.
struct Cut<'a> {
    tokens: &'a mut Vec<Token>,
    next: usize,
}

impl Tokenizer for Words {
    type TokenStream<'a> = Cut<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Cut<'a> {
        self.tokens.clear();
        cut(text, self.manner, &mut self.tokens);
        Cut { tokens: &mut self.tokens, next: 0 }
    }
}

impl TokenStream for Cut<'_> {
    fn advance(&mut self) -> bool {
        self.next += 1;
        self.next <= self.tokens.len()
    }

    fn token(&self) -> &Token {
        &self.tokens[self.next - 1]
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokens[self.next - 1]
    }
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Marks that stand on a letter and do not part a word: combining accents, Arabic vowels, the Arabic lengthening stroke.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{200c}' | '\u{200d}')
}

fn cut(text: &str, manner: Manner, tokens: &mut Vec<Token>) {
    let mut position = 0;
    let mut push = |from: usize, to: usize, term: String| {
        if !term.is_empty() && term.len() <= WORD_OCTETS {
            tokens.push(Token { offset_from: from, offset_to: to, position, text: term, position_length: 1 });
            position += 1;
        }
    };
    let (mut word, mut start) = (String::new(), 0);
    let mut chinese: Vec<(usize, char)> = Vec::new();
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if is_chinese(c) {
            if !word.is_empty() {
                push(start, at, normal(&std::mem::take(&mut word), manner));
            }
            chinese.push((at, c));
            continue;
        }
        if !chinese.is_empty() {
            pairs(&chinese, at, &mut push);
            chinese.clear();
        }
        if is_mark(c) {
            continue;
        }
        if c.is_alphanumeric() {
            if word.is_empty() {
                start = at;
            }
            // A run of letters without end is no word, and is not kept whole.
            if word.len() <= WORD_OCTETS * 2 {
                word.extend(c.to_lowercase());
            }
        } else if !word.is_empty() {
            push(start, at, normal(&std::mem::take(&mut word), manner));
        }
    }
}

/// `研究组` gives `研究` and `究组`; a single character stands for itself.
fn pairs(run: &[(usize, char)], end: usize, push: &mut impl FnMut(usize, usize, String)) {
    if let [(at, c)] = run {
        push(*at, end, c.to_string());
        return;
    }
    for (number, pair) in run.windows(2).enumerate() {
        let to = run.get(number + 2).map_or(end, |(at, _)| *at);
        push(pair[0].0, to, pair.iter().map(|(_, c)| *c).collect());
    }
}

fn normal(word: &str, manner: Manner) -> String {
    match manner {
        Manner::Plain => word.to_owned(),
        Manner::Spanish => match word.strip_suffix("ion").filter(|front| front.ends_with(['c', 's'])) {
            Some(front) => format!("{front}ión"),
            None => word.to_owned(),
        },
        Manner::Russian => word.replace('ё', "е"),
        Manner::Arabic => arabic(word),
    }
}

/// Light stemming of Arabic, after Larkey's "light10": letters written in several ways, article, commonest endings.
fn arabic(word: &str) -> String {
    let mut letters: Vec<char> = word
        .chars()
        .map(|c| match c {
            'أ' | 'إ' | 'آ' | 'ٱ' => 'ا',
            'ى' => 'ي',
            'ة' => 'ه',
            other => other,
        })
        .collect();
    // Longest first; what is left keeps at least three letters, so that a short word is not taken apart.
    for prefix in ["وال", "بال", "كال", "فال", "لل", "ال"] {
        let length = prefix.chars().count();
        if letters.len() >= length + 3 && prefix.chars().eq(letters[..length].iter().copied()) {
            letters.drain(..length);
            break;
        }
    }
    if letters.len() >= 5 && letters[0] == 'و' {
        letters.remove(0);
    }
    for suffix in ["ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي"] {
        let length = suffix.chars().count();
        if letters.len() >= length + 3 && suffix.chars().eq(letters[letters.len() - length..].iter().copied()) {
            letters.truncate(letters.len() - length);
        }
    }
    letters.into_iter().collect()
}

/// The analyzer of one of [`FIELDS`].
pub fn analyzer(field: &str) -> TextAnalyzer {
    let words = |manner| TextAnalyzer::builder(Words { manner, tokens: Vec::new() });
    match field {
        "en" => words(Manner::Plain).filter(Stemmer::new(Snowball::English)).filter(AsciiFoldingFilter).build(),
        "fr" => words(Manner::Plain).filter(Stemmer::new(Snowball::French)).filter(AsciiFoldingFilter).build(),
        "es" => words(Manner::Spanish).filter(Stemmer::new(Snowball::Spanish)).filter(AsciiFoldingFilter).build(),
        "ru" => words(Manner::Russian).filter(Stemmer::new(Snowball::Russian)).build(),
        "ar" => words(Manner::Arabic).filter(AsciiFoldingFilter).build(),
        _ => words(Manner::Plain).filter(AsciiFoldingFilter).build(),
    }
}

/// The analyzers under their names, for the index.
pub fn manager() -> TokenizerManager {
    // With those of the library: `raw` is for names.
    let manager = TokenizerManager::default();
    for field in FIELDS {
        manager.register(field, analyzer(field));
    }
    manager
}

/// The terms of `text` in a field, in order.
pub fn terms(analyzer: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    analyzer.token_stream(text).process(&mut |token| terms.push(token.text.clone()));
    terms
}

/// Where in `text` the first of the wanted words stands, in octets; words are compared as the index compares them.
pub fn place(text: &str, question: &Question) -> Option<usize> {
    let field =
        detect::language_of(text).and_then(|language| FIELDS.into_iter().find(|field| *field == language.as_str())).unwrap_or("any");
    let mut analyzer = analyzer(field);
    let wanted: Vec<String> = question
        .parts
        .iter()
        .filter(|part| !part.unwanted && part.place != Place::Author)
        .flat_map(|part| terms(&mut analyzer, &part.words))
        .collect();
    let mut stream = analyzer.token_stream(text);
    while stream.advance() {
        let token = stream.token();
        if wanted.contains(&token.text) && text.is_char_boundary(token.offset_from) {
            return Some(token.offset_from);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(field: &str, forms: &[&str]) {
        let of = |text: &str| terms(&mut analyzer(field), text);
        for form in forms {
            assert_eq!(of(form), of(forms[0]), "{field}: {form} and {}", forms[0]);
        }
    }

    #[test]
    fn inflected_forms_of_a_word_are_one_term() {
        same("es", &["declaración", "declaraciones", "declaracion", "DECLARACIÓN", "declaracio\u{301}n"]);
        same("es", &["reunión", "reuniones", "reunion"]);
        same("es", &["regional", "regionales"]);
        same("en", &["meeting", "meetings", "Meeting"]);
        same("fr", &["déclaration", "déclarations", "declaration", "DECLARATIONS"]);
        same("fr", &["réunion", "réunions", "reunion"]);
        same("ru", &["собрание", "собрания", "собраниями"]);
        same("ru", &["отчёт", "отчет"]);
        same("ar", &["بيان", "بيانات", "البيان", "البيانات", "بَيَان", "والبيان", "بيـــان"]);
        same("ar", &["لجنة", "اللجنة", "لجنه"]);
        same("any", &["Genève", "geneve", "GENEVE"]);
    }

    #[test]
    fn different_words_stay_apart_and_chinese_is_cut_into_pairs() {
        let of = |field: &str, text: &str| terms(&mut analyzer(field), text);
        assert_ne!(of("es", "casa"), of("es", "carta"));
        assert_ne!(of("ar", "بيان"), of("ar", "لجنة"));
        assert_eq!(of("zh", "第12研究组的会议。ITU-T"), ["第", "12", "研究", "究组", "组的", "的会", "会议", "itu", "t"]);
        assert_eq!(of("any", &"x".repeat(500)), [""; 0]);
    }
}
