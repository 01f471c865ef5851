//! Writes `.docx` files as Word and its relatives do, for the corpus.

use std::io::{Cursor, Write};

use zip::write::{SimpleFileOptions, ZipWriter};

/// Escapes text for XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One run of text; `\u{2011}` becomes `w:noBreakHyphen`, tabs and line feeds become their elements.
pub fn run(text: &str) -> String {
    let text = escape(text)
        .replace('\u{2011}', "</w:t><w:noBreakHyphen/><w:t xml:space=\"preserve\">")
        .replace('\t', "</w:t><w:tab/><w:t xml:space=\"preserve\">")
        .replace('\n', "</w:t><w:br/><w:t xml:space=\"preserve\">");
    format!("<w:r><w:rPr><w:b/></w:rPr><w:t xml:space=\"preserve\">{text}</w:t></w:r>")
}

/// A paragraph in one run, with tab stops in its properties, which are no tabs.
pub fn paragraph(text: &str) -> String {
    format!("<w:p><w:pPr><w:tabs><w:tab w:val=\"left\" w:pos=\"794\"/></w:tabs></w:pPr>{}</w:p>", run(text))
}

/// A cell of whatever content.
pub fn cell_of(content: &str) -> String {
    format!("<w:tc><w:tcPr><w:tcW w:w=\"1607\" w:type=\"dxa\"/><w:gridSpan w:val=\"2\"/></w:tcPr>{content}</w:tc>")
}

/// A cell with a paragraph a line.
pub fn cell(text: &str) -> String {
    cell_of(&text.split('\n').map(paragraph).collect::<String>())
}

/// A row of cells.
pub fn row(cells: &[&str]) -> String {
    format!("<w:tr><w:trPr><w:cantSplit/></w:trPr>{}</w:tr>", cells.iter().map(|text| cell(text)).collect::<String>())
}

/// A row of finished cells.
pub fn row_of(cells: &[String]) -> String {
    format!("<w:tr>{}</w:tr>", cells.concat())
}

/// A table of finished rows.
pub fn table(rows: &[String]) -> String {
    format!("<w:tbl><w:tblPr><w:tblW w:w=\"0\"/></w:tblPr><w:tblGrid><w:gridCol w:w=\"1\"/></w:tblGrid>{}</w:tbl>", rows.concat())
}

/// The document part around a body.
pub fn document_xml(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\r\n<w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"><w:body>{body}<w:sectPr/></w:body></w:document>"
    )
}

/// An archive of these members.
pub fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A whole document with this body.
pub fn docx(body: &str) -> Vec<u8> {
    archive(&[
        ("[Content_Types].xml", b"<Types/>"),
        ("_rels/.rels", b"<Relationships/>"),
        ("word/document.xml", document_xml(body).as_bytes()),
        ("word/styles.xml", b"<w:styles/>"),
    ])
}
