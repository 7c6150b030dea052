//! Criterion benches of every stage; run them with `cargo bench`.
