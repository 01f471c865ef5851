//! What a form sends: pairs of name and value, and at most a few files, bounded.
//!
//! Read before a page runs, because `authority` looks at the form's key first. Two encodings: the usual one, and
//! `multipart/form-data` (RFC 7578) for files.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};

/// Most fields of a form.
const FIELDS: usize = 2_000;

/// A form as sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
    files: Vec<(String, Sent)>,
}

/// A file as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The name that it has on the sender's machine; any text.
    pub name: String,
    /// Its octets.
    pub bytes: Bytes,
}

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    /// 400 for what is no form.
    pub async fn read(headers: &HeaderMap, body: Bytes) -> Result<Self, StatusCode> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if let Some(boundary) = boundary(kind) {
            return multipart(&body, &boundary).ok_or(StatusCode::BAD_REQUEST);
        }
        if body.is_empty() {
            return Ok(Self::default());
        }
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = axum::http::Method::POST;
        if let Some(kind) = headers.get(CONTENT_TYPE) {
            request.headers_mut().insert(CONTENT_TYPE, kind.clone());
        }
        let read = axum::Form::<Vec<(String, String)>>::from_request(request, &()).await;
        let axum::Form(pairs) = read.map_err(|_| StatusCode::BAD_REQUEST)?;
        if pairs.len() > FIELDS { Err(StatusCode::BAD_REQUEST) } else { Ok(Self { pairs, files: Vec::new() }) }
    }

    /// The first value of a name, without white space around it; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value.trim())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.trim())
    }

    /// The file that was sent under a name.
    pub fn file(&self, name: &str) -> Option<&Sent> {
        self.files.iter().find(|(field, _)| field == name).map(|(_, file)| file)
    }

    /// Was a box ticked or a button pressed?
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(field, _)| field == name)
    }
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

fn boundary(kind: &str) -> Option<String> {
    let (kind, parameters) = kind.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?.trim_matches('"');
    (1..=70).contains(&value.len()).then(|| value.to_owned())
}

/// The fields and the files.
fn multipart(body: &Bytes, boundary: &str) -> Option<Form> {
    let delimiter = format!("--{boundary}");
    let mut form = Form::default();
    let mut ends = memchr::memmem::find_iter(body, delimiter.as_bytes());
    let mut start = ends.next()? + delimiter.len();
    for end in ends {
        let part = body.get(start..end)?.strip_prefix(b"\r\n")?;
        let head_end = memchr::memmem::find(part, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&part[..head_end]).ok()?;
        let value = part[head_end + 4..].strip_suffix(b"\r\n")?;
        match (parameter(head, "name"), parameter(head, "filename")) {
            (Some(field), Some(name)) => {
                form.files.push((field.to_owned(), Sent { name: name.to_owned(), bytes: body.slice_ref(value) }));
            }
            (Some(field), None) => form.pairs.push((field.to_owned(), String::from_utf8_lossy(value).into_owned())),
            (None, _) => {}
        }
        if form.pairs.len() + form.files.len() > FIELDS {
            return None;
        }
        start = end + delimiter.len();
    }
    body.get(start..)?.starts_with(b"--").then_some(form)
}

fn parameter<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let line = head.split("\r\n").find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"))?;
    line.split(';').find_map(|parameter| parameter.trim().strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(kind: &str, body: &'static str) -> Result<Form, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        Form::read(&headers, Bytes::from_static(body.as_bytes())).await
    }

    #[tokio::test]
    async fn both_encodings_say_the_same() {
        let form = read("application/x-www-form-urlencoded", "a=1&a=2&b=%C3%A9+x").await.unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.all("a").count()), ("1", "é x", "", 2));
        let body = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; \
                    name=\"file\"; filename=\"../../x.csv\"\r\nContent-Type: text/csv\r\n\r\nemail\r\né\r\n--B--\r\n";
        let form = read("multipart/form-data; boundary=B", body).await.unwrap();
        let file = form.file("file").unwrap();
        assert_eq!((form.get("a"), &file.bytes[..], file.name.as_str()), ("1", "email\r\né".as_bytes(), "../../x.csv"));
    }

    #[tokio::test]
    async fn what_is_no_form_is_refused() {
        for (kind, body) in [
            ("text/plain", "a=1"),
            ("multipart/form-data; boundary=B", "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1"),
            ("multipart/form-data; boundary=B", "nothing"),
            ("application/json", "{}"),
        ] {
            assert_eq!(read(kind, body).await, Err(StatusCode::BAD_REQUEST), "{kind}");
        }
    }
}
