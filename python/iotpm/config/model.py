"""The keys of a configuration: one class per section, one annotated field per key.

Every field's `Meta` carries its range and its description; loading, `iotpm config check` and the commented example are
all derived from here. Units stand last in the names: `_s` seconds, `_ms` milliseconds, `_bytes` bytes, `_days` days.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Bytes = Annotated[int, Meta(ge=65_536, le=1 << 60)]
DiskBytes = Annotated[int, Meta(ge=1 << 24)]
Name = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
DetectorName = Literal[
    "basic",
    "default",
    "limits",
    "rate_of_change",
    "flatline",
    "modified_z",
    "ema_baseline",
    "asset_model",
    "novelty",
    "resonance",
    "day",
    "ewma",
    "cusum",
    "page_hinkley",
    "discord",
    "half_space_trees",
    "level_shift",
    "seasonal",
    "frozen_baseline",
]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; unknown keys are mistakes."""


class Nats(Section, frozen=True, kw_only=True):
    """The broker. Without a URL the node starts an embedded one on loopback."""

    url: Annotated[str, Meta(description="NATS URL(s), separated by commas; empty starts the embedded broker")] = ""
    credentials_file: Annotated[
        str | None, Meta(description="NATS credentials (.creds) file", examples=["plant.creds"])
    ] = None
    nkey_file: Annotated[str | None, Meta(description="file with an nkey seed", examples=["plant.nk"])] = None
    tls_ca: Annotated[str | None, Meta(description="CA certificates, PEM file", examples=["ca.pem"])] = None
    tls_cert: Annotated[
        str | None, Meta(description="client certificate, PEM file; needs tls_key", examples=["node.pem"])
    ] = None
    tls_key: Annotated[str | None, Meta(description="client key, PEM file; needs tls_cert", examples=["node.key"])] = (
        None
    )
    link_timeout_s: Annotated[
        int, Meta(ge=3, le=300, description="seconds of silence after which a link to the broker counts as dead")
    ] = 12
    durability: Annotated[
        Literal["process", "power"],
        Meta(
            description="embedded broker: survives kill -9 (process) or power loss too (power, slower single publishes)"
        ),
    ] = "process"
    port: Annotated[Port, Meta(description="embedded broker: TCP port on loopback, 0 takes a free one")] = 0
    mqtt_port: Annotated[
        Port | None, Meta(description="embedded broker: MQTT port on loopback, 0 takes a free one", examples=[1883])
    ] = None


class Stream(Section, frozen=True, kw_only=True):
    """The partition's streams."""

    partition: Annotated[Name, Meta(description="partition; names RAW_<p> and ANOMALY_<p>")] = "0"
    partitions: Annotated[
        int, Meta(ge=1, le=1024, description="partitions of the plant; above 1 the broker maps subjects to them")
    ] = 1
    max_bytes: Annotated[Bytes, Meta(description="size of the RAW stream, bytes; new messages are refused beyond")] = (
        4 << 30
    )
    anomaly_max_bytes: Annotated[Bytes, Meta(description="size of the ANOMALY stream, bytes")] = 256 << 20
    max_age_s: Annotated[
        Positive | None,
        Meta(description="age at which RAW messages go, seconds; longer than the worst outage", examples=[604800.0]),
    ] = None
    duplicate_window_s: Annotated[Seconds, Meta(description="broker's memory of Nats-Msg-Id, seconds")] = 120.0
    purge_fill: Annotated[
        float,
        Meta(ge=0.1, le=0.95, description="fill of max_bytes at which the node purges what the older snapshot covers"),
    ] = 0.7
    replicas: Annotated[int, Meta(ge=1, le=5, description="copies of each stream in a NATS cluster")] = 1


