//! How many connections a minute are usual for a workload at a time.
//!
//! Owns what is made of the counts a baseline has by hour of the week: those of the hour are
//! drawn towards the same hour of other days, and these towards all hours; and from when on
//! that is known. What is unusual is the detectors'.

use super::{Blindness, Kind, Scene, words};
use crate::baseline::stat::{Dispersion, Level, NegativeBinomial, expected};
use crate::baseline::{DAY, Rates, SLOTS, slot_of};
use crate::connection::PeerId;

/// Age from which a workload is judged.
const WARM: i64 = 3 * DAY;
/// What is believed of the dispersion, before it is known, and in how many minutes.
pub(super) const BELIEVED: (f64, f64) = (5.0, 60.0);

/// Connections of a minute at a time; `None` where nothing is known.
pub(super) fn usual(rates: &Rates, time: i64) -> Option<NegativeBinomial> {
    let (levels, scatter) = levels(rates, slot_of(time));
    let one = expected(&levels, scatter.k())?;
    Some(NegativeBinomial {
        mean: one.mean,
        dispersion: scatter.k_predicting(one.error),
    })
}

/// Whether a workload was seen for long enough to be judged.
pub(super) fn is_warm(client: PeerId, scene: &Scene<'_>) -> bool {
    scene.model.readiness(client).observed >= WARM
}

/// The workloads that were not, for whom a detector is blind.
pub(super) fn too_young(kind: Kind, scene: &Scene<'_>) -> Option<Blindness> {
    let all = scene.model.workload_count();
    let young = scene.model.workloads();
    let young = young.filter(|(id, _)| !is_warm(*id, scene)).count();
    (young > 0).then(|| Blindness {
        kind,
        why: format!(
            "{} of {} were seen for less than {} days",
            words::number(young as u64),
            words::count(all as u64, "workload", "workloads"),
            WARM / DAY
        ),
        share: young as f64 / all as f64,
    })
}

/// What is known of an hour of the week, from the most general to the most special, and how
/// counts scatter within hours.
fn levels(rates: &Rates, slot: usize) -> ([Level; 3], Dispersion) {
    let weekend = |slot: usize| slot / 24 >= 5;
    let (mut all, mut same) = (Level::default(), Level::default());
    let mut scatter = Dispersion::default();
    for at in 0..SLOTS {
        let moments = rates.slot(at);
        if moments.n <= 0.0 {
            continue;
        }
        all.ticks += moments.n;
        all.sum += moments.sum;
        if at % 24 == slot % 24 && weekend(at) == weekend(slot) {
            same.ticks += moments.n;
            same.sum += moments.sum;
        }
        if moments.n >= 2.0 {
            scatter.add_many(moments.n, moments.mean(), moments.variance());
        }
    }
    let mean = if all.ticks > 0.0 {
        all.sum / all.ticks
    } else {
        0.0
    };
    scatter.merge(Dispersion::believed(BELIEVED.0, mean.max(0.1), BELIEVED.1));
    let own = rates.slot(slot);
    let own = Level {
        ticks: own.n,
        sum: own.sum,
    };
    ([all, same, own], scatter)
}
