//! The 248 situations a verdict engine for Cilium has to know: each is asked, or named as
//! out of scope with its reason.
//!
//! Owns the list and where each is asked. Most are recorded answers of Cilium's engine
//! (`conformance` runs them); what that engine does not decide (requests, DNS queries,
//! reading flows) is asked here.

mod cluster;
mod names;
mod reading;
mod requests;

use std::fs;
use std::path::Path;

use crate::conformance;

/// Situations by chapter: enforcement, selectors, entities, CIDR, ports, deny, layer 7,
/// authentication, Kubernetes policies, reading flows, services and ingress.
const CHAPTERS: [(char, u32); 11] = [
    ('A', 28),
    ('B', 30),
    ('C', 19),
    ('D', 23),
    ('E', 26),
    ('F', 17),
    ('G', 40),
    ('H', 7),
    ('I', 24),
    ('J', 18),
    ('K', 16),
];

/// Tests of this topic, by situation: `file::function`. Those of layer 7 are recorded too,
/// as the connection's verdict and the rules its proxy is given; what the proxy does with
/// a request is asked here.
const TESTED: [(&str, &str); 48] = [
    ("E16", "reading::an_error_about_a_connection_is_context"),
    ("E25", "reading::a_reply_is_asked_of_no_policy"),
    ("G1", "requests::a_request_that_no_rule_fits_is_refused"),
    (
        "G2",
        "requests::a_plain_allow_of_the_peer_lets_every_request_pass",
    ),
    (
        "G3",
        "requests::a_rule_without_ports_lets_every_request_pass",
    ),
    (
        "G4",
        "requests::a_plain_allow_of_one_peer_is_not_that_of_another",
    ),
    ("G5", "requests::the_rules_of_all_selectors_that_fit_count"),
    (
        "G7",
        "requests::a_path_is_matched_as_a_whole_with_its_query",
    ),
    ("G8", "requests::a_path_is_matched_from_its_start"),
    (
        "G9",
        "requests::a_method_is_matched_as_a_whole_and_in_its_case",
    ),
    ("G10", "requests::a_host_is_matched_with_its_port"),
    ("G11", "requests::a_header_with_a_value_is_exact"),
    (
        "G12",
        "requests::a_header_without_a_value_need_only_be_there",
    ),
    (
        "G13",
        "requests::a_mismatch_that_is_only_logged_refuses_nothing",
    ),
    ("G14", "requests::a_header_match_refuses_another_value"),
    ("G15", "requests::an_empty_list_of_rules_is_no_proxy"),
    ("G16", "requests::an_empty_rule_fits_every_request"),
    ("G18", "requests::without_default_deny_rules_only_show"),
    ("G19", "requests::the_nodes_own_host_is_not_asked"),
    ("G20", "names::a_star_alone_is_every_name"),
    ("G21", "names::a_name_is_that_name_in_any_case"),
    ("G22", "names::a_star_is_one_label"),
    ("G23", "names::two_stars_are_labels_since_1_19"),
    ("G24", "names::a_star_may_be_part_of_a_label"),
    ("G25", "names::name_and_pattern_of_one_rule_are_either"),
    ("G26", "names::a_server_without_rules_answers_everything"),
    (
        "G27",
        "names::a_rule_without_ports_does_not_open_the_dns_proxy",
    ),
    (
        "G28",
        "names::a_rule_for_one_protocol_leaves_the_other_denied",
    ),
    ("G30", "names::a_name_nobody_saw_leaves_its_address_denied"),
    ("J1", "reading::a_reply_is_asked_of_no_policy"),
    (
        "J2",
        "reading::the_policy_that_hubble_names_is_among_the_deciding",
    ),
    ("J3", "reading::reason_133_is_a_default_deny"),
    ("J4", "reading::reason_181_is_a_deny_rule"),
    ("J5", "reading::audit_mode_lets_pass_what_is_denied"),
    ("J6", "reading::a_proxy_port_is_a_redirect"),
    ("J7", "reading::a_request_is_judged_by_its_rules"),
    ("J8", "reading::a_refused_request_contradicts_no_connection"),
    ("J9", "reading::other_drops_are_no_policy"),
    ("J10", "reading::reason_189_wants_a_session"),
    ("J11", "reading::an_echo_reply_type_is_judged_without_names"),
    ("J12", "reading::nobody_is_judged_by_wildcards_only"),
    ("J13", "reading::an_address_counts_not_its_recorded_labels"),
    (
        "J14",
        "reading::a_drop_without_direction_is_of_the_only_local_side",
    ),
    (
        "J16",
        "reading::a_trace_to_the_proxy_is_consistent_with_a_redirect",
    ),
    ("J17", "reading::a_pod_that_reaches_itself_is_context"),
    ("J18", "reading::match_types_two_and_three_are_one"),
    ("K8", "requests::a_backend_sees_the_ingress_not_the_client"),
    ("K10", "requests::a_gateway_is_a_subject_of_its_own"),
];

