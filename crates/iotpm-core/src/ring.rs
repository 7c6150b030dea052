//! The last readings of one signal, in event-time order, in bounded memory.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::prefetch::prefetch;

const FIRST_CAPACITY: usize = 64;
/// Slots that are asked for at a time.
const PUSHES_AHEAD: usize = 6;

/// Times, values and scores in a power-of-two ring that grows until its bound and then overwrites the oldest.
///
/// An unusable reading is kept with the value NaN, so that its duplicate is still recognised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    slots: Vec<Slot>,
    head: usize,
    len: usize,
}

/// One released reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slot {
    pub time_us: i64,
    pub value: f64,
    pub score: f32,
}

/// As it is stored: the times as runs, for most signals have a steady rate, and the rest as blocks of bytes, because a
/// snapshot of many signals must not take long.
#[derive(Serialize, Deserialize)]
struct Stored {
    capacity: usize,
    times: Vec<Run>,
    #[serde(with = "serde_bytes")]
    values: Vec<u8>,
    #[serde(with = "serde_bytes")]
    scores: Vec<u8>,
}

/// Equally spaced times.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Run {
    first_us: i64,
    step_us: i64,
    count: u32,
}

impl Run {
    /// Whether the time goes on at the same step; a run of one takes any.
    fn extend(&mut self, time_us: i64) -> bool {
        let since_us = time_us.wrapping_sub(self.first_us);
        if self.count == 1 {
            self.step_us = since_us;
        }
        let goes_on = since_us == self.step_us.wrapping_mul(i64::from(self.count));
        self.count += u32::from(goes_on);
        goes_on
    }

    fn times_us(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |i| self.first_us.wrapping_add(self.step_us.wrapping_mul(i64::from(i))))
    }
}

fn runs(times_us: impl Iterator<Item = i64>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for time_us in times_us {
        if !runs.last_mut().is_some_and(|run| run.extend(time_us)) {
            runs.push(Run { first_us: time_us, step_us: 0, count: 1 });
        }
    }
    runs
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let slots = || (0..self.len).map(|i| self.get(i));
        let mut stored = Stored {
            capacity: self.slots.len(),
            times: runs(slots().map(|slot| slot.time_us)),
            values: Vec::with_capacity(self.len * size_of::<f64>()),
            scores: Vec::with_capacity(self.len * size_of::<f32>()),
        };
        for slot in slots() {
            stored.values.extend_from_slice(&slot.value.to_le_bytes());
            stored.scores.extend_from_slice(&slot.score.to_le_bytes());
        }
        stored.serialize(serializer)
    }
}

impl Stored {
    /// The readings; `None` where the blocks do not belong together.
    fn slots(&self) -> Option<Vec<Slot>> {
        let count: usize = self.times.iter().map(|run| run.count as usize).sum();
        let (values, rest) = self.values.as_chunks();
        let (scores, more) = self.scores.as_chunks();
        if (values.len(), scores.len()) != (count, count) || !(rest.is_empty() && more.is_empty()) {
            return None;
        }
        let times_us = self.times.iter().flat_map(|run| run.times_us());
        let rest = values.iter().zip(scores);
        let slot = |(time_us, (value, score)): (i64, (&[u8; 8], &[u8; 4]))| Slot {
            time_us,
            value: f64::from_le_bytes(*value),
            score: f32::from_le_bytes(*score),
        };
        Some(times_us.zip(rest).map(slot).collect())
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        let slots = stored.slots();
        let mut slots = slots.ok_or_else(|| D::Error::custom("ring: its times, values and scores differ in number"))?;
        let len = slots.len();
        // The capacity decides what is dropped next, so it must come back as it was, 0 included.
        let capacity = if stored.capacity == 0 && len == 0 { 0 } else { stored.capacity.max(len).next_power_of_two() };
        slots.resize(capacity, Slot::default());
        Ok(Self { slots, head: 0, len })
    }
}

impl Ring {
    pub fn len(&self) -> usize {
        self.len
    }

    /// The `index`-th oldest reading; `index < len`.
    pub fn get(&self, index: usize) -> Slot {
        self.slots[(self.head + index) & (self.slots.len() - 1)]
    }

    /// The reading `age` places before the newest, if it is still here.
    pub fn newest(&self, age: usize) -> Option<Slot> {
        (age < self.len).then(|| self.get(self.len - 1 - age))
    }