class Node(Section, frozen=True, kw_only=True):
    """The ingesting process."""

    data_dir: Annotated[str, Meta(min_length=1, description="directory of store, snapshots, lake, embedded broker")] = (
        "iotpm-data"
    )
    site: Annotated[str, Meta(description="site of this node, named in its logs and metrics")] = "plant"
    source: Annotated[
        str | None,
        Meta(description="CloudEvents source of anomalies; default /iotpm/<partition>", examples=["/plant/7"]),
    ] = None
    http_port: Annotated[Port, Meta(description="/metrics, /healthz, /readyz on loopback; 0 takes a free one")] = 0
    shards: Annotated[int, Meta(ge=0, le=256, description="engine threads; 0 takes one per core")] = 0
    chunk_age_ms: Annotated[float, Meta(ge=0.1, le=1000, description="age at which a chunk is cut, milliseconds")] = 5.0
    # A row group of DuckDB: a chunk of just so many readings goes into the file at once, without the log.
    chunk_max_messages: Annotated[int, Meta(ge=1, le=1_000_000, description="messages in a chunk, at most")] = 122_880
    chunk_max_bytes: Annotated[Bytes, Meta(description="payload bytes in a chunk, at most")] = 20 << 20
    emit_scores: Annotated[bool, Meta(description="store the score of every reading (large)")] = False
    snapshot_interval_s: Annotated[Seconds, Meta(description="time between snapshots of the state, seconds")] = 60.0
    snapshot_messages: Annotated[int, Meta(ge=1000, le=1 << 40, description="messages between snapshots, at most")] = (
        5_000_000
    )
    snapshot_slice_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="milliseconds of a snapshot after each chunk; 0: one asset a shard")
    ] = 4
    lease_ttl_s: Annotated[
        int, Meta(ge=2, le=300, description="seconds after which another node may take over a silent one")
    ] = 5
    drain_timeout_s: Annotated[Seconds, Meta(description="time for a clean end after SIGTERM, seconds")] = 10.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least level that is logged")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"], Meta(description="auto: console on a terminal, JSON otherwise")
    ] = "auto"


class Store(Section, frozen=True, kw_only=True):
    """The DuckDB file and the Parquet lake."""

    memory_bytes: Annotated[Bytes, Meta(description="DuckDB's memory limit, bytes")] = 1 << 30
    threads: Annotated[int, Meta(ge=1, le=256, description="DuckDB's threads")] = 1
    checkpoint_wal_bytes: Annotated[
        Bytes, Meta(description="size of DuckDB's log at which it is folded in; an idle node does so at half of it")
    ] = 4 << 20
    disk_budget_bytes: Annotated[
        DiskBytes | None,
        Meta(description="store and lake together, bytes; oldest data go first, then refusal", examples=[1 << 40]),
    ] = None
    disk_reserve_bytes: Annotated[
        int, Meta(ge=0, le=1 << 50, description="free space of the disk that is never used, bytes")
    ] = 512 << 20
    lake_after_rows: Annotated[
        int, Meta(ge=1000, le=1 << 40, description="rows of a table that stay in DuckDB; older ones move to the lake")
    ] = 20_000_000
    lake_slice_rows: Annotated[int, Meta(ge=100, le=10_000_000, description="rows moved at once, about")] = 250_000
    lake_max_lag: Annotated[int, Meta(ge=0, le=1 << 40, description="messages of lag at which moving pauses")] = 50_000
    raw_days: Annotated[float, Meta(gt=0, le=36_500, description="days that readings and waveforms are kept")] = 90.0
    minute_days: Annotated[float, Meta(gt=0, le=36_500, description="days that 1-minute rollups are kept")] = 365.0
    hour_days: Annotated[float, Meta(gt=0, le=36_500, description="days that 1-hour rollups are kept")] = 1825.0


class Webhook(Section, frozen=True, kw_only=True):
    """One HTTP receiver of anomalies, fed from the outbox."""

    url: Annotated[
        str | None, Meta(description="http(s) URL; without one nothing is sent", examples=["https://h/x"])
    ] = None
    timeout_s: Annotated[Seconds, Meta(description="time for one request, seconds")] = 5.0
    max_attempts: Annotated[int, Meta(ge=1, le=1000, description="tries for one event before it is given up")] = 10
    token_file: Annotated[
        str | None, Meta(description="file with a bearer token for the receiver", examples=["webhook.token"])
    ] = None
    allow_private: Annotated[bool, Meta(description="allow receivers on private, loopback or link-local addresses")] = (
        False
    )


class Limits(Section, frozen=True, kw_only=True):
    """Bounds of memory and of answers."""

    max_signals: Annotated[int, Meta(ge=1, le=4_000_000, description="signals of the partition, at most")] = 100_000
    max_sources: Annotated[int, Meta(ge=1, le=4_000_000, description="producers with message ids, at most")] = 10_000
    query_rows: Annotated[int, Meta(ge=1, le=1_000_000, description="rows in one page of an answer, at most")] = 10_000


