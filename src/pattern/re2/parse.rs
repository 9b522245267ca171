//! Reads RE2 syntax and writes the same expression for the `regex` crate.
//!
//! Owns operators, groups, flags and repetition. What is written depends on no flag
//! of the `regex` crate but `i` and `s`, each set where it applies and nowhere else.

use super::Re2Error;
use super::class;
use super::cursor::Cursor;
use super::nesting::{MAX_COPIES, MAX_HEIGHT, MAX_SIZE, Measure, Part};

/// Bytes of an expression; reading is linear, but wrapping a part moves what is behind it.
const MAX_PATTERN: usize = 64 << 10;
/// Levels the compiler of the `regex` crate may recurse over.
const MAX_DEPTH: u32 = 256;
const MAX_REPEAT: u32 = 1000;
/// Code points that classes may make the `regex` crate fold: about a second's work.
const MAX_FOLDED: u64 = 64 << 20;

/// The equivalent expression for the `regex` crate, as one of `count` that share the bound
/// on folding.
pub(super) fn translate(pattern: &str, count: usize) -> Result<String, Re2Error> {
    let mut parser = Parser {
        cursor: Cursor::new(pattern),
        out: String::with_capacity(pattern.len() * 2),
        flags: Flags::default(),
        open: Vec::new(),
        group: Group::outermost(),
        last_start: 0,
        after_repeat: false,
        folded: 0,
        max_folded: MAX_FOLDED / count.max(1) as u64,
    };
    if pattern.len() > MAX_PATTERN {
        return Err(parser
            .cursor
            .untranslatable(format!("it is longer than {MAX_PATTERN} bytes")));
    }
    while parser.cursor.peek().is_some() {
        parser.step()?;
    }
    parser.finish()
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    out: String,
    flags: Flags,
    /// The groups around the current one.
    open: Vec<Group>,
    group: Group,
    /// Where in `out` the newest part begins.
    last_start: usize,
    /// Whether the step before this one was a repetition.
    after_repeat: bool,
    /// Code points of classes that are to be folded.
    folded: u64,
    max_folded: u64,
}

struct Group {
    /// In `out`.
    start: usize,
    captures: bool,
    outer_flags: Flags,
    measure: Measure,
}

