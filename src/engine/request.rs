//! A request of layer 7 against the rules of the proxy it went through.
//!
//! Owns taking the request out of a row. What the rules say is `policy`'s.

use crate::flow::{L7Record, RowRef, StrId, split_url};
use crate::policy::{Cause, Compiled, Decision, HttpRequest, Question, RequestVerdict, Verdict};

/// All that a request says, in the numbers of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RequestIds {
    /// The name that is asked for.
    Dns(StrId),
    /// Method and URL.
    Http(StrId, StrId),
}

impl RequestIds {
    /// `None` for a request that says more, or nothing.
    pub(super) fn of(row: RowRef<'_>) -> Option<Self> {
        match row.extra()?.l7.as_deref()?.record.as_ref()? {
            L7Record::Dns(dns) => Some(Self::Dns(dns.query)),
            L7Record::Http(http) if http.headers.is_empty() => {
                Some(Self::Http(http.method, http.url))
            }
            _ => None,
        }
    }
}

/// What policy says of the request in `row`, given what it says of the connection.
pub(super) fn verdict(
    row: RowRef<'_>,
    compiled: &Compiled,
    question: &Question,
    decision: Decision,
) -> Verdict {
    match decision.verdict {
        Verdict::Redirected | Verdict::AuthRequired => {}
        settled => return settled,
    }
    let unseen = Verdict::Unknown(Cause::L7NotVisible);
    let Some(l7) = row.extra().and_then(|extra| extra.l7.as_deref()) else {
        return unseen;
    };
    let Question {
        subject,
        peer,
        direction,
        protocol,
        port,
    } = *question;
    let passes = match &l7.record {
        Some(L7Record::Dns(dns)) => {
            let name = row.str(dns.query);
            if name.is_empty() {
                return unseen;
            }
            match compiled.dns_query(subject, peer, protocol, port, name) {
                RequestVerdict::Allowed => true,
                RequestVerdict::Denied => false,
                RequestVerdict::Unknown(cause) => return Verdict::Unknown(cause),
            }
        }
        Some(L7Record::Http(http)) => {
            let url = row.str(http.url);
            let (authority, path) = split_url(url);
            let headers: Vec<(&str, &str)> = http
                .headers
                .iter()
                .map(|header| (row.str(header.key), row.str(header.value)))
                .filter(|(_, value)| !hidden(value))
                .collect();
            let seen = |text| Some(text).filter(|text: &&str| !text.is_empty() && !hidden(text));
            let mut request = HttpRequest {
                method: seen(row.str(http.method)),
                path: seen(path),
                host: seen(authority),
                headers: Some(&headers),
            };
            let ask = |request: &HttpRequest<'_>| {
                compiled.http_request(subject, direction, peer, protocol, port, request)
            };
            let mut answer = ask(&request);
            if answer == RequestVerdict::Denied {
                // Headers that a flow does not show may have been sent.
                request.headers = None;
                answer = ask(&request);
            }
            match answer {
                RequestVerdict::Allowed => true,
                RequestVerdict::Denied => false,
                RequestVerdict::Unknown(cause) => return Verdict::Unknown(cause),
            }
        }
        Some(L7Record::Kafka(_)) | None => return unseen,
    };
    if passes {
        Verdict::Redirected
    } else {
        Verdict::DeniedByDefault
    }
}

/// Whether Hubble was told to hide a part.
fn hidden(text: &str) -> bool {
    text.contains("HUBBLE_REDACTED")
}
