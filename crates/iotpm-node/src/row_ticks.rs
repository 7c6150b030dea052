//! Ticks of readings that come as columns: nobody else tells the passing of their stream time.

use iotpm_core::NO_STREAM_TIME;

/// Ticks between two readings, at most: a longer silence gets so many from its beginning on, and one at its end.
const MOST: i64 = 4_096;

/// Multiples of `every_us` in (`from_us`, `to_us`]; none where either time is unknown.
pub(crate) fn ticks(from_us: i64, to_us: i64, every_us: i64) -> impl Iterator<Item = i64> {
    let known = from_us != NO_STREAM_TIME && to_us != NO_STREAM_TIME;
    let (first, last) = (from_us.div_euclid(every_us) + 1, to_us.div_euclid(every_us));
    let last = if known { last } else { first - 1 };
    let end = last.min(first.saturating_add(MOST - 1));
    let closing = (last > end).then_some(last);
    (first..=end).chain(closing).map(move |number| number * every_us)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tick_comes_at_every_multiple_that_is_passed_or_reached() {
        assert_eq!(ticks(10, 30, 10).collect::<Vec<_>>(), [20, 30]);
        assert_eq!(ticks(-11, 1, 10).collect::<Vec<_>>(), [-10, 0]);
        assert_eq!(ticks(11, 19, 10).count() + ticks(30, 10, 10).count(), 0);
        assert_eq!(ticks(NO_STREAM_TIME, 19, 10).count() + ticks(1, NO_STREAM_TIME, 10).count(), 0);
    }

    #[test]
    fn a_silence_of_years_costs_few_ticks_and_keeps_its_last() {
        let found: Vec<_> = ticks(0, i64::MAX, 1_000_000).collect();
        assert_eq!((found.len() as i64, found[0]), (MOST + 1, 1_000_000));
        assert_eq!(found.last().copied(), Some(i64::MAX / 1_000_000 * 1_000_000));
    }

    proptest! {
        #[test]
        fn cutting_a_silence_changes_no_tick(from in -1000_i64..1000, steps in prop::collection::vec(0_i64..50, 1..20)) {
            let (mut at, mut pieces) = (from, Vec::new());
            for step in steps {
                pieces.extend(ticks(at, at + step, 7));
                at += step;
            }
            prop_assert_eq!(pieces, ticks(from, at, 7).collect::<Vec<_>>());
        }
    }
}
