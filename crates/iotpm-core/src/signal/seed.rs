//! A signal's state as the beginning of another stream.

use super::{Alarm, Counts, SignalState};
use crate::{CoreError, Result, asset, engine::SignalSnapshot};

impl SignalSnapshot {
    /// What the signal has learned, without its open anomalies, whose beginning another stream has never told, and
    /// without its counts; and so its asset's.
    ///
    /// # Errors
    /// [`CoreError::InvalidSnapshot`] if the state cannot be decoded.
    pub fn seeding(self) -> Result<Self> {
        let unusable =
            |error| CoreError::InvalidSnapshot { reason: format!("state of signal '{}': {error}", self.name) };
        let mut state: SignalState = postcard::from_bytes(&self.state).map_err(unusable)?;
        (state.alarm, state.counts) = (Alarm::default(), Counts::default());
        let state = postcard::to_stdvec(&state).map_err(unusable)?;
        Ok(Self { sequence: 0, state, asset: asset::seeding(&self.asset)?, ..self })
    }
}
