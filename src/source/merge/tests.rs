use super::*;
use proptest::prelude::*;

fn drain<T>(merge: &mut TailMerge<T>, now: Instant) -> Vec<T> {
    std::iter::from_fn(|| merge.pop(now)).collect()
}

#[test]
fn a_line_waits_for_the_other_source_or_for_a_second() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut merge = TailMerge::new(2);
    merge.push(0, Some(10), "a10", at(0));
    merge.push(0, Some(20), "a20", at(100));
    assert!(drain(&mut merge, at(100)).is_empty());
    merge.push(1, Some(15), "b15", at(200));
    assert_eq!(drain(&mut merge, at(200)), ["a10", "b15"]);
    assert_eq!(merge.deadline(), Some(at(1000)));
    assert!(drain(&mut merge, at(1000)).is_empty());
    assert_eq!(drain(&mut merge, at(1100)), ["a20"]);
    // Older than what has been shown: nothing is gained by holding it.
    merge.push(1, Some(16), "b16", at(1200));
    assert_eq!(drain(&mut merge, at(1200)), ["b16"]);
    assert_eq!(merge.deadline(), None);
}

#[test]
fn one_source_alone_never_waits_and_an_ended_one_is_not_waited_for() {
    let now = Instant::now();
    let mut merge = TailMerge::new(1);
    for (time, item) in [(Some(5), 'a'), (None, 'b'), (Some(3), 'c'), (Some(9), 'd')] {
        merge.push(0, time, item, now);
        assert_eq!(drain(&mut merge, now), [item]);
    }
    merge.push(1, Some(4), 'e', now);
    assert_eq!(drain(&mut merge, now), ['e']);
    merge.push(0, Some(10), 'f', now);
    assert!(drain(&mut merge, now).is_empty());
    merge.end(1);
    assert_eq!(drain(&mut merge, now), ['f']);
}

#[test]
fn a_full_merge_gives_its_oldest() {
    let now = Instant::now();
    let mut merge = TailMerge::with_capacity(2, 2);
    for time in [3, 1, 2] {
        merge.push(0, Some(time), time, now);
    }
    assert_eq!(drain(&mut merge, now), [1]);
    assert_eq!((merge.forced(), merge.len()), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Guarantees: nothing is lost or doubled; nothing waits for more than a second; where
    /// each source is in order and delays are below a second, all is in order.
    #[test]
    fn tail_merge_is_prompt_and_ordered(
        events in prop::collection::vec((0_usize..3, 0_u64..400, 0_u64..900), 0..120),
    ) {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        // An event happens, and arrives later; a source keeps its order.
        let mut clock = 0;
        let mut arrivals = Vec::new();
        let mut last = [0; 3];
        for (number, (source, gap, delay)) in events.into_iter().enumerate() {
            clock += gap;
            last[source] = last[source].max(clock + delay);
            arrivals.push((last[source], source, clock, number));
        }
        arrivals.sort_unstable();
        let mut merge = TailMerge::new(3);
        let mut out = Vec::new();
        let mut arrivals = arrivals.iter().peekable();
        let total = arrivals.len();
        let mut now = 0;
        while out.len() < total {
            while let Some(&&(when, source, time, number)) = arrivals.peek() {
                if when > now {
                    break;
                }
                arrivals.next();
                merge.push(source, Some(time as i64), (time, number, when), at(now));
            }
            while let Some((time, number, when)) = merge.pop(at(now)) {
                prop_assert!(now - when <= 1000);
                out.push((time, number));
            }
            now += 1;
        }
        prop_assert!(merge.is_empty());
        prop_assert!(out.is_sorted_by_key(|&(time, _)| time));
        let mut numbers: Vec<usize> = out.iter().map(|&(_, number)| number).collect();
        numbers.sort_unstable();
        prop_assert!(numbers.iter().copied().eq(0..total));
    }

    /// Guarantees: nothing is lost or doubled, late rows are exactly those behind the
    /// newest time by more than the delay, the rest is sorted.
    #[test]
    fn watermark_counts_late_rows_as_the_naive_way_does(
        times in prop::collection::vec((0_i64..60, 0_u64..3), 0..200),
        delay in 0_i64..40,
    ) {
        let mut watermark = Watermark::with(delay, usize::MAX);
        let mut out = Vec::new();
        let mut newest = i64::MIN;
        let mut late = 0;
        for (number, &(time, tuple)) in times.iter().enumerate() {
            late += u64::from(time < newest.saturating_sub(delay));
            newest = newest.max(time);
            let key = OrderKey { time, node: Arc::from("n"), tuple };
            watermark.push(key.clone(), (key, number), |released| out.push(released));
        }
        watermark.finish(|released| out.push(released));
        prop_assert_eq!(watermark.late(), late);
        prop_assert_eq!(watermark.early(), 0);
        check(&out, late, times.len())?;
    }

    /// Guarantees: with little room, still nothing is lost and what is not late is sorted,
    /// and no more is held than there is room for.
    #[test]
    fn watermark_without_room_stays_in_order(
        times in prop::collection::vec((0_i64..60, 0_u64..3), 0..200),
        capacity in 0_usize..20,
    ) {
        let mut watermark = Watermark::with(30, capacity);
        let mut out = Vec::new();
        for (number, &(time, tuple)) in times.iter().enumerate() {
            let key = OrderKey { time, node: Arc::from("n"), tuple };
            watermark.push(key.clone(), (key, number), |released| out.push(released));
            prop_assert!(watermark.len() <= capacity);
        }
        watermark.finish(|released| out.push(released));
        check(&out, watermark.late(), times.len())?;
    }
}

fn check(
    out: &[Released<(OrderKey, usize)>],
    late: u64,
    total: usize,
) -> Result<(), TestCaseError> {
    let on_time: Vec<_> = out
        .iter()
        .filter(|released| !released.late)
        .map(|released| &released.item)
        .collect();
    prop_assert_eq!((out.len() - on_time.len()) as u64, late);
    prop_assert!(on_time.is_sorted());
    let mut numbers: Vec<usize> = out.iter().map(|released| released.item.1).collect();
    numbers.sort_unstable();
    prop_assert!(numbers.iter().copied().eq(0..total));
    Ok(())
}

#[test]
fn the_clock_moves_a_quiet_stream_on_and_one_clock_ahead_does_not_make_others_late() {
    let key = |time| OrderKey {
        time,
        node: Arc::from("n"),
        tuple: 0,
    };
    let mut watermark = Watermark::with(10, 100);
    let mut out = Vec::new();
    watermark.push(key(5), 5, |released| out.push(released.item));
    watermark.advance(15, |released| out.push(released.item));
    assert!(out.is_empty());
    watermark.advance(16, |released| out.push(released.item));
    assert_eq!(out, [5]);
    watermark.set_ceiling(20);
    watermark.push(key(1000), 1000, |released| out.push(released.item));
    watermark.push(key(12), 12, |released| out.push(released.item));
    assert_eq!(watermark.late(), 0);
    watermark.finish(|released| out.push(released.item));
    assert_eq!(out, [5, 12, 1000]);
}
