//! A request of layer 7 against the rules of the proxy it went through.
//!
//! Owns taking the request out of a row. What the rules say is `policy`'s.

use crate::flow::{L7Record, RowRef, StrId, split_url};
use crate::policy::{
    Cause, Compiled, Decision, HttpRequest, L7Request, Question, RequestVerdict, Verdict,
};

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

/// A request as a row shows it, as far as its protocol can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenRequest<'a> {
    /// The name that is asked for.
    Dns(&'a str),
    /// A request of HTTP.
    Http(SeenHttp<'a>),
}

/// A request of HTTP; what is hidden or empty is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenHttp<'a> {
    method: Option<&'a str>,
    path: Option<&'a str>,
    host: Option<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> SeenRequest<'a> {
    /// `None` for a row without a request, and for one of another protocol.
    #[must_use]
    pub fn of(row: RowRef<'a>) -> Option<Self> {
        match row.extra()?.l7.as_deref()?.record.as_ref()? {
            L7Record::Dns(dns) => {
                let name = row.str(dns.query);
                (!name.is_empty()).then_some(Self::Dns(name))
            }
            L7Record::Http(http) => {
                let (authority, path) = split_url(row.str(http.url));
                let seen =
                    |text: &'a str| Some(text).filter(|text| !text.is_empty() && !hidden(text));
                Some(Self::Http(SeenHttp {
                    method: seen(row.str(http.method)),
                    path: seen(path),
                    host: seen(authority),
                    headers: http
                        .headers
                        .iter()
                        .map(|header| (row.str(header.key), row.str(header.value)))
                        .filter(|(_, value)| !hidden(value))
                        .collect(),
                }))
            }
            L7Record::Kafka(_) => None,
        }
    }

    /// As policies are asked about it.
    #[must_use]
    pub fn asked(&self) -> L7Request<'_> {
        match self {
            Self::Dns(name) => L7Request::Dns(name),
            Self::Http(http) => L7Request::Http(http.request()),
        }
    }
}

impl SeenHttp<'_> {
    fn request(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: self.method,
            path: self.path,
            host: self.host,
            headers: Some(&self.headers),
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
    let Question {
        subject,
        peer,
        direction,
        protocol,
        port,
    } = *question;
    let passes = match SeenRequest::of(row) {
        Some(SeenRequest::Dns(name)) => {
            match compiled.dns_query(subject, peer, protocol, port, name) {
                RequestVerdict::Allowed => true,
                RequestVerdict::Denied => false,
                RequestVerdict::Unknown(cause) => return Verdict::Unknown(cause),
            }
        }
        Some(SeenRequest::Http(http)) => {
            let mut request = http.request();
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
        None => return Verdict::Unknown(Cause::L7NotVisible),
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
