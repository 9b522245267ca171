//! Requests and their responses.

use super::*;

const GET: Said = Said::Http("GET", "http://web:80/cart?id=1", 0);

fn request(time: i64) -> Flow {
    spoken(time, L7Type::REQUEST, GET)
}

fn response(time: i64, code: u32) -> Flow {
    spoken(
        time,
        L7Type::RESPONSE,
        Said::Http("GET", "http://web:80/cart?id=1", code),
    )
}

fn latencies(out: &Out) -> Vec<u64> {
    out.exchanges
        .iter()
        .map(|one| one.latency / MILLI as u64)
        .collect()
}

#[test]
fn a_response_belongs_to_the_oldest_request() {
    let out = fold(&[
        request(0),
        request(MILLI),
        response(5 * MILLI, 200),
        response(9 * MILLI, 500),
    ]);
    assert_eq!(latencies(&out), [5, 8]);
    assert!(out.exchanges.iter().all(|one| one.answered && !one.denied));
    assert_eq!(out.one().exchanges, 2);
    let ExchangeKind::Http {
        method,
        host,
        path,
        code,
    } = &out.exchanges[1].kind
    else {
        panic!("{:?}", out.exchanges);
    };
    assert_eq!(
        (&**method, &**host, &**path, *code),
        ("GET", "web:80", "/cart", 500)
    );
    assert_eq!(out.shown(out.exchanges[0].edge.server), "shop/server");
    assert_eq!(out.exchanges[0].edge.port, 80);
}

#[test]
fn an_exchange_that_two_proxies_see_is_one() {
    let outer = |flow: Flow| flow.on("c/b").with(|row| row.direction = Direction::EGRESS);
    for skew in [-2_000 * MILLI, 0, 2_000 * MILLI] {
        let mut flows = Vec::new();
        for start in [10 * SECOND, 10 * SECOND + 300 * MILLI, 11 * SECOND] {
            flows.push(outer(request(start + skew)));
            flows.push(request(start + MILLI));
            flows.push(response(start + 5 * MILLI, 200));
            flows.push(outer(response(start + 7 * MILLI + skew, 200)));
        }
        let out = fold(&flows);
        assert_eq!(latencies(&out), [7, 7, 7], "{skew}");
    }
}

#[test]
fn a_request_waits_a_minute_and_a_refused_one_is_denied() {
    let out = fold(&[request(0), response(61 * SECOND, 200)]);
    assert_eq!(out.exchanges.len(), 2);
    assert!(!out.exchanges[0].answered && out.exchanges[1].answered);

    let refused = request(0).with(|row| row.verdict = Verdict::DROPPED);
    let out = fold(&[refused, response(MILLI, 403)]);
    assert_eq!(out.exchanges.len(), 1);
    assert!(out.exchanges[0].denied && out.exchanges[0].answered);
    assert_eq!(out.one().outcome, Outcome::RequestDenied);
}

#[test]
fn questions_of_dns_are_told_apart_by_name_and_type() {
    let dns = |time, kind, types, code| {
        udp(spoken(
            time,
            kind,
            Said::Dns("API.example.com.", types, code),
        ))
    };
    let out = fold(&[
        dns(0, L7Type::REQUEST, "A", 0),
        dns(1, L7Type::REQUEST, "AAAA", 0),
        dns(2, L7Type::RESPONSE, "AAAA", 3),
        dns(3, L7Type::RESPONSE, "A", 0),
    ]);
    let kinds: Vec<String> = out
        .exchanges
        .iter()
        .map(|one| format!("{:?}", one.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            r#"Dns { query: "api.example.com", types: "A", code: 0 }"#,
            r#"Dns { query: "api.example.com", types: "AAAA", code: 3 }"#,
        ]
    );
    assert_eq!(out.one().attempts, 1);
}

#[test]
fn exchanges_beyond_the_bound_come_out_as_they_are() {
    let options = FoldOptions {
        exchanges: 4,
        ..FoldOptions::default()
    };
    let flows: Vec<Flow> = (0..10).map(|at| request(at * MILLI)).collect();
    let out = fold_with(options, &flows, 3);
    assert_eq!(out.exchanges.len(), 10);
    assert_eq!(out.fold.counts().exchanges_cut, 6);
}

/// Guarantees: asking for the same over and over costs no search.
#[test]
fn repeated_requests_are_paired_in_order() {
    let flows: Vec<Flow> = (0..2_000)
        .flat_map(|at| [request(at * MILLI), response(at * MILLI + MILLI / 2, 200)])
        .collect();
    let out = fold(&flows);
    assert_eq!(out.exchanges.len(), 2_000);
    assert!(out.exchanges.iter().all(|one| one.latency == 500_000));
}
