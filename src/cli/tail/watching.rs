//! What is unusual, told while flows go by.
//!
//! Owns pushing flows through detection and telling incidents as they begin and grow, on
//! standard error, so that the flows themselves can go elsewhere. Lines that belong to a
//! finding are marked. All flows that are read are looked at, whichever are shown.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use super::super::detecting::{DetectionArgs, FindingsFile};
use super::super::error::CommandError;
use super::super::format::Output;
use super::super::sink::say;
use super::marks::Marks;
use super::writer::{Layout, Text};
use crate::connection::FoldOptions;
use crate::engine::{Detection, Incidents, Pass, Policies};
use crate::finding::{Alert, Incident, Line};
use crate::flow::FlowBatch;
use crate::render::findings::incident_line;

/// Incidents whose last line is remembered, so that one that only goes on is not told again.
const MOST_TOLD: usize = 4_096;

/// Detection over a stream.
pub(super) struct Watching {
    pass: Pass,
    detection: Detection<Incidents>,
    file: Option<FindingsFile>,
    marks: Marks,
    /// What was last told of an incident: its revision, findings and severity.
    told: BTreeMap<String, (u32, usize, crate::finding::Severity)>,
    color: bool,
}

impl Watching {
    /// Detection as the flags want it; `None` where they do not.
    ///
    /// # Errors
    /// [`CommandError`] for a file that cannot be read or written.
    pub(super) fn begin(
        args: &DetectionArgs,
        output: &Output,
        err: &mut dyn Write,
    ) -> Result<Option<Self>, CommandError> {
        let Some(detection) = args.begin(None, output.quiet, err)? else {
            return Ok(None);
        };
        let options = FoldOptions {
            opened: true,
            ..FoldOptions::default()
        };
        Ok(Some(Self {
            pass: Pass::new(options).distinct(),
            detection,
            file: args.file()?,
            marks: Marks::new(Layout::of(output)),
            told: BTreeMap::new(),
            color: std::io::stderr().is_terminal(),
        }))
    }

    /// Takes the batches of a text that was written of them and is not shown yet: tells what
    /// is new, and marks what belongs to a finding. `policies` are those that they were
    /// judged by.
    ///
    /// # Errors
    /// [`CommandError`] where the file of findings cannot be written.
    pub(super) fn text(
        &mut self,
        batches: Vec<FlowBatch>,
        policies: Option<&Arc<Policies>>,
        text: &mut Text,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        if let Some(policies) = policies {
            self.detection.judged_by(policies);
        }
        let batches: Vec<Arc<FlowBatch>> = batches.into_iter().map(Arc::new).collect();
        for batch in text.judged(&batches) {
            // Servers and files that follow each other are one stream: one that is silent
            // must not hold up the others.
            self.pass.push(0, batch, &mut self.detection);
        }
        let told = self.tell(err);
        self.marks.mark(&batches, text);
        told
    }

    /// Ends it, and tells what is left.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub(super) fn finish(mut self, quiet: bool, err: &mut dyn Write) -> Result<(), CommandError> {
        self.pass.finish(&mut self.detection);
        self.detection.finish();
        self.detection.found().finish();
        self.tell(err)?;
        if !quiet {
            for one in self.detection.blind() {
                say(err, &format!("{} {}: {}", one.kind.id(), one.kind, one.why));
            }
        }
        Ok(())
    }

    fn tell(&mut self, err: &mut dyn Write) -> Result<(), CommandError> {
        for line in self.detection.found().drain() {
            self.marks.take(&line);
            if let Line::Incident(incident) = &line
                && self.is_news(incident)
            {
                say(err, &incident_line(incident, self.color));
            }
            if let Some(file) = &mut self.file {
                file.write(&line)?;
            }
        }
        match &mut self.file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }

    /// Whether an incident is to be told, for the first time or since it grew: by another
    /// finding, a higher severity or what the desk calls worth telling again.
    fn is_news(&mut self, incident: &Incident) -> bool {
        if incident.merged.is_some() {
            self.told.remove(&incident.id);
        }
        if incident.alert != Alert::Raised {
            return false;
        }
        if self.told.len() >= MOST_TOLD && !self.told.contains_key(&incident.id) {
            self.told.pop_first();
        }
        let now = (
            incident.revision,
            incident.findings.len(),
            incident.severity,
        );
        self.told.insert(incident.id.clone(), now) != Some(now)
    }
}
