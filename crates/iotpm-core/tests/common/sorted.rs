//! An order of rows that hangs neither on cuts nor on shards.

use iotpm_core::Output;

/// Rows of one signal keep their order; signals are put in id order.
pub fn sorted(mut output: Output) -> Output {
    output.readings.sort_by_key(|r| r.signal);
    output.late.sort_by_key(|r| r.row.signal);
    output.rejected.sort_by_key(|r| r.signal);
    output.scores.sort_by_key(|r| r.signal);
    output.windows.sort_by_key(|r| r.signal);
    output.anomalies.sort_by_key(|r| r.signal);
    output
}
