//! One stretch of time: while readings come in, and closed.

use serde::{Deserialize, Serialize};

use super::{moments::Moments, sketch::Sketch};

/// Readings that wait in an open pane, so that moments and sketches are made of many at once.
const WAITING: usize = 256;

/// A closed pane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pane {
    pub start_us: i64,
    pub moments: Moments,
    pub sketch: Sketch,
}

impl Pane {
    /// Of panes in order of time.
    pub fn merged(start_us: i64, parts: &[Self], points: usize) -> Self {
        let sketches: Vec<&Sketch> = parts.iter().map(|part| &part.sketch).collect();
        let mut moments = Moments::default();
        parts.iter().for_each(|part| moments.merge(&part.moments));
        Self { start_us, moments, sketch: Sketch::merged(&sketches, points) }
    }

    pub fn heap_bytes(&self) -> usize {
        self.sketch.heap_bytes()
    }
}

/// A pane that is being filled. Of many readings it keeps sketches of about twice as many readings each, so that no
/// reading is collapsed more than a logarithmic number of times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenPane {
    pub start_us: i64,
    waiting: Vec<f64>,
    moments: Moments,
    sketches: Vec<Sketch>,
}

impl OpenPane {
    pub fn new(start_us: i64) -> Self {
        Self { start_us, waiting: Vec::new(), moments: Moments::default(), sketches: Vec::new() }
    }

    /// Adds a reading to a pane that will have `points` points.
    pub fn push(&mut self, value: f64, points: usize) {
        self.waiting.push(value);
        if self.waiting.len() == WAITING {
            self.take_in(points);
        }
    }

    pub fn close(mut self, points: usize) -> Pane {
        self.take_in(points);
        let parts: Vec<&Sketch> = self.sketches.iter().collect();
        let sketch = if let [only] = parts[..] { only.clone() } else { Sketch::merged(&parts, points) };
        Pane { start_us: self.start_us, moments: self.moments, sketch }
    }

    pub fn heap_bytes(&self) -> usize {
        let sketches: usize = self.sketches.iter().map(Sketch::heap_bytes).sum();
        (self.waiting.capacity() * size_of::<f64>()) + self.sketches.capacity() * size_of::<Sketch>() + sketches
    }

    /// Moments first: a sketch puts the readings in order.
    fn take_in(&mut self, points: usize) {
        if self.waiting.is_empty() {
            return;
        }
        self.moments.merge(&Moments::of(&self.waiting));
        self.sketches.push(Sketch::of(&mut self.waiting, points));
        self.waiting.clear();
        while let [.., before, last] = &self.sketches[..] {
            if before.count() > last.count() {
                break;
            }
            let merged = Sketch::merged(&[before, last], points);
            self.sketches.truncate(self.sketches.len() - 2);
            self.sketches.push(merged);
        }
    }
}
