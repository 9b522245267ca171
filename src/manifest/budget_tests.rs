//! What is too deep, too large or too much is a clear error, and costs no more than its
//! bound.

use super::compose::{DEPTH, KEYS, TEXT, VALUES};
use super::{DOCUMENT_BYTES, ReadErrorKind, read};
use std::fmt::Write as _;

/// The only error of a text from which nothing else is read.
fn error(text: &str) -> ReadErrorKind {
    let outcome = read(text, "f".into());
    assert_eq!(outcome.documents.len(), 0);
    assert_eq!(outcome.errors.len(), 1);
    outcome.errors.into_iter().next().unwrap().kind
}

#[test]
fn deep_nesting_ends_at_its_bound() {
    let too_deep = ReadErrorKind::TooDeep { limit: DEPTH };
    assert_eq!(error(&"[".repeat(100_000)), too_deep);
    assert_eq!(error(&"{a: ".repeat(100_000)), too_deep);
    let lines: Vec<String> = (0..300)
        .map(|level| {
            format!(
                "{}a:
",
                " ".repeat(level)
            )
        })
        .collect();
    let block = lines.concat();
    assert_eq!(error(&block), too_deep);
    let fits = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    assert!(read(&fits, "f".into()).errors.is_empty());
}

#[test]
fn aliases_do_not_nest_beyond_the_bound() {
    let mut text = String::from("- &a0 [x]\n");
    for level in 1..=DEPTH {
        let _ = writeln!(text, "- &a{level} [*a{}]", level - 1);
    }
    assert_eq!(error(&text), ReadErrorKind::TooDeep { limit: DEPTH });
}

#[test]
fn a_bomb_of_aliases_is_not_built() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{aliases}]");
    }
    assert_eq!(error(&text), ReadErrorKind::TooManyValues { limit: VALUES });
}

#[test]
fn a_long_text_is_not_repeated_without_end() {
    let text = format!("- &a {}\n{}", "x".repeat(1 << 20), "- *a\n".repeat(1000));
    assert_eq!(error(&text), ReadErrorKind::TooMuchText { limit: TEXT });
}

#[test]
fn an_anchor_inside_itself_is_an_error() {
    assert_eq!(error("a: &a [*a]\n"), ReadErrorKind::AnchorInItself);
}

#[test]
fn labels_beyond_the_bound_are_too_many() {
    let labels = (0..=KEYS).map(|label| format!("    label-{label}: x\n"));
    let text = format!(
        "kind: Pod\nmetadata:\n  labels:\n{}",
        labels.collect::<String>()
    );
    assert_eq!(error(&text), ReadErrorKind::TooManyKeys { limit: KEYS });
}

#[test]
fn a_document_of_50_megabytes_is_not_looked_into() {
    let size = 50_000_000;
    let text = format!("kind: A\n---\n{}", "x".repeat(size));
    let outcome = read(&text, "f".into());
    assert_eq!(outcome.documents.len(), 1);
    assert_eq!(
        outcome.errors[0].to_string(),
        format!(
            "f:2:1: a document of {} bytes is larger than {DOCUMENT_BYTES}",
            size + 4
        )
    );
}

#[test]
fn many_values_over_many_documents_end_too() {
    let document = format!(
        "---\n- &a [{}]\n{}",
        "1,".repeat(1000),
        "- *a\n".repeat(900)
    );
    let outcome = read(&document.repeat(5), "f".into());
    assert!(outcome.documents.len() < 5);
    let kind = &outcome.errors[0].kind;
    assert_eq!(*kind, ReadErrorKind::TooManyValues { limit: VALUES });
}

#[test]
fn endless_bad_documents_are_not_all_named() {
    let text = format!("{}---\nkind: NetworkPolicy\n", "---\n[\n".repeat(5000));
    let outcome = read(&text, "f".into());
    let last = outcome.errors.last().unwrap();
    assert!(outcome.errors.len() <= super::read::ERRORS + 1);
    assert!(matches!(last.kind, ReadErrorKind::TooManyErrors { .. }));
    assert_eq!(&*last.lost_kinds[0], "NetworkPolicy");
}

#[test]
fn objects_in_one_line_are_all_read() {
    let outcome = read(&"{}".repeat(300), "f".into());
    assert_eq!((outcome.documents.len(), outcome.errors.len()), (300, 0));
}

#[test]
fn endless_objects_are_not_all_kept() {
    let items = "{},".repeat(super::read::DOCUMENTS + 1);
    let list = format!("apiVersion: v1\nkind: List\nitems: [{items}]\n");
    assert!(matches!(
        error(&list),
        ReadErrorKind::TooManyDocuments { .. }
    ));
}
