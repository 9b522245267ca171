use super::{Re2, Re2Error};
use serde_json::Value;

/// Vectors of Go's `regexp`; the last line has the subjects.
const SUBSET: &str = include_str!("../../../tests/data/re2.jsonl");

fn invalid(pattern: &str) -> (usize, &'static str) {
    match Re2::new(pattern) {
        Err(Re2Error::Invalid {
            position, reason, ..
        }) => (position, reason),
        other => panic!("{pattern}: {other:?}"),
    }
}

/// Two vectors record how they were made, not what Go means; each has a test of its own.
const RECORDED_AMISS: [&str; 2] = [NOT_UTF8, OPEN_QUOTATION];
/// Stands for a pattern that was not UTF-8 when Go refused it; JSON cannot hold that one,
/// nor can a `&str`. Go accepts the replacement character itself.
const NOT_UTF8: &str = "\u{FFFD}";
/// Its `whole` is empty because it was wrapped as text in `^(?:` and `)$`, and the open quotation
/// swallowed the `)$`. RE2's full match, which Envoy uses, wraps no text.
const OPEN_QUOTATION: &str = r"\Qa.b";

/// How often the vectors and we disagree, in words, and how many there were.
fn disagreements(vectors: &str) -> (Vec<String>, usize) {
    let lines: Vec<Value> = vectors
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (subjects, cases) = lines.split_last().unwrap();
    let subjects: Vec<&str> = texts(&subjects["subjects"]);
    let wrong = cases
        .iter()
        .filter_map(|case| disagreement(case, &subjects))
        .collect();
    (wrong, cases.len())
}

fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter().map(|text| text.as_str().unwrap()).collect()
}

fn disagreement(case: &Value, subjects: &[&str]) -> Option<String> {
    let pattern = case["pattern"].as_str().unwrap();
    if RECORDED_AMISS.contains(&pattern) {
        return None;
    }
    if case.get("error").is_some() {
        return match Re2::new(pattern) {
            Err(Re2Error::Invalid { .. }) => None,
            other => Some(format!("{pattern}: Go refuses it, we say {other:?}")),
        };
    }
    let re2 = match Re2::new(pattern) {
        Ok(re2) => re2,
        Err(error) => return Some(format!("{pattern}: {error}")),
    };
    let indices = |matches: &dyn Fn(&str) -> bool| -> Vec<u64> {
        (0..)
            .zip(subjects)
            .filter(|(_, subject)| matches(subject))
            .map(|(index, _)| index)
            .collect()
    };
    let wanted = |name: &str| -> Vec<u64> {
        let list = case[name].as_array().unwrap();
        list.iter().map(|index| index.as_u64().unwrap()).collect()
    };
    let search = indices(&|subject| re2.is_match(subject));
    let whole = indices(&|subject| re2.is_full_match(subject));
    (search != wanted("search") || whole != wanted("whole"))
        .then(|| format!("{pattern}: search {search:?}, whole {whole:?}, wanted {case}"))
}

