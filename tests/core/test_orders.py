"""Order tracking, synchronous averages, cepstra and gears against NumPy, SciPy and what shafts of known speed give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.interpolate
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from iotpm import _core, gear, orders, spectrum
from iotpm.errors import InputError

Array = NDArray[np.float64]
RATE_HZ = 5_000.0


def run_up(seconds: float = 8.0, from_hz: float = 10.0, to_hz: float = 40.0) -> tuple[Array, Array]:
    """Speed at each sample, and angle in revolutions: the speed rises in a straight line."""
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    slope = (to_hz - from_hz) / seconds
    return from_hz + slope * t, from_hz * t + slope * t**2 / 2


def tacho_times(angle: Array, per_rev: int) -> Array:
    """When the angle passes each whole part of a revolution: a straight line between samples is exact enough."""
    edges = np.arange(np.ceil(angle[0] * per_rev), np.floor(angle[-1] * per_rev) + 1) / per_rev
    return np.interp(edges, angle, np.arange(len(angle)) / RATE_HZ)


# Interpolation


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 50])
def test_cubic_interpolation_is_scipys(n: int) -> None:
    x = np.random.default_rng(n).normal(size=n)
    positions = np.linspace(0, n - 1, 40)
    wanted = scipy.interpolate.CubicSpline(np.arange(n), x)(positions) if n > 1 else np.full(40, x[0])
    np.testing.assert_allclose(_core.interpolate(x[None], positions, "cubic")[0], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("frequency", [0.01, 0.1, 0.3, 0.42])
def test_band_limited_interpolation_keeps_what_is_below_the_transition(frequency: float) -> None:
    positions = np.linspace(40, 400, 999)
    got = _core.interpolate(np.sin(2 * np.pi * frequency * np.arange(441))[None], positions, "band_limited")[0]
    np.testing.assert_allclose(got, np.sin(2 * np.pi * frequency * positions), atol=2e-4)


def test_band_limited_interpolation_takes_out_what_the_new_samples_cannot_hold() -> None:
    n, positions = 4_000, np.arange(100, 3_900, 4.0)
    high = np.sin(2 * np.pi * 0.2 * np.arange(n))
    assert np.abs(_core.interpolate(high[None], positions, "band_limited")).max() < 1e-3
    assert np.abs(_core.interpolate(high[None], positions, "cubic")).max() > 0.5


@given(
    level=st.floats(-1e6, 1e6, allow_subnormal=False),
    n=st.integers(1, 100),
    name=st.sampled_from(["cubic", "band_limited"]),
)
def test_a_constant_stays_a_constant(level: float, n: int, name: str) -> None:
    positions = np.linspace(0, n - 1, 37)
    np.testing.assert_allclose(_core.interpolate(np.full((1, n), level), positions, name), level, rtol=1e-9)


# Orders


@settings(max_examples=15)
@given(
    order=st.sampled_from([1.0, 3.5848, 12.0]),
    from_hz=st.sampled_from([10.0, 18.0, 25.0]),
    interpolation=st.sampled_from(["cubic", "band_limited"]),
    by_pulses=st.booleans(),
)
def test_a_run_up_becomes_one_line(order: float, from_hz: float, interpolation: Any, by_pulses: bool) -> None:
    speed, angle = run_up(from_hz=from_hz)
    x = 2.5 * np.sin(2 * np.pi * order * angle)
    how: dict[str, Any] = {"pulses_s": tacho_times(angle, 4), "pulses_per_rev": 4} if by_pulses else {"speed_hz": speed}
    angular = orders.resample(x, RATE_HZ, interpolation=interpolation, **how)
    lines = orders.spectrum(angular)
    found = lines.order[np.argmax(lines.value)]
    assert abs(found - order) <= lines.order[1]
    assert 0.8 * 2.5 < lines.value.max() < 1.02 * 2.5
    away = np.abs(lines.order - order) > 6 * lines.order[1]
    assert lines.value[away].max() < 0.02 * 2.5
    # In time the same signal is smeared over many lines.
    assert spectrum.amplitude(x, RATE_HZ).value.max() < 0.5 * 2.5


def test_an_even_speed_gives_the_spectrum_in_orders() -> None:
    x = np.sin(2 * np.pi * 100 * np.arange(5_000) / RATE_HZ)
    angular = orders.resample(x, RATE_HZ, speed_hz=25.0, interpolation="cubic")
    assert angular.samples_per_rev == 200
    np.testing.assert_allclose(angular.value, x, atol=1e-9)
    np.testing.assert_allclose(angular.speed_hz, 25.0)
    lines = orders.spectrum(angular)
    assert lines.order[np.argmax(lines.value)] == pytest.approx(4.0)
    np.testing.assert_allclose(lines.order * 25.0, np.fft.rfftfreq(5_000, 1 / RATE_HZ))


def test_positions_are_where_the_angle_is() -> None:
    speed, angle = run_up()
    angular = orders.resample(np.zeros_like(angle), RATE_HZ, speed_hz=speed, samples_per_rev=64)
    got = np.interp(angular.time_s, np.arange(len(angle)) / RATE_HZ, angle)
    np.testing.assert_allclose(got, angular.angle_rev, atol=1e-6)
    assert angular.revolutions == pytest.approx(angle[-1], abs=1 / 32)


def test_pulses_and_speed_agree() -> None:
    speed, angle = run_up()
    x = np.cos(2 * np.pi * 5 * angle)
    tacho = (np.sin(2 * np.pi * 8 * angle - 1e-6) > 0).astype(np.float64)
    edges = orders.pulses(tacho, RATE_HZ, 0.5)
    np.testing.assert_allclose(edges, tacho_times(angle, 8)[: len(edges)], atol=1.01 / RATE_HZ)
    by_speed = orders.resample(x, RATE_HZ, speed_hz=speed, samples_per_rev=128)
    by_pulses = orders.resample(x, RATE_HZ, pulses_s=tacho_times(angle, 8), pulses_per_rev=8, samples_per_rev=128)
    n = min(by_speed.value.size, by_pulses.value.size)
    np.testing.assert_allclose(by_pulses.value[:n], by_speed.value[:n], atol=2e-3)


def test_hysteresis_keeps_noise_from_making_pulses() -> None:
    rng = np.random.default_rng(4)
    tacho = np.sin(2 * np.pi * 10 * np.arange(10_000) / RATE_HZ) + 0.1 * rng.normal(size=10_000)
    assert len(orders.pulses(tacho, RATE_HZ, 0.0)) > 30
    assert len(orders.pulses(tacho, RATE_HZ, 0.0, hysteresis=0.8)) == pytest.approx(20, abs=1)


def test_channels_of_one_shaft_are_resampled_alike() -> None:
    speed, angle = run_up(2.0)
    x = np.stack([np.sin(2 * np.pi * k * angle) for k in (1, 2, 3)], axis=1).reshape(-1, 3, 1)
    got = orders.resample(x, RATE_HZ, speed_hz=speed, samples_per_rev=64, axis=0)
    assert got.value.shape[:-1] == (3, 1)
    one = orders.resample(np.ascontiguousarray(x[:, 1, 0]), RATE_HZ, speed_hz=speed, samples_per_rev=64)
    np.testing.assert_array_equal(got.value[1, 0], one.value)
    single = orders.resample(x.astype(np.float32), RATE_HZ, speed_hz=speed, samples_per_rev=64, axis=0)
    np.testing.assert_allclose(single.value, got.value, atol=1e-6)


# Synchronous averages


def test_synchronous_average_is_numpys_mean() -> None:
    x = np.random.default_rng(5).normal(size=(2, 3, 1_000))
    average = orders.synchronous_average(orders.Angular(x, 64, np.arange(1_000.0)))
    whole = x[..., : 15 * 64].reshape(2, 3, 15, 64)
    np.testing.assert_allclose(average.value, whole.mean(axis=2), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        average.residual, (whole - whole.mean(axis=2, keepdims=True)).reshape(2, 3, -1), atol=1e-12
    )
    assert average.revolutions == 15


@given(order=st.floats(0.05, 20), revolutions=st.integers(1, 50), phase=st.floats(0, 6))
def test_asynchronous_tones_are_left_with_the_known_share(order: float, revolutions: int, phase: float) -> None:
    angle = np.arange(128 * revolutions) / 128
    complex_tone = np.exp(2j * np.pi * order * angle + 1j * phase)
    parts = [
        orders.synchronous_average(orders.Angular(part, 128, angle)) for part in (complex_tone.real, complex_tone.imag)
    ]
    left = np.abs(parts[0].value + 1j * parts[1].value)
    np.testing.assert_allclose(left, parts[0].suppression(order), atol=1e-6)


def test_what_turns_with_the_shaft_stays_and_the_rest_goes() -> None:
    speed, angle = run_up()
    own = np.sin(2 * np.pi * 3 * angle) + 0.5 * np.cos(2 * np.pi * 7 * angle)
    other = 2 * np.sin(2 * np.pi * 4.37 * angle) + np.random.default_rng(6).normal(size=len(angle))
    angular = orders.resample(own + other, RATE_HZ, speed_hz=speed, samples_per_rev=512)
    average = orders.synchronous_average(angular)
    wanted = np.sin(2 * np.pi * 3 * average.angle_rev) + 0.5 * np.cos(2 * np.pi * 7 * average.angle_rev)
    assert average.revolutions >= 199
    assert np.std(average.value - wanted) < 0.1
    np.testing.assert_allclose(average.suppression([3.0, 7.0]), 1.0)


# Cepstra


@pytest.mark.parametrize("n", [1, 2, 7, 64, 999])
def test_cepstrum_is_numpys(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(3, n)) + 1
    wanted = np.fft.irfft(np.log(np.abs(np.fft.rfft(x))), n)
    got = spectrum.cepstrum(x, 10.0, window="boxcar", detrend="none")
    np.testing.assert_allclose(got.value, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.quefrency_s, np.arange(n) / 10)


def test_scale_moves_only_the_first_value_of_a_cepstrum() -> None:
    x = np.random.default_rng(7).normal(size=500)
    one, ten = spectrum.cepstrum(x, 1.0).value, spectrum.cepstrum(10 * x, 1.0).value
    np.testing.assert_allclose(ten[1:], one[1:], atol=1e-9)
    assert ten[0] - one[0] == pytest.approx(np.log(10))


@settings(max_examples=15)
@given(spacing_hz=st.floats(20, 60), mesh=st.sampled_from([19, 31]), seed=st.integers(0, 3))
def test_cepstrum_finds_the_spacing_of_sidebands(spacing_hz: float, mesh: int, seed: int) -> None:
    t = np.arange(20_000) / 10_000
    # A damaged tooth: the mesh is loud once a revolution.
    pulse = np.exp(60 * (np.cos(2 * np.pi * spacing_hz * t) - 1))
    x = pulse * np.sin(2 * np.pi * spacing_hz * mesh * t) + 0.01 * np.random.default_rng(seed).normal(size=t.size)
    of = spectrum.cepstrum(x, 10_000)
    within_an_octave = spectrum.quefrency_peaks(of, least_s=0.7 / spacing_hz, most_s=1.4 / spacing_hz, count=1)
    assert within_an_octave.spacing_hz[0] == pytest.approx(spacing_hz, rel=0.01)
    # Whole multiples of that quefrency are the family's as well.
    found = spectrum.quefrency_peaks(of, least_s=1 / 80, most_s=1 / 15, count=3)
    multiple = found.quefrency_s[0] * spacing_hz
    assert multiple == pytest.approx(round(multiple), rel=0.01)
    assert np.all(np.diff(found.value) <= 0)


# Gears


def test_frequencies_of_a_pair() -> None:
    found = gear.GearPair(20, 45).frequencies(1_500)
    assert (found.pinion_hz, found.mesh_hz) == (25.0, 500.0)
    assert found.wheel_hz == pytest.approx(500 / 45)
    assert found.assembly_phase_hz == 100.0
    assert found.hunting_tooth_hz == pytest.approx(500 / np.lcm(20, 45))


@pytest.mark.parametrize("depth", [0.1, 0.5])
def test_sidebands_tell_which_shaft_modulates(depth: float) -> None:
    pair, t = gear.GearPair(23, 67), np.arange(50_000) / RATE_HZ
    shaft = pair.frequencies(1_500)
    x = (1 + depth * np.cos(2 * np.pi * shaft.pinion_hz * t)) * np.sin(2 * np.pi * shaft.mesh_hz * t)
    for lines, rpm in (
        (spectrum.amplitude(x, RATE_HZ), 1_500.0),
        (orders.spectrum(orders.resample(x, RATE_HZ, speed_hz=25.0)), None),
    ):
        pinion, wheel = gear.mesh_families(lines, pair, rpm and 1.001 * rpm, harmonics=1, sidebands=3)
        assert (pinion.shaft, wheel.shaft) == ("pinion", "wheel")
        assert pinion.amplitude[3] == pytest.approx(1.0, rel=0.01)
        np.testing.assert_allclose(pinion.amplitude[[2, 4]], depth / 2, rtol=0.02)
        assert pinion.sideband_ratio == pytest.approx(depth, rel=0.02)
        assert wheel.sideband_ratio < 0.05 * depth
    beyond = gear.mesh_families(spectrum.amplitude(x, RATE_HZ), pair, 1_500, harmonics=5, sidebands=0)[-1]
    assert np.isnan(beyond.amplitude).all()
    assert np.isnan(beyond.sideband_ratio)


# Figures


def test_results_draw_themselves_over_their_own_axis() -> None:
    pytest.importorskip("plotly")
    speed, angle = run_up(2.0)
    angular = orders.resample(np.sin(2 * np.pi * 3 * angle), RATE_HZ, speed_hz=speed, samples_per_rev=64)
    drawn: dict[str, Any] = {
        "order [1/rev]": orders.spectrum(angular),
        "angle [rev]": orders.synchronous_average(angular),
        "quefrency [s]": spectrum.cepstrum(angular.value, 64.0),
    }
    for axis, result in drawn.items():
        figure = result.plot(title="of a shaft")
        assert figure.layout.xaxis.title.text == axis
        assert figure.layout.title.text == "of a shaft"
        assert len(figure.data[0].y) > 10


# Refusals

X = np.zeros(100)
SPECTRUM = orders.OrderSpectrum(np.arange(9.0), np.ones(9), "hann")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: orders.resample(X, 10), "give one of the two"),
        (lambda: orders.resample(X, 10, speed_hz=1, pulses_s=[0, 1]), "give one of the two"),
        (lambda: orders.resample(X, 10, speed_hz=[1, 2]), "one for each"),
        (lambda: orders.resample(X, 10, speed_hz=np.linspace(1, -1, 100)), "positive"),
        (lambda: orders.resample(X, 10, speed_hz=np.full(100, np.nan)), "positive"),
        (lambda: orders.resample(X, -10, speed_hz=1, samples_per_rev=4), "rate_hz"),
        (lambda: orders.resample(X, 10, pulses_s=[1.0]), "2 or more"),
        (lambda: orders.resample(X, 10, pulses_s=[1.0, 20.0]), "within the record"),
        (lambda: orders.resample(X, 10, pulses_s=[2.0, 1.0]), "ascending"),
        (lambda: orders.resample(X, 10, pulses_s=[1.0, 4.0, 4.01, 4.02, 8.0]), "missing or double"),
        (lambda: orders.resample(X, 10, speed_hz=1, interpolation="linear"), "cubic or band_limited"),  # type: ignore[arg-type]
        (lambda: orders.resample(X, 10, speed_hz=1, samples_per_rev=0), "samples_per_rev"),
        (lambda: orders.resample(X, 10, speed_hz=1, samples_per_rev=-1), "samples_per_rev = -1"),
        (lambda: orders.resample(X, 10, pulses_s=[1.0, 2.0], pulses_per_rev=-1), "pulses_per_rev = -1"),
        (lambda: orders.resample(X, 10, pulses_s=[[1.0, 2.0]]), "one-dimensional"),
        (lambda: orders.resample(X[:1], 10, speed_hz=1), "samples"),
        (lambda: orders.resample(X + np.inf, 10, speed_hz=1), "finite"),
        (lambda: orders.synchronous_average(orders.Angular(X, 101, X)), "one revolution"),
        (lambda: orders.pulses(X, 10, 0.5, -1), "hysteresis"),
        (lambda: orders.pulses(X.reshape(2, -1), 10, 0.5), "one-dimensional"),
        (lambda: spectrum.cepstrum(X, 10), "samples that vary"),
        (lambda: spectrum.cepstrum(X, 0), "rate_hz"),
        (lambda: spectrum.quefrency_peaks(spectrum.cepstrum(X + np.eye(1, 100)[0], 10), least_s=2, most_s=1), "ascend"),
        (lambda: gear.GearPair(0, 10).frequencies(100), "pinion_teeth"),
        (lambda: gear.GearPair(10, 10).frequencies(0), "pinion_hz"),
        (lambda: gear.mesh_families(SPECTRUM, gear.GearPair(2, 3), harmonics=0), "harmonics"),
        (lambda: gear.mesh_families(SPECTRUM, gear.GearPair(2, 3), sidebands=-1), "sidebands = -1"),
        (lambda: gear.mesh_families(SPECTRUM, gear.GearPair(2, 3), tolerance=1), "tolerance"),
        (lambda: gear.mesh_families(spectrum.amplitude(X, 10), gear.GearPair(2, 3)), "pinion_rpm"),
        (lambda: gear.mesh_families(spectrum.welch(X, 10), gear.GearPair(2, 3), 60), "amplitude"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()
