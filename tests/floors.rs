//! The floors of the house: a room imports only from rooms above it.
//!
//! Looks at every `crate::room` in `src/`, with `super::` resolved, outside
//! `#[cfg(test)]`. Does not look at what a room does with what it imports.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, from the ground up: each may use those before it.
const ROOMS: [&str; 30] = [
    "flow",
    "proto",
    "wire",
    "pattern",
    "manifest",
    "filter",
    "source",
    "inventory",
    "policy",
    "connection",
    "baseline",
    "detect",
    "finding",
    "engine",
    "archive",
    "query",
    "review",
    "respond",
    "synth",
    "redact",
    "render",
    "notify",
    "serve",
    "tui",
    "cluster",
    "config",
    "telemetry",
    "cli",
    "main",
    "lib",
];

#[test]
fn no_room_imports_from_a_floor_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let violations = violations(&root);
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// `file:line: room uses other` for every import that is not allowed.
fn violations(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    rust_files(root, &mut files);
    files.sort();
    let texts: Vec<(PathBuf, Source)> = files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let module = module_of(path.strip_prefix(root).unwrap());
            let source = Source::read(&text, module);
            (path, source)
        })
        .collect();
    let tests: Vec<Vec<String>> = texts
        .iter()
        .flat_map(|(_, source)| source.test_modules.clone())
        .collect();
    let mut found = Vec::new();
    for (path, source) in &texts {
        if tests.iter().any(|test| source.module.starts_with(test)) {
            continue;
        }
        let shown = path.strip_prefix(root).unwrap().display();
        let room = source.module.first().map_or("lib", String::as_str);
        let Some(own) = floor(room) else {
            found.push(format!("src/{shown}:1: {room} is no room"));
            continue;
        };
        for (line, used) in &source.imports {
            match floor(used) {
                Some(other) if other <= own => {}
                Some(_) => found.push(format!("src/{shown}:{line}: {room} uses {used}")),
                // Not a room: something of the crate's root, which only the door has.
                None => found.push(format!("src/{shown}:{line}: {used} is no room")),
            }
        }
    }
    found
}

