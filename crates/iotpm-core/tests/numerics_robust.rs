//! Rolling statistics against a sort of the same values, in both layouts.

use std::collections::VecDeque;

use iotpm_core::robust::{MODIFIED_Z_LIMIT, RollingWindow, SortedWindow, modified_z};
use proptest::{collection::vec, prelude::*, sample::select};

/// The definition: sort, then NumPy's formulas.
struct Naive(Vec<f64>);

impl Naive {
    fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().map(|x| x + 0.0).collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    fn median(&self) -> f64 {
        let n = self.0.len();
        if n % 2 == 1 { self.0[n / 2] } else { 0.5 * (self.0[n / 2 - 1] + self.0[n / 2]) }
    }

    fn mad(&self) -> f64 {
        let median = self.median();
        Self::new(self.0.iter().map(|x| (x - median).abs())).median()
    }

    fn quantile(&self, q: f64) -> f64 {
        let position = q * (self.0.len() - 1) as f64;
        let (a, b) = (self.0[position.floor() as usize], self.0[position.ceil() as usize]);
        let t = position - position.floor();
        if t >= 0.5 { b - (b - a) * (1.0 - t) } else { a + (b - a) * t }
    }
}

fn assert_equals(window: &SortedWindow, naive: &Naive) {
    assert_eq!(window.len(), naive.0.len());
    assert!(window.values().eq(naive.0.iter().copied()), "order");
    assert_eq!(window.kth(window.len()), None);
    if !naive.0.is_empty() {
        assert_eq!(window.median(), naive.median());
        assert_eq!(window.mad(), naive.mad());
        assert_eq!(window.median_and_mad(), (naive.median(), naive.mad()));
        for q in [0.0, 0.01, 0.25, 1.0 / 3.0, 0.5, 0.75, 0.99, 1.0] {
            assert_eq!(window.quantile(q), naive.quantile(q), "q = {q}");
        }
    }
}

/// Few distinct values (many duplicates, both zeros), many, and such whose magnitudes differ widely.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-3..4i8).prop_map(f64::from),
        select(vec![0.0, -0.0, 0.1, 0.1 + f64::EPSILON, 1e9, 1e-300, -1e300]),
        -1e3..1e3,
        proptest::num::f64::NORMAL.prop_map(|x| x / 1e10),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(f64),
    Remove(usize),
    Replace(usize, f64),
    RemoveAbsent(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => value().prop_map(Step::Insert),
        1 => any::<usize>().prop_map(Step::Remove),
        3 => (any::<usize>(), value()).prop_map(|(index, x)| Step::Replace(index, x)),
        1 => value().prop_map(Step::RemoveAbsent),
    ]
}

