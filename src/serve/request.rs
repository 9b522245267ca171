//! What a `GetFlowsRequest` asks for: where to start, when to end.
//!
//! Owns how number, first, since, until and follow work together, as an agent has it.
//! Filters and masks are `select`'s.

use crate::proto::observer::GetFlowsRequest;

use super::envelope::nanoseconds;

/// Where reading starts and when it ends. Times are nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: Start,
    /// Flows sent at most.
    pub(super) limit: Option<u64>,
    /// Flows before it are passed over.
    pub(super) since: Option<i64>,
    /// The first flow after it ends the stream.
    pub(super) until: Option<i64>,
    /// Whether to go on with what arrives.
    pub(super) follow: bool,
}

/// The first entry that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Oldest,
    /// The oldest of at least this time.
    Time(i64),
    /// So many flows back that pass the filters.
    Newest(u64),
    /// Nothing of what is there.
    Arrivals,
}

/// A request that asks for what cannot be had.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RequestError {
    /// The oldest flows have no successors to wait for.
    #[error("first cannot be specified with follow")]
    FirstWithFollow,
}

impl Extent {
    pub(super) fn of(request: &GetFlowsRequest) -> Result<Self, RequestError> {
        if request.first && request.follow {
            return Err(RequestError::FirstWithFollow);
        }
        let number = (request.number > 0).then_some(request.number);
        let since = request.since.as_ref().map(nanoseconds);
        let start = match (since, number) {
            _ if request.first => Start::Oldest,
            (Some(since), _) => Start::Time(since),
            (None, Some(number)) => Start::Newest(number),
            (None, None) if request.follow => Start::Arrivals,
            (None, None) => Start::Oldest,
        };
        Ok(Self {
            start,
            limit: number.filter(|_| !request.follow),
            since,
            until: request.until.as_ref().map(nanoseconds),
            follow: request.follow,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::restore::timestamp;

    fn extent(request: &GetFlowsRequest) -> Extent {
        Extent::of(request).unwrap()
    }

    #[test]
    fn first_does_not_go_with_follow() {
        let request = GetFlowsRequest {
            first: true,
            follow: true,
            ..GetFlowsRequest::default()
        };
        assert_eq!(Extent::of(&request), Err(RequestError::FirstWithFollow));
    }

    #[test]
    fn a_number_caps_but_not_when_following() {
        let mut request = GetFlowsRequest {
            number: 7,
            ..GetFlowsRequest::default()
        };
        assert_eq!(extent(&request).start, Start::Newest(7));
        assert_eq!(extent(&request).limit, Some(7));
        request.follow = true;
        assert_eq!(extent(&request).start, Start::Newest(7));
        assert_eq!(extent(&request).limit, None);
    }

    #[test]
    fn since_says_where_to_start_and_the_number_where_to_end() {
        let mut request = GetFlowsRequest {
            number: 7,
            since: Some(timestamp(5)),
            ..GetFlowsRequest::default()
        };
        assert_eq!(extent(&request).start, Start::Time(5));
        assert_eq!(extent(&request).limit, Some(7));
        request.first = true;
        assert_eq!(extent(&request).start, Start::Oldest);
        assert_eq!(extent(&request).since, Some(5));
    }

    #[test]
    fn nothing_asked_is_all_there_is_and_following_is_what_comes() {
        let mut request = GetFlowsRequest::default();
        assert_eq!(extent(&request).start, Start::Oldest);
        request.follow = true;
        assert_eq!(extent(&request).start, Start::Arrivals);
    }
}
