//! How often each thing happened; every drop has its counter.

use std::ops::AddAssign;

use iotpm_core::Counters;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?; engine: $($engine:ident),+ $(,)?) => {
        /// Counts of the pipeline, its engines' included.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct PipelineCounters {
            $($(#[$doc])* pub $name: u64,)+
            /// What the engines counted.
            pub engine: Counters,
        }

        impl PipelineCounters {
            /// Every count with its name, in a fixed order.
            #[must_use]
            pub fn entries(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+ $((stringify!($engine), self.engine.$engine),)+]
            }

            /// From counts by name, as [`PipelineCounters::entries`] gives them; unknown names are left out.
            #[must_use]
            pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
                let mut counters = Self::default();
                for (name, count) in entries {
                    match name {
                        $(stringify!($name) => counters.$name = count,)+
                        $(stringify!($engine) => counters.engine.$engine = count,)+
                        _ => {}
                    }
                }
                counters
            }
        }

        impl AddAssign for PipelineCounters {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
                self.engine += other.engine;
            }
        }
    };
}

counters! {
    /// Messages of any kind.
    messages,
    /// Messages under the raw prefix.
    raw_messages,
    /// Ticks.
    ticks,
    /// Control messages that acted.
    controls,
    /// Readings handed to the engines.
    readings,
    /// Waveform frames handed to the engines.
    waveforms,
    /// Readings whose value was converted to the signal's unit.
    unit_conversions,
    /// Dead letters.
    dead_letters,
    /// Messages dropped because their source had already sent them.
    source_duplicates,
    /// Message ids that are not `source:epoch:seq`; such messages count as having none.
    malformed_ids,
    /// Sources forgotten because the table was full.
    sources_evicted,
    /// Readings refused because the table of signals was full.
    too_many_signals;
    engine: accepted, scored, transient, duplicates, late, future, non_finite, out_of_range, bad, reorder_overflow,
        ring_overwritten, clock_steps, idle, windows, anomalies, suppressed, muted, maintenance,
        waveforms_kept, waveforms_dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back() {
        let names: Vec<_> = PipelineCounters::default().entries().iter().map(|(name, _)| *name).collect();
        let counted: Vec<_> = names.iter().zip(1..).map(|(name, count)| (*name, count)).collect();
        assert_eq!(PipelineCounters::from_entries(counted.iter().copied()).entries(), counted);
    }
}
