//! Character classes: `[a-z]`, `\d`, `[:alpha:]`, `\pN`, and single-character escapes.
//!
//! Owns what is inside brackets and behind a backslash. Every class is written out as
//! explicit ranges or a fully named property, so that neither the `regex` crate's
//! Unicode `\d`, nor its nested classes and set operations can be met by accident.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::Re2Error;
use super::cursor::Cursor;
use super::unicode::{self, Property};

const MAX_CHAR: u32 = 0x0010_FFFF;
const BEFORE_SURROGATES: u32 = 0xD7FF;
const AFTER_SURROGATES: u32 = 0xE000;
const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";
const EVERYTHING: &str = r"[\x{0}-\x{10FFFF}]";

/// Reads a class whose `[` is next and writes it; returns its [`fold_cost`].
pub(super) fn bracketed(cursor: &mut Cursor<'_>, out: &mut String) -> Result<u64, Re2Error> {
    let start = cursor.position();
    cursor.eat("[");
    let negated = cursor.eat("^");
    let mut items = String::new();
    let mut cost = 0;
    let (mut touches_below, mut touches_above) = (false, false);
    let mut first = true;
    while first || cursor.peek() != Some(']') {
        first = false;
        if let Some(name) = posix_name(cursor) {
            let (negated, ranges) = posix(name)
                .ok_or_else(|| cursor.invalid_at(start, "invalid character class range"))?;
            let before = items.len();
            write_group(&mut items, negated, ranges);
            cost += fold_cost(items.get(before..).unwrap_or_default());
        } else if let Some(text) = group(cursor)? {
            cost += fold_cost(&text);
            items.push_str(&text);
        } else {
            let members = range(cursor, start)?;
            write_range(&mut items, *members.start(), *members.end());
            cost += u64::from(members.end() - members.start()) + 1;
            touches_below |= members.contains(&BEFORE_SURROGATES);
            touches_above |= members.contains(&AFTER_SURROGATES);
        }
    }
    cursor.eat("]");
    if touches_below && touches_above {
        // The `regex` crate negates two ranges that have only surrogates between them as
        // if the gap were the two ends; made one range, they have no gap.
        write_range(&mut items, BEFORE_SURROGATES, AFTER_SURROGATES);
    }
    if items.is_empty() {
        out.push_str(if negated { EVERYTHING } else { NOTHING });
    } else {
        out.push_str(if negated { "[^" } else { "[" });
        out.push_str(&items);
        out.push(']');
    }
    Ok(cost)
}

/// What folding the case of a group costs the `regex` crate, in code points of a range,
/// which it goes through one by one; a whole group is measured to cost a sixteenth of that.
pub(super) fn fold_cost(group: &str) -> u64 {
    if group.starts_with('\\') || group.starts_with("[^") || group == EVERYTHING {
        u64::from(MAX_CHAR) / 16
    } else {
        128
    }
}

/// Reads `\d` and its like or a `\p` class, if one is next; they stand inside brackets
/// and outside alike.
pub(super) fn group(cursor: &mut Cursor<'_>) -> Result<Option<String>, Re2Error> {
    let mut text = String::new();
    let rest = cursor.rest();
    if rest.starts_with(r"\p") || rest.starts_with(r"\P") {
        property(cursor, &mut text)?;
        return Ok(Some(text));
    }
    let (negated, ranges): (bool, &[(u8, u8)]) = match rest.get(..2) {
        Some(r"\d") => (false, DIGIT),
        Some(r"\D") => (true, DIGIT),
        Some(r"\s") => (false, PERL_SPACE),
        Some(r"\S") => (true, PERL_SPACE),
        Some(r"\w") => (false, WORD),
        Some(r"\W") => (true, WORD),
        _ => return Ok(None),
    };
    cursor.next();
    cursor.next();
    write_group(&mut text, negated, ranges);
    Ok(Some(text))
}

/// Reads an escape that stands for one code point; its `\` is next.
pub(super) fn escape(cursor: &mut Cursor<'_>) -> Result<u32, Re2Error> {
    let start = cursor.position();
    cursor.next();
    let Some(letter) = cursor.next() else {
        return Err(cursor.invalid_at(start, "trailing backslash at end of expression"));
    };
    let code = match letter {
        '1'..='7' if !matches!(cursor.peek(), Some('0'..='7')) => None,
        '0'..='7' => Some(octal(cursor, letter)),
        'x' => hexadecimal(cursor),
        'a' => Some(0x07),
        'f' => Some(0x0C),
        'n' => Some(0x0A),
        'r' => Some(0x0D),
        't' => Some(0x09),
        'v' => Some(0x0B),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => Some(other.into()),
        _ => None,
    };
    code.ok_or_else(|| cursor.invalid_at(start, "invalid escape sequence"))
}

/// Writes the code points `low` to `high`; surrogates at its ends, which no text
/// contains, are left out.
pub(super) fn write_range(out: &mut String, low: u32, high: u32) {
    let low = if is_surrogate(low) {
        AFTER_SURROGATES
    } else {
        low
    };
    let high = if is_surrogate(high) {
        BEFORE_SURROGATES
    } else {
        high
    };
    if low > high {
        return;
    }
    write_code(out, low);
    if low < high {
        out.push('-');
        write_code(out, high);
    }
}

