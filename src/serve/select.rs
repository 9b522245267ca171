//! Which flows of a request are sent, and which of their fields.
//!
//! Owns the way from a request's filters and mask to both, for entries as bytes. What a
//! filter means is `filter`'s, what a mask does to a flow is `wire`'s.

use bytes::Bytes;

use crate::{
    filter::{FilterError, Filters},
    flow::{BatchBuilder, DEFAULT_DICTIONARY_BYTES, Raw},
    proto::observer::GetFlowsRequest,
    wire::{
        mask::{FieldMask, MaskError},
        shape, walk,
    },
};

use super::{envelope::EntryKind, ring::Entry};

/// The filters and the mask of one request.
pub(super) struct Selection {
    filters: Filters,
    builder: BatchBuilder,
    mask: FieldMask,
}

/// A filter or mask that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelectError {
    /// One of the filters.
    #[error("invalid filter: {0}")]
    Filter(#[from] FilterError),
    /// One of the paths.
    #[error("{0}")]
    Mask(#[from] MaskError),
}

impl Selection {
    pub(super) fn of(request: &GetFlowsRequest) -> Result<Self, SelectError> {
        let paths = request.field_mask.iter().flat_map(|mask| &mask.paths);
        Ok(Self {
            filters: Filters::compile(&request.whitelist, &request.blacklist)?,
            builder: BatchBuilder::new(DEFAULT_DICTIONARY_BYTES),
            mask: FieldMask::parse(paths, shape::flow())?,
        })
    }

    /// Whether each entry passes the filters; what is not a flow does.
    ///
    /// A flow that cannot be decoded passes only where nothing is asked of it.
    pub(super) fn keeps(&mut self, entries: &[Entry]) -> Vec<bool> {
        if self.filters.is_empty() {
            return vec![true; entries.len()];
        }
        let rows: Vec<Option<usize>> = entries.iter().map(|entry| self.row(entry)).collect();
        let batch = self.builder.finish();
        let kept = entries
            .iter()
            .zip(rows)
            .map(|(entry, row)| match row {
                Some(row) => self.filters.matches(batch.row(row)),
                None => entry.kind != EntryKind::Flow,
            })
            .collect();
        self.builder.recycle(batch);
        kept
    }

    /// A flow's response with what the mask leaves of it; the envelope's time and node
    /// go with the flow's.
    pub(super) fn shape(&self, response: Bytes) -> Bytes {
        if self.mask.keeps_all() {
            return response;
        }
        let mut masked = Vec::new();
        match self.mask.apply_to_response(&response, &mut masked) {
            Ok(()) => masked.into(),
            // What cannot be masked is not a message any reader takes, so it may see why.
            Err(_) => response,
        }
    }

    fn row(&mut self, entry: &Entry) -> Option<usize> {
        if entry.kind != EntryKind::Flow {
            return None;
        }
        let row = self.builder.len();
        let raw = || Raw::Message(entry.bytes.clone());
        walk::push_message(&mut self.builder, &entry.bytes, raw).ok()?;
        (self.builder.len() > row).then_some(row)
    }
}