/// Applies a step to both; `arrival` holds what the window should hold.
fn apply(step: &Step, window: &mut SortedWindow, arrival: &mut Vec<f64>) {
    match *step {
        Step::Insert(x) => {
            let fits = arrival.len() < window.capacity();
            assert_eq!(window.insert(x), fits);
            arrival.extend(fits.then_some(x));
        }
        Step::Remove(index) if !arrival.is_empty() => {
            let x = arrival.swap_remove(index % arrival.len());
            assert!(window.remove(x));
        }
        Step::Replace(index, x) if !arrival.is_empty() => {
            let index = index % arrival.len();
            assert!(window.replace(arrival[index], x));
            arrival[index] = x;
        }
        Step::RemoveAbsent(x) if !arrival.contains(&x) => {
            assert!(!window.remove(x));
            assert!(!window.replace(x, 1.0));
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_sorted_window_is_a_sort(
        capacity in select(vec![1, 2, 3, 7, 100, 512, 513, 1025, 5000]),
        start in vec(value(), 0..1200),
        steps in vec(step(), 0..60),
    ) {
        let mut window = SortedWindow::new(capacity);
        let mut arrival: Vec<f64> = start.into_iter().take(capacity).collect();
        for &x in &arrival {
            prop_assert!(window.insert(x));
        }
        for step in &steps {
            apply(step, &mut window, &mut arrival);
            assert_equals(&window, &Naive::new(arrival.iter().copied()));
        }
    }

    #[test]
    fn a_rolling_window_holds_the_last_values(
        capacity in select(vec![1, 2, 5, 64, 513, 700]),
        values in vec(value(), 0..1500),
    ) {
        let mut window = RollingWindow::new(capacity);
        let mut last = VecDeque::new();
        for (i, &x) in values.iter().enumerate() {
            let evicted = if last.len() == capacity { last.pop_front() } else { None };
            last.push_back(x);
            prop_assert_eq!(window.push(x), evicted);
            prop_assert_eq!((window.len(), window.is_full()), (last.len(), last.len() == capacity));
            if i % 97 == 0 || i + 1 == values.len() {
                prop_assert!(window.values().eq(last.iter().copied()));
                assert_equals(window.sorted(), &Naive::new(last.iter().copied()));
            }
        }
    }

    #[test]
    fn a_stored_window_goes_on_as_before(
        capacity in select(vec![1, 3, 50, 600]),
        before in vec(value(), 0..800),
        after in vec(value(), 0..50),
    ) {
        let mut window = RollingWindow::new(capacity);
        for x in before {
            window.push(x);
        }
        let bytes = postcard::to_stdvec(&window).unwrap();
        let mut read: RollingWindow = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &window);
        for x in after {
            prop_assert_eq!(read.push(x), window.push(x));
            prop_assert_eq!(read.median_and_mad(), window.median_and_mad());
        }
        prop_assert_eq!(postcard::to_stdvec(&read).unwrap(), postcard::to_stdvec(&window).unwrap());
    }

    #[test]
    fn modified_z_follows_shift_and_scale(x in -1e3..1e3, median in -1e3..1e3, mad in 0.1..10.0, k in 0.1..10.0) {
        let z = modified_z(x, median, mad, 0.0);
        prop_assert_eq!(z, 0.6745 * (x - median) / mad);
        prop_assert!((modified_z(k * x, k * median, k * mad, 0.0) - z).abs() <= 1e-9 * (1.0 + z.abs()));
        prop_assert_eq!(modified_z(2.0 * median - x, median, mad, 0.0).signum(), -z.signum());
        prop_assert!(modified_z(x, median, mad, 2.0 * mad).abs() <= z.abs());
    }
}

#[test]
fn modified_z_is_never_infinite() {
    assert_eq!(modified_z(5.0, 5.0, 0.0, 0.0), 0.0);
    assert_eq!(modified_z(5.1, 5.0, 0.0, 0.0), MODIFIED_Z_LIMIT);
    assert_eq!(modified_z(4.9, 5.0, 0.0, 0.0), -MODIFIED_Z_LIMIT);
    assert_eq!(modified_z(f64::MAX, -f64::MAX, 1e-300, 0.0), MODIFIED_Z_LIMIT);
    assert_eq!(modified_z(5.1, 5.0, 0.0, 0.1), 0.6745 * (5.1 - 5.0) / 0.1, "the floor is the scale of a flat signal");
}

#[test]
fn values_that_are_not_finite_change_nothing() {
    let mut window = RollingWindow::new(4);
    for x in [1.0, 2.0, 3.0, 4.0, 5.0] {
        window.push(x);
    }
    for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(window.push(x), None);
    }
    assert!(window.values().eq([2.0, 3.0, 4.0, 5.0]));
    let mut sorted = SortedWindow::new(4);
    assert!(!sorted.insert(f64::NAN));
    assert!(sorted.insert(1.0));
    assert!(!sorted.replace(1.0, f64::NAN) && !sorted.remove(f64::NAN));
    assert!(sorted.values().eq([1.0]));
}

#[test]
fn both_zeros_are_one_value() {
    for capacity in [4, 600] {
        let mut window = SortedWindow::new(capacity);
        assert!(window.insert(-0.0) && window.insert(5.0) && window.replace(5.0, -0.0) && window.len() == 2);
        assert!(window.values().all(|x| x.to_bits() == 0), "the sign of a zero is not kept");
        assert!(window.remove(0.0) && window.remove(-0.0) && window.is_empty());
    }
}

#[test]
fn nothing_held_has_no_statistics() {
    let window = SortedWindow::new(0);
    assert_eq!(window.capacity(), 1);
    assert!(window.median().is_nan() && window.mad().is_nan() && window.quantile(0.5).is_nan());
    let one = RollingWindow::new(10_000);
    assert!(one.median_and_mad().0.is_nan() && one.median_and_mad().1.is_nan());
}

#[test]
fn a_stored_window_that_cannot_be_is_refused() {
    let refused = |capacity: u64, values: &[f64]| {
        let values: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let bytes = postcard::to_stdvec(&(capacity, values)).unwrap();
        postcard::from_bytes::<RollingWindow>(&bytes).is_err()
    };
    assert!(!refused(2, &[1.0, 2.0]));
    assert!(!refused(u64::MAX / 2, &[1.0]), "memory follows the values, not the capacity");
    assert!(refused(1, &[1.0, 2.0]));
    assert!(refused(0, &[]));
    assert!(refused(3, &[f64::NAN]));
}

#[test]
fn ten_thousand_values_stay_exact() {
    let mut window = RollingWindow::new(10_000);
    let mut state = 1u64;
    for i in 0..30_000u32 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f64 / 1e6;
        window.push((f64::from(i) / 3000.0).sin() * 10.0 + (noise * 64.0).round() / 64.0);
        if i % 2999 == 0 {
            assert_equals(window.sorted(), &Naive::new(window.values()));
        }
    }
}
