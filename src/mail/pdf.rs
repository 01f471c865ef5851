//! The text of a PDF, for statements that come without a Word document.
//!
//! The reader of PDF files may panic, loop or eat memory on a hostile one; a panic is caught here, the rest is for the process
//! around it (`enlace pdf-text`), which has limits. Never called in the daemon itself.

/// Longest text that is kept, in octets.
const TEXT_OCTETS: usize = 256 * 1024;

/// The text of all pages.
///
/// # Errors
/// Whatever is wrong with the file, in words.
pub fn text(bytes: &[u8]) -> Result<String, String> {
    let read = std::panic::catch_unwind(|| pdf_extract::extract_text_from_mem(bytes));
    let mut text = read.map_err(|_| "it is damaged".to_owned())?.map_err(|error| error.to_string())?;
    let end = (0..=text.len().min(TEXT_OCTETS)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    Ok(text)
}