class AlarmLimits(Section, frozen=True, kw_only=True):
    """Alarm limits in the template's unit; each is optional."""

    lo_lo: Annotated[float | None, Meta(description="critical low", examples=[-10.0])] = None
    lo: Annotated[float | None, Meta(description="low", examples=[0.0])] = None
    hi: Annotated[float | None, Meta(description="high", examples=[80.0])] = None
    hi_hi: Annotated[float | None, Meta(description="critical high", examples=[95.0])] = None
    deadband: Annotated[float, Meta(ge=0, description="how far the value must come back to clear a limit")] = 0.0


class Usual(Section, frozen=True, kw_only=True):
    """What is usual for signals like these; it scores the first readings and fades as the signal's own come in."""

    median: Annotated[float | None, Meta(description="median, in the template's unit", examples=[2.1])] = None
    deviation: Annotated[
        Positive | None, Meta(description="how far readings lie from it, standard deviation", examples=[0.3])
    ] = None


Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TimeOfDay = Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class Calendar(Section, frozen=True, kw_only=True):
    """The clock on the wall and the shifts, for detectors that learn what is usual at an hour of the week."""

    timezone: Annotated[str | None, Meta(description="IANA name; default UTC", examples=["Europe/Berlin"])] = None
    shifts: Annotated[
        tuple[TimeOfDay, ...] | None,
        Meta(
            description="local times at which shifts begin; a day begins with the first",
            examples=[["06:00", "14:00", "22:00"]],
        ),
    ] = None
    working_days: Annotated[
        tuple[Weekday, ...] | None,
        Meta(description="default Monday to Friday", examples=[["mon", "tue", "wed", "thu", "fri"]]),
    ] = None
    holidays: Annotated[
        tuple[date, ...] | None,
        Meta(description="days off, whatever day of the week", examples=[["2026-12-25"]]),
    ] = None
    offsets_s: Annotated[
        tuple[tuple[int, int], ...] | None,
        Meta(
            description="changes of offset, second since 1970 and seconds east; default: as the zone has them",
            examples=[[[0, 3600]]],
        ),
    ] = None


Text = Annotated[str, Meta(min_length=1)]
MachineGroup = Annotated[int, Meta(ge=1, le=4)]
Elements = Annotated[int, Meta(ge=3, le=1000)]
Hertz = Annotated[float, Meta(gt=0, le=1e9)]
Band = tuple[Annotated[float, Meta(ge=0, le=1e9)], Hertz]


FrameFeatureName = Literal[
    "mean",
    "std",
    "min",
    "max",
    "rms",
    "peak_to_peak",
    "skewness",
    "kurtosis",
    "crest_factor",
    "dominant_frequency",
    "dominant_amplitude",
    "spectral_entropy",
    "spectral_centroid",
    "q25",
    "median",
    "q75",
    "iqr",
    "peak",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
    "zero_crossing_rate",
    "mobility",
    "complexity",
    "velocity_rms",
    "envelope_rms",
    "envelope_peak",
    "envelope_kurtosis",
    "shaft",
    "bpfo",
    "bpfi",
    "bsf",
    "ftf",
]
"""Columns of windows and of vibration: what frames are scored by."""


