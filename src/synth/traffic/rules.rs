//! What the world's policies answer, asked of the policy engine.
//!
//! Owns turning a decision into what Hubble reports of it: match type, the policies that are
//! named. Decides nothing itself.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::cast::Cast;
use super::cast::PartyId;
use crate::policy::{
    Compiled, Decision, Direction, HttpRequest, Memo, ObjectId, Origin, Parser, PeerSelector,
    Question, RequestVerdict, RulesId, Verdict,
};

/// Number of an [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AnswerId(pub(super) u32);

/// What one side's policies say of a connection.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Whether policies select the side in this direction: then there is a verdict event.
    pub(super) enforced: bool,
    pub(super) outcome: Outcome,
    /// Hubble's `policy_match_type`.
    pub(super) match_type: u32,
    /// The policies behind it.
    pub(super) policies: Vec<ObjectId>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    Allowed,
    /// Through the proxy for DNS, in the agent.
    DnsProxy,
    /// Through Envoy, for HTTP.
    HttpProxy,
    DeniedByDefault,
    DeniedByRule,
}

impl Outcome {
    pub(super) fn is_denied(self) -> bool {
        matches!(self, Self::DeniedByDefault | Self::DeniedByRule)
    }
}

type Key = (usize, bool, Outcome, u32, RulesId);

/// The policies of a world.
pub(super) struct Rules {
    /// Those in force from the beginning, then those of rollouts that go wrong.
    sets: Vec<(Compiled, Memo)>,
    /// Which are in force.
    current: usize,
    answers: Vec<Answer>,
    by_key: HashMap<Key, AnswerId, FixedState>,
}

impl Rules {
    /// Of at least one set.
    pub(super) fn new(sets: Vec<Compiled>) -> Self {
        Self {
            sets: sets.into_iter().map(|set| (set, Memo::new())).collect(),
            current: 0,
            answers: Vec::new(),
            by_key: HashMap::with_hasher(FixedState::default()),
        }
    }

    /// Puts a set in force.
    pub(super) fn enforce(&mut self, set: usize) {
        self.current = set.min(self.sets.len() - 1);
    }

    fn compiled(&self) -> &Compiled {
        &self.sets[self.current].0
    }

    pub(super) fn answer(&self, id: AnswerId) -> &Answer {
        &self.answers[id.0 as usize]
    }

    pub(super) fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// What the policies of one side say. The side is a pod.
    pub(super) fn ask(
        &mut self,
        cast: &Cast,
        direction: Direction,
        (client, server): (PartyId, PartyId),
        (protocol, port): (u8, u16),
    ) -> AnswerId {
        let question = question(cast, direction, (client, server), (protocol, port));
        let (compiled, memo) = &mut self.sets[self.current];
        let decision = memo.decide(compiled, question);
        let outcome = self.outcome(decision);
        let match_type = decision.match_kind as u32;
        let key = (
            self.current,
            decision.enforced,
            outcome,
            match_type,
            decision.rules,
        );
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = AnswerId(self.answers.len() as u32);
        self.answers.push(Answer {
            enforced: decision.enforced,
            outcome,
            match_type,
            policies: self.policies(decision),
        });
        self.by_key.insert(key, id);
        id
    }

    /// Whether the proxy of a pod lets a request in.
    pub(super) fn lets_in(
        &self,
        cast: &Cast,
        sides: (PartyId, PartyId),
        port: u16,
        (method, host, path): (&str, &str, &str),
    ) -> bool {
        let question = question(cast, Direction::Ingress, sides, (super::cast::TCP, port));
        let request = HttpRequest {
            method: Some(method),
            path: Some(path),
            host: Some(host),
            headers: Some(&[]),
        };
        let answer = self.compiled().http_request(
            question.subject,
            question.direction,
            question.peer,
            question.protocol,
            question.port,
            &request,
        );
        answer != RequestVerdict::Denied
    }

    /// Names that rules allow, and prefixes they speak of: what makes an address outside an
    /// identity of its own.
    pub(super) fn outside(&self) -> (Vec<String>, Vec<ipnet::IpNet>) {
        let (mut names, mut prefixes) = (Vec::new(), Vec::new());
        let entries = self.compiled().set().entries.iter();
        for peer in entries.filter_map(|entry| entry.peers.as_ref()).flatten() {
            match peer {
                PeerSelector::Fqdn { name, .. } => names.push(name.to_string()),
                PeerSelector::Cidr { prefix, .. } => prefixes.push(*prefix),
                _ => {}
            }
        }
        names.sort();
        names.dedup();
        prefixes.sort();
        prefixes.dedup();
        (names, prefixes)
    }

    /// An answer that cannot be told would come from policies or a world of which something
    /// is missing; nothing is here.
    fn outcome(&self, decision: Decision) -> Outcome {
        match decision.verdict {
            Verdict::DeniedByRule => Outcome::DeniedByRule,
            Verdict::DeniedByDefault | Verdict::AuthRequired => Outcome::DeniedByDefault,
            Verdict::Redirected => {
                let redirect = decision
                    .redirect
                    .and_then(|id| self.compiled().redirect(id));
                match redirect.map(|redirect| redirect.parser == Parser::Dns) {
                    Some(true) => Outcome::DnsProxy,
                    _ => Outcome::HttpProxy,
                }
            }
            Verdict::Allowed | Verdict::Unknown(_) => Outcome::Allowed,
        }
    }

    fn policies(&self, decision: Decision) -> Vec<ObjectId> {
        let set = self.compiled().set();
        let mut policies: Vec<ObjectId> = Vec::new();
        for origin in self.compiled().rules(decision.rules).iter() {
            let Origin::Entry(entry) = *origin else {
                continue;
            };
            let object = set.entries.get(entry as usize).map(|entry| entry.object);
            let object = object.and_then(|object| set.objects.get(object as usize));
            if let Some(object) = object
                && !policies.contains(&object.id)
            {
                policies.push(object.id.clone());
            }
        }
        policies
    }
}

fn question(
    cast: &Cast,
    direction: Direction,
    (client, server): (PartyId, PartyId),
    (protocol, port): (u8, u16),
) -> Question {
    let (client, server) = (cast.party(client).identity, cast.party(server).identity);
    let (subject, peer) = match direction {
        Direction::Egress => (client, server),
        Direction::Ingress => (server, client),
    };
    Question {
        subject,
        direction,
        peer,
        protocol,
        port,
    }
}