fn floor(room: &str) -> Option<usize> {
    ROOMS.iter().position(|name| *name == room)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The module a file is: `wire/json/mod.rs` is wire, json. The roots are their rooms.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> = file
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// What matters of a file.
struct Source {
    module: Vec<String>,
    /// Line and name of every first step below the crate.
    imports: Vec<(usize, String)>,
    /// Modules that exist in tests only.
    test_modules: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
}

impl Source {
    fn read(text: &str, module: Vec<String>) -> Self {
        let mut source = Self {
            module,
            imports: Vec::new(),
            test_modules: Vec::new(),
        };
        source.walk(&tokens(text));
        source
    }

    fn walk(&mut self, tokens: &[Token]) {
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        // Inline modules that are open, each with the depth of braces outside it.
        let mut inline: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while at < tokens.len() {
            match word(at) {
                "#" if is_cfg_test(&tokens[at..]) => {
                    at = self.skip_item(tokens, at);
                    continue;
                }
                "mod" if word(at + 2) == "{" => inline.push((word(at + 1).to_owned(), depth)),
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    inline.pop_if(|(_, outside)| *outside == depth);
                }
                "crate" if word(at + 1) == "::" => self.import(tokens, at + 2),
                "super" if word(at + 1) == "::" => {
                    let mut ups = 1;
                    while word(at + 2 * ups) == "super" && word(at + 2 * ups + 1) == "::" {
                        ups += 1;
                    }
                    // The roots are the crate: there is nothing above them.
                    if self.module.len() + inline.len() == ups {
                        self.import(tokens, at + 2 * ups);
                    }
                    at += 2 * ups - 1;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// What stands after `crate::`: a name, or names in braces.
    fn import(&mut self, tokens: &[Token], at: usize) {
        let Some(first) = tokens.get(at) else { return };
        if first.text != "{" {
            self.imports.push((first.line, first.text.clone()));
            return;
        }
        let mut depth = 0;
        for pair in tokens[at..].windows(2) {
            match pair[0].text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
            let starts = depth == 1 && matches!(pair[0].text.as_str(), "{" | ",");
            if starts && pair[1].text != "}" {
                self.imports.push((pair[1].line, pair[1].text.clone()));
            }
        }
    }

    /// Skips the item that `#[cfg(test)]` stands before; returns where the next begins.
    fn skip_item(&mut self, tokens: &[Token], at: usize) -> usize {
        let mut depth = 0;
        for (index, token) in tokens.iter().enumerate().skip(at) {
            let text = token.text.as_str();
            match text {
                "mod" if depth == 0 && tokens[index + 2].text == ";" => {
                    let mut module = self.module.clone();
                    module.push(tokens[index + 1].text.clone());
                    self.test_modules.push(module);
                }
                "{" | "[" | "(" => depth += 1,
                "}" | "]" | ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(text, ";" | "}") {
                return index + 1;
            }
        }
        tokens.len()
    }
}

fn is_cfg_test(tokens: &[Token]) -> bool {
    let wanted = ["#", "[", "cfg", "(", "test", ")", "]"];
    tokens.len() >= wanted.len()
        && tokens
            .iter()
            .zip(wanted)
            .all(|(token, text)| token.text == text)
}

/// Words, `::` and single signs; no comments, no literals.
fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let start = at;
        let rest = &text[at..];
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += block_comment(rest);
        } else if let Some(length) = literal(rest) {
            at += length;
        } else if word(&bytes[at]) {
            at += bytes[at..].iter().take_while(|byte| word(byte)).count();
            tokens.push(Token {
                text: text[start..at].to_owned(),
                line,
            });
        } else {
            at += if rest.starts_with("::") {
                2
            } else {
                rest.chars().next().map_or(1, char::len_utf8)
            };
            if !bytes[start].is_ascii_whitespace() {
                tokens.push(Token {
                    text: text[start..at].to_owned(),
                    line,
                });
            }
        }
        line += text[start..at].matches('\n').count();
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Length of a string or character that begins `text`.
fn literal(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let prefix = ["br", "cr", "b", "c", "r"]
        .into_iter()
        .find(|prefix| text.starts_with(prefix))
        .unwrap_or_default();
    let after = &bytes[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = after.iter().take_while(|byte| **byte == b'#').count();
        if after.get(hashes) == Some(&b'"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix.len() + hashes + 1;
            return Some(
                text[body..]
                    .find(&end)
                    .map_or(text.len(), |at| body + at + end.len()),
            );
        }
    }
    let quote = match (after.first(), prefix) {
        (Some(b'"'), "" | "b" | "c") => b'"',
        // A character, not a lifetime: it is closed after one or is an escape.
        (Some(b'\''), "" | "b") => {
            let mut inside = text[prefix.len() + 1..].chars();
            let first = inside.next()?;
            if first != '\\' && inside.next() != Some('\'') {
                return None;
            }
            b'\''
        }
        _ => return None,
    };
    let mut at = prefix.len() + 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some((at + 1).min(bytes.len()))
}

/// A tree of files, and what is wrong with it.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    violations(folder.path())
}

#[test]
fn an_import_from_above_is_named_by_file_and_line() {
    let files = [
        (
            "flow/mod.rs",
            "//! Rows.\nuse std::fmt;\n\nuse crate::wire::walk;\n",
        ),
        ("wire/mod.rs", "use crate::flow::Row;\n"),
    ];
    assert_eq!(found(&files), ["src/flow/mod.rs:4: flow uses wire"]);
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let files = [
        ("flow/mod.rs", "use super::proto;\n"),
        (
            "flow/deep/row.rs",
            "fn f() { super::super::super::cli::run(); }\n",
        ),
        (
            "wire/mod.rs",
            "use crate::{flow::{A, B}, filter::C, render};\n",
        ),
        ("filter.rs", "mod inner { use super::super::source; }\n"),
        (
            "engine/mod.rs",
            "fn f() -> crate::serve::Ring { loop {} }\n",
        ),
    ];
    assert_eq!(
        found(&files),
        [
            "src/engine/mod.rs:1: engine uses serve",
            "src/filter.rs:1: filter uses source",
            "src/flow/deep/row.rs:1: flow uses cli",
            "src/flow/mod.rs:1: flow uses proto",
            "src/wire/mod.rs:1: wire uses filter",
            "src/wire/mod.rs:1: wire uses render",
        ]
    );
}

#[test]
fn what_is_allowed_or_no_import_is_left_alone() {
    let files = [
        ("lib.rs", "pub mod flow;\n"),
        ("main.rs", "fn main() { flowwatch::cli::main() }\n"),
        (
            "source/file/read.rs",
            "use super::chunk;\nuse super::super::Stream;\nuse crate::wire;\npub(crate) struct A;\n",
        ),
        (
            "flow/mod.rs",
            "// crate::cli\n/* crate::cli /* */ crate::cli */\n\
             const A: &str = \"crate::cli \\\" crate::cli\";\n\
             const B: &str = r#\"crate::cli\"#;\nfn f<'a>(a: &'a u8) -> char { '\"' }\n\
             use crate::flow::row;\n",
        ),
    ];
    assert_eq!(found(&files), [""; 0]);
}

#[test]
fn tests_may_use_the_whole_house() {
    let files = [
        (
            "flow/mod.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::cli;\n}\n#[cfg(test)]\nmod more;\n\
             #[cfg(test)]\nuse crate::render;\nuse crate::serve;\n",
        ),
        ("flow/more.rs", "use crate::cli;\n"),
        ("flow/more/deep.rs", "use crate::cli;\n"),
    ];
    assert_eq!(found(&files), ["src/flow/mod.rs:9: flow uses serve"]);
}

#[test]
fn a_room_that_is_not_in_the_house_is_named() {
    let files = [("attic/mod.rs", ""), ("cli/mod.rs", "use crate::cellar;\n")];
    assert_eq!(
        found(&files),
        [
            "src/attic/mod.rs:1: attic is no room",
            "src/cli/mod.rs:1: cellar is no room"
        ]
    );
}
