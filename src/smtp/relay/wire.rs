//! The bytes behind DATA: the one place where message bytes are made fit for the wire.
//!
//! Line ends are CRLF and nothing else: a bare CR or LF becomes CRLF, a NUL is left out, so that no relay can see a
//! second message inside a first (RFC 5321 section 4.1.1.4; the smuggling attacks of 2023). A dot at the start of a
//! line is doubled (section 4.5.2). A CRLF is added at the end only if it is missing.

/// Encodes one message piece by piece; a line end or dot may fall on the border of two pieces.
#[derive(Debug)]
pub struct Encoder {
    stuff_dots: bool,
    at_line_start: bool,
    after_cr: bool,
}

impl Encoder {
    /// For SMTP: doubles dots.
    pub fn for_data() -> Self {
        Self { stuff_dots: true, at_line_start: true, after_cr: false }
    }

    /// For a file: clean line ends, dots as they are.
    pub fn for_file() -> Self {
        Self { stuff_dots: false, ..Self::for_data() }
    }

    /// Appends the encoded `piece` to `out`, which grows by at most a little over twice the length of `piece`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            if self.after_cr {
                self.after_cr = false;
                self.end_line(out);
                if first == b'\n' {
                    rest = &rest[1..];
                    continue;
                }
            }
            match first {
                b'\r' => self.after_cr = true,
                b'\n' => self.end_line(out),
                0 => {}
                _ => {
                    let length = memchr::memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
                    if self.stuff_dots && self.at_line_start && first == b'.' {
                        out.push(b'.');
                    }
                    out.extend_from_slice(&rest[..length]);
                    self.at_line_start = false;
                    rest = &rest[length..];
                    continue;
                }
            }
            rest = &rest[1..];
        }
    }

    /// Ends the last line if it is open; for SMTP then appends the final dot.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.after_cr || !self.at_line_start {
            self.end_line(out);
        }
        if self.stuff_dots {
            out.extend_from_slice(b".\r\n");
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.at_line_start = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(pieces: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::for_data();
        let mut out = Vec::new();
        for piece in pieces {
            encoder.push(piece, &mut out);
        }
        encoder.finish(&mut out);
        out
    }

    /// What a server makes of the wire bytes: undoes the stuffing, stops at the first lone dot; `None` if there is
    /// none at the very end.
    fn decode(wire: &[u8]) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut rest = wire;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let line = &rest[..end];
            rest = &rest[end + 2..];
            if line == b"." {
                return rest.is_empty().then_some(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            message.extend_from_slice(b"\r\n");
        }
    }

    #[test]
    fn dots_and_line_ends_are_encoded_as_the_table_says() {
        for (pieces, expected) in [
            (&[b"" as &[u8]] as &[&[u8]], b".\r\n" as &[u8]),
            (&[b"a"], b"a\r\n.\r\n"),
            (&[b"a\r\n"], b"a\r\n.\r\n"),
            (&[b"a\r\n\r\n"], b"a\r\n\r\n.\r\n"),
            (&[b"."], b"..\r\n.\r\n"),
            (&[b".\r\n"], b"..\r\n.\r\n"),
            (&[b"a\r\n.\r\nb\r\n"], b"a\r\n..\r\nb\r\n.\r\n"),
            (&[b"a\r\n", b".b"], b"a\r\n..b\r\n.\r\n"),
            (&[b"a\r", b"\n", b".", b"."], b"a\r\n...\r\n.\r\n"),
            (&[b"a\n.\nb"], b"a\r\n..\r\nb\r\n.\r\n"),
            (&[b"a\r.\rb"], b"a\r\n..\r\nb\r\n.\r\n"),
            (&[b"a\n.\r\n"], b"a\r\n..\r\n.\r\n"),
            (&[b"a\r\r\n.\r\r\n"], b"a\r\n\r\n..\r\n\r\n.\r\n"),
            (&[b"a\r"], b"a\r\n.\r\n"),
            (&[b"a\0.\0"], b"a.\r\n.\r\n"),
            (&[b"a\r\n\0.\r\n"], b"a\r\n..\r\n.\r\n"),
            (&[b"a\r\0\n.\r\n"], b"a\r\n\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(encode(pieces).escape_ascii().to_string(), expected.escape_ascii().to_string(), "{pieces:?}");
        }
    }

    proptest! {
        /// Every mix of CR, LF, dots, NUL and letters, cut anywhere: one message comes out, with CRLF only.
        #[test]
        fn one_message_comes_out_whatever_the_bytes(
            octets in proptest::collection::vec(proptest::sample::select(b"\r\n..ab\0".to_vec()), 0..60),
            cut in 0_usize..60,
        ) {
            let (left, right) = octets.split_at(cut.min(octets.len()));
            let wire = encode(&[left, right]);
            prop_assert_eq!(&wire, &encode(&[&octets]));
            let message = decode(&wire).expect("the lone dot is at the end and nowhere else");
            let text = |bytes: &[u8]| bytes.iter().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0)).copied().collect::<Vec<_>>();
            prop_assert_eq!(text(&message), text(&octets));
            for (index, &octet) in wire.iter().enumerate() {
                prop_assert!(octet != 0);
                prop_assert!(octet != b'\n' || wire[index - 1] == b'\r');
                prop_assert!(octet != b'\r' || wire[index + 1] == b'\n');
            }
        }

        /// Clean messages come through equal.
        #[test]
        fn clean_messages_come_through_equal(lines in proptest::collection::vec("[.a]{0,4}", 0..12)) {
            let message: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            prop_assert_eq!(decode(&encode(&[message.as_bytes()])), Some(message.into_bytes()));
        }
    }
}
