use super::*;
use crate::engine::Policies;
use crate::flow::Protocol;
use crate::inventory::Label;
use crate::review::assert::People;
use crate::review::fixture::{PODS, policies};

const POLICIES: &str = "
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: db}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: web}}]
      toPorts: [{ports: [{port: '5432', protocol: TCP}, {port: '8000', endPort: 8010, protocol: TCP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toEndpoints: [{matchLabels: {app: db}}]
    - toCIDR: [192.0.2.0/24]
      toPorts: [{ports: [{port: '443', protocol: TCP}]}]
    - toFQDNs: [{matchPattern: '*.edge.example'}]
      toPorts: [{ports: [{port: '443', protocol: TCP}]}]
";

fn web(policies: &Policies) -> Subject {
    let inventory = policies.inventory();
    let web = inventory.workloads.iter().find(|one| &*one.name == "web");
    let identity = inventory.identity(web.unwrap(), "default").unwrap();
    Subject {
        name: "shop/web".to_owned(),
        identity,
        outside: false,
    }
}

fn asked(text: &str) -> Reach {
    let policies = policies(&format!("{PODS}{text}"));
    let people = People::of(&policies, None);
    reach(&[web(&policies)], &policies, &people)
}

fn ports(open: &[Open], whom: &Whom) -> Vec<String> {
    open.iter()
        .filter(|open| open.whom == *whom)
        .flat_map(|open| open.ports.iter().map(ToString::to_string))
        .collect()
}

fn workload(name: &str) -> Whom {
    Whom::Workload {
        namespace: "shop".into(),
        name: name.into(),
    }
}

#[test]
fn ports_are_those_that_both_sides_let_pass() {
    let reach = asked(POLICIES);
    assert_eq!(
        ports(&reach.out, &workload("db")),
        ["5432/TCP", "8000-8010/TCP"]
    );
    assert!(ports(&reach.out, &Whom::World).is_empty());
    let like = Whom::Like("192.0.2.0".parse().unwrap());
    assert_eq!(ports(&reach.out, &like), ["443/TCP"]);
    assert_eq!(
        ports(&reach.out, &Whom::Name("any.edge.example".into())),
        ["443/TCP"]
    );
    let db = reach.out.iter().find(|open| open.whom == workload("db"));
    let rules: Vec<&str> = db.unwrap().rules.iter().map(|rule| &*rule.policy).collect();
    assert!(
        rules.contains(&"shop/db") && rules.contains(&"shop/web"),
        "{rules:?}"
    );
    // Nothing is said about who may call it: everybody who is let out.
    assert_eq!(
        ports(&reach.inward, &workload("db"))[..2],
        ["any/TCP", "any/UDP"]
    );
    assert!(!ports(&reach.inward, &Whom::World).is_empty());
}

#[test]
fn without_policies_everything_is_open() {
    let reach = asked("");
    for whom in [workload("db"), Whom::World, Whom::Entity("host")] {
        assert_eq!(ports(&reach.out, &whom)[..2], ["any/TCP", "any/UDP"]);
    }
}

#[test]
fn pods_that_could_be_there_are_told_by_their_labels() {
    let reach = asked(POLICIES);
    let possible = reach.out.iter().find_map(|open| match &open.whom {
        Whom::Possible(count, some) => Some((*count, some.clone())),
        _ => None,
    });
    let (count, some) = possible.unwrap();
    assert!(count >= 1);
    assert!(
        some.iter().all(|labels| labels.contains("app=db")),
        "{some:?}"
    );
}

/// Guarantees: a range says of every port in it, and of the ports around it, what asking for
/// that port alone says.
#[test]
fn every_port_of_a_range_is_as_the_range_says() {
    let policies = policies(&format!("{PODS}{POLICIES}"));
    let people = People::of(&policies, None);
    let reach = reach(&[web(&policies)], &policies, &people);
    let open = reach.out.iter().find(|open| open.whom == workload("db"));
    let open = open.unwrap();
    for port in [
        1, 80, 5431, 5432, 5433, 7999, 8000, 8005, 8010, 8011, 65_535,
    ] {
        let sentence = format!("nothing from shop/web reaches shop/db:{port}/TCP");
        let assertions = crate::review::assert::read("f", &format!("assertions: ['{sentence}']"));
        let checked = crate::review::assert::check(&assertions.unwrap(), &policies, &people);
        let passes = checked[0].by_policies == crate::review::assert::Holds::Refuted;
        let is_in = open
            .ports
            .iter()
            .any(|range| range.has(Protocol::Tcp, port));
        assert_eq!(is_in, passes, "{port}");
    }
}

#[test]
fn an_address_outside_is_asked_about_too() {
    let policies = policies(&format!("{PODS}{POLICIES}"));
    let people = People::of(&policies, None);
    let subject = Subject::address("192.0.2.7".parse().unwrap());
    let reach = reach(&[subject], &policies, &people);
    assert_eq!(ports(&reach.inward, &workload("web")), ["443/TCP"]);
    assert!(ports(&reach.inward, &workload("db"))[0].contains("any"));
    let labels = [Label::new("k8s", "app", "x")];
    let pod = Subject::pod("x".to_owned(), labels.clone());
    assert_eq!(pod.identity.labels, Vec::from(labels));
}