    /// Appends a reading. A full ring drops what lies before `needed_from_us`, else grows up to `max`, else overwrites
    /// a reading that was still needed and returns `true`.
    pub fn push(&mut self, slot: Slot, needed_from_us: i64, max: usize) -> bool {
        let mut overwritten = false;
        if self.len == self.slots.len() {
            if self.len > 0 && self.get(0).time_us < needed_from_us {
                self.drop_oldest();
            } else if self.len < max {
                self.grow();
            } else {
                self.drop_oldest();
                overwritten = true;
            }
        }
        let at = (self.head + self.len) & (self.slots.len() - 1);
        self.slots[at] = slot;
        self.len += 1;
        overwritten
    }

    /// Index of the first reading at or after a time.
    pub fn lower_bound(&self, time_us: i64) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).time_us < time_us {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// [`Self::lower_bound`], found at once if it is `guess`.
    pub fn lower_bound_near(&self, time_us: i64, guess: usize) -> usize {
        let before = |index: usize| self.get(index).time_us < time_us;
        let right = guess < self.len && !before(guess) && (guess == 0 || before(guess - 1));
        if right { guess } else { self.lower_bound(time_us) }
    }

    /// The readings from the `index`-th oldest on, in order.
    pub fn since(&self, index: usize) -> impl Iterator<Item = &Slot> {
        let (end, size) = (self.head + self.len, self.slots.len());
        let start = self.head + index.min(self.len);
        let straight = &self.slots[start.min(size)..end.min(size)];
        let wrapped = &self.slots[start.saturating_sub(size)..end.saturating_sub(size)];
        straight.iter().chain(wrapped)
    }

    pub fn contains(&self, time_us: i64) -> bool {
        let at = self.lower_bound(time_us);
        at < self.len && self.get(at).time_us == time_us
    }

    /// Asks for the slots that the next pushes will write.
    pub fn prefetch(&self) {
        let at = (self.head + self.len) & self.slots.len().wrapping_sub(1);
        let end = (at + PUSHES_AHEAD).min(self.slots.len());
        prefetch(self.slots.get(at..end).unwrap_or_default());
    }

    pub fn clear(&mut self) {
        self.head = 0;
        self.len = 0;
    }

    fn drop_oldest(&mut self) {
        self.head = (self.head + 1) & (self.slots.len() - 1);
        self.len -= 1;
    }

    fn grow(&mut self) {
        let capacity = (self.slots.len() * 2).max(FIRST_CAPACITY);
        self.slots.rotate_left(self.head);
        self.head = 0;
        self.slots.resize(capacity, Slot::default());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A ring is a queue: same content as a naive one under any pushes, needs and bounds, through a round trip too.
        #[test]
        fn equals_a_naive_queue(needs in prop::collection::vec((1i64..5, 0i64..400), 1..600), max_log in 6u32..9) {
            let max = 1usize << max_log;
            let (mut ring, mut naive, mut capacity, mut time) = (Ring::default(), VecDeque::new(), 0usize, 0i64);
            for (step, back) in needs {
                time += step;
                let needed = time - back;
                if naive.len() == capacity {
                    if naive.front().is_some_and(|s: &Slot| s.time_us < needed) || capacity >= max {
                        naive.pop_front();
                    } else {
                        capacity = (capacity * 2).max(FIRST_CAPACITY);
                    }
                }
                let slot = Slot { time_us: time, value: time as f64, score: 0.5 - time as f32 };
                naive.push_back(slot);
                ring.push(slot, needed, max);
                prop_assert_eq!(ring.len(), naive.len());
                prop_assert!(ring.len() <= max);
            }
            let bytes = postcard::to_stdvec(&ring).expect("it is written");
            let stored: Ring = postcard::from_bytes(&bytes).expect("and read");
            for (i, slot) in naive.iter().enumerate() {
                prop_assert_eq!(ring.get(i), *slot);
                prop_assert_eq!(stored.get(i), *slot);
                prop_assert_eq!(ring.lower_bound(slot.time_us), i);
                (0..=ring.len()).try_for_each(|guess| {
                    prop_assert_eq!(ring.lower_bound_near(slot.time_us, guess), i);
                    Ok(())
                })?;
                prop_assert!(ring.since(i).eq(naive.iter().skip(i)));
                prop_assert!(ring.contains(slot.time_us));
            }
        }
    }
}
