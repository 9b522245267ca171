//! Which flows of a recording are shown, and in which form.

use super::{SHOP, WRAPPED, sample, tail, time, values};
use crate::support::flowwatch;

#[test]
fn the_oldest_the_newest_and_all() {
    let all = tail(SHOP);
    let all = all.lines();
    assert_eq!(tail(&format!("{SHOP} --all")).lines(), all);
    assert_eq!(tail(&format!("{SHOP} --first 5")).lines(), all[..5]);
    assert_eq!(
        tail(&format!("{SHOP} --last 5")).lines(),
        all[all.len() - 5..]
    );
    assert_eq!(tail(&format!("{SHOP} --first 1000000")).lines(), all);
    assert_eq!(tail(&format!("{SHOP} --last 1000000")).lines(), all);

    let dropped = tail(&format!("{SHOP} --verdict DROPPED"));
    let dropped = dropped.lines();
    assert!(dropped.len() > 20);
    let last = tail(&format!("{SHOP} --verdict DROPPED --last 3"));
    assert_eq!(last.lines(), dropped[dropped.len() - 3..]);
}

#[test]
fn the_first_and_last_are_counted_over_all_inputs() {
    let both = tail(&format!("{WRAPPED} {SHOP}"));
    let both = both.lines();
    let first = tail(&format!("{WRAPPED} {SHOP} --first 50"));
    assert_eq!(first.lines(), both[..50]);
    let last = tail(&format!("{SHOP} {WRAPPED} --last 40"));
    let wrapped = tail(WRAPPED);
    assert_eq!(last.lines()[2..], wrapped.lines());
}

/// Guarantees: both bounds are part of the span.
#[test]
fn since_and_until_bound_by_time() {
    let recorded = values(&sample(SHOP));
    let (since, until) = (time(&recorded[100]), time(&recorded[300]));
    let expected: Vec<_> = recorded
        .iter()
        .filter(|event| event["node_status"].is_null())
        .filter(|event| (since..=until).contains(&time(event)))
        .cloned()
        .collect();
    let ran = tail(&format!("{SHOP} -o json --since {since} --until {until}"));
    assert!(expected.len() > 150);
    assert_eq!(values(ran.text()), expected);
    assert!(tail(&format!("{SHOP} --since 1h")).lines().is_empty());
    assert_eq!(
        tail(&format!("{SHOP} --until 1h")).text(),
        tail(SHOP).text()
    );
}

#[test]
fn sorting_orders_by_time_and_keeps_equal_times_as_they_came() {
    let plain = tail(SHOP);
    let args = format!("{SHOP} {WRAPPED} samples/exporter -o json");
    let unsorted = tail(&args);
    let mut expected = unsorted.lines();
    expected.sort_by_cached_key(|line| time(&values(line)[0]));
    assert!(tail(&format!("{args} --sort")).lines() == expected);
    assert!(tail(&format!("{SHOP} --sort")).text() == plain.text());

    // The newest in time, which are not the last read.
    let sorted = tail(&format!("{SHOP} {WRAPPED} --sort"));
    let sorted = sorted.lines();
    let first = tail(&format!("{SHOP} {WRAPPED} --sort --first 7"));
    assert_eq!(first.lines(), sorted[..7]);
    let last = tail(&format!("{SHOP} {WRAPPED} --sort --last 7"));
    assert_eq!(last.lines(), sorted[sorted.len() - 7..]);
}

#[test]
fn a_dict_has_a_rule_between_its_records_only() {
    let ran = tail(&format!("{SHOP} --last 3 -o dict"));
    let lines = ran.lines();
    assert!(lines[0].starts_with("  TIMESTAMP: "), "{}", lines[0]);
    let rules = lines.iter().filter(|line| **line == "------------");
    assert_eq!(rules.count(), 2);
    assert!(lines.last().unwrap().starts_with("    SUMMARY: "));
}

