//! Names of numbers: what enums are called.
//!
//! Owns the way from the number that files hold to its name and back, so that a condition
//! can be compared with what is stored. A number without a name has its digits.

use std::borrow::Cow;

use crate::flow::{
    AuthType, CaptureEnum, Direction, DropReason, EventType, FlowType, L7Type, Protocol, SockPoint,
    TracePoint, TraceReason, Verdict,
};

/// The names of an enum.
#[derive(Debug)]
pub(super) struct Names {
    column: &'static str,
    /// `None` shows null: nothing is said.
    name: fn(i32) -> Option<Cow<'static, str>>,
    number: fn(&str) -> Option<i32>,
}

impl PartialEq for Names {
    fn eq(&self, other: &Self) -> bool {
        self.column == other.column
    }
}

impl Eq for Names {}

impl Names {
    /// The number of a name; one without a name has its digits.
    pub(super) fn number(&self, text: &str) -> Option<i32> {
        (self.number)(text).or_else(|| text.parse().ok())
    }

    /// What numbers show, by itself.
    pub(super) fn shows(&self) -> fn(i32) -> Option<Cow<'static, str>> {
        self.name
    }

    /// What a number shows.
    pub(super) fn name(&self, number: i32) -> Option<Cow<'static, str>> {
        (self.name)(number)
    }
}

/// The names of a column; `None` for one without.
pub(super) fn of(column: &str) -> Option<&'static Names> {
    NAMES.iter().find(|names| names.column == column)
}

/// Name or digits; null for 0.
macro_rules! names {
    ($column:literal, $kind:ident) => {
        Names {
            column: $column,
            name: |number| of_number(number, $kind(number).name()),
            number: |text| $kind::from_name(text).map(|value| value.0),
        }
    };
}

static NAMES: [Names; 13] = [
    Names {
        column: "verdict",
        name: |number| Some(or_digits(number, Verdict(number).name())),
        number: |text| Verdict::from_name(text).map(|value| value.0),
    },
    names!("flow_type", FlowType),
    Names {
        column: "event_type",
        name: |number| {
            let known = EventType::NAMES.iter().find(|(event, _)| event.0 == number);
            of_number(number, known.map(|(_, name)| *name))
        },
        number: |text| {
            let known = EventType::NAMES.iter().find(|(_, name)| *name == text);
            known.map(|(event, _)| event.0)
        },
    },
    names!("traffic_direction", Direction),
    names!("trace_observation_point", TracePoint),
    names!("trace_reason", TraceReason),
    names!("drop_reason", DropReason),
    Names {
        column: "ip_version",
        name: |number| of_number(number, ["", "IPv4", "IPv6"].get(number as usize).copied()),
        number: |text| match text {
            "IPv4" => Some(1),
            "IPv6" => Some(2),
            _ => None,
        },
    },
    Names {
        column: "protocol",
        name: |number| {
            let known = Protocol::from_number(u8::try_from(number).unwrap_or_default());
            of_number(number, Some(known.name()).filter(|name| !name.is_empty()))
        },
        number: |text| {
            let known = Protocol::ALL.iter().find(|known| known.name() == text);
            known.map(|known| *known as i32)
        },
    },
    names!("auth_type", AuthType),
    names!("l7_type", L7Type),
    names!("sock_xlate_point", SockPoint),
    names!("debug_capture_point", CaptureEnum),
];

fn or_digits(number: i32, name: Option<&'static str>) -> Cow<'static, str> {
    name.map_or_else(|| number.to_string().into(), Cow::Borrowed)
}

fn of_number(number: i32, name: Option<&'static str>) -> Option<Cow<'static, str>> {
    (number != 0).then(|| or_digits(number, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_an_enum_has_its_number() {
        for names in &NAMES {
            for number in 0..300 {
                if let Some(name) = (names.name)(number) {
                    assert_eq!(names.number(&name), Some(number), "{} {name}", names.column);
                }
            }
        }
    }
}
