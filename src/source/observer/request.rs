//! The question put to a server, and how it reads after a cut.
//!
//! Owns the making of `GetFlowsRequest`. Does not check filters; servers do.

use jiff::Timestamp;

use crate::proto::{
    flow::FlowFilter,
    observer::{GetFlowsRequest, get_flows_request::Experimental},
};

/// Which flows to ask for. The interplay of the fields is Hubble's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowQuery {
    /// Keep flows that match any of these; empty keeps all.
    pub whitelist: Vec<FlowFilter>,
    /// Drop flows that match any of these.
    pub blacklist: Vec<FlowFilter>,
    /// At most so many of each node, 0 for all.
    pub number: u64,
    /// The oldest `number` instead of the newest.
    pub first: bool,
    /// Keep streaming what comes.
    pub follow: bool,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Paths of the flow to send, see [`super::mask_for`]; `None` for all.
    pub mask: Option<Vec<String>>,
}

impl FlowQuery {
    /// The request, or the one that continues it from `resume` (nanoseconds) on: then
    /// the count is spent and only the time bounds what comes.
    pub(super) fn request(&self, with_mask: bool, resume: Option<i64>) -> GetFlowsRequest {
        let since = match resume {
            Some(nanoseconds) => Some(prost_types::Timestamp {
                seconds: nanoseconds.div_euclid(1_000_000_000),
                nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
            }),
            None => self.since.map(timestamp),
        };
        let paths = self.mask.clone().filter(|_| with_mask);
        GetFlowsRequest {
            number: if resume.is_some() { 0 } else { self.number },
            follow: self.follow,
            blacklist: self.blacklist.clone(),
            whitelist: self.whitelist.clone(),
            since,
            until: self.until.map(timestamp),
            first: self.first && resume.is_none(),
            field_mask: paths.map(|paths| prost_types::FieldMask { paths }),
            experimental: None::<Experimental>,
            extensions: None,
        }
    }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanoseconds = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000) as i64,
        nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continued_request_has_a_time_and_no_count() {
        let query = FlowQuery {
            number: 20,
            follow: true,
            mask: Some(vec!["time".into()]),
            ..FlowQuery::default()
        };
        let first = query.request(true, None);
        assert_eq!((first.number, first.since), (20, None));
        assert!(first.field_mask.is_some());

        let next = query.request(false, Some(5_000_000_001));
        assert_eq!(next.number, 0);
        let since = next.since.unwrap();
        assert_eq!((since.seconds, since.nanos), (5, 1));
        assert!(next.follow && next.field_mask.is_none());
    }
}
