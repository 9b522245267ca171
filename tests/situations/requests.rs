//! What a proxy does with HTTP requests over a redirected connection.

use flowwatch::policy::{HttpRequest, Options, Verdict};
use serde_json::{Value, json};

use super::cluster::{A, B, Cluster, EIGHT, HOST, INGRESS, NINE, SRV, policy};

/// Port 80 of `srv` for a peer, with HTTP rules.
fn proxied(peer: &Value, rules: &Value) -> Value {
    let mut element = json!({
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": rules}}],
    });
    if !peer.is_null() {
        element["fromEndpoints"] = json!([peer]);
    }
    element
}

/// Port 80 of `srv` for a peer, without rules.
fn plain(peer: &Value) -> Value {
    json!({
        "fromEndpoints": [peer],
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}],
    })
}

fn a() -> Value {
    json!({"matchLabels": {"app": "a"}})
}

fn get() -> Value {
    json!([{"method": "GET", "path": "/"}])
}

/// A cluster in which `a` reaches `srv` under one rule.
fn under(rule: &Value) -> Cluster {
    Cluster::with(&json!({"ingress": [proxied(&a(), &json!([rule]))]}))
}

fn request<'a>(method: &'a str, path: &'a str) -> HttpRequest<'a> {
    HttpRequest {
        method: Some(method),
        path: Some(path),
        host: Some("srv"),
        headers: Some(&[]),
    }
}

fn sends(cluster: &Cluster, headers: &[(&str, &str)]) -> bool {
    let request = HttpRequest {
        headers: Some(headers),
        ..request("GET", "/")
    };
    cluster.request(A, &request)
}

#[test]
fn a_request_that_no_rule_fits_is_refused() {
    let cluster = Cluster::with(&json!({"ingress": [proxied(&a(), &get())]}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("GET", "/")));
    assert!(!cluster.request(A, &request("POST", "/")));
}

#[test]
fn a_plain_allow_of_the_peer_lets_every_request_pass() {
    let cluster = Cluster::with(&json!({"ingress": [proxied(&a(), &get()), plain(&a())]}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("POST", "/")));
}

#[test]
fn a_rule_without_ports_lets_every_request_pass() {
    let everything = json!({"fromEndpoints": [a()]});
    let cluster = Cluster::with(&json!({"ingress": [proxied(&a(), &get()), everything]}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("POST", "/")));
    assert_eq!(cluster.ingress(SRV, A, 81).verdict, Verdict::Allowed);
}

#[test]
fn a_plain_allow_of_one_peer_is_not_that_of_another() {
    let anybody = proxied(&Value::Null, &get());
    let cluster = Cluster::with(&json!({"ingress": [anybody, plain(&a())]}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("POST", "/")));
    assert!(!cluster.request(B, &request("POST", "/")));
}

#[test]
fn the_rules_of_all_selectors_that_fit_count() {
    let cluster = Cluster::with(&json!({"ingress": [
        proxied(&a(), &json!([{"path": "/x"}])),
        proxied(&json!({}), &json!([{"path": "/y"}])),
    ]}));
    assert!(cluster.request(A, &request("GET", "/x")));
    assert!(cluster.request(A, &request("GET", "/y")));
    assert!(!cluster.request(B, &request("GET", "/x")));
}

#[test]
fn a_path_is_matched_as_a_whole_with_its_query() {
    let cluster = under(&json!({"path": "/public"}));
    assert!(cluster.request(A, &request("GET", "/public")));
    assert!(!cluster.request(A, &request("GET", "/public/x")));
    assert!(!cluster.request(A, &request("GET", "/public?a=1")));
}

#[test]
fn a_path_is_matched_from_its_start() {
    let cluster = under(&json!({"path": "/public.*"}));
    assert!(cluster.request(A, &request("GET", "/public/x?a=1")));
    assert!(!cluster.request(A, &request("GET", "/x/public")));
}

#[test]
fn a_method_is_matched_as_a_whole_and_in_its_case() {
    let cluster = under(&json!({"method": "GET|HEAD"}));
    assert!(cluster.request(A, &request("HEAD", "/")));
    assert!(!cluster.request(A, &request("GETX", "/")));
    assert!(!cluster.request(A, &request("get", "/")));
}