#[test]
fn the_subset_of_the_vectors_agrees_with_go() {
    let (wrong, cases) = disagreements(SUBSET);
    assert!(cases > 100);
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn all_vectors_agree_with_go() {
    let folder = std::env::var("FLOWWATCH_CONFORMANCE")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance").into());
    let Ok(vectors) = std::fs::read_to_string(format!("{folder}/re2.jsonl")) else {
        eprintln!("skipped: no re2.jsonl in {folder}");
        return;
    };
    assert_eq!(disagreements(&vectors).0, Vec::<String>::new());
}

#[test]
fn the_replacement_character_is_a_literal() {
    assert!(Re2::new(NOT_UTF8).unwrap().is_full_match("\u{FFFD}"));
}

#[test]
fn an_open_quotation_ends_with_the_expression() {
    let re2 = Re2::new(OPEN_QUOTATION).unwrap();
    assert!(re2.is_match("a a.b"));
    assert!(re2.is_full_match("a.b"));
    assert!(!re2.is_full_match("a.b)$"));
}

#[test]
fn an_error_says_where_and_what() {
    assert_eq!(invalid("ab["), (2, "missing closing ]"));
    assert_eq!(invalid("a**"), (2, "invalid nested repetition operator"));
    assert_eq!(
        invalid("x|*"),
        (2, "missing argument to repetition operator")
    );
    assert_eq!(invalid("\u{E9}\\8"), (2, "invalid escape sequence"));
    assert_eq!(invalid("a)"), (1, "unexpected )"));
    assert_eq!(invalid("(a"), (0, "missing closing )"));
    assert_eq!(invalid("a{2,1}"), (1, "invalid repeat count"));
    assert_eq!(invalid("(?=a)"), (0, "invalid or unsupported Perl syntax"));
    let shown = Re2::new("[").unwrap_err().to_string();
    assert_eq!(shown, "missing closing ] at byte 0 of `[`");
}

#[test]
fn flags_between_repetitions_make_them_nest() {
    let re2 = Re2::new("^a{2}(?i)*$").unwrap();
    assert!(re2.is_match("aaaa"));
    assert!(!re2.is_match("aaa"));
}

#[test]
fn an_empty_quotation_is_no_argument() {
    assert!(Re2::new(r"^a\Q\E*$").unwrap().is_match("aaa"));
    assert_eq!(
        invalid(r"\Q\E*").1,
        "missing argument to repetition operator"
    );
}

#[test]
fn surrogates_match_nothing_and_do_not_break_a_class() {
    assert!(!Re2::new(r"\x{D800}").unwrap().is_match("a"));
    assert!(
        Re2::new(r"^[\x{D7FF}-\x{E000}]$")
            .unwrap()
            .is_match("\u{E000}")
    );
    assert!(!Re2::new(r"[\x{D800}-\x{DFFF}]").unwrap().is_match("a"));
    assert!(Re2::new(r"^[^\x{D800}]\P{Cs}$").unwrap().is_match("aa"));
}

#[test]
fn the_neighbours_of_the_surrogates_are_told_apart_when_negated() {
    for class in [
        r"[^\x{D000}-\x{E100}]",
        r"[^\x{D7FF}\x{E000}]",
        r"[^\x{D000}-\x{D800}\x{DFFF}-\x{E000}]",
    ] {
        let re2 = Re2::new(class).unwrap();
        assert!(!re2.is_match("\u{D7FF}\u{E000}"), "{class}");
        assert!(re2.is_match("\u{F000}"), "{class}");
    }
}

#[test]
fn only_properties_of_re2_are_known() {
    assert!(
        Re2::new(r"^\p{greek}\pL\p{^Lu}$")
            .unwrap()
            .is_match("\u{3B1}aa")
    );
    assert_eq!(
        invalid(r"\p{Alphabetic}").1,
        "invalid character class range"
    );
    assert_eq!(invalid(r"\p{scx=Greek}").1, "invalid character class range");
    assert_eq!(invalid(r"\p{Greek").1, "invalid character class range");
}

#[test]
fn a_property_that_engines_disagree_on_is_unknown() {
    assert!(matches!(
        Re2::new(r"\p{Old_Italic}"),
        Err(Re2Error::Untranslatable { .. })
    ));
}

#[test]
fn a_hostile_expression_is_refused_before_it_grows() {
    let wide = r"\pL{1000}".repeat(20);
    assert!(matches!(
        Re2::new(&wide),
        Err(Re2Error::Untranslatable { .. })
    ));
    assert!(matches!(
        Re2::new(&"a".repeat(1 << 20)),
        Err(Re2Error::Untranslatable { .. })
    ));
    for costly in [
        r"[\x{0}-\x{10FFFF}]",
        r"[\W]",
        r"[[:^word:]]",
        r"\pL",
        r"[^\PL]",
    ] {
        let folded = format!("(?i){}", costly.repeat(2000));
        assert!(matches!(
            Re2::new(&folded),
            Err(Re2Error::Untranslatable { .. })
        ));
    }
    let nested = format!("{}{}", "(?:a|b".repeat(900), ")*".repeat(900));
    assert!(matches!(
        Re2::new(&nested),
        Err(Re2Error::Untranslatable { .. })
    ));
    let bearable = format!("{}{}", "(?:a|b".repeat(80), ")*".repeat(80));
    assert!(Re2::new(&bearable).unwrap().is_full_match("bba"));
    assert_eq!(invalid("((a{100}){10}){2}").1, "invalid repeat count");
    let deep = format!("{}a{}", "(".repeat(1001), ")".repeat(1001));
    assert_eq!(invalid(&deep).1, "expression nests too deeply");
    let allowed = format!("{}a{}", "(".repeat(999), ")".repeat(999));
    assert!(Re2::new(&allowed).unwrap().is_full_match("a"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(
        pattern in r"([ab.*+?|()\[\]{}^$\\,:<>!=-]|\\[a-zA-Z0-7]|[0-9]|\(\?[imsU]|\u{E9}|\{2\}|.){0,24}",
        text in ".{0,16}",
    ) {
        if let Ok(re2) = Re2::new(&pattern) {
            let whole = re2.is_full_match(&text);
            proptest::prop_assert!(!whole || re2.is_match(&text));
        }
    }
}
