//! Rollups as commands make them: with the policies of the archive, judged as the flags of
//! the agents say.
//!
//! Owns reading those policies and what is said of what was made. Which hours are made and
//! how is the room `archive`'s.

use std::io::Write;
use std::path::Path;

use super::error::CommandError;
use super::policy_args::AgentArgs;
use super::policy_source::PolicySource;
use super::record::size_text;
use super::sink::say;
use crate::archive::{Made, Maker, Store};
use crate::engine::Policies;
use crate::render::thousands;

/// The flags by which an archive is judged: these, where they or the configuration file say
/// anything, and from now on; else those of before.
///
/// # Errors
/// [`CommandError`] for flags that cannot be taken, and where the archive cannot be written.
pub(super) fn agent_of(store: &mut Store, agent: &AgentArgs) -> Result<AgentArgs, CommandError> {
    let said = agent.said()?;
    if said.is_empty() {
        return Ok(agent.again(&store.manifest().options));
    }
    store.judge_under(said).map_err(CommandError::failed)?;
    Ok(agent.clone())
}

/// Makes what is stale of an archive.
pub(super) fn refresh(store: &mut Store, agent: &AgentArgs, is_over: &dyn Fn() -> bool) -> Made {
    let mut load = |path: &Path| load(agent, path);
    Maker {
        load: &mut load,
        is_over,
    }
    .refresh(store)
}

/// Makes all hours of an archive.
pub(super) fn remake(store: &mut Store, agent: &AgentArgs, is_over: &dyn Fn() -> bool) -> Made {
    let archive = store.archive();
    let mut load = |path: &Path| load(agent, path);
    Maker {
        load: &mut load,
        is_over,
    }
    .make(&archive, &archive.manifest().hours(), &mut |entries| {
        store.commit_rollups(entries)
    })
}

/// Policies of an archive, ready to judge with.
pub(super) fn load(agent: &AgentArgs, path: &Path) -> Result<Policies, String> {
    let text = |error: CommandError| error.to_string();
    let mut source =
        PolicySource::new(agent.clone(), vec![path.to_owned()], false).map_err(text)?;
    let loaded = source.load().map_err(text)?;
    if loaded.failed {
        return Err(loaded.remarks.join("; "));
    }
    Ok(loaded.policies)
}

/// `6 hours summed up: 1,204 connections in 310 rows, 18.4 kB`.
pub(super) fn summary(made: &Made) -> String {
    format!(
        "{} {} summed up: {} {} in {} {}, {}",
        thousands(made.hours),
        if made.hours == 1 { "hour" } else { "hours" },
        thousands(made.connections),
        if made.connections == 1 {
            "connection"
        } else {
            "connections"
        },
        thousands(made.rows),
        if made.rows == 1 { "row" } else { "rows" },
        size_text(made.bytes),
    )
}

/// Says what was made, and always what was not.
pub(super) fn say_made(made: &Made, quiet: bool, err: &mut dyn Write) {
    if made.hours > 0 && !quiet {
        say(err, &summary(made));
    }
    for error in &made.failed {
        say(err, &format!("rollups: {error}"));
    }
}