class Waveforms(Section, frozen=True, kw_only=True):
    """Waveform frames of a template's signals: what is computed, scored and kept of them."""

    keep_every: Annotated[
        int, Meta(ge=0, le=1 << 32, description="samples of every Nth frame are kept; 0 keeps none")
    ] = 10
    keep_around_anomaly: Annotated[
        int, Meta(ge=0, le=64, description="and of this many frames before and after each change of an anomaly")
    ] = 2
    features: Annotated[
        tuple[FrameFeatureName, ...],
        Meta(max_length=16, description="columns of windows or vibration whose trend is scored"),
    ] = ("rms", "kurtosis", "peak", "velocity_rms", "envelope_rms")
    limits_on: Annotated[FrameFeatureName, Meta(description="the feature that the template's limits act on")] = "rms"
    envelope_low_hz: Annotated[
        Hertz | None, Meta(description="lower edge of the envelope's band, hertz; default rate / 8", examples=[2000.0])
    ] = None
    envelope_high_hz: Annotated[
        Hertz | None, Meta(description="upper edge, hertz; default 0.45 of the rate", examples=[8000.0])
    ] = None
    bands_hz: Annotated[
        tuple[Band, ...], Meta(max_length=32, description="bands whose root mean square is stored, low and high, hertz")
    ] = ()
    speed_hz: Annotated[
        Hertz | None, Meta(description="nominal speed of the shaft, revolutions a second", examples=[29.95])
    ] = None
    bpfo: Annotated[Positive | None, Meta(description="outer race over shaft speed", examples=[3.5848])] = None
    bpfi: Annotated[Positive | None, Meta(description="inner race over shaft speed", examples=[5.4152])] = None
    bsf: Annotated[Positive | None, Meta(description="ball spin over shaft speed", examples=[2.357])] = None
    ftf: Annotated[Positive | None, Meta(description="cage over shaft speed", examples=[0.3983])] = None


FailureMode = Literal[
    "AIR",
    "BRD",
    "ELP",
    "ELU",
    "ERO",
    "FTS",
    "HIO",
    "INL",
    "LOO",
    "NOI",
    "OHE",
    "PDE",
    "PLU",
    "SER",
    "STD",
    "STP",
    "VIB",
]
"""Codes of ISO 14224 that the library uses; see python/iotpm/templates/failure_modes.toml."""

OperatingState = Literal["off", "run_up", "running", "coast_down"]
SignalName = Annotated[str, Meta(pattern="^[^/]+$")]


class States(Section, frozen=True, kw_only=True):
    """Operating states of the machine; without off_below there are none. Formulas: docs/interfaces.md."""

    signal: Annotated[
        SignalName | None,
        Meta(description="signal of the same asset that tells the state; default: each one itself", examples=["speed"]),
    ] = None
    off_below: Annotated[
        Positive | None, Meta(description="it stands still below this, in that signal's unit", examples=[75.0])
    ] = None
    running_above: Annotated[
        Positive | None, Meta(description="it may run from here on; default: as soon as it turns", examples=[600.0])
    ] = None
    hysteresis: Annotated[float, Meta(ge=0, le=0.9, description="of both levels, as a share")] = 0.1
    rate_per_s: Annotated[
        Positive | None,
        Meta(description="rate that makes a run-up or coast-down; default: levels alone decide", examples=[15.0]),
    ] = None
    smoothing_s: Annotated[float, Meta(ge=0, le=86_400, description="smoothing of the rate, seconds")] = 5.0
    settle_s: Annotated[float, Meta(ge=0, le=86_400, description="steady for so long, then running, seconds")] = 0.0
    coast_down_s: Annotated[float, Meta(ge=0, le=86_400, description="shortest coast-down, seconds")] = 0.0
    guard_s: Annotated[
        float, Meta(ge=0, le=86_400, description="transient too if one begins within, seconds; needs lateness_s")
    ] = 0.0
    stale_s: Annotated[
        Positive | None, Meta(description="age at which the state is unknown, seconds; default: never", examples=[60.0])
    ] = None
    score_in: Annotated[
        tuple[OperatingState, ...], Meta(min_length=1, description="states in which readings train and score")
    ] = ("running",)
    speed_signal: Annotated[
        SignalName | None, Meta(description="windows carry it as speed; default: signal", examples=["speed"])
    ] = None
    load_signal: Annotated[SignalName | None, Meta(description="windows carry it as load", examples=["load"])] = None
    regimes: Annotated[
        tuple[float, ...],
        Meta(max_length=15, description="ascending speeds; between them detectors learn of their own"),
    ] = ()


class BearingGeometry(Section, frozen=True, kw_only=True):
    """Bearing from its drawing, instead of a name in the catalogue; all three dimensions or none."""

    elements: Annotated[Elements | None, Meta(description="balls or rollers in a row", examples=[9])] = None
    element_diameter_mm: Annotated[
        Positive | None, Meta(description="diameter of one, millimetres", examples=[7.94])
    ] = None
    pitch_diameter_mm: Annotated[
        Positive | None, Meta(description="diameter of their circle, millimetres", examples=[39.04])
    ] = None
    contact_angle_deg: Annotated[float, Meta(ge=0, lt=90, description="contact angle, degrees")] = 0.0