#[test]
fn a_host_is_matched_with_its_port() {
    let cluster = under(&json!({"host": "a\\.com"}));
    let to = |host| HttpRequest {
        host: Some(host),
        ..request("GET", "/")
    };
    assert!(cluster.request(A, &to("a.com")));
    assert!(!cluster.request(A, &to("a.com:8080")));
    assert!(!cluster.request(A, &to("axcom")));
}

#[test]
fn a_header_with_a_value_is_exact() {
    let cluster = under(&json!({"headers": ["X-Token: 1"]}));
    assert!(sends(&cluster, &[("x-token", "1")]));
    assert!(!sends(&cluster, &[("x-token", "2")]));
    assert!(!sends(&cluster, &[]));
}

#[test]
fn a_header_without_a_value_need_only_be_there() {
    let cluster = under(&json!({"headers": ["X-Token"]}));
    assert!(sends(&cluster, &[("x-token", "anything")]));
    assert!(!sends(&cluster, &[("x-other", "1")]));
}

#[test]
fn a_mismatch_that_is_only_logged_refuses_nothing() {
    let cluster = under(&json!({
        "headerMatches": [{"name": "x-log", "mismatch": "LOG", "value": "1"}],
    }));
    assert!(sends(&cluster, &[("x-log", "2")]));
    assert!(sends(&cluster, &[]));
}

#[test]
fn a_header_match_refuses_another_value() {
    let cluster = under(&json!({"headerMatches": [{"name": "x-plain", "value": "1"}]}));
    assert!(sends(&cluster, &[("x-plain", "1")]));
    assert!(!sends(&cluster, &[("x-plain", "2")]));
}

#[test]
fn an_empty_list_of_rules_is_no_proxy() {
    let cluster = Cluster::with(&json!({"ingress": [proxied(&a(), &json!([]))]}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Allowed);
    assert!(cluster.request(A, &request("POST", "/")));
}

#[test]
fn an_empty_rule_fits_every_request() {
    let cluster = under(&json!({}));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("DELETE", "/anything")));
}

#[test]
fn without_default_deny_rules_only_show() {
    let cluster = Cluster::with(&json!({
        "enableDefaultDeny": {"ingress": false},
        "ingress": [proxied(&a(), &get())],
    }));
    assert_eq!(cluster.ingress(SRV, A, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(A, &request("POST", "/")));
    assert_eq!(cluster.ingress(SRV, B, 80).verdict, Verdict::Allowed);
}

#[test]
fn the_nodes_own_host_is_not_asked() {
    let cluster = Cluster::with(&json!({"ingress": [proxied(&Value::Null, &get())]}));
    assert_eq!(cluster.ingress(SRV, HOST, 80).verdict, Verdict::Redirected);
    assert!(cluster.request(HOST, &request("POST", "/")));
}

/// Scenario: traffic from outside through Cilium's Ingress to a backend.
/// Guarantees: the backend's rule about the client does not count, one about the entity
/// does.
#[test]
fn a_backend_sees_the_ingress_not_the_client() {
    let client = json!({"fromCIDR": ["9.9.9.0/24"]});
    let cluster = Cluster::with(&json!({"ingress": [client]}));
    assert_eq!(
        cluster.ingress(SRV, INGRESS, 80).verdict,
        Verdict::DeniedByDefault
    );
    let cluster = Cluster::with(&json!({"ingress": [client, {"fromEntities": ["ingress"]}]}));
    assert_eq!(cluster.ingress(SRV, INGRESS, 80).verdict, Verdict::Allowed);
}

#[test]
fn a_gateway_is_a_subject_of_its_own() {
    let mut gateway = policy(
        "gateway",
        &json!({"ingress": [{"fromCIDR": ["9.9.9.0/24"]}]}),
    );
    gateway["kind"] = json!("CiliumClusterwideNetworkPolicy");
    gateway["metadata"] = json!({"name": "gateway"});
    gateway["spec"]["endpointSelector"] = json!({"matchLabels": {"reserved:ingress": ""}});
    let cluster = Cluster::holding(&[gateway], &Options::default(), true);
    assert_eq!(cluster.ingress(INGRESS, NINE, 80).verdict, Verdict::Allowed);
    assert_eq!(
        cluster.ingress(INGRESS, EIGHT, 80).verdict,
        Verdict::DeniedByDefault
    );
    assert_eq!(cluster.ingress(SRV, EIGHT, 80).verdict, Verdict::Allowed);
}
