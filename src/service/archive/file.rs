//! Where a file of a post is kept: an address by its content, that never changes.

use std::fmt::Write as _;

use crate::domain::group::GroupCode;
use crate::domain::id::PostId;
use crate::domain::language::Language;
use crate::domain::reason::fill;
use crate::mail::links::Linked;
use crate::service::Services;

/// What a reader finds in the place of a file, in her language: name, type, size, and the address, which opens to who may read the archive.
pub fn file_line(services: &Services, code: &GroupCode, post: PostId, language: Language, file: &Linked) -> String {
    let base = &services.site.base_url;
    let address = format!("{base}/groups/{code}/archive/{post}/files/{}/{}", file.sha256, encoded(&file.name));
    let about = [file.name.clone(), file.content_type.clone(), size(file.octets)];
    format!("{}\n{address}", fill(services.texts.word(language, "file-in-archive"), &about))
}

/// `34 KiB`, `1.2 MiB`.
fn size(octets: u64) -> String {
    const KIB: u64 = 1024;
    match octets {
        0..KIB => format!("{octets} B"),
        KIB..1_048_576 => format!("{} KiB", octets / KIB),
        _ => format!("{}.{} MiB", octets / (KIB * KIB), octets % (KIB * KIB) * 10 / (KIB * KIB)),
    }
}

/// Percent-encoded as a part of a path (RFC 3986 section 2.1).
fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_are_written_so_that_people_and_programs_read_them() {
        assert_eq!([size(7), size(2_048), size(1_500_000)], ["7 B", "2 KiB", "1.4 MiB"]);
        assert_eq!(encoded("T25 é!.pdf"), "T25%20%C3%A9%21.pdf");
    }
}
