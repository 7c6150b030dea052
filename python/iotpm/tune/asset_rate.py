"""The false-alarm rate of the models of assets: one factor for all templates, for an asset has signals of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ..backtest.judge import Rate
from ..config import Template

DETECTOR: Final = "asset_model"
FACTORS: Final = (1.0, 10.0, 3.0, 0.3, 0.1)
"""Of `asset_false_alarm_rate`, as it is first. A hundredth is left out: limits extrapolated so far see no fault."""
RATE_RANGE: Final = (1e-6, 0.1)


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A factor of every template's rate, and what the models of assets would have raised with it after the warm-up."""

    factor: float
    alarms: int
    rate: Rate

    def keeps(self, budget: float) -> bool:
        """Whether the models alone stay within alarms per asset and week."""
        return self.rate.per_asset_week is not None and self.rate.per_asset_week <= budget


@dataclass(frozen=True, slots=True)
class AssetRate:
    """What is proposed for `asset_false_alarm_rate`, and why."""

    now: float
    """The rate of the first template that runs models of assets."""
    tried: list[TriedRate]
    chosen: TriedRate
    reason: str

    @property
    def proposed(self) -> float:
        """That template's rate as proposed."""
        return scaled(self.now, self.chosen.factor)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "now": self.now,
            "proposed": self.proposed,
            "reason": self.reason,
            "tried": [
                {
                    "rate": scaled(self.now, one.factor),
                    "alarms": one.alarms,
                    "per_asset_week": one.rate.per_asset_week,
                    "per_asset_week_high": one.rate.high,
                }
                for one in self.tried
            ],
        }


def runs_models(template: Template) -> bool:
    """Whether its signals are learned together with others of their asset."""
    return template.detectors is None or not {"default", DETECTOR}.isdisjoint(template.detectors)


def scaled(rate: float, factor: float) -> float:
    """A rate times a factor, within what a template may say, in three digits."""
    low, high = RATE_RANGE
    return float(f"{min(max(rate * factor, low), high):.3g}")


def with_factor(templates: Sequence[Template], factor: float) -> tuple[Template, ...]:
    """Templates whose models' rate is times `factor`; those without models as they are."""
    return tuple(
        msgspec.structs.replace(one, asset_false_alarm_rate=scaled(one.asset_false_alarm_rate, factor))
        if runs_models(one) and factor != 1.0
        else one
        for one in templates
    )


def choose_rate(templates: Sequence[Template], tried: Sequence[TriedRate], budget: float) -> AssetRate:
    """The rate that raises most within the budget, the least change among equals; else the one that raises least."""
    now = next(one.asset_false_alarm_rate for one in templates if runs_models(one))
    within = [one for one in tried if one.keeps(budget)]
    if not any(one.alarms for one in tried):
        reason = (
            "models of assets raise nothing at any rate tried: either none was learned in this history, or it is calm"
        )
        return AssetRate(now, list(tried), tried[0], reason)
    if within:
        chosen = min(within, key=lambda one: (-one.alarms, *_change(one)))
        blind = "; fewer faults are found too" if chosen.factor < 1.0 else ""
        return AssetRate(now, list(tried), chosen, f"the most alarms of models within the budget{blind}")
    chosen = min(tried, key=lambda one: (one.alarms, *_change(one)))
    reason = "no rate tried keeps the budget: what models raise there is far outside, a fault or operation not learned"
    return AssetRate(now, list(tried), chosen, reason)


def _change(one: TriedRate) -> tuple[float, float]:
    """How far from 1.0 a factor is, either way; the stricter one first."""
    return max(one.factor, 1.0 / one.factor), one.factor
