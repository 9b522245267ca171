//! A cursor over one JSON text, for a reader that knows what it expects.
//!
//! Owns the lexical level: white space, strings, numbers, and skipping a value while
//! validating it. As strict as `serde_json`; whatever is not plain and expected is
//! [`Odd`], and the caller reads the whole text the general way.

/// Not what was expected, or not valid: the general reader decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Odd;

/// Nesting that is skipped; `serde_json` refuses at the same depth.
const MAX_DEPTH: u32 = 120;

#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `text`, which has to be valid UTF-8.
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What is left.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.at = (self.at + bytes).min(self.text.len());
    }

    /// The next byte after white space.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Odd> {
        loop {
            match self.text.get(self.at) {
                Some(&byte) if byte > b' ' => return Ok(byte),
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                _ => return Err(Odd),
            }
        }
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Odd> {
        // Without white space in the common case.
        if self.text.get(self.at) == Some(&byte) || self.peek()? == byte {
            self.at += 1;
            Ok(())
        } else {
            Err(Odd)
        }
    }

    /// Nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Odd> {
        match self.peek() {
            Err(Odd) if self.at == self.text.len() => Ok(()),
            Ok(_) | Err(Odd) => Err(Odd),
        }
    }

    /// The next key of an object, `None` at its end. `first` is true right after `{`.
    #[inline]
    pub(super) fn key(&mut self, first: &mut bool) -> Result<Option<&'a [u8]>, Odd> {
        let byte = self.peek()?;
        if byte == b'}' {
            self.at += 1;
            return Ok(None);
        }
        if !std::mem::take(first) {
            if byte != b',' {
                return Err(Odd);
            }
            self.at += 1;
        }
        let key = self.plain()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// A string without escapes: its content.
    #[inline]
    pub(super) fn plain(&mut self) -> Result<&'a [u8], Odd> {
        self.expect(b'"')?;
        let rest = &self.text[self.at..];
        let end = special(rest);
        if rest.get(end) != Some(&b'"') {
            return Err(Odd);
        }
        self.at += end + 1;
        Ok(&rest[..end])
    }

    /// A string, decoded into `scratch` where it has escapes.
    #[inline]
    pub(super) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s [u8], Odd>
    where
        'a: 's,
    {
        let before = *self;
        if let Ok(plain) = self.plain() {
            Ok(plain)
        } else {
            *self = before;
            self.escaped(scratch)
        }
    }

    #[inline(never)]
    fn escaped<'s>(&mut self, scratch: &'s mut String) -> Result<&'s [u8], Odd> {
        self.peek()?;
        let start = self.at;
        self.skip_string()?;
        *scratch = serde_json::from_slice(&self.text[start..self.at]).map_err(|_| Odd)?;
        Ok(scratch.as_bytes())
    }

    /// A number that is a plain `u32`.
    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, Odd> {
        self.peek()?;
        let mut value = 0_u64;
        let start = self.at;
        while let Some(digit) = self
            .text
            .get(self.at)
            .map(|byte| byte.wrapping_sub(b'0'))
            .filter(|&digit| digit < 10)
        {
            value = value * 10 + u64::from(digit);
            self.at += 1;
            if self.at - start > 10 {
                return Err(Odd);
            }
        }
        let length = self.at - start;
        let leading_zero = length > 1 && self.text[start] == b'0';
        let ends = matches!(
            self.text.get(self.at),
            Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')
        );
        if length == 0 || leading_zero || !ends {
            return Err(Odd);
        }
        u32::try_from(value).map_err(|_| Odd)
    }

    #[inline]
    pub(super) fn bool(&mut self) -> Result<bool, Odd> {
        self.peek()?;
        if self.rest().starts_with(b"true") {
            self.at += 4;
            Ok(true)
        } else if self.rest().starts_with(b"false") {
            self.at += 5;
            Ok(false)
        } else {
            Err(Odd)
        }
    }

    /// Skips one value and returns its text.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Odd> {
        self.peek()?;
        let start = self.at;
        self.skip(0)?;
        Ok(&self.text[start..self.at])
    }

    fn skip(&mut self, depth: u32) -> Result<(), Odd> {
        if depth > MAX_DEPTH {
            return Err(Odd);
        }
        match self.peek()? {
            b'"' => self.skip_string(),
            b'{' => {
                self.at += 1;
                let mut first = true;
                loop {
                    let byte = self.peek()?;
                    if byte == b'}' && first {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.at += 1;
                        match byte {
                            b'}' => return Ok(()),
                            b',' => {}
                            _ => return Err(Odd),
                        }
                    }
                    self.peek()?;
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip(depth + 1)?;
                }
            }
            b'[' => {
                self.at += 1;
                let mut first = true;
                loop {
                    let byte = self.peek()?;
                    if byte == b']' && first {
                        self.at += 1;
                        return Ok(());
                    }
                    if !std::mem::take(&mut first) {
                        self.at += 1;
                        match byte {
                            b']' => return Ok(()),
                            b',' => {}
                            _ => return Err(Odd),
                        }
                    }
                    self.skip(depth + 1)?;
                }
            }
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => self.skip_number(),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Odd> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(Odd)
        }
    }

    fn skip_string(&mut self) -> Result<(), Odd> {
        let start = self.at;
        self.expect(b'"')?;
        let mut escapes = false;
        loop {
            self.at += special(&self.text[self.at..]);
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    self.at += 2;
                    if self.at > self.text.len() {
                        return Err(Odd);
                    }
                }
                _ => return Err(Odd),
            }
        }
        self.at += 1;
        // Escapes are rare; what they may look like is known to serde_json.
        if escapes {
            serde_json::from_slice::<std::borrow::Cow<'_, str>>(&self.text[start..self.at])
                .map_err(|_| Odd)?;
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<(), Odd> {
        let digits = |cursor: &mut Self| {
            let start = cursor.at;
            while cursor.text.get(cursor.at).is_some_and(u8::is_ascii_digit) {
                cursor.at += 1;
            }
            if cursor.at == start {
                Err(Odd)
            } else {
                Ok(cursor.at - start)
            }
        };
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let zero = self.text.get(self.at) == Some(&b'0');
        if digits(self)? > 1 && zero {
            return Err(Odd);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            digits(self)?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            // Whether the exponent fits is serde_json's to say.
            return Err(Odd);
        }
        Ok(())
    }
}

