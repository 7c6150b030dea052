//! The detectors of many signals as a specification.

use std::sync::Arc;

use super::{
    Method, Model, Random, Scorer, Settings, estimators, limit::folds, limit::quantile, limit::tail_limit,
    normal_quantile,
};
use crate::Maturity;

const COLUMNS: usize = 4;

/// Correlated, autocorrelated healthy rows; units differ by 1e5.
fn healthy(rows: usize, seed: u64) -> Vec<f64> {
    let (mut random, mut x, mut all) = (Random::new(seed), [0.0; COLUMNS], Vec::new());
    let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    for _ in 0..rows {
        let common = normal();
        x = x.map(|x| 0.5 * x + 0.5 * common + normal());
        all.extend([10.0 + x[0], 5_000.0 + 100.0 * x[1], 0.3 + 0.001 * x[2], -x[3]]);
    }
    all
}

fn fitted(settings: &Settings) -> Arc<Model> {
    Arc::new(Model::fit(&healthy(600, 1), COLUMNS, settings).expect("healthy rows"))
}

fn parts(model: &Arc<Model>, rows: &[f64]) -> Vec<[f64; 2]> {
    let mut scorer = Scorer::new(Arc::clone(model));
    let mut next = |row| scorer.score(row).map(|_| scorer.parts()).expect("a row");
    rows.chunks_exact(model.columns()).map(&mut next).collect()
}

fn scores(model: &Arc<Model>, rows: &[f64]) -> Vec<f64> {
    let mut scorer = Scorer::new(Arc::clone(model));
    rows.chunks_exact(model.columns()).map(|row| scorer.score(row).expect("a row")).collect()
}

fn share_above(scores: &[f64]) -> f64 {
    scores.iter().filter(|score| **score >= 1.0).count() as f64 / scores.len() as f64
}

#[derive(serde::Deserialize)]
struct Golden {
    columns: usize,
    train: Vec<f64>,
    test: Vec<f64>,
    limit: f64,
    statistics: Vec<f64>,
}

/// The file is made by `tests/core/make_golden_multivariate.py`, a batch-wise implementation in `NumPy`.
#[test]
fn limits_and_scores_equal_the_reference() {
    let golden: Golden =
        serde_json::from_str(include_str!("../../../../tests/core/golden/multivariate.json")).expect("a golden file");
    let settings = Settings { clean: false, ..Settings::default() };
    let model = Arc::new(Model::fit(&golden.train, golden.columns, &settings).expect("rows"));
    assert!((model.limit() / golden.limit - 1.0).abs() < 1e-8, "limit {}, expected {}", model.limit(), golden.limit);
    for (i, (found, expected)) in parts(&model, &golden.test).iter().zip(golden.statistics.chunks_exact(2)).enumerate()
    {
        for k in 0..2 {
            let raw = found[k] * model.limit();
            assert!((raw - expected[k]).abs() < 1e-8, "row {i} channel {k}: {raw}, expected {}", expected[k]);
        }
    }
}

#[test]
fn fresh_healthy_rows_stay_below_the_limit() {
    assert!(share_above(&scores(&fitted(&Settings::default()), &healthy(20_000, 2))) < 0.005);
}

#[test]
fn a_shift_of_level_is_seen_by_the_level() {
    let mut rows = healthy(200, 3);
    rows[400..].chunks_exact_mut(COLUMNS).for_each(|row| row[2] += 0.004);
    let parts = parts(&fitted(&Settings::default()), &rows);
    assert!(parts[150..].iter().all(|[level, energy]| *level > 1.0 && level > energy), "{:?}", &parts[150..160]);
}

#[test]
fn symmetric_oscillation_is_seen_by_the_energy_and_not_by_the_level() {
    let mut rows = healthy(400, 3);
    for (i, row) in rows.chunks_exact_mut(COLUMNS).enumerate().skip(200) {
        row[1] += if i % 2 == 0 { 350.0 } else { -350.0 };
    }
    let parts = parts(&fitted(&Settings::default()), &rows);
    assert!(parts[230..].iter().all(|[level, energy]| *energy > 1.0 && *level < 1.0));
}

