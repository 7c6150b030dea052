"""Measures of the benchmarks, each by its publication's definition; NumPy only."""
