//! gRPC's health check, as Hubble's servers answer it.
//!
//! Owns which services are known and that they serve. Says nothing of flows.

use std::{pin::Pin, sync::Arc};

use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use crate::proto::health::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as HealthService,
};

use super::faults::Faults;

/// What a Hubble client asks the health of.
const OBSERVER: &str = "hubble.server.Observer";

/// The health of the server.
#[derive(Clone, Debug)]
pub(super) struct Health {
    pub(super) faults: Option<Arc<Faults>>,
}

impl Health {
    fn status(&self, service: &str) -> Option<ServingStatus> {
        let failing = self
            .faults
            .as_ref()
            .is_some_and(|faults| faults.fails_check());
        let status = if failing {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        matches!(service, "" | OBSERVER).then_some(status)
    }
}

#[tonic::async_trait]
impl HealthService for Health {
    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found("unknown service")),
        }
    }

    /// Answers once: what is served does not change until the server ends. (Scripted
    /// failures are of checks.)
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let status = self.status(&request.get_ref().service);
        let first = answer(status.unwrap_or(ServingStatus::ServiceUnknown));
        let rest = tokio_stream::pending();
        let stream = tokio_stream::StreamExt::chain(tokio_stream::once(Ok(first)), rest);
        Ok(Response::new(Box::pin(stream)))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