#[test]
fn a_rise_of_noise_is_seen_by_the_energy() {
    let (mut rows, mut random) = (healthy(400, 3), Random::new(9));
    rows.chunks_exact_mut(COLUMNS).skip(200).for_each(|row| row[0] += 12.0 * (random.unit() - 0.5));
    assert!(share_above(&scores(&fitted(&Settings::default()), &rows)[230..]) > 0.8);
}

#[test]
fn what_shows_a_little_in_both_counts_more_than_in_one() {
    let model = fitted(&Settings::default());
    let mut scorer = Scorer::new(Arc::clone(&model));
    for row in healthy(300, 4).chunks_exact(COLUMNS) {
        let score = scorer.score(row).expect("a row");
        let [level, energy] = scorer.parts();
        assert!((score.powi(2) - level.powi(2) - energy.powi(2)).abs() < 1e-12 && level >= 0.0 && energy >= 0.0);
    }
}

/// Three signals of one load, not quite in proportion, which moves slowly from where it was learned to where it never was.
fn under_load(rows: usize, seed: u64, load_at: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut normal = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    let mut all = Vec::new();
    for i in 0..rows {
        let load = load_at(i) + 2.0 * (i as f64 / 7.0).sin() + 0.5 * normal();
        all.extend([load + 0.5 * normal(), load + 0.02 * load * load + 0.5 * normal(), 40.0 - load + 0.5 * normal()]);
    }
    all
}

fn of_a_part(seen_share: f64) -> Arc<Model> {
    let settings = Settings { seen_share, ..Settings::default() };
    Arc::new(Model::fit(&under_load(600, 1, |_| 0.0), 3, &settings).expect("healthy rows"))
}

#[test]
fn a_load_that_was_never_seen_is_no_alarm_while_the_learning_time_is_not_over() {
    let moved = under_load(1_200, 2, |i| (i as f64 / 50.0).min(20.0));
    assert!(share_above(&scores(&of_a_part(1.0), &moved)) > 0.1, "known for good it is one");
    assert_eq!(share_above(&scores(&of_a_part(0.25), &moved)), 0.0);
}

#[test]
fn a_sudden_fault_where_the_asset_was_learned_is_one_in_either_case() {
    let mut rows = under_load(600, 3, |_| 0.0);
    rows.chunks_exact_mut(3).skip(500).for_each(|row| row[2] += 8.0);
    for model in [of_a_part(1.0), of_a_part(0.25), of_a_part(0.0625)] {
        let scores = scores(&model, &rows);
        assert_eq!(share_above(&scores[..500]), 0.0);
        assert!(share_above(&scores[501..520]) > 0.9, "{:?}", &scores[498..520]);
    }
}

#[test]
fn the_less_was_seen_the_less_a_departure_of_the_same_size_counts() {
    let moved = under_load(400, 4, |i| i as f64 / 20.0);
    let raw = |share: f64| -> Vec<f64> {
        let model = of_a_part(share);
        scores(&model, &moved).iter().map(|score| score * model.limit()).collect()
    };
    let all = [raw(1.0), raw(0.5), raw(0.25), raw(0.0625)];
    assert!(all.windows(2).all(|pair| pair[0].iter().zip(&pair[1]).all(|(more, less)| less < more)));
}

#[test]
fn an_asset_that_is_calmer_than_usual_is_no_alarm() {
    let mut calm = healthy(400, 1);
    let mean: Vec<f64> =
        (0..COLUMNS).map(|j| calm.chunks_exact(COLUMNS).map(|row| row[j]).sum::<f64>() / 400.0).collect();
    calm.iter_mut().enumerate().for_each(|(i, x)| *x = mean[i % COLUMNS] + 0.05 * (*x - mean[i % COLUMNS]));
    assert_eq!(share_above(&scores(&fitted(&Settings::default()), &calm)), 0.0);
}

#[test]
fn a_prefix_scores_as_the_beginning_of_the_whole() {
    let (model, rows) = (fitted(&Settings::default()), healthy(300, 4));
    let whole = scores(&model, &rows);
    for cut in [1, 2, 3, 57, 299] {
        assert_eq!(scores(&model, &rows[..cut * COLUMNS]), whole[..cut]);
    }
}

