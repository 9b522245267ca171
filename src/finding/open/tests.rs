//! Incidents that grow.

use super::*;
use crate::finding::testing::{MINUTE, TEN, name, workload};

fn member(id: u16, kind: &str, minute: i64) -> Member {
    let kind = KindInfo::of(kind).unwrap();
    let peer = Some(name("evil.example"));
    Member::testing(
        format!("{id:016x}"),
        kind,
        workload("a/a"),
        peer,
        TEN + minute * MINUTE,
    )
}

fn open(members: Vec<Member>) -> Open {
    let mut members = members.into_iter();
    let mut one = Open::new("0".repeat(16), members.next().unwrap());
    members.for_each(|member| one.add(member));
    one
}

#[test]
fn an_incident_of_one_finding_is_that_finding() {
    let incident = open(vec![member(1, "beacon", 0)]).incident();
    assert_eq!(incident.title, "a/a calls evil.example in a rhythm");
    assert_eq!(incident.score, 6.0);
    assert_eq!(incident.severity, Severity::Medium);
    assert_eq!(incident.terms, [Term::new("combined", 6.0)]);
    assert_eq!(incident.attack, ["T1029", "T1071.001", "T1571"]);
}

#[test]
fn steps_in_the_order_of_an_attack_add_up_and_are_told_in_order() {
    let chain = vec![
        member(1, "metadata", 0),
        member(2, "scan", 10),
        member(3, "new-edge", 20),
        member(4, "dns-exfiltration", 30),
    ];
    let incident = open(chain.iter().rev().cloned().collect()).incident();
    let stages: Vec<Tactic> = incident.stages.iter().map(|step| step.stage).collect();
    assert_eq!(
        stages,
        [
            Tactic::Credentials,
            Tactic::Discovery,
            Tactic::Movement,
            Tactic::Exfiltration
        ]
    );
    assert_eq!(incident.score, 8.5);
    assert_eq!(sum(&incident.terms), incident.score);
    assert_eq!(
        incident.title,
        "a/a: access to cloud metadata, then a scan, then a new edge, then data in DNS names"
    );
    // The other way round they are several, and nothing follows.
    let mut reversed = chain;
    for (at, member) in reversed.iter_mut().enumerate() {
        member.first = TEN - at as i64 * MINUTE;
    }
    assert_eq!(open(reversed).incident().score, 6.5);
}

#[test]
fn weak_findings_do_not_make_a_strong_one_weaker() {
    let mut strong = member(1, "beacon", 0);
    (strong.p, strong.score) = (1e-9, 9.5);
    strong.terms = vec![Term::new("surprise", 9.0), Term::new("young", 0.5)];
    let mut weak = member(2, "beacon", 1);
    (weak.p, weak.score) = (1e-4, 4.0);
    weak.terms = vec![Term::new("surprise", 4.0)];
    let incident = open(vec![strong, weak]).incident();
    assert_eq!(incident.score, 9.5);
    assert_eq!(sum(&incident.terms), 9.5);
    assert!(
        incident
            .terms
            .iter()
            .any(|term| term.name == "worst-finding")
    );
}

#[test]
fn it_is_told_again_for_a_new_technique_or_a_tenth_of_p() {
    let mut one = open(vec![member(1, "beacon", 0)]);
    assert!(one.is_news(1e-6));
    one.tell(1e-6);
    assert!(!one.is_news(1e-6));
    assert!(!one.is_news(2e-7));
    assert!(one.is_news(1e-7));
    one.add(member(2, "beacon", 5));
    assert!(!one.is_news(1e-6));
    one.add(member(3, "scan", 6));
    assert!(one.is_news(1e-6));
    one.tell(1e-6);
    assert_eq!(one.incident().revision, 1);
}

#[test]
fn suppressed_findings_do_not_count_unless_all_are() {
    let mut meant = member(1, "mining", 0);
    meant.suppressed = true;
    let one = open(vec![meant.clone(), member(2, "beacon", 1)]);
    assert_eq!(one.incident().attack, ["T1029", "T1071.001", "T1571"]);
    assert_eq!(one.incident().findings.len(), 2);
    assert!(!one.is_suppressed());
    let all = open(vec![meant]);
    assert!(all.is_suppressed());
    assert_eq!(all.incident().score, 6.0);
}

#[test]
fn members_are_bounded_and_the_strongest_stay() {
    let mut one = open(vec![member(0, "beacon", 0)]);
    for id in 1..1_000 {
        let mut next = member(id, "scan", 1);
        next.score = f64::from(id) / 1_000.0;
        one.add(next);
    }
    let incident = one.incident();
    assert_eq!(incident.findings.len(), MOST_MEMBERS);
    assert_eq!(incident.more, 1_000 - MOST_MEMBERS as u64);
    assert!(incident.findings.contains(&format!("{:016x}", 0)));
}
