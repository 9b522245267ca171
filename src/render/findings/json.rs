//! Findings as they are written down: one JSON object a line, incidents after their
//! findings.

use crate::finding::{Findings, Line};

/// The lines, in the order of time.
///
/// # Errors
/// What JSON cannot write, which findings do not hold.
pub fn lines(all: &Findings) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    let mut write = |line: &Line| -> Result<(), serde_json::Error> {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
        Ok(())
    };
    for (finding, _) in all.findings() {
        write(&Line::Finding(Box::new(finding.clone())))?;
    }
    let mut incidents = all.incidents();
    incidents.sort_by_key(|incident| (incident.first, &incident.id));
    for incident in incidents {
        write(&Line::Incident(Box::new(incident.clone())))?;
    }
    Ok(text)
}
