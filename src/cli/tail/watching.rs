//! What is unusual, told while flows go by.
//!
//! Owns pushing flows through detection and telling incidents as they begin and grow, on
//! standard error, so that the flows themselves can go elsewhere. All flows that are read
//! are looked at, whichever are shown.

use std::io::{IsTerminal, Write};

use super::super::detecting::{DetectionArgs, FindingsFile};
use super::super::error::CommandError;
use super::super::sink::say;
use crate::connection::FoldOptions;
use crate::engine::{Detection, Incidents, JudgedBatch, Pass};
use crate::finding::{Alert, Line};
use crate::flow::FlowBatch;
use crate::render::findings::incident_line;

/// Detection over a stream.
pub(super) struct Watching {
    pass: Pass,
    detection: Detection<Incidents>,
    file: Option<FindingsFile>,
    color: bool,
}

impl Watching {
    /// Detection as the flags want it; `None` where they do not.
    ///
    /// # Errors
    /// [`CommandError`] for a file that cannot be read or written.
    pub(super) fn begin(
        args: &DetectionArgs,
        quiet: bool,
        err: &mut dyn Write,
    ) -> Result<Option<Self>, CommandError> {
        let Some(detection) = args.begin(None, quiet, err)? else {
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
            color: std::io::stderr().is_terminal(),
        }))
    }

    /// Takes a batch, and tells what is new.
    ///
    /// # Errors
    /// [`CommandError`] where the file of findings cannot be written.
    pub(super) fn batch(
        &mut self,
        batch: FlowBatch,
        err: &mut dyn Write,
    ) -> Result<(), CommandError> {
        // Servers and files that follow each other are one stream: one that is silent must
        // not hold up the others.
        let batch = JudgedBatch::unjudged(batch);
        self.pass.push(0, batch, &mut self.detection);
        self.tell(err)
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
            if let Line::Incident(incident) = &line
                && incident.alert == Alert::Raised
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
}
