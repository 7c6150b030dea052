//! Readings of a span ordered by signal, stable within each: a counting sort over the signals' places.

/// Spans shorter than this share of the signals keep their order: counting would cost more than it saves.
const SIGNALS_PER_READING_MAX: usize = 4;

/// A reading of a span: where it stands there, and its signal's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Visit {
    pub index: u32,
    pub place: u32,
}

/// Scratch of the counting sort.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    starts: Vec<u32>,
    order: Vec<Visit>,
}

impl Grouping {
    /// All of `places` (each below `signals`), grouped by place, in their order within each.
    pub fn order(&mut self, places: &[u32], signals: usize) -> &[Visit] {
        let visits = (0..).zip(places).map(|(index, &place)| Visit { index, place });
        self.order.clear();
        if places.len() * SIGNALS_PER_READING_MAX < signals {
            self.order.extend(visits);
            return &self.order;
        }
        self.count(places, signals);
        self.order.resize(places.len(), Visit::default());
        for visit in visits {
            let at = &mut self.starts[visit.place as usize];
            self.order[*at as usize] = visit;
            *at += 1;
        }
        &self.order
    }

    fn count(&mut self, places: &[u32], signals: usize) {
        self.starts.clear();
        self.starts.resize(signals, 0);
        for &place in places {
            self.starts[place as usize] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += std::mem::replace(start, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_a_stable_sort(places in prop::collection::vec(0u32..40, 0..200)) {
            let mut expected: Vec<u32> = (0..places.len() as u32).collect();
            if places.len() * SIGNALS_PER_READING_MAX >= 40 {
                expected.sort_by_key(|i| places[*i as usize]);
            }
            let mut grouping = Grouping::default();
            let visits = expected.iter().map(|&index| Visit { index, place: places[index as usize] });
            prop_assert!(grouping.order(&places, 40).iter().copied().eq(visits));
        }
    }
}
