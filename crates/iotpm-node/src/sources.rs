//! How far each producer has come: `Nats-Msg-Id = source:epoch:seq`.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// A message id taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageId<'a> {
    pub source: &'a str,
    pub epoch: u64,
    pub sequence: u64,
}

impl<'a> MessageId<'a> {
    /// `source:epoch:seq`; the source may contain colons. `None` if it is not one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (rest, sequence) = text.rsplit_once(':')?;
        let (source, epoch) = rest.rsplit_once(':')?;
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
        let id = Self { source, epoch: number(epoch)?, sequence: number(sequence)? };
        (!source.is_empty() && source.len() <= MAX_SOURCE_BYTES).then_some(id)
    }
}

/// Longest name of a source.
const MAX_SOURCE_BYTES: usize = 256;

/// The high water of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HighWater {
    pub source: Box<str>,
    pub epoch: u64,
    pub source_seq: u64,
    /// Stream sequence of the message that brought it here.
    pub sequence: u64,
}

/// What became of a message with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is new.
    New,
    /// It is new, and the table had to forget the source that advanced longest ago.
    NewEvicting,
    /// Its source has sent it, or something later, before.
    Duplicate,
}

const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
struct Entry {
    mark: HighWater,
    older: u32,
    newer: u32,
    changed: bool,
}

/// High water of every source, bounded: a list from the one that advanced longest ago to the newest.
#[derive(Debug)]
pub(crate) struct Sources {
    places: FxHashMap<Box<str>, u32>,
    entries: Vec<Entry>,
    oldest: u32,
    newest: u32,
    changed: Vec<u32>,
    /// Marks that had moved when they were forgotten.
    forgotten: Vec<HighWater>,
    max: usize,
}

impl Sources {
    pub fn new(max: usize) -> Self {
        Self {
            places: FxHashMap::default(),
            entries: Vec::new(),
            oldest: NOBODY,
            newest: NOBODY,
            changed: Vec::new(),
            forgotten: Vec::new(),
            max,
        }
    }

    /// Takes over marks, the one that advanced longest ago first; a smaller table keeps the newest.
    pub fn restore(&mut self, marks: Vec<HighWater>) {
        let surplus = marks.len().saturating_sub(self.max);
        marks.into_iter().skip(surplus).for_each(|mark| {
            self.insert(mark);
        });
    }

    /// Every mark, the one that advanced longest ago first.
    pub fn save(&self) -> Vec<HighWater> {
        let mut marks = Vec::with_capacity(self.entries.len());
        let mut at = self.oldest;
        while let Some(entry) = self.entries.get(at as usize) {
            marks.push(entry.mark.clone());
            at = entry.newer;
        }
        marks
    }

    /// Moves the source of `id` forward, or says that it has been there before.
    pub fn admit(&mut self, id: MessageId<'_>, sequence: u64) -> Admission {
        let Some(&at) = self.places.get(id.source) else { return self.admit_stranger(id, sequence) };
        let mark = &mut self.entries[at as usize].mark;
        if (id.epoch, id.sequence) <= (mark.epoch, mark.source_seq) {
            return Admission::Duplicate;
        }
        (mark.epoch, mark.source_seq, mark.sequence) = (id.epoch, id.sequence, sequence);
        if at != self.newest {
            self.unlink(at);
            self.link_newest(at);
        }
        self.note_change(at);
        Admission::New
    }

    fn admit_stranger(&mut self, id: MessageId<'_>, sequence: u64) -> Admission {
        let mark = HighWater { source: id.source.into(), epoch: id.epoch, source_seq: id.sequence, sequence };
        if self.entries.len() < self.max {
            let at = self.insert(mark);
            self.note_change(at);
            return Admission::New;
        }
        self.replace_oldest(mark);
        Admission::NewEvicting
    }

    fn insert(&mut self, mark: HighWater) -> u32 {
        let at = self.entries.len() as u32;
        self.places.insert(mark.source.clone(), at);
        self.entries.push(Entry { mark, older: NOBODY, newer: NOBODY, changed: false });
        self.link_newest(at);
        at
    }

    fn replace_oldest(&mut self, mark: HighWater) {
        let at = self.oldest;
        self.unlink(at);
        self.places.insert(mark.source.clone(), at);
        let old = std::mem::replace(&mut self.entries[at as usize].mark, mark);
        self.places.remove(&old.source);
        if self.entries[at as usize].changed {
            self.forgotten.push(old);
        }
        self.link_newest(at);
        self.note_change(at);
    }

