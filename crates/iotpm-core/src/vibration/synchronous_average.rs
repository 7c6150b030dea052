//! What repeats with every revolution.

use crate::{Result, spectrum::invalid};

/// Mean over the whole revolutions of samples that are equally spaced in angle, and how many there were.
///
/// `np.mean(x[:r * m].reshape(r, m), axis=0)` with `m = samples_per_rev`. Of `r` revolutions a tone of order `o` stays
/// with `|sin(pi r o) / (r sin(pi o))|` of its amplitude: whole orders as they are, noise by `1 / sqrt(r)` (Braun, Acustica
/// 32 (1975) 69; McFadden, Mech. Syst. Signal Process. 1 (1987) 83, eq. 7).
///
/// # Errors
/// [`CoreError::InvalidParameter`](crate::CoreError::InvalidParameter) if there is no whole revolution.
pub fn synchronous_average(x: &[f64], samples_per_rev: usize) -> Result<(Vec<f64>, usize)> {
    if samples_per_rev == 0 || x.len() < samples_per_rev {
        return Err(invalid("samples", &x.len(), "at least one revolution"));
    }
    let mut mean = vec![0.0; samples_per_rev];
    let revolutions = x.chunks_exact(samples_per_rev);
    let count = revolutions.len();
    for revolution in revolutions {
        mean.iter_mut().zip(revolution).for_each(|(sum, x)| *sum += x);
    }
    mean.iter_mut().for_each(|sum| *sum /= count as f64);
    Ok((mean, count))
}
