//! Features of a window.

use serde::{Deserialize, Serialize};

/// The 17 window features; NaN stands for "undefined here" and is stored as null.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowFeatures(pub [f64; 17]);
