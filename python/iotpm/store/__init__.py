"""The store of one partition: a DuckDB file for new rows, a Parquet lake for old ones, snapshots of the state."""
