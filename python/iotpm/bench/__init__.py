"""Benchmarks of the whole stream: real broker, real node, real store, and SQL that must agree afterwards.

`iotpm bench stream --mode catchup|live|batched` and `iotpm bench memory` print what is measured here. Absolute figures
depend on the machine and on what else runs there; where two things are compared they run in one go.
"""
