//! Which service a connection was meant for.
//!
//! Owns what socket translations tell: a pod asked for a service, and the kernel chose a
//! backend; the packets that follow know the backend only. Bounded, and forgotten after a
//! few seconds.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::entry::SECOND;
use super::key::End;
use crate::flow::Protocol;

/// Translations that are remembered.
const MOST: usize = 1 << 13;
/// How long one is good for.
const WINDOW: i64 = 5 * SECOND;

/// Who called what: the client without its port, the backend with its own.
type Call = (Protocol, End, End);

/// Services by call.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Service by socket, until its backend is known.
    sockets: HashMap<u64, (u32, i64), RandomState>,
    socket_order: VecDeque<(u64, i64)>,
    calls: HashMap<Call, (u32, i64), RandomState>,
    call_order: VecDeque<(Call, i64)>,
}

impl Services {
    /// A socket asked for a service.
    pub(super) fn ask(&mut self, socket: u64, service: u32, time: i64) {
        self.sockets.insert(socket, (service, time));
        self.socket_order.push_back((socket, time));
        if self.socket_order.len() > MOST
            && let Some((oldest, when)) = self.socket_order.pop_front()
            && self
                .sockets
                .get(&oldest)
                .is_some_and(|known| known.1 == when)
        {
            self.sockets.remove(&oldest);
        }
    }

    /// It was given a backend.
    pub(super) fn translate(&mut self, socket: u64, call: Call, time: i64) {
        let Some((service, _)) = self.sockets.remove(&socket) else {
            return;
        };
        self.calls.insert(call, (service, time));
        self.call_order.push_back((call, time));
        if self.call_order.len() > MOST
            && let Some((oldest, when)) = self.call_order.pop_front()
            && self.calls.get(&oldest).is_some_and(|known| known.1 == when)
        {
            self.calls.remove(&oldest);
        }
    }

    /// The service of a connection that begins; 0 where none is known.
    pub(super) fn of(&self, protocol: Protocol, client: End, server: End, time: i64) -> u32 {
        if self.calls.is_empty() {
            return 0;
        }
        match self.calls.get(&(protocol, client.with_port(0), server)) {
            Some(&(service, when)) if time.abs_diff(when) <= WINDOW.unsigned_abs() => service,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_service_for_a_while() {
        let end = |address: &str, port| End::of_address(address.parse().unwrap()).with_port(port);
        let (client, backend) = (end("10.0.0.1", 40_000), end("10.0.0.2", 8080));
        let mut services = Services::default();
        services.ask(7, 3, 0);
        services.translate(7, (Protocol::Tcp, client.with_port(0), backend), 0);
        services.translate(8, (Protocol::Tcp, client.with_port(0), client), 0);

        assert_eq!(services.of(Protocol::Tcp, client, backend, SECOND), 3);
        assert_eq!(services.of(Protocol::Tcp, client, backend, 9 * SECOND), 0);
        assert_eq!(services.of(Protocol::Tcp, client, client, 0), 0);
    }

    #[test]
    fn no_more_is_remembered_than_the_bound() {
        let mut services = Services::default();
        for socket in 0..3 * MOST as u64 {
            let end = End::default().with_port(socket as u16);
            services.ask(socket, 1, 0);
            services.translate(socket, (Protocol::Tcp, end, end), 0);
            services.ask(socket, 1, 0);
        }
        assert!(services.sockets.len() <= MOST && services.calls.len() <= MOST);
    }
}