fn is_surrogate(code: u32) -> bool {
    (BEFORE_SURROGATES + 1..AFTER_SURROGATES).contains(&code)
}

/// Writes a single code point as an expression of its own.
pub(super) fn write_literal(out: &mut String, code: u32) {
    if char::from_u32(code).is_some() {
        write_code(out, code);
    } else {
        out.push_str(NOTHING);
    }
}

fn write_code(out: &mut String, code: u32) {
    match char::from_u32(code) {
        Some(plain) if plain.is_ascii_alphanumeric() => out.push(plain),
        _ => {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{{{code:X}}}");
        }
    }
}

fn write_group(out: &mut String, negated: bool, ranges: &[(u8, u8)]) {
    out.push_str(if negated { "[^" } else { "[" });
    for &(low, high) in ranges {
        write_range(out, low.into(), high.into());
    }
    out.push(']');
}

fn range(cursor: &mut Cursor<'_>, class: usize) -> Result<RangeInclusive<u32>, Re2Error> {
    let start = cursor.position();
    let low = member(cursor, class)?;
    let rest = cursor.rest();
    let high = if rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]") {
        cursor.next();
        member(cursor, class)?
    } else {
        low
    };
    if high < low {
        return Err(cursor.invalid_at(start, "invalid character class range"));
    }
    Ok(low..=high)
}

fn member(cursor: &mut Cursor<'_>, class: usize) -> Result<u32, Re2Error> {
    if cursor.peek() == Some('\\') {
        return escape(cursor);
    }
    cursor
        .next()
        .map(u32::from)
        .ok_or_else(|| cursor.invalid_at(class, "missing closing ]"))
}

fn octal(cursor: &mut Cursor<'_>, first: char) -> u32 {
    let mut code = first.to_digit(8).unwrap_or_default();
    for _ in 0..2 {
        let Some(digit) = cursor.peek().and_then(|next| next.to_digit(8)) else {
            break;
        };
        cursor.next();
        code = code * 8 + digit;
    }
    code
}

fn hexadecimal(cursor: &mut Cursor<'_>) -> Option<u32> {
    if !cursor.eat("{") {
        let high = cursor.next()?.to_digit(16)?;
        let low = cursor.next()?.to_digit(16)?;
        return Some(high * 16 + low);
    }
    let mut code: Option<u32> = None;
    loop {
        match cursor.next()? {
            '}' => return code,
            digit => {
                let next = code.unwrap_or_default() * 16 + digit.to_digit(16)?;
                code = Some(next).filter(|code| *code <= MAX_CHAR);
                code?;
            }
        }
    }
}

fn property(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), Re2Error> {
    const INVALID: &str = "invalid character class range";
    let start = cursor.position();
    let mut negated = cursor.rest().starts_with(r"\P");
    cursor.next();
    cursor.next();
    let rest = cursor.rest();
    let mut name = if cursor.eat("{") {
        cursor.until("}")
    } else {
        cursor
            .next()
            .and_then(|letter| rest.get(..letter.len_utf8()))
    }
    .ok_or_else(|| cursor.invalid_at(start, INVALID))?;
    if let Some(inner) = name.strip_prefix('^') {
        negated = !negated;
        name = inner;
    }
    let property = unicode::property(name).map_err(|script| {
        cursor.untranslatable(format!(
            r"whether \p{{{script}}} is a class depends on the release of the engine"
        ))
    })?;
    let property = property.ok_or_else(|| cursor.invalid_at(start, INVALID))?;
    match (property, negated) {
        (Property::UpTo(MAX_CHAR), false) | (Property::Surrogates, true) => {
            out.push_str(EVERYTHING);
        }
        (Property::UpTo(MAX_CHAR), true) | (Property::Surrogates, false) => out.push_str(NOTHING),
        (Property::UpTo(last), negated) => {
            out.push_str(if negated { "[^" } else { "[" });
            write_range(out, 0, last);
            out.push(']');
        }
        (Property::Assigned, false) => out.push_str(r"\P{gc=cn}"),
        (Property::Assigned, true) => out.push_str(r"\p{gc=cn}"),
        (Property::Named(name), negated) => {
            out.push_str(if negated { r"\P" } else { r"\p" });
            out.push_str(&name);
        }
    }
    Ok(())
}

/// The inside of a `[:name:]`, if one is next.
fn posix_name<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let mut ahead = *cursor;
    if !ahead.eat("[:") {
        return None;
    }
    let name = ahead.until(":]")?;
    *cursor = ahead;
    Some(name)
}

fn posix(name: &str) -> Option<(bool, &'static [(u8, u8)])> {
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let ranges: &[(u8, u8)] = match name {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0, 0x7F)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        "digit" => DIGIT,
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => WORD,
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    };
    Some((negated, ranges))
}

const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
/// Without the vertical tab, unlike `[:space:]`.
const PERL_SPACE: &[(u8, u8)] = &[(b'\t', b'\n'), (0x0C, b'\r'), (b' ', b' ')];
const WORD: &[(u8, u8)] = &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')];
