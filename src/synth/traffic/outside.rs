//! Addresses outside: services with a name, content networks, partners, and those that nobody
//! has business with.
//!
//! Owns giving them addresses and identities. Their names are the world's.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use super::super::number::Random;
use super::super::world::World;
use super::cast::{Cast, FIRST_VACANT, Role, pod_ip};
use super::plan::Plan;
use super::settings::Settings;
use crate::inventory::Label;
use crate::policy::IdentityIndex;

/// Addresses nobody has business with, for strays.
const WILD: u32 = 64;
/// Addresses of the pod network that no pod has.
const VACANT: u32 = 256;

impl Cast {
    pub(super) fn add_outside(
        &mut self,
        world: &World,
        settings: &Settings,
        plan: &Plan,
        random: &mut Random,
    ) {
        for (index, external) in world.externals.iter().enumerate() {
            let own = plan.plain_externals.contains(&index);
            let cdn = external.name.is_some() && !own && random.chance(settings.dns.cdn.0);
            let count = if cdn { settings.dns.cdn_addresses } else { 1 };
            let IpAddr::V4(base) = external.address else {
                continue;
            };
            let name = external.name.as_ref();
            let range = self.add_addresses(index as u32, base, count, name);
            self.externals.push(range);
            self.cdn.push(cdn);
        }
        if plan.cdn_rotations > 0 {
            for (index, external) in world.externals.iter().enumerate() {
                let IpAddr::V4(base) = external.address else {
                    continue;
                };
                // Another network of the same operator.
                let base = Ipv4Addr::from(u32::from(base) ^ 0x0004_0000);
                let count = if self.cdn[index] {
                    settings.dns.cdn_addresses
                } else {
                    0
                };
                let name = external.name.as_ref();
                let range = self.add_addresses(index as u32, base, count, name);
                self.moved.push(range);
            }
        }
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        let identity = self.outside(metadata, None);
        self.metadata = self.party_of(Role::Address, None, metadata, identity, 0);
        let first = self.parties.len() as u32;
        for _ in 0..WILD {
            // Not an address of an external: these are below 100.
            let ip = Ipv4Addr::from(0xb900_0000 | (random.next() as u32 & 0x00ff_ffff));
            let identity = self.outside(ip, None);
            self.party_of(Role::Address, None, ip, identity, 0);
        }
        self.wild = first..self.parties.len() as u32;
        let first = self.parties.len() as u32;
        let world = self.identity(2, vec![Label::new("reserved", "world", "")], None);
        for index in 0..VACANT {
            let node = index as usize % self.nodes.len();
            let slot = FIRST_VACANT + index / self.nodes.len() as u32;
            let ip = pod_ip(node, slot.min(1_022));
            self.party_of(Role::Address, None, ip, world, 2);
        }
        self.vacant = first..self.parties.len() as u32;
    }

    /// Addresses that an external answers with, spread over a /20 by an odd step.
    fn add_addresses(
        &mut self,
        external: u32,
        base: Ipv4Addr,
        count: usize,
        name: Option<&Arc<str>>,
    ) -> Range<u32> {
        let first = self.parties.len() as u32;
        for address in 0..count {
            let spread = (u32::from(base) & 0xfff) + 241 * address as u32;
            let ip = Ipv4Addr::from(u32::from(base) & !0xfff | spread & 0xfff);
            let identity = self.outside(ip, name.cloned());
            self.party_of(Role::External(external), None, ip, identity, 0);
        }
        first..self.parties.len() as u32
    }

    fn outside(&mut self, ip: Ipv4Addr, name: Option<Arc<str>>) -> IdentityIndex {
        let number = (1 << 24) + 1 + self.identities.len() as u32;
        let at = self.identity(number, Vec::new(), Some(ip));
        self.identities[at.0 as usize].names = name.into_iter().collect();
        at
    }
}
