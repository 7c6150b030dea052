//! One error type for the crate.

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, CoreError>;

/// What this crate refuses, always naming the thing, the value and the way out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A parameter outside its allowed range.
    #[error("{name} = {value}: must be {allowed}")]
    InvalidParameter {
        /// Which parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A template that cannot be used.
    #[error("template '{template}': {name} = {value}: must be {allowed}")]
    InvalidTemplate {
        /// Its pattern.
        template: String,
        /// The key.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A snapshot that cannot be restored.
    #[error("snapshot: {reason}; rebuild the state from the stream")]
    InvalidSnapshot {
        /// What is wrong with it.
        reason: String,
    },
    /// A reading of a signal that was never registered with this engine.
    #[error("signal number {signal} is not registered with this engine")]
    UnknownSignal {
        /// The number.
        signal: u32,
    },
}
