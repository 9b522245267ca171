//! Any text as a file of manifests: no panic; what is read says the same when it is
//! written as JSON and read again.
#![no_main]

use flowwatch::manifest::{Node, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let outcome = read(text, "fuzz".into());
    let lines = text.matches(['\n', '\r']).count() as u32 + 1;
    for error in &outcome.errors {
        assert!(error.at.line >= 1 && error.at.line <= lines + 1, "{error}");
    }
    for document in &outcome.documents {
        assert!(document.at().line <= lines, "{document:?}");
        let json = serde_json::Value::from(&document.root).to_string();
        let again = read(&json, "json".into());
        // A long key ends a simple key of YAML; JSON of it is not read by its rules.
        if again.errors.is_empty() && again.documents.len() == 1 {
            let again: &Node = &again.documents[0].root;
            assert_eq!(serde_json::Value::from(again).to_string(), json);
        }
    }
});