class BearingFacts(BearingGeometry, frozen=True, kw_only=True):
    """Geometry of the bearing next to the sensor, all three dimensions or none."""

    name: Annotated[str | None, Meta(description="name in a catalogue", examples=["6205"])] = None


class MachineFacts(Section, frozen=True, kw_only=True):
    """The machine behind the signals, as far as known; [[machine]] fills it in."""

    kind: Annotated[str | None, Meta(description="such as pump", examples=["pump"])] = None
    speed_rpm: Annotated[Positive | None, Meta(description="nominal speed, 1/min", examples=[1480.0])] = None
    power_kw: Annotated[Positive | None, Meta(description="rated power, kW", examples=[22.0])] = None
    group: Annotated[MachineGroup | None, Meta(description="machine group of ISO 20816-3", examples=[2])] = None
    mounting: Annotated[Literal["rigid", "flexible"] | None, Meta(description="how it stands", examples=["rigid"])] = (
        None
    )
    bearing: Annotated[BearingFacts, Meta(description="bearing")] = BearingFacts()
    gear_teeth: Annotated[
        tuple[Annotated[int, Meta(ge=1)], ...], Meta(description="teeth of the wheel on the shaft, one a mesh")
    ] = ()


MachineKind = Literal["pump", "motor", "fan", "compressor", "gearbox", "conveyor", "spindle"]


class Machine(Section, frozen=True, kw_only=True, rename={"pattern": "match"}):
    """Machines of one kind: makes the templates of all their signals, behind the [[template]]s of the file."""

    pattern: Annotated[
        str,
        Meta(min_length=3, description="pattern on site/asset; * is any run of characters", examples=["plant/pump-*"]),
    ] = "*/*"
    kind: Annotated[MachineKind, Meta(description="its library of templates", examples=["pump"])] = "motor"
    speed_rpm: Annotated[Positive | None, Meta(description="nominal speed, 1/min", examples=[1480.0])] = None
    speed_min_rpm: Annotated[
        Positive | None, Meta(description="lowest speed of a drive of variable speed, 1/min", examples=[740.0])
    ] = None
    speed_signal: Annotated[
        SignalName | None, Meta(description="its signal in 1/min; tells the operating state", examples=["speed"])
    ] = None
    power_signal: Annotated[
        SignalName | None,
        Meta(description="its signal in kW; tells the state without speed_signal", examples=["power"]),
    ] = None
    current_signal: Annotated[
        SignalName | None,
        Meta(description="tells the state without the other two; needs off_below", examples=["motor_current"]),
    ] = None
    load_signal: Annotated[SignalName | None, Meta(description="windows carry it as load", examples=["load"])] = None
    off_below: Annotated[
        Positive | None,
        Meta(description="standstill below this; default from speed_rpm (5 %) or power_kw (2 %)", examples=[74.0]),
    ] = None
    power_kw: Annotated[Positive | None, Meta(description="rated power, kW", examples=[22.0])] = None
    group: Annotated[
        MachineGroup | None,
        Meta(description="group of ISO 20816-3; default from power_kw: 2 from 15, 1 above 300", examples=[2]),
    ] = None
    mounting: Annotated[Literal["rigid", "flexible"] | None, Meta(description="how it stands", examples=["rigid"])] = (
        None
    )
    vibration_unit: Annotated[
        Text | None,
        Meta(description="UCUM unit of its vibration; mm/s: zones become limits", examples=["mm/s"]),
    ] = None
    bearing: Annotated[Text | None, Meta(description="name in the catalogue", examples=["6205"])] = None
    bearing_geometry: Annotated[BearingGeometry, Meta(description="geometry")] = BearingGeometry()
    gear_teeth: Annotated[
        tuple[Annotated[int, Meta(ge=1)], ...],
        Meta(max_length=16, description="teeth of the wheels on the shaft, one a mesh", examples=[[23]]),
    ] = ()


