//! Which SQL is let through: one SELECT over the views.
//!
//! Owns the check on the syntax tree, made by the parser the engine has. What is not
//! known to be harmless is refused: a file can only be named by functions in the place
//! of a table, and those are not views.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor,
};

use super::hint::Hints;
use super::{MOST_BYTES, Use, parse};
use crate::query::VIEWS;
use crate::query::answer::guarded;
use crate::query::error::QueryError;
use crate::query::near::near;

/// Levels of an expression: a chain of `OR` has one for each.
const MOST_LEVELS: usize = 256;
/// SELECTs in one statement.
const MOST_SELECTS: usize = 64;
/// Rows of a LIMIT.
const MOST_LIMIT: u32 = 1_000_000;
/// Functions that reach for what is not in a row.
const FILE_WORDS: [&str; 3] = ["read_", "scan_", "write_"];

/// The views that a SELECT uses.
///
/// # Errors
/// [`QueryError`] for anything that is not one SELECT over views.
pub(in crate::query) fn check(text: &str) -> Result<Vec<Use>, QueryError> {
    if text.len() > MOST_BYTES {
        return Err(QueryError::Syntax(format!(
            "longer than {MOST_BYTES} bytes"
        )));
    }
    guarded(|| check_here(text))
}

fn check_here(text: &str) -> Result<Vec<Use>, QueryError> {
    let statements = parse(text)?;
    let [statement] = statements.as_slice() else {
        return Err(refused(format!("{} statements", statements.len())));
    };
    let Statement::Query(_) = statement else {
        return Err(refused(first_words(&statement.to_string())));
    };
    let mut check = Check::default();
    if let ControlFlow::Break(error) = statement.visit(&mut check) {
        return Err(error);
    }
    let mut views = Vec::new();
    for name in &check.relations {
        if let Some(&view) = VIEWS.iter().find(|view| *view == name) {
            views.push(view);
        } else if !check.own.contains(name) {
            return Err(QueryError::Table {
                name: name.clone(),
                near: near(name, VIEWS),
            });
        }
    }
    views.sort_unstable();
    let uses = views.chunk_by(|one, other| one == other).map(|same| Use {
        view: same[0],
        hint: check.hints.of(same[0], same.len()),
    });
    Ok(uses.collect())
}

fn refused(what: impl Into<String>) -> QueryError {
    QueryError::Refused { what: what.into() }
}

/// Whether a LIMIT and OFFSET are plain numbers for which the engine can make room, as it
/// does before it has rows.
fn is_small(clause: &str) -> bool {
    clause
        .split_whitespace()
        .all(|word| match word.to_ascii_uppercase().as_str() {
            "LIMIT" | "OFFSET" => true,
            number => number.parse().is_ok_and(|number: u32| number <= MOST_LIMIT),
        })
}

/// Enough of a statement to know it by.
fn first_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

#[derive(Default)]
struct Check {
    hints: Hints,
    /// Names in the place of tables.
    relations: Vec<String>,
    /// Names that the query gives itself, in `WITH`.
    own: Vec<String>,
    level: usize,
    selects: usize,
}

type Step = ControlFlow<QueryError>;

fn stop(what: impl Into<String>) -> Step {
    ControlFlow::Break(refused(what))
}

impl Check {
    fn body(body: &SetExpr) -> Step {
        match body {
            SetExpr::Select(_) | SetExpr::Query(_) => Step::Continue(()),
            SetExpr::SetOperation { left, right, .. } => {
                Self::body(left)?;
                Self::body(right)
            }
            other => stop(first_words(&other.to_string())),
        }
    }
}

impl Visitor for Check {
    type Break = QueryError;

