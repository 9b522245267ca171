//! Policies with one thing changed.

use crate::manifest::{self, Document, Map, Node, Value};

/// Numbers from a seed (a linear congruential generator).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % most.max(1)
    }
}

/// The documents with one of the policies changed, and what was done; `None` where the
/// chosen change does not apply to the chosen policy.
pub(super) fn mutate(
    documents: &[Document],
    random: &mut Random,
) -> Option<(Vec<Document>, String)> {
    if documents.is_empty() {
        return None;
    }
    let at = random.below(documents.len());
    let mut documents = documents.to_vec();
    let title = documents[at].title();
    let kind = random.below(8);
    if kind == 0 {
        documents.remove(at);
        return Some((documents, format!("{title} removed")));
    }
    let spec = key_mut(&mut documents[at].root, "spec")?;
    let done = match kind {
        1 => relabel_subject(spec),
        2 => drop_port(spec, random),
        3 => change_port(spec, random),
        4 => drop_element(spec, random),
        5 => add(spec, "ingressDeny", "[{fromEntities: [all]}]"),
        6 => relabel_peer(spec, random),
        _ => add(
            spec,
            "egressDeny",
            "[{toEntities: [cluster], toPorts: [{ports: [{port: '53'}]}]}]",
        ),
    }?;
    Some((documents, format!("{title}: {done}")))
}

fn key_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Node> {
    let Value::Map(map) = &mut node.value else {
        return None;
    };
    map.entries
        .iter_mut()
        .find(|(known, _)| &*known.name == key)
        .map(|(_, value)| value)
}

fn list_mut(node: &mut Node) -> Option<&mut Vec<Node>> {
    match &mut node.value {
        Value::List(list) => Some(list),
        _ => None,
    }
}

fn relabel_subject(spec: &mut Node) -> Option<String> {
    for selector in ["endpointSelector", "podSelector"] {
        if let Some(selector) = key_mut(spec, selector)
            && let Some(labels) = key_mut(selector, "matchLabels")
        {
            return relabel(labels).map(|label| format!("label {label} of the subject"));
        }
    }
    None
}

fn relabel(labels: &mut Node) -> Option<String> {
    let Value::Map(Map { entries }) = &mut labels.value else {
        return None;
    };
    let (key, value) = entries.first_mut()?;
    let text = value.as_str()?.to_owned();
    value.value = Value::String(format!("{text}-x").into());
    Some(key.name.to_string())
}

fn element<'a>(spec: &'a mut Node, random: &mut Random) -> Option<&'a mut Node> {
    let section = if random.below(2) == 0 {
        "ingress"
    } else {
        "egress"
    };
    let list = list_mut(key_mut(spec, section)?)?;
    let at = random.below(list.len());
    list.get_mut(at)
}

fn ports<'a>(spec: &'a mut Node, random: &mut Random) -> Option<&'a mut Vec<Node>> {
    let element = element(spec, random)?;
    if key_mut(element, "ports").is_some() {
        return list_mut(key_mut(element, "ports")?);
    }
    let rules = list_mut(key_mut(element, "toPorts")?)?;
    list_mut(key_mut(rules.first_mut()?, "ports")?)
}

fn drop_port(spec: &mut Node, random: &mut Random) -> Option<String> {
    let ports = ports(spec, random)?;
    if ports.len() < 2 {
        return None;
    }
    ports.remove(0);
    Some("first port dropped".to_owned())
}

fn change_port(spec: &mut Node, random: &mut Random) -> Option<String> {
    let port = ports(spec, random)?.first_mut()?;
    let number = key_mut(port, "port")?;
    number.value = match number.value {
        Value::Number(_) => Value::Number(manifest::Number::Int(4242)),
        _ => Value::String("4242".into()),
    };
    Some("port is 4242".to_owned())
}

fn drop_element(spec: &mut Node, random: &mut Random) -> Option<String> {
    let section = if random.below(2) == 0 {
        "ingress"
    } else {
        "egress"
    };
    let list = list_mut(key_mut(spec, section)?)?;
    if list.len() < 2 {
        return None;
    }
    list.remove(random.below(list.len()));
    Some(format!("an element of {section} dropped"))
}

fn relabel_peer(spec: &mut Node, random: &mut Random) -> Option<String> {
    let element = element(spec, random)?;
    for peers in ["fromEndpoints", "toEndpoints", "from", "to"] {
        let Some(list) = key_mut(element, peers).and_then(list_mut) else {
            continue;
        };
        let peer = list.first_mut()?;
        let selector = if key_mut(peer, "podSelector").is_some() {
            key_mut(peer, "podSelector")?
        } else {
            peer
        };
        return relabel(key_mut(selector, "matchLabels")?)
            .map(|label| format!("label {label} of a peer"));
    }
    None
}

fn add(spec: &mut Node, section: &str, text: &str) -> Option<String> {
    if key_mut(spec, "podSelector").is_some() || key_mut(spec, section).is_some() {
        return None;
    }
    let read = manifest::read(&format!("{section}: {text}"), "new".into());
    let Value::Map(added) = read.documents.into_iter().next()?.root.value else {
        return None;
    };
    let Value::Map(map) = &mut spec.value else {
        return None;
    };
    map.entries.extend(added.entries);
    Some(format!("{section} added"))
}