#[test]
fn a_restored_stream_goes_on_as_if_it_had_not_stopped() {
    for method in [Method::Mewma, Method::Mahalanobis, Method::Pca, Method::IsolationForest] {
        let model = fitted(&Settings { method, ..Settings::default() });
        let rows = healthy(100, 5);
        let mut scorer = Scorer::new(Arc::clone(&model));
        for (i, row) in rows.chunks_exact(COLUMNS).enumerate() {
            if i == 50 {
                let read = Model::from_bytes(&model.to_bytes().expect("bytes")).expect("a model");
                scorer = Scorer::restore(Arc::new(read), &scorer.snapshot().expect("a state")).expect("its state");
            }
            assert_eq!(scorer.score(row).expect("a row"), scores(&model, &rows[..(i + 1) * COLUMNS])[i]);
        }
    }
}

#[test]
fn a_state_of_another_model_is_refused() {
    let (one, other) = (fitted(&Settings::default()), fitted(&Settings { energy: false, ..Settings::default() }));
    let state = Scorer::new(one).snapshot().expect("a state");
    let error = Scorer::restore(other, &state).expect_err("another model").to_string();
    assert!(error.contains("another model"), "{error}");
    assert!(Model::from_bytes(b"nothing").is_err());
}

#[test]
fn equal_rows_and_seeds_give_equal_models() {
    for method in [Method::Mewma, Method::Mahalanobis, Method::Pca, Method::IsolationForest] {
        let settings = Settings { method, ..Settings::default() };
        assert_eq!(fitted(&settings).hash(), fitted(&settings).hash());
    }
    let forest = |seed| fitted(&Settings { method: Method::IsolationForest, seed, ..Settings::default() }).hash();
    assert_ne!(forest(1), forest(2));
}