    fn pre_visit_statement(&mut self, statement: &Statement) -> Step {
        match statement {
            Statement::Query(_) => Step::Continue(()),
            other => stop(first_words(&other.to_string())),
        }
    }

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        if let Some(with) = &query.with {
            if with.recursive {
                return stop("WITH RECURSIVE");
            }
            for table in &with.cte_tables {
                let name = &table.alias.name.value;
                // It would be the view, not this.
                if VIEWS.contains(&name.as_str()) {
                    return stop(format!("{name:?} as a name of its own"));
                }
                self.own.push(name.clone());
            }
        }
        if let Some(limit) = &query.limit_clause
            && !is_small(&limit.to_string())
        {
            return stop(limit.to_string());
        }
        let extras = [
            (query.fetch.is_some(), "FETCH"),
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "|>"),
        ];
        if let Some((_, what)) = extras.iter().find(|(there, _)| *there) {
            return stop(*what);
        }
        Self::body(&query.body)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        self.selects += 1;
        if self.selects > MOST_SELECTS {
            return stop(format!("more than {MOST_SELECTS} SELECTs"));
        }
        if select.top.is_some() {
            return stop("TOP");
        }
        if select.into.is_some() {
            return stop("SELECT INTO");
        }
        if !select.lateral_views.is_empty() {
            return stop("LATERAL VIEW");
        }
        self.hints.select(select);
        Step::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                if args.is_some() {
                    return stop(format!("table function {name}"));
                }
                let plain = with_hints.is_empty()
                    && version.is_none()
                    && !with_ordinality
                    && partitions.is_empty()
                    && json_path.is_none()
                    && sample.is_none()
                    && index_hints.is_empty();
                if plain {
                    Step::Continue(())
                } else {
                    stop(factor.to_string())
                }
            }
            TableFactor::Derived { lateral: false, .. } | TableFactor::NestedJoin { .. } => {
                Step::Continue(())
            }
            other => stop(first_words(&other.to_string())),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Step {
        match relation.0.as_slice() {
            [part] => {
                let Some(name) = part.as_ident() else {
                    return stop(format!("table {relation}"));
                };
                self.relations.push(name.value.clone());
                Step::Continue(())
            }
            _ => stop(format!("table {relation}")),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> Step {
        self.level += 1;
        if self.level > MOST_LEVELS {
            return stop(format!("an expression of more than {MOST_LEVELS} levels"));
        }
        if let Expr::Function(function) = expression {
            let name = function.name.to_string().to_lowercase();
            if FILE_WORDS
                .iter()
                .any(|word| name.trim_matches('"').starts_with(word))
            {
                return stop(format!("function {}", function.name));
            }
        }
        Step::Continue(())
    }

    fn post_visit_expr(&mut self, _expression: &Expr) -> Step {
        self.level = self.level.saturating_sub(1);
        Step::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_select_over_views_is_let_through() {
        for (text, views) in [
            ("SELECT * FROM flows", vec!["flows"]),
            (
                "select count(*) from \"drops\" d where d.port = 1;",
                vec!["drops"],
            ),
            (
                "WITH a AS (SELECT * FROM edges) SELECT * FROM a JOIN holes h ON a.x = h.y",
                vec!["edges", "holes"],
            ),
            (
                "SELECT * FROM flows UNION ALL SELECT * FROM (SELECT * FROM drops) AS d",
                vec!["drops", "flows"],
            ),
            (
                "SELECT * FROM flows WHERE source_ip IN (SELECT source_ip FROM drops)",
                vec!["drops", "flows"],
            ),
            ("SELECT 'read_csv(''x'')' AS a FROM flows", vec!["flows"]),
            ("SELECT 1", vec![]),
        ] {
            let found: Vec<&str> = check(text).unwrap().iter().map(|of| of.view).collect();
            assert_eq!(found, views, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ";",
            "SELECT",
            "SELECT * FROM flows; SELECT * FROM flows",
            "SELECT * FROM flows; DROP TABLE flows",
            "SELECT * FROM read_parquet('/etc/passwd')",
            "SELECT * FROM READ_CSV('/etc/passwd')",
            "SELECT * FROM \"read_csv\"('/etc/passwd')",
            "SELECT * FROM scan_parquet('x')",
            "SELECT * FROM flows JOIN read_ipc('x') i ON true",
            "SELECT * FROM flows, read_json('x')",
            "SELECT * FROM (SELECT * FROM read_csv('x')) AS t",
            "SELECT * FROM flows WHERE time IN (SELECT a FROM read_csv('x'))",
            "SELECT (SELECT max(a) FROM read_csv('x')) FROM flows",
            "SELECT * FROM flows WHERE EXISTS (SELECT 1 FROM read_csv('x'))",
            "SELECT * FROM flows ORDER BY (SELECT a FROM read_csv('x'))",
            "SELECT * FROM flows UNION SELECT * FROM read_csv('x')",
            "WITH a AS (SELECT * FROM read_csv('x')) SELECT * FROM a",
            "WITH flows AS (SELECT 1 AS a) SELECT * FROM flows",
            "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a",
            "SELECT read_csv('x') FROM flows",
            "SELECT * FROM '/etc/passwd'",
            "SELECT * FROM \"/etc/passwd\"",
            "SELECT * FROM `../x.parquet`",
            "SELECT * FROM other",
            "SELECT * FROM other.flows",
            "SELECT * FROM FLOWS",
            "SELECT * FROM TABLE(flows)",
            "SELECT * FROM UNNEST([1, 2]) AS t",
            "SELECT * FROM generate_series(1, 1000000000)",
            "SELECT * FROM flows TABLESAMPLE (10)",
            "SELECT * INTO x FROM flows",
            "CREATE TABLE x AS SELECT * FROM flows",
            "CREATE VIEW x AS SELECT * FROM flows",
            "INSERT INTO flows SELECT * FROM flows",
            "UPDATE flows SET verdict = 'x'",
            "DELETE FROM flows",
            "TRUNCATE TABLE flows",
            "DROP TABLE flows",
            "COPY flows TO '/tmp/x'",
            "SHOW TABLES",
            "EXPLAIN SELECT * FROM flows",
            "EXPLAIN ANALYZE SELECT * FROM flows",
            "ATTACH DATABASE 'x' AS y",
            "PRAGMA x",
            "SET x = 1",
            "VALUES (1)",
            "TABLE flows",
            "SELECT * FROM flows FOR UPDATE",
            "SELECT * FROM flows ORDER BY time LIMIT 4000000000",
            "SELECT * FROM flows LIMIT 1 + 1",
            "FROM flows |> WHERE true",
            "SELECT \u{0} FROM flows",
            "SELECT * FROM flows WHERE a = 'unclosed",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_deep_or_long_is_an_error() {
        let deep = format!(
            "SELECT {}1{} FROM flows",
            "(".repeat(20_000),
            ")".repeat(20_000)
        );
        assert!(check(&deep).is_err());
        let nested = format!(
            "SELECT * FROM {}flows{}",
            "(SELECT * FROM ".repeat(2000),
            ")".repeat(2000)
        );
        assert!(check(&nested).is_err());
        assert!(check(&"SELECT 1 ".repeat(100_000)).is_err());
        let chain = format!("SELECT {} FROM flows", vec!["1"; 7000].join("+"));
        assert!(check(&chain).is_err());
        let union = vec!["SELECT 1"; 500].join(" UNION ");
        assert!(check(&union).is_err());
    }
}
