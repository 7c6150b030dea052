//! Wire bytes to readings, one format a file, no I/O.