/// Index of the first quote, backslash or control character; the length without one.
///
/// Eight bytes at a time: a byte is zero after the exclusive or where it is the one
/// looked for, and `x - 1 & !x` has its high bit set in the lowest zero byte.
#[inline]
fn special(text: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    let mut rest = text;
    while let Some((word, next)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if found & HIGH != 0 {
            return at + (found & HIGH).trailing_zeros() as usize / 8;
        }
        at += 8;
        rest = next;
    }
    at + rest
        .iter()
        .position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_word_scan_finds_what_a_byte_scan_finds(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let naive = text.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            prop_assert_eq!(special(&text), naive.unwrap_or(text.len()));
        }

        /// Guarantees: what is skipped is what serde_json accepts.
        #[test]
        fn a_skipped_value_is_valid(text in "[\\[\\]{}:,\"a\\\\u0-9tfnrue. -]{0,24}") {
            let mut cursor = Cursor::new(text.as_bytes());
            if let Ok(value) = cursor.value() {
                // A number goes on to the next delimiter in serde_json; here the caller checks.
                let number = value[0] == b'-' || value[0].is_ascii_digit();
                if !number || cursor.end().is_ok() {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(value).is_ok(), "{}", text);
                }
            }
        }
    }

    #[test]
    fn plain_numbers_are_read_and_odd_ones_are_left_alone() {
        let read = |text: &str| Cursor::new(text.as_bytes()).u32();
        assert_eq!(read("4294967295,"), Ok(u32::MAX));
        assert_eq!(read(" 0}"), Ok(0));
        for odd in [
            "4294967296,",
            "01,",
            "-1,",
            "1.0,",
            "1e3,",
            ",",
            "99999999999999,",
            "1",
        ] {
            assert_eq!(read(odd), Err(Odd), "{odd}");
        }
    }
}