#[test]
fn a_table_has_its_head_once_and_columns_that_line_up() {
    let all = tail(&format!("{SHOP} -o table"));
    assert_eq!(all.lines().len(), tail(SHOP).lines().len() + 1);
    for part in ["--last 4", "--first 4"] {
        let ran = tail(&format!("{SHOP} -o table {part}"));
        let lines = ran.lines();
        assert_eq!(lines.len(), 5);
        let columns = [
            "TIMESTAMP",
            "SOURCE",
            "DESTINATION",
            "TYPE",
            "VERDICT",
            "SUMMARY",
        ];
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), columns);
        for column in &columns[1..] {
            let at = lines[0].find(column).unwrap();
            for line in &lines[1..] {
                assert_eq!(&line[at - 3..at], "   ", "{column}: {line}");
                assert_ne!(&line[at..=at], " ", "{column}: {line}");
            }
        }
        // The same rows as the lines show.
        for (row, line) in lines[1..]
            .iter()
            .zip(tail(&format!("{SHOP} {part}")).lines())
        {
            assert_eq!(row[..19], line[..19]);
        }
    }
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    let plain = tail(&format!("{SHOP} --verdict DROPPED"));
    assert!(!plain.text().contains('\u{1b}'));
    let colored = flowwatch()
        .args("tail --color always --verdict DROPPED")
        .args(SHOP)
        .env("NO_COLOR", "1")
        .run()
        .exit(0);
    assert!(colored.text().contains("\u{1b}["), "what is asked for wins");
    let mut stripped = String::new();
    let mut escape = false;
    for c in colored.text().chars() {
        match c {
            '\u{1b}' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            c => stripped.push(c),
        }
    }
    assert_eq!(stripped, plain.text());
    let never = tail(&format!("{SHOP} --verdict DROPPED --color never"));
    assert_eq!(never.text(), plain.text());
}

/// Scenario: a terminal, made by `script`, where there is that program.
#[test]
fn a_terminal_gets_colours_unless_no_color_is_set() {
    let program = flowwatch().command();
    let line = format!(
        "{} tail -q --first 1 {SHOP}",
        program.get_program().display()
    );
    for (name, value, colored) in [
        ("TERM", "xterm", true),
        ("NO_COLOR", "1", false),
        ("NO_COLOR", "", true),
        ("TERM", "dumb", false),
    ] {
        let ran = std::process::Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(std::process::Stdio::null())
            .env_remove("NO_COLOR")
            .env("TERM", "xterm")
            .env(name, value)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output();
        let Ok(ran) = ran else {
            println!("skipped: no `script` to make a terminal with");
            return;
        };
        let text = String::from_utf8_lossy(&ran.stdout);
        assert!(text.contains("FORWARDED"), "{text}");
        assert_eq!(
            text.contains("\u{1b}["),
            colored,
            "{name}={value}: {text:?}"
        );
    }
}

#[test]
fn quiet_is_quiet_and_node_states_can_be_left_out() {
    let status = "1 nodes are unavailable: shop-prod/worker-1";
    let ran = tail(WRAPPED)
        .stderr_contains(status)
        .stderr_contains("36 flows in ")
        .stderr_contains("lost: 223 events on worker-2, worker-3");
    assert!(!ran.text().contains("unavailable"));
    assert_eq!(tail(&format!("{WRAPPED} -q")).stderr, "");
    let silent = tail(&format!("{WRAPPED} -s"));
    assert!(!silent.stderr.contains(status));
    assert!(silent.stderr.contains("36 flows in "));
    assert_eq!(silent.text(), ran.text());
}

#[test]
fn raw_filters_are_printed_and_mean_the_same() {
    let flags = "-n payments --not --verdict DROPPED";
    let printed = tail(&format!("{flags} --print-raw-filters {SHOP}"));
    let (mut allow, mut deny) = (String::new(), String::new());
    let mut list = &mut allow;
    for line in printed.lines() {
        match line.trim() {
            "allowlist:" => list = &mut allow,
            "denylist:" => list = &mut deny,
            filter => {
                list.push_str(filter.trim_start_matches("- '").trim_end_matches('\''));
                list.push(' ');
            }
        }
    }
    let by_flags = tail(&format!("{flags} {SHOP}"));
    assert!(by_flags.lines().len() > 5);
    let raw = flowwatch()
        .args("tail --allowlist")
        .arg(&allow)
        .args("--denylist")
        .arg(&deny)
        .args(SHOP);
    assert_eq!(raw.run().exit(0).text(), by_flags.text());
    for prefix in ["HUBBLE", "FLOWWATCH"] {
        let inherited = flowwatch()
            .args("tail")
            .args(SHOP)
            .env(&format!("{prefix}_ALLOWLIST"), &allow)
            .env(&format!("{prefix}_DENYLIST"), &deny);
        assert_eq!(inherited.run().exit(0).text(), by_flags.text(), "{prefix}");
    }
    let ours_first = flowwatch()
        .args("tail")
        .args(SHOP)
        .env("FLOWWATCH_ALLOWLIST", &allow)
        .env("FLOWWATCH_DENYLIST", &deny)
        .env("HUBBLE_ALLOWLIST", r#"{"verdict":["ERROR"]}"#);
    assert_eq!(ours_first.run().exit(0).text(), by_flags.text());
}
