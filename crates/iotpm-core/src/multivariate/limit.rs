//! Where a score's 1.0 lies, without labels: held-out folds of the training rows stand for what is to come.

use std::ops::Range;

use crate::Result;

/// The tail is described above this quantile.
const BODY: f64 = 0.9;
const VALUE_MIN: f64 = 1e-6;

/// Contiguous, nearly equal parts of `0..n`, the longer ones first.
pub(crate) fn folds(n: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (size, longer) = (n / count, n % count);
    (0..count).map(move |k| {
        let start = k * size + k.min(longer);
        start..start + size + usize::from(k < longer)
    })
}

/// Value exceeded with `probability`: the greater of a Hill tail above the 90 % quantile (Hill, Annals of Statistics 3,
/// 1975) and a lognormal of all values. `values` are positive; NaN of none.
pub(crate) fn tail_limit(values: &[f64], probability: f64) -> f64 {
    hill_limit(values, probability).max(lognormal_limit(values, probability))
}

fn hill_limit(values: &[f64], probability: f64) -> f64 {
    let u = quantile(values, BODY).max(VALUE_MIN);
    let (n, sum) = values.iter().filter(|x| **x > u).fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + (x / u).ln()));
    if n == 0.0 { u } else { u * ((1.0 - BODY) / probability).powf(sum / n) }
}

fn lognormal_limit(values: &[f64], probability: f64) -> f64 {
    let logs = || values.iter().map(|x| x.max(VALUE_MIN).ln());
    let n = values.len() as f64;
    let mean = logs().sum::<f64>() / n;
    let deviation = (logs().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    (mean + deviation * normal_quantile(1.0 - probability)).exp()
}

/// Limit at a probability: for every number of folds the tail of all held-out values, then the median over the numbers.
/// `held_out(range)` fits without the rows of `range` and scores them as a fresh stream.
pub(crate) fn label_free_limit(
    rows: usize,
    fold_counts: &[usize],
    probability: f64,
    mut held_out: impl FnMut(Range<usize>) -> Result<Vec<f64>>,
) -> Result<f64> {
    let mut found = Vec::with_capacity(fold_counts.len());
    for count in fold_counts {
        let mut values = Vec::with_capacity(rows);
        for range in folds(rows, *count) {
            values.extend(held_out(range)?);
        }
        found.push(tail_limit(&values, probability));
    }
    Ok(super::scaling::median(found.into_iter()).max(VALUE_MIN))
}

/// `np.quantile(values, q)`.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    crate::robust::quantile_by_rank(sorted.len(), q, |k| sorted[k])
}

/// Quantile of the standard normal distribution: Acklam's rational approximation, relative error below 1.2e-9.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -39.696_830_286_653_76,
        220.946_098_424_520_5,
        -275.928_510_446_968_7,
        138.357_751_867_269,
        -30.664_798_066_147_16,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -54.476_098_798_224_06,
        161.585_836_858_040_9,
        -155.698_979_859_886_6,
        66.801_311_887_719_72,
        -13.280_681_552_885_72,
    ];
    const C: [f64; 6] = [
        -0.007_784_894_002_430_293,
        -0.322_396_458_041_136_5,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [0.007_784_695_709_041_462, 0.322_467_129_070_039_8, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let polynomial = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < 0.02425 {
        return tail(p);
    }
    if p > 1.0 - 0.02425 {
        return -tail(1.0 - p);
    }
    let q = p - 0.5;
    let r = q * q;
    polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
}
