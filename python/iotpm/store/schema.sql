-- The store of one partition (docs/interfaces.md). No key, index or constraint on hot tables: DuckDB's log and indexes
-- do not mix well, and uniqueness is the protocol's work. `seq` is the RAW stream's sequence that caused a row.
CREATE TABLE IF NOT EXISTS store_info (version INTEGER, partition VARCHAR, created TIMESTAMP);

CREATE TABLE IF NOT EXISTS progress (
    stream VARCHAR, created BIGINT, epoch UBIGINT, seq UBIGINT, ts TIMESTAMP, hash UBIGINT, next_outbox_seq UBIGINT
);
CREATE TABLE IF NOT EXISTS epochs (
    epoch UBIGINT, reason VARCHAR, found VARCHAR, previous_stream VARCHAR, previous_seq UBIGINT, base_seq UBIGINT,
    began TIMESTAMP
);
CREATE TABLE IF NOT EXISTS configurations (epoch UBIGINT, seq UBIGINT, hash VARCHAR, json VARCHAR);

CREATE TABLE IF NOT EXISTS signals (
    id UINTEGER, name VARCHAR, site VARCHAR, asset VARCHAR, signal VARCHAR, unit VARCHAR, kind VARCHAR, seq UBIGINT
);
CREATE TABLE IF NOT EXISTS sources (source VARCHAR, epoch UBIGINT, source_seq UBIGINT, seq UBIGINT);

CREATE TABLE IF NOT EXISTS readings (
    signal UINTEGER, ts TIMESTAMP, value DOUBLE, quality UTINYINT, seq UBIGINT, stored_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS late_readings (
    signal UINTEGER, ts TIMESTAMP, value DOUBLE, quality UTINYINT, seq UBIGINT, stored_at TIMESTAMP, watermark TIMESTAMP
);
CREATE TABLE IF NOT EXISTS windows (
    signal UINTEGER, "start" TIMESTAMP, "end" TIMESTAMP, segment UINTEGER, n UINTEGER, truncated UINTEGER,
    mean DOUBLE, std DOUBLE, min DOUBLE, max DOUBLE, rms DOUBLE, peak_to_peak DOUBLE, skewness DOUBLE, kurtosis DOUBLE,
    crest_factor DOUBLE, dominant_frequency DOUBLE, dominant_amplitude DOUBLE, spectral_entropy DOUBLE,
    spectral_centroid DOUBLE, q25 DOUBLE, median DOUBLE, q75 DOUBLE, iqr DOUBLE,
    score DOUBLE, maturity UTINYINT, state VARCHAR, speed DOUBLE, load DOUBLE, seq UBIGINT
);
CREATE TABLE IF NOT EXISTS vibration (
    signal UINTEGER, "start" TIMESTAMP, rate_hz DOUBLE, n UINTEGER, peak DOUBLE, shape_factor DOUBLE,
    impulse_factor DOUBLE, clearance_factor DOUBLE, zero_crossing_rate DOUBLE, mobility DOUBLE, complexity DOUBLE,
    velocity_rms DOUBLE, envelope_rms DOUBLE, envelope_peak DOUBLE, envelope_kurtosis DOUBLE, shaft DOUBLE, bpfo DOUBLE,
    bpfi DOUBLE, bsf DOUBLE, ftf DOUBLE, bands DOUBLE[], seq UBIGINT
);
CREATE TABLE IF NOT EXISTS waveforms (
    signal UINTEGER, "start" TIMESTAMP, rate_hz DOUBLE, scale DOUBLE, samples FLOAT[], seq UBIGINT
);
CREATE TABLE IF NOT EXISTS scores (
    signal UINTEGER, ts TIMESTAMP, score DOUBLE, detector VARCHAR, expected DOUBLE, maturity UTINYINT, seq UBIGINT
);
CREATE TABLE IF NOT EXISTS anomaly_log (
    id VARCHAR, signal UINTEGER, site VARCHAR, asset VARCHAR, name VARCHAR, detector VARCHAR, kind VARCHAR,
    revision UINTEGER, state VARCHAR, severity VARCHAR, "start" TIMESTAMP, time TIMESTAMP, "end" TIMESTAMP,
    peak_time TIMESTAMP, peak_score DOUBLE, peak_value DOUBLE, score DOUBLE, value DOUBLE, expected DOUBLE,
    direction TINYINT, maturity VARCHAR, failure_mode VARCHAR, contributors VARCHAR,
    quality VARCHAR, agreeing VARCHAR, seq UBIGINT, position UINTEGER
);
CREATE TABLE IF NOT EXISTS outbox (
    outbox_seq UBIGINT, seq UBIGINT, subject VARCHAR, payload VARCHAR, cause_time TIMESTAMP
);
CREATE TABLE IF NOT EXISTS dead_letters (
    seq UBIGINT, position UINTEGER, subject VARCHAR, reason VARCHAR, detail VARCHAR, payload BLOB, stored_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS feedback (
    id VARCHAR, action VARCHAR, label VARCHAR, anomaly VARCHAR, name VARCHAR, detector VARCHAR, kind VARCHAR,
    direction VARCHAR, peak_score DOUBLE, "start" TIMESTAMP, "end" TIMESTAMP, author VARCHAR, note VARCHAR,
    said_at TIMESTAMP, stored_at TIMESTAMP, seq UBIGINT
);
CREATE TABLE IF NOT EXISTS signal_stats (
    id UINTEGER, name VARCHAR, last_seen TIMESTAMP, rate_hz DOUBLE, readings UBIGINT, late UBIGINT, duplicates UBIGINT,
    bad UBIGINT, windows UBIGINT, anomalies UBIGINT, maturity VARCHAR, idle BOOLEAN
);
CREATE TABLE IF NOT EXISTS webhook (delivered UBIGINT);

-- Where moved rows are: readers use this list, never a glob. `ts_lo`, `ts_hi` bound the rows' event time.
CREATE TABLE IF NOT EXISTS lake_files (
    path VARCHAR, table_name VARCHAR, seq_lo UBIGINT, seq_hi UBIGINT, rows UBIGINT, bytes UBIGINT, sha256 VARCHAR,
    tier VARCHAR, ts_lo TIMESTAMP, ts_hi TIMESTAMP
);

CREATE OR REPLACE VIEW anomalies AS
    SELECT * FROM anomaly_log QUALIFY row_number() OVER (PARTITION BY id ORDER BY revision DESC, seq DESC, position DESC) = 1;