impl Group {
    fn outermost() -> Self {
        Self {
            start: 0,
            captures: false,
            outer_flags: Flags::default(),
            measure: Measure::new(),
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
}

impl Parser<'_> {
    fn step(&mut self) -> Result<(), Re2Error> {
        let after_repeat = std::mem::take(&mut self.after_repeat);
        let start = self.cursor.position();
        match self.cursor.peek() {
            Some('(') if self.cursor.rest().starts_with("(?") => self.special_group()?,
            Some('(') => {
                self.cursor.next();
                self.open(true, self.flags);
            }
            Some(')') => self.close()?,
            Some('|') => {
                self.cursor.next();
                self.group.measure.end_alternative();
                self.out.push('|');
            }
            Some('[') => self.class(class::bracketed)?,
            Some('*') => self.repeat(start, "*", |part| part.repeated(2), after_repeat)?,
            Some('+') => self.repeat(start, "+", |part| part.repeated(1), after_repeat)?,
            Some('?') => self.repeat(start, "?", |part| part.repeated(1), after_repeat)?,
            Some('{') => self.counted(start, after_repeat)?,
            Some('^') if self.flags.multi_line => self.assertion(1, "(?m:^)")?,
            Some('^') => self.assertion(1, r"\A")?,
            Some('$') if self.flags.multi_line => self.assertion(1, "(?m:$)")?,
            Some('$') => self.assertion(1, r"\z")?,
            Some('.') if self.flags.dot_all => self.assertion(1, "(?s:.)")?,
            Some('.') => self.assertion(1, r"[^\x{A}]")?,
            Some('\\') => self.backslash()?,
            Some(plain) => {
                self.cursor.next();
                self.literal(plain.into())?;
            }
            None => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<String, Re2Error> {
        if !self.open.is_empty() {
            return Err(self.cursor.invalid_at(0, "missing closing )"));
        }
        self.group.measure.end_alternative();
        self.check(self.group.measure.whole())?;
        Ok(self.out)
    }

    fn backslash(&mut self) -> Result<(), Re2Error> {
        match self.cursor.rest().get(..2) {
            Some(r"\A") => self.assertion(2, r"\A"),
            Some(r"\z") => self.assertion(2, r"\z"),
            Some(r"\b") => self.assertion(2, r"(?-u:\b)"),
            Some(r"\B") => self.assertion(2, r"(?-u:\B)"),
            Some(r"\Q") => self.quoted(),
            _ => {
                let mut ahead = self.cursor;
                if let Some(text) = class::group(&mut ahead)? {
                    self.cursor = ahead;
                    return self.class(|_, out| {
                        out.push_str(&text);
                        Ok(class::fold_cost(&text))
                    });
                }
                let code = class::escape(&mut self.cursor)?;
                self.literal(code)
            }
        }
    }

    /// `\Q..\E`, or to the end.
    fn quoted(&mut self) -> Result<(), Re2Error> {
        self.cursor.eat(r"\Q");
        let quoted = match self.cursor.until(r"\E") {
            Some(quoted) => quoted,
            None => self.cursor.take_rest(),
        };
        quoted.chars().try_for_each(|c| self.literal(c.into()))
    }

    fn literal(&mut self, code: u32) -> Result<(), Re2Error> {
        self.last_start = self.out.len();
        let may_fold = code > 0x7F || char::from_u32(code).is_some_and(char::is_alphabetic);
        if self.flags.fold && may_fold {
            self.out.push_str("(?i:");
            class::write_literal(&mut self.out, code);
            self.out.push(')');
        } else {
            class::write_literal(&mut self.out, code);
        }
        self.push(Part::literal(self.flags.fold))
    }

    fn class(
        &mut self,
        write: impl FnOnce(&mut Cursor<'_>, &mut String) -> Result<u64, Re2Error>,
    ) -> Result<(), Re2Error> {
        self.last_start = self.out.len();
        if self.flags.fold {
            self.out.push_str("(?i:");
        }
        let cost = write(&mut self.cursor, &mut self.out)?;
        if self.flags.fold {
            self.out.push(')');
            self.folded += cost;
        }
        if self.folded > self.max_folded {
            return Err(self.cursor.untranslatable(format!(
                "its classes fold the case of more than {} code points",
                self.max_folded
            )));
        }
        self.push(Part::atom())
    }

    /// Writes what needs no argument, in place of `length` bytes.
    fn assertion(&mut self, length: usize, written: &str) -> Result<(), Re2Error> {
        for _ in 0..length {
            self.cursor.next();
        }
        self.last_start = self.out.len();
        self.out.push_str(written);
        self.push(Part::atom())
    }

    fn push(&mut self, part: Part) -> Result<(), Re2Error> {
        self.check(part)?;
        self.group.measure.push(part);
        Ok(())
    }

    fn check(&self, part: Part) -> Result<(), Re2Error> {
        if part.height > MAX_HEIGHT {
            return Err(self.cursor.invalid_at(0, "expression nests too deeply"));
        }
        if part.size > MAX_SIZE {
            return Err(self.cursor.invalid_at(0, "expression too large"));
        }
        if part.depth > MAX_DEPTH {
            return Err(self
                .cursor
                .untranslatable(format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        Ok(())
    }

    fn open(&mut self, captures: bool, outer_flags: Flags) {
        let inner = Group {
            start: self.out.len(),
            captures,
            outer_flags,
            measure: Measure::new(),
        };
        self.open.push(std::mem::replace(&mut self.group, inner));
        self.out.push_str("(?:");
    }

    fn close(&mut self) -> Result<(), Re2Error> {
        let Some(outer) = self.open.pop() else {
            return Err(self.cursor.invalid("unexpected )"));
        };
        self.cursor.next();
        let mut closed = std::mem::replace(&mut self.group, outer);
        closed.measure.end_alternative();
        self.out.push(')');
        self.flags = closed.outer_flags;
        self.last_start = closed.start;
        let whole = closed.measure.whole();
        self.push(if closed.captures {
            whole.captured()
        } else {
            whole
        })
    }

    /// `(?`: a named group, flags, or both flags and a group.
    fn special_group(&mut self) -> Result<(), Re2Error> {
        let start = self.cursor.position();
        if self.cursor.eat("(?P<") || self.cursor.eat("(?<") {
            let name = self.cursor.until(">").unwrap_or_default();
            let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(self.cursor.invalid_at(start, "invalid named capture"));
            }
            self.open(true, self.flags);
            return Ok(());
        }
        self.cursor.eat("(?");
        let outer = self.flags;
        let mut flags = self.flags;
        let mut value = true;
        // A minus sign needs a flag behind it.
        let mut complete = true;
        loop {
            match self.cursor.next() {
                Some('i') => flags.fold = value,
                Some('m') => flags.multi_line = value,
                Some('s') => flags.dot_all = value,
                Some('U') => {}
                Some('-') if value => {
                    value = false;
                    complete = false;
                    continue;
                }
                Some(')') if complete => break,
                Some(':') if complete => {
                    self.open(false, outer);
                    break;
                }
                _ => {
                    return Err(self
                        .cursor
                        .invalid_at(start, "invalid or unsupported Perl syntax"));
                }
            }
            complete = true;
        }
        self.flags = flags;
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; a brace that is neither is a literal.
    fn counted(&mut self, start: usize, after_repeat: bool) -> Result<(), Re2Error> {
        let mut ahead = self.cursor;
        let Some((min, max)) = count(&mut ahead) else {
            self.cursor.next();
            return self.literal('{'.into());
        };
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(self.cursor.invalid("invalid repeat count"));
        }
        let operator = match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        let length = ahead.position() - start;
        let text = self.cursor.rest().get(..length).unwrap_or_default();
        self.repetition(
            start,
            (text, &operator),
            |part| part.counted(min, max),
            after_repeat,
        )
    }

    fn repeat(
        &mut self,
        start: usize,
        operator: &str,
        apply: impl FnOnce(Part) -> Part,
        after_repeat: bool,
    ) -> Result<(), Re2Error> {
        self.repetition(start, (operator, operator), apply, after_repeat)
    }

    /// Repeats the newest part; what was `read` is `written`.
    fn repetition(
        &mut self,
        start: usize,
        (read, written): (&str, &str),
        apply: impl FnOnce(Part) -> Part,
        after_repeat: bool,
    ) -> Result<(), Re2Error> {
        self.cursor.eat(read);
        self.cursor.eat("?");
        if after_repeat {
            return Err(self
                .cursor
                .invalid_at(start, "invalid nested repetition operator"));
        }
        let Some(last) = self.group.measure.take_last() else {
            return Err(self
                .cursor
                .invalid_at(start, "missing argument to repetition operator"));
        };
        let repeated = apply(last);
        if repeated.copies > MAX_COPIES {
            return Err(self.cursor.invalid_at(start, "invalid repeat count"));
        }
        // A repetition of a repetition (flags may stand between them) needs the group.
        self.out.insert_str(self.last_start, "(?:");
        self.out.push(')');
        self.out.push_str(written);
        self.after_repeat = true;
        self.push(repeated)
    }
}

fn count(cursor: &mut Cursor<'_>) -> Option<(u32, Option<u32>)> {
    cursor.eat("{");
    let min = number(cursor)?;
    let max = if !cursor.eat(",") {
        Some(min)
    } else if cursor.peek() == Some('}') {
        None
    } else {
        Some(number(cursor)?)
    };
    cursor.eat("}").then_some((min, max))
}

/// A decimal number without leading zeros; too large is the largest.
fn number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let rest = cursor.rest();
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let digits = rest.get(..length)?;
    if digits.is_empty() || (length > 1 && digits.starts_with('0')) {
        return None;
    }
    cursor.eat(digits);
    Some(digits.parse().unwrap_or(u32::MAX))
}
