//! GetFlows with messages as undecoded bytes.
//!
//! Owns the codec: decoding a flow is most of its cost, and the walker in `wire` does
//! it straight into columns, so gRPC only cuts the messages apart. Nothing is copied;
//! a message shares the buffer it arrived in.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use prost::Message as _;
use tokio_stream::Stream;
use tonic::{
    Status, Streaming,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use crate::proto::observer::GetFlowsRequest;

/// The stream's buffer: a message pins it, so it is no larger than a read gains from.
const READ_BUFFER: usize = 32 * 1024;

/// Encoded `GetFlowsResponse` messages, as they arrive.
#[derive(Debug)]
pub struct RawStream(Streaming<Bytes>);

impl RawStream {
    pub(super) fn new(stream: Streaming<Bytes>) -> Self {
        Self(stream)
    }

    /// The next message; `None` at the end.
    ///
    /// # Errors
    /// The status the stream ended with.
    pub async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        self.0.message().await
    }

    /// Adds what is there to `batch`. Ready when that has `limit` messages or the stream
    /// is over, otherwise there may be more later.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Vec<Bytes>,
        limit: usize,
    ) -> Poll<Filled> {
        while batch.len() < limit {
            match Pin::new(&mut self.0).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => batch.push(message),
                Poll::Ready(Some(Err(status))) => return Poll::Ready(Filled::Ended(Some(status))),
                Poll::Ready(None) => return Poll::Ready(Filled::Ended(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Filled::More)
    }
}

impl Stream for RawStream {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll_next(cx)))
    }
}

/// What there is after a fill.
#[derive(Debug)]
pub(super) enum Filled {
    /// More may come.
    More,
    /// The stream is over, with the error that ended it.
    Ended(Option<Status>),
}

/// Encodes the request, leaves the answers alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RawCodec;

impl Codec for RawCodec {
    type Encode = GetFlowsRequest;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = GetFlowsRequest;
    type Error = Status;

    fn encode(&mut self, item: GetFlowsRequest, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(dst)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(READ_BUFFER, READ_BUFFER)
    }
}
