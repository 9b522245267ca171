//! Hostile SQL and names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;

use super::flows::grouping;
use super::reads::line;
use super::{all, archive, canned, rows, session};

#[test]
fn names_with_quotes_are_names() {
    let hostile = [
        "it's",
        "a\"b",
        "x' OR '1'='1",
        "'; DROP TABLE flows; --",
        "read_csv('/etc/passwd')",
        "a\\b",
        "per%cent_",
        "new\nline",
    ];
    let lines: String = hostile
        .iter()
        .map(|name| line("2026-06-01T10:00:00Z", name, "target"))
        .collect();
    let folder = archive(&lines);
    for name in hostile {
        let sql = format!(
            "SELECT source_workload FROM flows WHERE source_workload = '{}'",
            name.replace('\'', "''")
        );
        let found = rows(all(folder.path()).sql(&sql).unwrap());
        assert_eq!(found, [json!({"source_workload": name})], "{sql}");
        let text = serde_json::to_string(name).unwrap();
        let session = session(folder.path(), Some(&format!("src.workload == {text}")), &[]);
        let found = rows(
            session
                .group(&grouping(&["src.workload"], None, None))
                .unwrap(),
        );
        assert_eq!(found[0]["source_workload"], name);
        assert_eq!(found.len(), 1);
        let party = format!("n/{name}");
        let found = canned(folder.path(), "timeline", &[&party]);
        assert_eq!(found[0]["flows"], 1, "{name}");
    }
}

/// Everything below a folder, with contents.
fn contents(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// Scenario: a file beside the archive that a query tries to read, and a place to write.
/// Guarantees: an error, and nothing changes.
#[test]
fn hostile_sql_reads_and_writes_nothing() {
    let folder = archive(&line("2026-06-01T10:00:00Z", "a", "b"));
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.parquet");
    let stored = contents(folder.path());
    let parquet = stored
        .keys()
        .find(|path| path.extension().is_some_and(|end| end == "parquet"));
    fs::copy(parquet.unwrap(), &secret).unwrap();
    let before = contents(outside.path());
    let secret = secret.display();
    for sql in [
        format!("SELECT * FROM read_parquet('{secret}')"),
        format!("SELECT * FROM \"read_parquet\"('{secret}')"),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        format!("SELECT * FROM flows UNION ALL SELECT * FROM read_parquet('{secret}')"),
        format!("SELECT (SELECT COUNT(*) FROM read_parquet('{secret}')) FROM flows"),
        format!("WITH a AS (SELECT * FROM read_parquet('{secret}')) SELECT * FROM a"),
        format!("COPY flows TO '{}'", outside.path().join("x").display()),
        "CREATE TABLE x AS SELECT * FROM flows".to_owned(),
        "DROP TABLE flows".to_owned(),
        "DELETE FROM flows".to_owned(),
        "TRUNCATE TABLE flows".to_owned(),
        "SHOW TABLES".to_owned(),
        "EXPLAIN SELECT * FROM flows".to_owned(),
        "SELECT * FROM flows; SELECT 1".to_owned(),
        "SELECT nothing FROM flows".to_owned(),
        "SELECT no_function(time) FROM flows".to_owned(),
        "SELECT * FROM flows ORDER BY 0".to_owned(),
        "SELECT * FROM flows ORDER BY 99999999999999999999".to_owned(),
    ] {
        let answered = all(folder.path()).sql(&sql);
        assert!(answered.is_err(), "{sql}");
    }
    assert_eq!(contents(outside.path()), before);
    assert_eq!(contents(folder.path()), stored);
}
