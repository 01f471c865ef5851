//! The octets of a message as they come: line ends, dots, lengths.
//!
//! One scanner serves DATA, which ends at CR LF . CR LF and nothing else (RFC 5321 section 4.1.1.4), and BDAT, which has
//! no dots (RFC 3030). A bare CR, a bare LF or a NUL condemns the message wherever it stands: two servers that disagree
//! about such a line can be made to see two messages where one was sent ("SMTP smuggling").

use memchr::{memchr, memchr2};

use super::Limits;
use super::shape::{Misshape, Shape};
use crate::smtp::Answer;

/// Where in a line the scanner stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    /// A dot at the start of a line of DATA, not yet known to be stuffing or the end.
    Dot,
    DotCr,
    Middle,
    Cr,
}

/// Why a message is refused while it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A bare CR, bare LF or NUL: the session ends after the answer.
    LineEnds,
    Size,
    LineLength,
    Shape(Misshape),
    /// The listener could not keep it.
    Listener(Answer),
}

impl Doubt {
    pub(super) fn answer(&self, limits: &Limits) -> Answer {
        let malformed = |text: String| Answer::new(554, (5, 6, 0), text);
        match self {
            Self::LineEnds => malformed("the message has a bare CR, a bare LF or a NUL; every line must end with CR LF".to_owned()),
            Self::Size => Answer::new(552, (5, 3, 4), format!("the message is larger than {} octets", limits.message_octets)),
            Self::LineLength => malformed(format!("the message has a line of more than {} octets", limits.text_line_octets)),
            Self::Shape(Misshape::HeaderOctets) => malformed(format!("the header is larger than {} octets", limits.header_octets)),
            Self::Shape(Misshape::HeaderFields) => malformed(format!("the header has more than {} fields", limits.header_fields)),
            Self::Shape(Misshape::Depth) => malformed(format!("the parts are nested deeper than {}", limits.mime_depth)),
            Self::Shape(Misshape::Parts) => malformed(format!("the message has more than {} parts", limits.mime_parts)),
            Self::Listener(answer) => answer.clone(),
        }
    }
}

/// Takes the octets of one message.
#[derive(Debug)]
pub(super) struct Text {
    dots: bool,
    at: At,
    octets: u64,
    line_octets: usize,
    shape: Shape,
    doubt: Option<Doubt>,
}

impl Text {
    /// `dots`: is it DATA, with dots stuffed and a dot as its end?
    pub(super) fn new(dots: bool) -> Self {
        Self { dots, at: At::LineStart, octets: 0, line_octets: 0, shape: Shape::new(), doubt: None }
    }

    /// Why it is refused, if it is.
    pub(super) fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// Octets that came, without stuffing, whether kept or not.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// Refuses it; the first doubt stays, but line ends outweigh all others because they end the session.
    pub(super) fn refuse(&mut self, doubt: Doubt) {
        if self.doubt.is_none() || doubt == Doubt::LineEnds {
            self.doubt = Some(doubt);
        }
    }

    /// Takes from `input` what belongs to the message and appends it to `content`, which is emptied once there is a doubt.
    /// Returns how many octets were taken and whether the end of DATA was among them.
    pub(super) fn take(&mut self, input: &[u8], content: &mut Vec<u8>, limits: &Limits) -> (usize, bool) {
        let mut position = 0;
        let mut ended = false;
        while position < input.len() && !ended {
            let octet = input[position];
            match self.at {
                At::LineStart if self.dots && octet == b'.' => {
                    self.at = At::Dot;
                    position += 1;
                }
                At::Dot if octet == b'\r' => {
                    self.at = At::DotCr;
                    position += 1;
                }
                At::DotCr if octet == b'\n' => {
                    position += 1;
                    ended = true;
                }
                At::DotCr => {
                    self.refuse(Doubt::LineEnds);
                    self.at = if octet == b'\r' { At::Cr } else { At::Middle };
                    position += usize::from(octet == b'\r');
                }
                At::Cr if octet == b'\n' => {
                    self.line_end(content, limits);
                    self.at = At::LineStart;
                    position += 1;
                }
                At::Cr => {
                    self.refuse(Doubt::LineEnds);
                    self.at = At::Middle;
                }
                At::LineStart | At::Dot | At::Middle => {
                    self.at = At::Middle;
                    position += self.middle(&input[position..], content, limits);
                }
            }
        }
        if self.doubt.is_some() {
            content.clear();
        }
        (position, ended)
    }

    /// Up to the next line end; returns how many octets.
    fn middle(&mut self, input: &[u8], content: &mut Vec<u8>, limits: &Limits) -> usize {
        let stop = memchr2(b'\r', b'\n', input);
        self.segment(&input[..stop.unwrap_or(input.len())], content, limits);
        match stop {
            None => input.len(),
            Some(stop) => {
                if input[stop] == b'\r' {
                    self.at = At::Cr;
                } else {
                    self.refuse(Doubt::LineEnds);
                }
                stop + 1
            }
        }
    }

    fn segment(&mut self, octets: &[u8], content: &mut Vec<u8>, limits: &Limits) {
        self.count(octets.len(), limits);
        self.line_octets += octets.len();
        if memchr(0, octets).is_some() {
            self.refuse(Doubt::LineEnds);
        }
        if self.line_octets > limits.text_line_octets {
            self.refuse(Doubt::LineLength);
        }
        if self.doubt.is_none() {
            self.shape.segment(octets);
            content.extend_from_slice(octets);
        }
    }

