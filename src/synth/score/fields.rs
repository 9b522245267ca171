//! Fields of an object, with errors that say where it is.
//!
//! Owns that; which fields are needed is `read`'s.

use jiff::Timestamp;
use serde_json::Value;

use super::party::Party;
use super::read::ScoreError;
use crate::finding::Severity;

/// An object with its place, to say what is missing of it.
pub(super) struct Fields<'a> {
    pub(super) file: &'a str,
    pub(super) line: usize,
    pub(super) what: &'static str,
    pub(super) value: &'a Value,
}

impl<'a> Fields<'a> {
    pub(super) fn missing(&self, field: &'static str) -> ScoreError {
        ScoreError::Field {
            file: self.file.to_owned(),
            line: self.line,
            what: self.what,
            field,
        }
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, ScoreError> {
        let text = self.value.get(field).and_then(Value::as_str);
        text.ok_or_else(|| self.missing(field))
    }

    pub(super) fn number(&self, field: &'static str) -> Result<f64, ScoreError> {
        let number = self.value.get(field).and_then(Value::as_f64);
        number.ok_or_else(|| self.missing(field))
    }

    pub(super) fn time(&self, field: &'static str) -> Result<i64, ScoreError> {
        let time: Option<Timestamp> = self.text(field)?.parse().ok();
        let nanos = time.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
        nanos.ok_or_else(|| self.missing(field))
    }

    pub(super) fn severity(&self) -> Result<Severity, ScoreError> {
        let severity = self.text("severity")?.parse();
        severity.map_err(|_| self.missing("severity"))
    }

    pub(super) fn texts(&self, field: &str) -> Vec<String> {
        let list = self.value.get(field).and_then(Value::as_array);
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    pub(super) fn parties(&self, field: &str) -> Vec<Party> {
        let list = self.value.get(field).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Party::read).collect()
    }

    pub(super) fn party(&self, field: &str) -> Option<Party> {
        self.value.get(field).and_then(Party::read)
    }
}