    fn unlink(&mut self, at: u32) {
        let Entry { older, newer, .. } = self.entries[at as usize];
        *self.newer_of(older) = newer;
        *self.older_of(newer) = older;
    }

    fn link_newest(&mut self, at: u32) {
        let before = self.newest;
        let entry = &mut self.entries[at as usize];
        (entry.older, entry.newer) = (before, NOBODY);
        *self.newer_of(before) = at;
        self.newest = at;
    }

    fn newer_of(&mut self, at: u32) -> &mut u32 {
        self.entries.get_mut(at as usize).map_or(&mut self.oldest, |entry| &mut entry.newer)
    }

    fn older_of(&mut self, at: u32) -> &mut u32 {
        self.entries.get_mut(at as usize).map_or(&mut self.newest, |entry| &mut entry.older)
    }

    fn note_change(&mut self, at: u32) {
        if !std::mem::replace(&mut self.entries[at as usize].changed, true) {
            self.changed.push(at);
        }
    }

    /// Last mark of every source that moved since the last call, by stream sequence; of those forgotten meanwhile too.
    pub fn take_changed(&mut self) -> Vec<HighWater> {
        let changed = std::mem::take(&mut self.changed);
        let mut marks = std::mem::take(&mut self.forgotten);
        marks.extend(changed.into_iter().map(|at| self.settle(at)));
        marks.sort_unstable_by(|a, b| (&a.source, b.sequence).cmp(&(&b.source, a.sequence)));
        marks.dedup_by(|later, first| later.source == first.source);
        marks.sort_unstable_by_key(|mark| mark.sequence);
        marks
    }

    fn settle(&mut self, at: u32) -> HighWater {
        let entry = &mut self.entries[at as usize];
        entry.changed = false;
        entry.mark.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(source: &str, epoch: u64, sequence: u64) -> MessageId<'_> {
        MessageId { source, epoch, sequence }
    }

    #[test]
    fn ids_come_apart() {
        assert_eq!(MessageId::parse("gate:way:2:17"), Some(id("gate:way", 2, 17)));
        for wrong in ["", "a", "a:1", ":1:2", "a:1:x", "a:-1:2", "a:+1:2", "a::2", "a:1:99999999999999999999"] {
            assert_eq!(MessageId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_source_only_moves_forward_and_a_new_epoch_restarts() {
        let mut sources = Sources::new(4);
        assert_eq!(sources.admit(id("a", 1, 5), 1), Admission::New);
        assert_eq!(sources.admit(id("a", 1, 5), 2), Admission::Duplicate);
        assert_eq!(sources.admit(id("a", 1, 4), 3), Admission::Duplicate);
        assert_eq!(sources.admit(id("a", 2, 1), 4), Admission::New);
        assert_eq!(sources.admit(id("a", 1, 9), 5), Admission::Duplicate);
        assert_eq!(sources.take_changed().len(), 1);
        assert!(sources.take_changed().is_empty());
    }

    proptest! {
        /// Oracle: a plain list in order of advance.
        #[test]
        fn the_table_keeps_those_that_advanced_last(
            steps in prop::collection::vec((0u8..6, 0u64..2, 0u64..20), 0..200), max in 1usize..5, cut in 0usize..200
        ) {
            let mut sources = Sources::new(max);
            let mut oracle: Vec<HighWater> = Vec::new();
            for (at, (source, epoch, source_seq)) in steps.into_iter().enumerate() {
                if at == cut {
                    let saved = sources.save();
                    sources = Sources::new(max);
                    sources.restore(saved);
                }
                let name = format!("s{source}");
                let (sequence, known) = (at as u64, oracle.iter().position(|mark| *mark.source == *name));
                let duplicate = known.is_some_and(|at| (epoch, source_seq) <= (oracle[at].epoch, oracle[at].source_seq));
                let evicts = known.is_none() && oracle.len() == max;
                let wanted = match (duplicate, evicts) {
                    (true, _) => Admission::Duplicate,
                    (_, true) => Admission::NewEvicting,
                    _ => Admission::New,
                };
                prop_assert_eq!(sources.admit(id(&name, epoch, source_seq), sequence), wanted);
                if !duplicate {
                    if let Some(at) = known.or(evicts.then_some(0)) {
                        oracle.remove(at);
                    }
                    oracle.push(HighWater { source: name.into(), epoch, source_seq, sequence });
                }
                prop_assert_eq!(sources.save(), oracle.clone());
            }
        }
    }
}
