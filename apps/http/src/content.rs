//! The content of a request, cut out of the stream (RFC 9112 6 and 7). It holds no bytes itself.

/// Content that is not read to its end yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    framing: Framing,
    /// Bytes of content read so far.
    pub(crate) read: u64,
}

/// How the end of the content is found (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks follow.
    Chunked(Chunks),
}

/// A step through the input.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Piece<'a> {
    /// How many bytes of the input are done with.
    pub(crate) consumed: usize,
    /// The content among them.
    pub(crate) bytes: &'a [u8],
    /// True when the content is complete.
    pub(crate) is_last: bool,
}

/// The chunked coding is broken, or its lines have no measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Malformed;

impl Content {
    /// Content of which nothing is read yet.
    pub(crate) fn new(framing: Framing) -> Self {
        Self { framing, read: 0 }
    }

    /// The next piece of content. It consumes nothing only when the input is empty or the content
    /// complete.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Malformed> {
        let piece = match &mut self.framing {
            Framing::Length(left) => {
                let bytes = &input[..input.len().min(usize::try_from(*left).unwrap_or(usize::MAX))];
                *left -= bytes.len() as u64;
                Piece { consumed: bytes.len(), bytes, is_last: *left == 0 }
            }
            Framing::Chunked(chunks) => chunks.next(input)?,
        };
        self.read += piece.bytes.len() as u64;
        Ok(piece)
    }
}

/// The decoder of the chunked transfer coding (RFC 9112 7.1).
///
/// ```text
///   Size ─;─> Extension ─CR─> SizeLf ──> Data ──> DataCr ──> DataLf ──> Size
///     └────────CR──────────────^  └─0──> TrailerStart ──CR──> LastLf ──> Done
///                                          ^    └─> Trailer ─CR─> TrailerLf ─┐
///                                          └────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chunks {
    place: Place,
    /// In a size: its value so far. In data: what is left of it.
    size: u64,
    /// Digits of the size so far.
    digits: u8,
    /// Bytes spent on extensions and trailers; unbounded ones are an attack (RFC 9112 7.1.1).
    overhead: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

impl Chunks {
    /// Before the first chunk.
    pub(crate) const START: Self = Self { place: Place::Size, size: 0, digits: 0, overhead: 0 };

    /// Goes on to the end of the next piece of data, of the input, or of the content.
    fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, Malformed> {
        let mut at = 0;
        while self.place != Place::Done && at < input.len() {
            if self.place == Place::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let bytes = &input[at..at + left.min(input.len() - at)];
                self.size -= bytes.len() as u64;
                if self.size == 0 {
                    self.place = Place::DataCr;
                }
                return Ok(Piece { consumed: at + bytes.len(), bytes, is_last: false });
            }
            self.place = self.step(input[at])?;
            at += 1;
        }
        Ok(Piece { consumed: at, bytes: &[], is_last: self.place == Place::Done })
    }

    /// Takes one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        match (self.place, byte) {
            (Place::Size, b'\r') if self.digits > 0 => Ok(Place::SizeLf),
            (Place::Size, b';' | b' ' | b'\t') if self.digits > 0 => self.spend(Place::Extension),
            (Place::Size, _) => self.digit(byte),
            (Place::Extension, b'\r') => Ok(Place::SizeLf),
            (Place::Extension, _) if is_text(byte) => self.spend(Place::Extension),
            // A bare line feed ends no line here: peers that differ on it can be smuggled past.
            (Place::SizeLf, b'\n') if self.size == 0 => Ok(Place::TrailerStart),
            (Place::SizeLf, b'\n') => Ok(Place::Data),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => {
                self.digits = 0;
                Ok(Place::Size)
            }
            (Place::TrailerStart, b'\r') => Ok(Place::LastLf),
            (Place::TrailerStart, b' ' | b'\t') => Err(Malformed),
            (Place::Trailer, b'\r') => Ok(Place::TrailerLf),
            // Trailers are read and dropped, which RFC 9110 6.5.1 allows.
            (Place::TrailerStart | Place::Trailer, _) if is_text(byte) => {
                self.spend(Place::Trailer)
            }
            (Place::TrailerLf, b'\n') => Ok(Place::TrailerStart),
            (Place::LastLf, b'\n') => Ok(Place::Done),
            _ => Err(Malformed),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Place, Malformed> {
        let value = char::from(byte).to_digit(16).ok_or(Malformed)?;
        // Sixteen digits fill the size; a seventeenth would overflow it.
        if self.digits == 16 {
            return Err(Malformed);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(value);
        Ok(Place::Size)
    }

    fn spend(&mut self, next: Place) -> Result<Place, Malformed> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX { Err(Malformed) } else { Ok(next) }
    }
}

/// A byte that may be in a field line: no control character but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// All extensions and trailers of one content.
const OVERHEAD_BYTES_MAX: u16 = 8_192;

#[cfg(test)]
mod tests;
