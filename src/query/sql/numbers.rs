//! Groups by names, counted by numbers.
//!
//! Owns one change to a plan: where rows of a view are grouped by columns that have names,
//! they are grouped by the numbers that files hold, and each group is named when it is
//! complete. The answer is the same; what is hashed is small.

use std::sync::Arc;

use polars::prelude::{DslPlan, Expr, LazyFrame, PlSmallStr, col};

use crate::query::columns::{self, Kind};

/// The plan of a question over views with numbers for names, of which `views` are the
/// stored columns that each is made of.
pub(in crate::query) fn grouped_by_numbers(frame: &LazyFrame, views: &[Arc<DslPlan>]) -> LazyFrame {
    LazyFrame::from(changed(&frame.logical_plan, views))
}

/// The plan with its groups changed, as far as it has one input after the other.
fn changed(plan: &DslPlan, views: &[Arc<DslPlan>]) -> DslPlan {
    let inner = |input: &Arc<DslPlan>| Arc::new(changed(input, views));
    let mut plan = plan.clone();
    match &mut plan {
        DslPlan::IR { dsl, .. } => return changed(dsl, views),
        DslPlan::Filter { input, .. }
        | DslPlan::Select { input, .. }
        | DslPlan::HStack { input, .. }
        | DslPlan::Distinct { input, .. }
        | DslPlan::Sort { input, .. }
        | DslPlan::Slice { input, .. }
        | DslPlan::MapFunction { input, .. } => *input = inner(input),
        DslPlan::GroupBy {
            input, keys, apply, ..
        } => {
            let named = named_keys(keys);
            if apply.is_none()
                && !named.is_empty()
                && let Some(below) = with_numbers(input, &named, views)
            {
                *input = Arc::new(below);
                for key in keys.iter_mut() {
                    if let Some(column) = named_key(key) {
                        *key = col(number_of(column)).alias(column);
                    }
                }
                let names = named.into_iter().map(columns::named);
                let names: Vec<Expr> = names.collect();
                return LazyFrame::from(plan).with_columns(names).logical_plan;
            }
            *input = inner(input);
        }
        _ => {}
    }
    plan
}

/// The name under which the number of a column stands beside it.
fn number_of(column: &str) -> PlSmallStr {
    PlSmallStr::from_string(format!("number of {column}"))
}

fn named_key(key: &Expr) -> Option<&'static str> {
    let Expr::Column(name) = key else {
        return None;
    };
    let column = columns::known(name)?;
    matches!(columns::kind(column), Kind::Named(_)).then_some(column)
}

fn named_keys(keys: &[Expr]) -> Vec<&'static str> {
    keys.iter().filter_map(named_key).collect()
}

/// A view, filtered or not, with the numbers of some columns beside them; `None` for
/// anything else.
fn with_numbers(plan: &DslPlan, of: &[&'static str], views: &[Arc<DslPlan>]) -> Option<DslPlan> {
    match plan {
        DslPlan::IR { dsl, .. } => with_numbers(dsl, of, views),
        DslPlan::Filter { input, predicate } => Some(DslPlan::Filter {
            input: Arc::new(with_numbers(input, of, views)?),
            predicate: predicate.clone(),
        }),
        DslPlan::Select {
            expr,
            input,
            options,
        } if views.iter().any(|view| Arc::ptr_eq(view, input)) => {
            let mut all = expr.clone();
            for column in of {
                all.push(columns::number_to_group(column)?.alias(number_of(column)));
            }
            Some(DslPlan::Select {
                expr: all,
                input: Arc::clone(input),
                options: *options,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::query::sql::check;
    use crate::query::{Selection, Session};

    /// The plan as it is made, and as the engine runs it.
    fn plans(sql: &str) -> [String; 2] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/archive");
        let session = Session::open(&folder, Selection::default()).unwrap();
        let frame = session.plan(sql, &check(sql).unwrap()).unwrap();
        let made = frame.describe_plan().unwrap();
        [made, frame.describe_optimized_plan().unwrap()]
    }

    #[test]
    fn groups_of_a_view_are_by_numbers_and_a_where_is_asked_of_files() {
        let [made, run] = plans(
            "SELECT verdict, node_name, COUNT(*) AS n FROM flows WHERE drop_reason = 'POLICY_DENIED' \
             GROUP BY verdict, node_name ORDER BY n DESC LIMIT 3",
        );
        assert!(made.contains("number of verdict"), "{made}");
        assert!(!made.contains("number of node_name"), "{made}");
        let scan = run.split("SELECTION:").nth(1).unwrap_or_default();
        assert!(
            scan.contains("col(\"drop_reason\")") && scan.contains("133"),
            "{run}"
        );
    }

    #[test]
    fn other_groups_stay_as_they_are() {
        for sql in [
            "SELECT node_name, COUNT(*) FROM flows GROUP BY node_name",
            "SELECT v, COUNT(*) FROM (SELECT verdict AS v FROM flows) AS f GROUP BY v",
            "SELECT upper(verdict) AS v, COUNT(*) FROM flows GROUP BY upper(verdict)",
            "SELECT protocol, SUM(connections) FROM edges GROUP BY protocol",
        ] {
            let [made, _] = plans(sql);
            assert!(!made.contains("number of"), "{made}");
        }
    }
}
