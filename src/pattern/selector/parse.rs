//! The text of a label selector.
//!
//! Owns Hubble's rule for sources in keys (`k8s:app`, no source is any source), and
//! Kubernetes' grammar and syntax of keys and values behind it.

use std::iter::Peekable;
use std::vec;

use super::{Key, Requirement, SelectorError, Test};

/// Longest name and longest value.
const MAX_NAME: usize = 63;
/// Longest part of a key before its slash.
const MAX_PREFIX: usize = 253;

pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let tokens = tokens(&with_sources(text));
    Parser {
        tokens: tokens.into_iter().peekable(),
    }
    .requirements()
}

/// Puts the source of every key before a dot: `k8s:app` is `k8s.app`, `app` is `any.app`.
///
/// A key begins behind a comma outside parentheses and ends at a space or an operator;
/// anything else is left to the grammar.
fn with_sources(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while !rest.is_empty() {
        let before = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '!')
                .len();
        let (skipped, behind) = rest.split_at(before);
        out.push_str(skipped);
        let end = behind
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '!' | ','))
            .unwrap_or(behind.len());
        let (key, behind) = behind.split_at(end);
        if key.contains(':') {
            out.push_str(&key.replacen(':', ".", 1));
        } else {
            out.push_str("any.");
            out.push_str(key);
        }
        let (condition, behind) = behind.split_at(end_of_requirement(behind));
        out.push_str(condition);
        rest = behind;
    }
    out
}

/// Just behind the next comma that is outside parentheses.
fn end_of_requirement(text: &str) -> usize {
    let mut nesting = 0_i64;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => nesting += 1,
            b')' => nesting -= 1,
            b',' if nesting == 0 => return position + 1,
            _ => {}
        }
    }
    text.len()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Symbol(&'static str),
}

/// Longest first.
const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

fn tokens(text: &str) -> Vec<Token> {
    // Kubernetes' lexer takes a NUL outside a word for the end of the text, and drops one
    // that ends a word.
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if rest.is_empty() || rest.starts_with('\0') {
            return tokens;
        }
        if let Some((symbol, behind)) = SYMBOLS
            .iter()
            .find_map(|symbol| Some((*symbol, rest.strip_prefix(symbol)?)))
        {
            tokens.push(Token::Symbol(symbol));
            rest = behind.strip_prefix('\0').unwrap_or(behind);
            continue;
        }
        let ends = |c: char| {
            matches!(
                c,
                ' ' | '\t' | '\r' | '\n' | '=' | '!' | '(' | ')' | ',' | '>' | '<' | '\0'
            )
        };
        let (word, behind) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        tokens.push(Token::Word(word.to_owned()));
        rest = behind.strip_prefix('\0').unwrap_or(behind);
    }
}

struct Parser {
    tokens: Peekable<vec::IntoIter<Token>>,
}

impl Parser {
    fn requirements(mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        if self.tokens.peek().is_none() {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            match self.tokens.next() {
                None => return Ok(requirements),
                Some(Token::Symbol(",")) => {}
                other => return Err(unexpected(other, "',' or end of text")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.eat("!");
        let key = match self.tokens.next() {
            Some(Token::Word(key)) => key,
            other => return Err(unexpected(other, "'!' or identifier")),
        };
        check_key(&key)?;
        let test = if negated {
            Test::Missing
        } else if self.at_end() {
            Test::Exists
        } else {
            self.test()?
        };
        Ok(Requirement {
            key: Key::parse(&key),
            test,
        })
    }

    fn test(&mut self) -> Result<Test, SelectorError> {
        let operator = self.tokens.next();
        let test = match &operator {
            Some(Token::Symbol("=" | "==")) => Test::In(vec![self.value()?]),
            Some(Token::Symbol("!=")) => Test::NotIn(vec![self.value()?]),
            Some(Token::Symbol(">")) => Test::Greater(self.integer()?),
            Some(Token::Symbol("<")) => Test::Less(self.integer()?),
            Some(Token::Word(word)) if word == "in" => Test::In(self.values()?),
            Some(Token::Word(word)) if word == "notin" => Test::NotIn(self.values()?),
            _ => return Err(unexpected(operator, "=, !=, ==, in, notin, >, <")),
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            values.iter().try_for_each(|value| check_value(value))?;
        }
        Ok(test)
    }

    /// A value, which may be empty.
    fn value(&mut self) -> Result<String, SelectorError> {
        if self.at_end() {
            return Ok(String::new());
        }
        match self.tokens.next() {
            Some(Token::Word(value)) => Ok(value),
            other => Err(unexpected(other, "identifier")),
        }
    }

    fn integer(&mut self) -> Result<i64, SelectorError> {
        let value = self.value()?;
        check_value(&value)?;
        value.parse().map_err(|_| SelectorError::Value {
            value,
            reason: "for 'Gt', 'Lt' operators, the value must be an integer",
        })
    }

    /// `(a, b)`; between commas and parentheses there may be nothing, the empty value.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        if !self.eat("(") {
            return Err(unexpected(self.tokens.next(), "'('"));
        }
        let mut values = Vec::new();
        loop {
            match self.tokens.peek() {
                Some(Token::Word(value)) => {
                    values.push(value.clone());
                    self.tokens.next();
                }
                Some(Token::Symbol("," | ")")) => values.push(String::new()),
                _ => {}
            }
            match self.tokens.next() {
                Some(Token::Symbol(",")) => {}
                Some(Token::Symbol(")")) => return Ok(values),
                other => return Err(unexpected(other, "',', ')' or identifier")),
            }
        }
    }

    fn at_end(&mut self) -> bool {
        matches!(self.tokens.peek(), None | Some(Token::Symbol(",")))
    }

    fn eat(&mut self, symbol: &'static str) -> bool {
        self.tokens.next_if_eq(&Token::Symbol(symbol)).is_some()
    }
}

fn unexpected(found: Option<Token>, expected: &'static str) -> SelectorError {
    SelectorError::Unexpected {
        found: match found {
            Some(Token::Word(word)) => word,
            Some(Token::Symbol(symbol)) => symbol.to_owned(),
            None => String::new(),
        },
        expected,
    }
}

fn check_key(key: &str) -> Result<(), SelectorError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let reason = if name.contains('/') {
        "it has more than one slash"
    } else if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        "its prefix must be a lower-case DNS name"
    } else if name.len() > MAX_NAME {
        "its name must be no more than 63 bytes"
    } else if !is_name(name) {
        "its name must consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character"
    } else {
        return Ok(());
    };
    Err(SelectorError::Key {
        key: key.to_owned(),
        reason,
    })
}

fn check_value(value: &str) -> Result<(), SelectorError> {
    let reason = if value.len() > MAX_NAME {
        "it must be no more than 63 bytes"
    } else if !value.is_empty() && !is_name(value) {
        "it must be empty or consist of alphanumeric characters, '-', '_' or '.', and must \
         start and end with an alphanumeric character"
    } else {
        return Ok(());
    };
    Err(SelectorError::Value {
        value: value.to_owned(),
        reason,
    })
}

fn is_name(text: &str) -> bool {
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    outer(text.bytes().next())
        && outer(text.bytes().next_back())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_subdomain(text: &str) -> bool {
    let is_label = |label: &str| {
        is_name(label)
            && label
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= MAX_PREFIX && text.split('.').all(is_label)
}
