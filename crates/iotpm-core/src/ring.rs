//! The last readings of one signal, in event-time order, in bounded memory.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::prefetch::prefetch;

const FIRST_CAPACITY: usize = 64;

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

impl Slot {
    const BYTES: usize = 20;

    fn append_to(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.time_us.to_le_bytes());
        bytes.extend_from_slice(&self.value.to_le_bytes());
        bytes.extend_from_slice(&self.score.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (time_us, rest) = bytes.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (time_us, value) = (i64::from_le_bytes(*time_us), f64::from_le_bytes(*value));
        Some(Self { time_us, value, score: f32::from_le_bytes(*rest.first_chunk()?) })
    }
}

/// As it is stored: the slots in order, one block of bytes, because a snapshot of many signals must not take long.
#[derive(Serialize, Deserialize)]
struct Stored {
    capacity: usize,
    #[serde(with = "serde_bytes")]
    slots: Vec<u8>,
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slots = Vec::with_capacity(self.len * Slot::BYTES);
        (0..self.len).for_each(|i| self.get(i).append_to(&mut slots));
        Stored { capacity: self.slots.len(), slots }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::deserialize(deserializer)?;
        if stored.slots.len() % Slot::BYTES != 0 {
            return Err(D::Error::custom("ring: its last slot is cut off"));
        }
        let mut slots: Vec<Slot> = stored.slots.chunks_exact(Slot::BYTES).filter_map(Slot::read).collect();
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

    pub fn contains(&self, time_us: i64) -> bool {
        let at = self.lower_bound(time_us);
        at < self.len && self.get(at).time_us == time_us
    }

    /// Asks for the slot that the next push will write.
    pub fn prefetch(&self) {
        let at = (self.head + self.len) & self.slots.len().wrapping_sub(1);
        prefetch(self.slots.get(at..=at).unwrap_or_default());
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
                let slot = Slot { time_us: time, value: time as f64, score: 0.0 };
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
                prop_assert!(ring.contains(slot.time_us));
            }
        }
    }
}
