"""Rules that concern more than one key."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from iotpm.config import calendars, machines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotpm.config.mistakes import Path
    from iotpm.config.model import States, Template, Waveforms

Finding = tuple["Path", object, str]

_SCHEMES = ("nats", "tls", "ws", "wss")


def cross_checks(config: Any) -> Iterator[Finding]:
    """Findings `(path, value, problem)` of a configuration whose keys are right one by one."""
    yield from _nats(config.nats)
    yield from _webhook(config.webhook)
    for name, found, problem in calendars.findings(config.calendar):
        yield ("calendar", name), found, problem
    for index, template in enumerate(config.templates):
        for key, value, problem in _template(template):
            yield ("template", index, *key), value, problem
    for index, machine in enumerate(config.machines):
        for key, value, problem in machines.check(machine):
            yield ("machine", index, *key), value, problem


def _nats(nats: Any) -> Iterator[Finding]:
    for url in filter(None, nats.url.split(",")):
        parts = urlsplit(url.strip())
        if parts.scheme not in _SCHEMES or not parts.hostname:
            yield ("nats", "url"), nats.url, "must be like nats://host:4222 or tls://host:4222"
    if (nats.tls_cert is None) != (nats.tls_key is None):
        given = "tls_cert" if nats.tls_cert else "tls_key"
        yield ("nats", given), getattr(nats, given), "needs both tls_cert and tls_key"
    if nats.url and nats.mqtt_port is not None:
        yield ("nats", "mqtt_port"), nats.mqtt_port, "belongs to the embedded broker: remove it or nats.url"


def _webhook(webhook: Any) -> Iterator[Finding]:
    if webhook.url is not None:
        parts = urlsplit(webhook.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield ("webhook", "url"), webhook.url, "must be an http or https URL"


def _template(t: Template) -> Iterator[Finding]:
    if t.begin_count > t.begin_of:
        yield ("begin_count",), t.begin_count, f"must be at most begin_of = {t.begin_of}"
    if t.window_s is not None and t.hop_s is not None and t.hop_s > t.window_s:
        yield ("hop_s",), t.hop_s, f"must be at most window_s = {t.window_s}"
    low, high = t.physical_min, t.physical_max
    if low is not None and high is not None and low >= high:
        yield ("physical_min",), low, f"must be below physical_max = {high}"
    names = [name for name in ("lo_lo", "lo", "hi", "hi_hi") if getattr(t.limits, name) is not None]
    for lower, upper in pairwise(names):
        below, above = getattr(t.limits, lower), getattr(t.limits, upper)
        if below > above:
            yield ("limits", lower), below, f"must be at most {upper} = {above}"
    if (t.usual.median is None) != (t.usual.deviation is None):
        given, missing = ("deviation", "median") if t.usual.median is None else ("median", "deviation")
        yield ("usual", given), getattr(t.usual, given), f"needs {missing} too"
    yield from _states(t.state)
    yield from _waveform(t.waveform)
    for key, value, problem in calendars.findings(t.calendar):
        yield ("calendar", key), value, problem
    for key, value, problem in machines.geometry_findings(t.machine.bearing):
        yield ("machine", "bearing", key), value, problem


def _waveform(waveform: Waveforms) -> Iterator[Finding]:
    if len(set(waveform.features)) < len(waveform.features):
        yield ("waveform", "features"), list(waveform.features), "must name each feature once"
    low, high = waveform.envelope_low_hz, waveform.envelope_high_hz
    if low is not None and high is not None and low >= high:
        yield ("waveform", "envelope_low_hz"), low, f"must be below envelope_high_hz = {high}"
    if any(band_low >= band_high for band_low, band_high in waveform.bands_hz):
        yield ("waveform", "bands_hz"), [list(b) for b in waveform.bands_hz], "must be pairs, low below high"


def _states(state: States) -> Iterator[Finding]:
    off, running = state.off_below, state.running_above
    if off is not None and running is not None and running < off:
        yield ("state", "running_above"), running, f"must be at least off_below = {off}"
    if list(state.regimes) != sorted(set(state.regimes)):
        yield ("state", "regimes"), list(state.regimes), "must ascend"
    given = [
        key
        for key in ("signal", "running_above", "rate_per_s", "stale_s", "speed_signal", "load_signal", "regimes")
        if getattr(state, key)
    ]
    if given and off is None:
        yield ("state", given[0]), getattr(state, given[0]), "needs off_below: without it there are no states"