/// What is not decided here, and why.
const OUT_OF_SCOPE: [(&str, &str); 4] = [
    (
        "J15",
        "events are counted, not packets: a drop and the verdict event beside it are two \
         events of one connection, and folding those is not the engine's",
    ),
    (
        "K14",
        "tiers of ClusterNetworkPolicy are Cilium 1.20's; agents of 1.19, which is what is \
         modelled, do not read that kind",
    ),
    ("K15", "as K14: the baseline tier is Cilium 1.20's"),
    ("K16", "as K14: the admin tier is Cilium 1.20's"),
];

/// Scenario: every situation of the list.
/// Guarantees: its recorded answer is ours in every field, or the test that asks it is
/// there, or the reason why nobody asks it.
#[test]
fn every_situation_is_asked_or_out_of_scope() {
    let recorded = conformance::situations();
    let wrong: Vec<&String> = recorded
        .iter()
        .filter(|(_, (compared, perfect))| *compared == 0 || !perfect)
        .map(|(id, _)| id)
        .collect();
    assert!(
        wrong.is_empty(),
        "recorded and answered otherwise: {wrong:?}"
    );
    for (id, test) in TESTED {
        assert!(is_situation(id), "{id} is no situation");
        assert!(exists(test), "{id}: there is no test {test}");
    }
    let (mut asked_recorded, mut asked_here, mut left) = (0, 0, Vec::new());
    let mut missing = Vec::new();
    for id in situations() {
        let tested = TESTED.iter().any(|(known, _)| *known == id);
        let reason = OUT_OF_SCOPE.iter().find(|(known, _)| *known == id);
        asked_recorded += usize::from(recorded.contains_key(&id));
        asked_here += usize::from(tested);
        match reason {
            Some((id, reason)) => {
                assert!(!tested && !recorded.contains_key(*id), "{id} is asked");
                left.push(format!("  {id}: {reason}"));
            }
            None if !tested && !recorded.contains_key(&id) => missing.push(id),
            None => {}
        }
    }
    let all = situations().count();
    println!(
        "{all} situations: {asked_recorded} recorded ({} with variants), {asked_here} asked by \
         tests of their own, {} out of scope\n{}",
        recorded.len(),
        left.len(),
        left.join("\n")
    );
    assert_eq!(all, 248);
    assert!(missing.is_empty(), "asked by nobody: {missing:?}");
}

fn situations() -> impl Iterator<Item = String> {
    CHAPTERS
        .into_iter()
        .flat_map(|(chapter, most)| (1..=most).map(move |number| format!("{chapter}{number}")))
}

fn is_situation(id: &str) -> bool {
    situations().any(|known| known == id)
}

/// Whether the test is in its file, as a test.
fn exists(test: &str) -> bool {
    let (file, function) = test.split_once("::").expect("a path");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/situations")
        .join(file)
        .with_extension("rs");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.contains(&format!("#[test]\nfn {function}() {{"))
}