    fn line_end(&mut self, content: &mut Vec<u8>, limits: &Limits) {
        self.count(2, limits);
        self.line_octets = 0;
        if self.doubt.is_none() {
            content.extend_from_slice(b"\r\n");
            if let Err(misshape) = self.shape.line_end(limits) {
                self.refuse(Doubt::Shape(misshape));
            }
        }
    }

    fn count(&mut self, octets: usize, limits: &Limits) {
        self.octets += octets as u64;
        if self.octets > limits.message_octets {
            self.refuse(Doubt::Size);
        }
    }

    /// The last chunk is in: a last line without its end gets one, as a client of DATA would have done.
    pub(super) fn chunks_end(&mut self, content: &mut Vec<u8>, limits: &Limits) {
        match self.at {
            At::LineStart => {}
            At::Cr => self.refuse(Doubt::LineEnds),
            At::Dot | At::DotCr | At::Middle => self.line_end(content, limits),
        }
        if self.doubt.is_some() {
            content.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message, the doubt and what is left behind the end; the input is fed in pieces of `step` octets.
    fn data(input: &[u8], step: usize) -> (Vec<u8>, Option<Doubt>, Option<Vec<u8>>) {
        let limits = Limits::default();
        let mut text = Text::new(true);
        let mut content = Vec::new();
        let mut position = 0;
        while position < input.len() {
            let until = (position + step).min(input.len());
            let (taken, ended) = text.take(&input[position..until], &mut content, &limits);
            position += taken;
            if ended {
                return (content, text.doubt().cloned(), Some(input[position..].to_vec()));
            }
        }
        (content, text.doubt().cloned(), None)
    }

    #[test]
    fn data_ends_at_a_dot_alone_and_stuffing_is_removed() {
        for step in [1, 2, 3, 1_000] {
            let case = |input: &[u8]| data(input, step);
            assert_eq!(case(b".\r\nX"), (b"".to_vec(), None, Some(b"X".to_vec())));
            assert_eq!(case(b"..\r\n.\r\n"), (b".\r\n".to_vec(), None, Some(vec![])));
            assert_eq!(case(b"a\r\n..b\r\n...\r\n.\r\nQUIT"), (b"a\r\n.b\r\n..\r\n".to_vec(), None, Some(b"QUIT".to_vec())));
            assert_eq!(case(b".a\r\n\r\n.\r\n"), (b"a\r\n\r\n".to_vec(), None, Some(vec![])));
            assert_eq!(case(b"a.\r\n.\r\n"), (b"a.\r\n".to_vec(), None, Some(vec![])));
            assert_eq!(case(b"a\r\n."), (b"a\r\n".to_vec(), None, None));
        }
    }

    #[test]
    fn no_other_sequence_ends_data_and_each_condemns_it() {
        let ends: [&[u8]; 8] = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n", b"\r\0\n", b"\n\r", b"\r\n\0"];
        for before in ends {
            for after in ends {
                let shape = [b"a".as_slice(), before, b".", after].concat();
                for step in [1, 1_000] {
                    let (_, doubt, rest) = data(&shape, step);
                    if shape.windows(5).any(|window| window == b"\r\n.\r\n") {
                        // The end itself, behind a bare CR or before a NUL that is no longer part of the message.
                        assert_eq!(doubt == Some(Doubt::LineEnds), before != b"\r\n", "{shape:?}");
                        assert!(rest.is_some());
                        continue;
                    }
                    assert_eq!(rest, None, "{shape:?} ended the message");
                    let (content, _, rest) = data(&[&shape, b"b\r\n.\r\nQUIT".as_slice()].concat(), step);
                    assert_eq!((content, rest), (vec![], Some(b"QUIT".to_vec())), "{shape:?}");
                    let pending_cr = after.ends_with(b"\r") && before == b"\r\n";
                    assert!(doubt == Some(Doubt::LineEnds) || pending_cr, "{shape:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_may_be_as_long_as_the_limit_and_no_longer() {
        let limits = Limits { message_octets: 10, ..Limits::default() };
        for (input, fits) in [(b"12345678\r\n.\r\n".as_slice(), true), (b"123456789\r\n.\r\n", false)] {
            let mut text = Text::new(true);
            let mut content = Vec::new();
            assert_eq!(text.take(input, &mut content, &limits), (input.len(), true));
            assert_eq!(text.doubt().is_none(), fits);
        }
    }

    #[test]
    fn chunks_keep_dots_and_get_a_last_line_end() {
        let limits = Limits::default();
        let mut text = Text::new(false);
        let mut content = Vec::new();
        text.take(b".\r", &mut content, &limits);
        text.take(b"\n..\r\nend", &mut content, &limits);
        text.chunks_end(&mut content, &limits);
        assert_eq!((content.as_slice(), text.doubt()), (b".\r\n..\r\nend\r\n".as_slice(), None));
        let mut text = Text::new(false);
        text.take(b"a\r", &mut content, &limits);
        text.chunks_end(&mut content, &limits);
        assert_eq!(text.doubt(), Some(&Doubt::LineEnds));
    }
}
