//! Which flows of a request are sent, and which of their fields.
//!
//! Owns the way from a request's filters and mask to both, for entries as bytes. What a
//! filter means is `filter`'s, what a mask does to a flow is `wire`'s.

use bytes::Bytes;

use crate::proto::observer::GetFlowsRequest;

use super::ring::Entry;

/// The filters and the mask of one request.
#[derive(Debug)]
pub(super) struct Selection {}

/// A filter or mask that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectError {
    /// Filters are not there yet.
    #[error("filters are not supported")]
    Filters,
    /// Masks are not there yet.
    #[error("field masks are not supported")]
    Mask,
}

impl Selection {
    pub(super) fn of(request: &GetFlowsRequest) -> Result<Self, SelectError> {
        if !request.whitelist.is_empty() || !request.blacklist.is_empty() {
            return Err(SelectError::Filters);
        }
        if request
            .field_mask
            .as_ref()
            .is_some_and(|mask| !mask.paths.is_empty())
        {
            return Err(SelectError::Mask);
        }
        Ok(Self {})
    }

    /// Whether each entry passes the filters; what is not a flow does.
    pub(super) fn keeps(&mut self, entries: &[Entry]) -> Vec<bool> {
        vec![true; entries.len()]
    }

    /// A flow's response with what the mask leaves of it.
    pub(super) fn shape(&self, response: Bytes) -> Bytes {
        response
    }
}
