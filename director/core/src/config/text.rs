//! The text that is read, and where each of its bytes stands in a file.
//!
//! A file that includes no other, names no variable and repeats no line is its own text. Otherwise `expand` makes the
//! text, piece by piece, and each piece remembers where it came from, so that a problem is shown where it can be
//! mended.

use std::borrow::Cow;

use super::diagnostic::Place;

/// A text and its origin.
#[derive(Debug)]
pub(super) struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// In the order of the text; the first begins at 0.
    pieces: Vec<Piece>,
}

/// Bytes up to the next piece.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u32,
    origin: Origin,
}

/// Where the bytes of a line or a piece stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// As they are, from this place on.
    From(Place),
    /// They stand for what is written at this place.
    For(Place),
}

impl Origin {
    /// Where the byte after `offset` others stands.
    pub(super) fn place(self, offset: usize) -> Place {
        match self {
            Self::For(place) => place,
            Self::From(place) => Place {
                offset: place.offset.saturating_add(to_u32(offset)),
                ..place
            },
        }
    }

    /// The origin of what follows `offset` bytes.
    pub(super) fn after(self, offset: usize) -> Self {
        match self {
            Self::For(_) => self,
            Self::From(_) => Self::From(self.place(offset)),
        }
    }
}

impl<'a> Text<'a> {
    /// A file as it is.
    pub(super) fn plain(source: u16, bytes: &'a [u8]) -> Self {
        let origin = Origin::From(Place { source, offset: 0 });
        Self {
            bytes: Cow::Borrowed(bytes),
            pieces: vec![Piece { at: 0, origin }],
        }
    }

    /// A text to be pushed to.
    pub(super) const fn empty() -> Self {
        Self {
            bytes: Cow::Owned(Vec::new()),
            pieces: Vec::new(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where a byte of the text stands.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = to_u32(offset);
        let after = self.pieces.partition_point(|piece| piece.at <= offset);
        let piece = after
            .checked_sub(1)
            .and_then(|index| self.pieces.get(index));
        piece.map_or(Place { source: 0, offset }, |piece| {
            let within = offset.saturating_sub(piece.at);
            piece
                .origin
                .place(usize::try_from(within).unwrap_or(usize::MAX))
        })
    }

    /// Appends bytes.
    pub(super) fn push(&mut self, bytes: &[u8], origin: Origin) {
        let at = self.bytes.len();
        let goes_on = self.pieces.last().is_some_and(|last| {
            let within = at.saturating_sub(usize::try_from(last.at).unwrap_or(usize::MAX));
            last.origin.after(within) == origin
        });
        if !goes_on {
            let at = to_u32(at);
            self.pieces.push(Piece { at, origin });
        }
        self.bytes.to_mut().extend_from_slice(bytes);
    }
}

/// Offsets fit: a text is at most `limits::CONFIG_BYTES_MAX` long.
fn to_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: u16, offset: u32) -> Place {
        Place { source, offset }
    }

    #[test]
    fn each_byte_knows_where_it_stands() {
        let mut text = Text::empty();
        text.push(b"abc", Origin::From(at(1, 10)));
        text.push(b"de", Origin::From(at(1, 13)));
        text.push(b"XYZ", Origin::For(at(2, 7)));
        text.push(b"f", Origin::From(at(1, 20)));
        assert_eq!(text.bytes(), b"abcdeXYZf");
        assert_eq!(text.pieces.len(), 3);
        let places: Vec<Place> = [0, 4, 5, 7, 8, 9].map(|offset| text.place(offset)).into();
        assert_eq!(
            places,
            [
                at(1, 10),
                at(1, 14),
                at(2, 7),
                at(2, 7),
                at(1, 20),
                at(1, 21)
            ]
        );
        assert_eq!(Text::plain(3, b"abc").place(2), at(3, 2));
    }
}
