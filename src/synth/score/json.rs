//! A score as JSON.
//!
//! Owns its form, version 1; within it fields are only added.

use serde_json::{Map, Value, json};

use super::tally::{KindScore, Score, Share};

impl Score {
    /// All of it as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let kinds = self.kinds.iter();
        let kinds: Map<String, Value> = kinds
            .map(|(key, kind)| (key.clone(), kind.json()))
            .collect();
        let budgets = self.budgets.iter().map(|budget| {
            json!({
                "budget": budget.budget,
                "precision": budget.precision.json(),
                "recall": budget.recall.json(),
            })
        });
        let severities = self.calibration.severities.iter();
        let severities: Map<String, Value> = severities
            .map(|(severity, share)| (severity.to_string(), share.json()))
            .collect();
        let decades = self.calibration.decades.iter();
        let decades: Map<String, Value> = decades
            .map(|(decade, share)| (format!("1e{decade}"), share.json()))
            .collect();
        let missed = self.missed.iter().map(|(id, kind, intensity, who)| {
            json!({"id": id, "kind": kind, "intensity": intensity, "subject": who})
        });
        let alarms = self.alarms.iter().map(|(day, severity, id, title)| {
            json!({"day": day, "severity": severity.name(), "id": id, "title": title})
        });
        json!({
            "version": 1,
            "span": [nanos(self.span.0), nanos(self.span.1)],
            "recall": {"kinds": kinds, "covered": self.covered.json(), "others": self.others.json()},
            "false": {
                "days": self.false_alarms.days,
                "mean": self.false_alarms.mean,
                "p95": self.false_alarms.p95,
                "worst": self.false_alarms.worst,
                "criticals_a_week": self.false_criticals_a_week,
                "by_change": self.false_by_change,
                "by_detector": self.false_by_detector,
            },
            "budgets": budgets.collect::<Vec<_>>(),
            "calibration": {"severity": severities, "p": decades},
            "missed": missed.collect::<Vec<_>>(),
            "alarms": alarms.collect::<Vec<_>>(),
        })
    }
}

impl KindScore {
    fn json(&self) -> Value {
        let time = self.time;
        json!({
            "all": self.all.json(),
            "lower": self.lower.json(),
            "upper": self.upper.json(),
            "seconds": time.map(|time| json!({"median": time.median, "p90": time.p90})),
            "pieces": self.pieces,
            "detectors": self.detectors,
        })
    }
}

fn nanos(time: i64) -> Value {
    let time = jiff::Timestamp::from_nanosecond(time.into());
    time.map_or(Value::Null, |time| time.to_string().into())
}

impl Share {
    fn json(self) -> Value {
        json!({"hit": self.hit, "all": self.all, "share": self.share()})
    }
}