class Template(Section, frozen=True, kw_only=True, rename={"pattern": "match"}):
    """All signals whose name site/asset/signal matches; the first match wins. Checked again by the engine."""

    pattern: Annotated[
        str, Meta(min_length=1, description="pattern on site/asset/signal; * is any run of characters")
    ] = "*"
    unit: Annotated[str | None, Meta(description="UCUM unit of the stored values", examples=["Cel"])] = None
    kind: Annotated[str | None, Meta(description="what is measured", examples=["temperature"])] = None
    window_s: Annotated[
        Positive | None, Meta(description="window length, seconds; default max(30, 32 intervals)", examples=[30.0])
    ] = None
    hop_s: Annotated[
        Positive | None, Meta(description="between window starts, seconds; default a third", examples=[10.0])
    ] = None
    lateness_s: Annotated[float, Meta(ge=0, le=86_400, description="how late a reading still counts, seconds")] = 0.0
    idle_timeout_s: Annotated[
        Positive | None,
        Meta(description="silence that is a gap, seconds; default max(30, 10 intervals)", examples=[60.0]),
    ] = None
    future_tolerance_s: Annotated[
        float, Meta(ge=0, le=86_400, description="how far event time may be ahead of stream time, seconds")
    ] = 10.0
    physical_min: Annotated[float | None, Meta(description="smallest possible value", examples=[-273.15])] = None
    physical_max: Annotated[float | None, Meta(description="greatest possible value", examples=[1000.0])] = None
    resolution: Annotated[
        Positive | None, Meta(description="smallest step of the sensor; default: learned", examples=[0.1])
    ] = None
    limits: Annotated[AlarmLimits, Meta(description="alarm limits")] = AlarmLimits()
    usual: Annotated[Usual, Meta(description="usual values of the class")] = Usual()
    max_rate_per_s: Annotated[
        Positive | None, Meta(description="greatest change per second; default: no check", examples=[5.0])
    ] = None
    modified_z_window: Annotated[int, Meta(ge=8, le=100_000, description="readings of the rolling median")] = 100
    modified_z_boundary: Annotated[float, Meta(ge=0.1, le=1e6, description="boundary of the modified z-score")] = 3.5
    ema_span: Annotated[int, Meta(ge=8, le=10_000_000, description="memory of the baseline, readings")] = 500
    ema_boundary: Annotated[float, Meta(ge=0.1, le=1e6, description="boundary in standard deviations")] = 5.0
    flatline_readings: Annotated[int, Meta(ge=3, le=1_000_000, description="identical readings of a stuck sensor")] = 30
    detectors: Annotated[
        list[DetectorName] | None,
        Meta(
            description="detectors that run, or sets; absent is [basic, asset_model]; set default adds slower ones",
            examples=[["default"]],
        ),
    ] = None
    asset_learning_s: Annotated[
        float, Meta(ge=60, le=31_622_400, description="an asset's signals are learned together for so long, seconds")
    ] = 86_400.0
    asset_false_alarm_rate: Annotated[
        float, Meta(ge=1e-6, le=0.1, description="share of an asset's healthy rows that may reach 1.0")
    ] = 1e-4
    begin_count: Annotated[int, Meta(ge=1, le=16, description="an anomaly begins when this many ...")] = 3
    begin_of: Annotated[int, Meta(ge=1, le=16, description="... of this many readings reach 1.0 ...")] = 5
    begin_at_once: Annotated[float, Meta(ge=1, le=1e9, description="... or one reading reaches this score")] = 2.0
    end_count: Annotated[int, Meta(ge=1, le=255, description="readings in a row below 1.0 that end it")] = 10
    repeat_s: Annotated[
        NotNegative | None, Meta(description="no repeat within, seconds; default one window", examples=[60.0])
    ] = None
    max_reorder: Annotated[int, Meta(ge=1, le=1_000_000, description="bound of the reorder buffer, readings")] = 1024
    max_ring: Annotated[int, Meta(ge=64, le=10_000_000, description="bound of the ring, readings")] = 8192
    waveform: Annotated[Waveforms, Meta(description="waveform frames")] = Waveforms()
    state: Annotated[States, Meta(description="operating states")] = States()
    calendar: Annotated[Calendar, Meta(description="where it differs from the site's")] = Calendar()
    machine: Annotated[MachineFacts, Meta(description="machine")] = MachineFacts()
    failure_mode: Annotated[
        FailureMode | None, Meta(description="failure mode of ISO 14224 that an anomaly hints at", examples=["VIB"])
    ] = None