#[test]
fn the_injected_column_contributes_most() {
    let model = fitted(&Settings::default());
    for column in 0..COLUMNS {
        let mut rows = healthy(120, 6);
        let step = [3.0, 300.0, 0.003, 3.0][column];
        rows.chunks_exact_mut(COLUMNS).skip(80).for_each(|row| row[column] += step);
        let mut scorer = Scorer::new(Arc::clone(&model));
        rows.chunks_exact(COLUMNS).for_each(|row| _ = scorer.score(row).expect("a row"));
        let found = scorer.explain(&rows[119 * COLUMNS..]);
        assert_eq!((found.contributors[0].column, found.contributors[0].direction), (column, 1));
        assert!((found.contributors.iter().map(|part| part.share).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_column_that_falls_silent_says_nothing_and_too_many_stop_the_score() {
    let model = fitted(&Settings::default());
    let mut rows = healthy(400, 7);
    rows.chunks_exact_mut(COLUMNS).skip(50).for_each(|row| row[3] = f64::NAN);
    let found = scores(&model, &rows);
    assert!(found.iter().all(|score| score.is_finite()));
    assert!(share_above(&found) < 0.02);
    rows.chunks_exact_mut(COLUMNS).skip(100).for_each(|row| row[..3].fill(f64::NAN));
    let found = scores(&model, &rows);
    assert!(found[109].is_finite(), "the last values stand for 10 rows");
    assert!(found[110].is_nan());
}

#[test]
fn training_rows_with_missing_values_are_left_out() {
    let mut rows = healthy(400, 8);
    rows[40 * COLUMNS + 1] = f64::NAN;
    let model = Model::fit(&rows, COLUMNS, &Settings { clean: false, ..Settings::default() }).expect("enough rows");
    assert_eq!(model.training_rows(), 399);
}

#[test]
fn a_short_burst_in_training_does_not_set_the_limit_and_what_recurs_does() {
    let mut burst = healthy(600, 8);
    burst.chunks_exact_mut(COLUMNS).skip(300).take(5).for_each(|row| row[0] += 60.0);
    let model = Model::fit(&burst, COLUMNS, &Settings::default()).expect("rows");
    assert!((5..=9).contains(&model.cleaned_rows()), "{}", model.cleaned_rows());
    let mut usual = healthy(600, 8);
    usual.chunks_exact_mut(COLUMNS).step_by(25).for_each(|row| row[0] += 60.0);
    assert_eq!(Model::fit(&usual, COLUMNS, &Settings::default()).expect("rows").cleaned_rows(), 0);
}

#[test]
fn too_few_rows_are_refused_and_few_are_called_learning() {
    let error = Model::fit(&healthy(49, 1), COLUMNS, &Settings::default()).expect_err("too few").to_string();
    assert!(error.contains("49") && error.contains("longer healthy period"), "{error}");
    let fit = |rows| Model::fit(&healthy(rows, 1), COLUMNS, &Settings::default()).expect("enough").maturity();
    assert_eq!((fit(100), fit(400)), (Maturity::Learning, Maturity::Mature));
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let rows = healthy(100, 1);
    let refused = |settings: Settings| Model::fit(&rows, COLUMNS, &settings).expect_err("out of range").to_string();
    assert!(refused(Settings { rate: 0.0, ..Settings::default() }).starts_with("rate"));
    assert!(refused(Settings { seen_share: 0.0, ..Settings::default() }).starts_with("seen_share"));
    assert!(refused(Settings { false_alarm_rate: 0.5, ..Settings::default() }).starts_with("false_alarm_rate"));
    assert!(refused(Settings { resolution: vec![1.0], ..Settings::default() }).starts_with("resolution"));
    assert!(Model::fit(&rows[1..], COLUMNS, &Settings::default()).is_err(), "no whole rows");
    let mut scorer = Scorer::new(fitted(&Settings::default()));
    assert!(scorer.score(&[1.0]).is_err());
}

#[test]
fn constant_columns_neither_break_a_fit_nor_raise_an_alarm() {
    let mut rows = healthy(600, 1);
    rows.chunks_exact_mut(COLUMNS).for_each(|row| (row[1], row[3]) = (0.0, 70.0));
    for method in [Method::Mewma, Method::Mahalanobis, Method::Pca, Method::IsolationForest] {
        let model = Arc::new(Model::fit(&rows, COLUMNS, &Settings { method, ..Settings::default() }).expect("rows"));
        assert!(share_above(&scores(&model, &rows)) < 0.05, "{method:?}");
    }
    let constant = Model::fit(&vec![3.0; 100 * COLUMNS], COLUMNS, &Settings::default()).expect("constant rows");
    assert!(scores(&Arc::new(constant), &[3.0; 40]).iter().all(|score| score.is_finite()));
}

#[test]
fn a_held_value_longer_than_the_training_part_is_not_an_error() {
    let model = fitted(&Settings::default());
    let found = scores(&model, &[f64::MAX, f64::MIN, 1e300, -1e300].repeat(50));
    assert!(found.iter().all(|score| score.is_finite() && *score >= 0.0));
}

#[test]
fn fewer_rows_than_columns_still_give_a_robust_covariance() {
    let rows: Vec<f64> = healthy(40, 3);
    let (distances, centre) = estimators::robust_distances(&rows, 16, 0).expect("10 rows of 16 columns");
    assert!(distances.iter().chain(&centre).all(|x| x.is_finite()));
    assert!(estimators::ledoit_wolf(&rows, 16).expect("rows").1 > 0.0);
}

#[test]
fn folds_are_numpys_array_split() {
    let parts: Vec<_> = folds(11, 3).collect();
    assert_eq!(parts, [0..4, 4..8, 8..11]);
}

#[test]
fn quantiles_and_tails_are_the_textbooks() {
    for (p, z) in
        [(0.5, 0.0), (0.975, 1.959_963_984_540_054), (0.999, 3.090_232_306_167_813), (1e-4, -3.719_016_485_455_68)]
    {
        assert!((normal_quantile(p) - z).abs() < 1e-8, "{p}");
    }
    assert_eq!(quantile(&[3.0, 1.0, 2.0, 4.0], 0.5), 2.5);
    let pareto: Vec<f64> = (1..=100_000).map(|i| (f64::from(i) / 100_001.0).powf(-0.5)).collect();
    let exact = 1e-3_f64.powf(-0.5);
    assert!((tail_limit(&pareto, 1e-3) / exact - 1.0).abs() < 0.02, "{}", tail_limit(&pareto, 1e-3));
}
