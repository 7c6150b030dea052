"""From a history without faults to settings: every option runs through the engine, the loosest within budget is taken.

The tail of the scores (peaks over threshold) adds an option for each template: the factor that its own budget asks for,
also where that is rarer than anything the history can show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..backtest import History, Ran, run
from ..backtest.judge import WEEK_US, Rate, rate
from ..calibration import Calibration
from ..config import Config, Template
from ..errors import InputError
from ..subjects import asset_of_signal
from .asset_rate import DETECTOR, FACTORS, AssetRate, TriedRate, choose_rate, runs_models, with_factor
from .options import UNCHANGED, Option, complete, fragment, ladder, template_of
from .scores import RUN_READINGS, TUNABLE, greatest_scores, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..backtest.pool import Advance
    from ..backtest.run import Raised

RUNS_OF_A_TEMPLATE: Final = 5_000_000
TAIL_SHARE: Final = 0.05
ALARMS_MIN: Final = 3.0
"""A history in which the budget allows fewer alarms cannot show that it is kept."""
FACTOR_RANGE: Final = (0.5, 50.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """An option and what it would have raised on a template's signals, after the warm-up."""

    option: Option
    rate: Rate
    by_detector: dict[str, int]

    @property
    def alarms(self) -> int:
        """All of them."""
        return sum(self.by_detector.values())


@dataclass(slots=True)
class Proposal:
    """What is proposed for one template."""

    template: Template
    """As it is."""
    signals: int
    readings: int
    budget: float
    """Alarms per asset and week: its share by its number of signals."""
    tried: list[Tried]
    """All options, the settings as they are first."""
    chosen: Tried
    warnings: list[str] = field(default_factory=list)

    @property
    def within(self) -> bool:
        """Whether the chosen option keeps the budget on this history."""
        return self.chosen.rate.per_asset_week is not None and self.chosen.rate.per_asset_week <= self.budget

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "match": self.template.pattern,
            "signals": self.signals,
            "readings": self.readings,
            "budget_per_asset_week": self.budget,
            "within_budget": self.within,
            "chosen": _plain(self.chosen),
            "tried": [_plain(tried) for tried in self.tried],
            "warnings": self.warnings,
        }


def _plain(tried: Tried) -> dict[str, Any]:
    return {
        "option": tried.option.name,
        "factor": tried.option.factor,
        "persistent": tried.option.persistent,
        "alarms": tried.alarms,
        "per_asset_week": tried.rate.per_asset_week,
        "per_asset_week_high": tried.rate.high,
        "by_detector": tried.by_detector,
    }


@dataclass(slots=True)
class Proposals:
    """What is proposed, and for what reason."""

    proposals: list[Proposal]
    assets: int
    asset_weeks: float
    """After the warm-up."""
    readings: int
    budget: float
    before: Rate
    after: Rate
    warnings: list[str]
    asset_rate: AssetRate | None
    """What is proposed for the models of assets; None where no template runs them."""
    toml: str
    """A configuration with nothing but all templates."""


def propose(
    history: History,
    config: Config,
    alarms_per_asset_week: float,
    *,
    warm_up_us: int = 86_400_000_000,
    workers: int = 1,
    advance: Advance = lambda _readings: None,
) -> Proposals:
    """Settings for at most so many alarms per asset and week, from a history in which nothing was wrong.

    Args:
        history: healthy readings.
        config: whose templates are tuned; the built-in template stands behind them.
        alarms_per_asset_week: the budget of all alarms of an asset.
        warm_up_us: time at each asset's beginning whose alarms do not count.
        workers: processes; never changes a result.
        advance: called with the readings that were run since the last call; the history is run three times, twice where
            no template runs models of assets.

    Raises:
        InputError: a budget that is not positive, or a history without readings.
    """
    if not alarms_per_asset_week > 0:
        raise InputError(f"{alarms_per_asset_week} alarms per asset-week: must be above 0")
    templates = complete(config)
    base = Config(templates=templates)
    scores = greatest_scores(history, base, workers, advance)
    if not scores:
        raise InputError("no detector became mature on this history: it is too short to tune from")
    rated = _Rated.of(history, templates, alarms_per_asset_week, warm_up_us, workers, advance)
    templates = rated.templates
    places = {name: template_of(name, templates) for name in scores}
    budgets = _budgets(places, alarms_per_asset_week)
    calibrated = _calibrated(scores, places, budgets)
    options = [UNCHANGED, *(option for option in ladder() if option != UNCHANGED)]
    runs = [_applied(templates, dict.fromkeys(budgets, option)) for option in options]
    runs += [_applied(templates, calibrated)] if calibrated else []
    ran = run(history, [Config(templates=each) for each in runs], workers, advance)
    counting = _Counting.of(ran, warm_up_us)
    return _Decision(ran, counting, templates, options, calibrated, places, budgets, scores, rated).proposals()


def _budgets(places: dict[str, int | None], alarms: float) -> dict[int, float]:
    """Each template's share by its signals, of those that have any."""
    counts = Counter(place for place in places.values() if place is not None)
    return {place: alarms * count / counts.total() for place, count in sorted(counts.items())}


def _calibrated(
    scores: dict[str, NDArray[Any]], places: dict[str, int | None], budgets: dict[int, float]
) -> dict[int, Option]:
    """The factor that the tail of a template's scores asks for; none where there are too few peaks."""
    found = {}
    for place, budget in budgets.items():
        own = [runs for name, runs in scores.items() if places[name] == place]
        healthy = joined(own, RUNS_OF_A_TEMPLATE)
        assets = len({asset_of_signal(name) for name in scores if places[name] == place})
        try:
            tail = Calibration.fit(healthy, tail_share=TAIL_SHARE, run_gap=1)
        except InputError:
            continue
        value = tail.threshold(budget, sum(map(len, own)) / max(1, assets)).value
        factor = round(min(max(value, FACTOR_RANGE[0]), FACTOR_RANGE[1]), 2)
        found[place] = Option(factor, calibrated=True)
    return found


def _applied(templates: Sequence[Template], options: dict[int, Option]) -> tuple[Template, ...]:
    return tuple(options.get(at, UNCHANGED).applied(template) for at, template in enumerate(templates))


@dataclass(frozen=True, slots=True)
class _Counting:
    """When alarms count: after an asset's warm-up, if its history is at least twice as long."""

    since_us: dict[str, int]
    weeks: dict[str, float]
    short: int
    """Assets whose whole history counts, for it is shorter than that."""

    @classmethod
    def of(cls, ran: Ran, warm_up_us: int) -> _Counting:
        lengths = {asset: seen.last_us - seen.first_us for asset, seen in ran.assets.items()}
        warm = {asset: warm_up_us if length >= 2 * warm_up_us else 0 for asset, length in lengths.items()}
        since = {asset: seen.first_us + warm[asset] for asset, seen in ran.assets.items()}
        weeks = {asset: (length - warm[asset]) / WEEK_US for asset, length in lengths.items()}
        return cls(since, weeks, sum(1 for length in lengths.values() if length < 2 * warm_up_us))

    def counts(self, one: Raised) -> bool:
        return one.raised_us >= self.since_us.get(one.asset, 0)

    def rate(self, alarms: Sequence[Raised]) -> Rate:
        counts = Counter(one.asset for one in alarms)
        return rate([counts[asset] for asset in self.weeks], list(self.weeks.values()))


@dataclass(frozen=True, slots=True)
class _Rated:
    """Templates with the rate of models that keeps the budget, which the boundaries are then tried with."""

    templates: tuple[Template, ...]
    found: AssetRate | None = None
    before: Rate | None = None
    """Of all alarms, with the rate as it is."""

    @classmethod
    def of(
        cls,
        history: History,
        templates: tuple[Template, ...],
        budget: float,
        warm_up_us: int,
        workers: int,
        advance: Advance,
    ) -> _Rated:
        if not any(map(runs_models, templates)):
            return cls(templates)
        ran = run(history, [Config(templates=with_factor(templates, one)) for one in FACTORS], workers, advance)
        counting = _Counting.of(ran, warm_up_us)
        counted = [[one for one in raised if counting.counts(one)] for raised in ran.raised]
        tried = [_tried_rate(factor, raised, counting) for factor, raised in zip(FACTORS, counted, strict=True)]
        found = choose_rate(templates, tried, budget)
        return cls(with_factor(templates, found.chosen.factor), found, counting.rate(counted[0]))


def _tried_rate(factor: float, raised: Sequence[Raised], counting: _Counting) -> TriedRate:
    own = [one for one in raised if one.detector == DETECTOR]
    return TriedRate(factor, len(own), counting.rate(own))


@dataclass(slots=True)
class _Decision:
    """Everything that was tried, and what follows from it."""

    ran: Ran
    counting: _Counting
    templates: Sequence[Template]
    options: Sequence[Option]
    """One run each; the last run, if there is one more, has every template's calibrated option."""
    calibrated: dict[int, Option]
    places: dict[str, int | None]
    """Template of each signal."""
    budgets: dict[int, float]
    scores: dict[str, NDArray[Any]]
    rated: _Rated

    def proposals(self) -> Proposals:
        counted = [[one for one in raised if self.counting.counts(one)] for raised in self.ran.raised]
        found = {place: self._proposal(place, counted) for place in self.budgets}
        kept = _applied(self.templates, {place: one.chosen.option for place, one in found.items()})
        return Proposals(
            list(found.values()),
            len(self.ran.assets),
            self._weeks,
            self.ran.readings,
            sum(self.budgets.values()),
            self.rated.before or self.counting.rate(counted[0]),
            self.counting.rate(self._after(found, counted)),
            _general(self.counting, len(self.ran.assets)),
            self.rated.found,
            _head(self.rated.found) + fragment(kept, {place: _comments(one) for place, one in found.items()}),
        )

    @property
    def _weeks(self) -> float:
        return sum(self.counting.weeks.values())

    def _proposal(self, place: int, counted: Sequence[Sequence[Raised]]) -> Proposal:
        own = [*self.options, *([self.calibrated[place]] if place in self.calibrated else [])]
        tried = [
            _tried(option, self._of(place, raised), self.counting) for option, raised in zip(own, counted, strict=False)
        ]
        names = [name for name in self.scores if self.places[name] == place]
        readings = sum(len(self.scores[name]) for name in names) * RUN_READINGS
        budget = self.budgets[place]
        proposal = Proposal(self.templates[place], len(names), readings, budget, tried, _choose(tried, budget))
        proposal.warnings = _warnings(proposal, self._weeks)
        return proposal

    def _of(self, place: int, raised: Sequence[Raised]) -> list[Raised]:
        return [one for one in raised if template_of(one.name, self.templates) == place]

    def _after(self, found: dict[int, Proposal], counted: Sequence[Sequence[Raised]]) -> list[Raised]:
        """What all proposals together would have raised; what belongs to no template as it is now."""
        run_of: dict[int | None, int] = {place: one.tried.index(one.chosen) for place, one in found.items()}
        return [
            one
            for at, raised in enumerate(counted)
            for one in raised
            if run_of.get(template_of(one.name, self.templates), 0) == at
        ]


def _tried(option: Option, alarms: Sequence[Raised], counting: _Counting) -> Tried:
    return Tried(option, counting.rate(alarms), dict(Counter(one.detector for one in alarms).most_common()))


def _choose(tried: Sequence[Tried], budget: float) -> Tried:
    """The one with the most alarms that keeps the budget, the least change among equals; else the one with fewest."""

    def least_change(one: Tried) -> tuple[bool, float]:
        return one.option.persistent, abs(one.option.factor - 1.0)

    within = [one for one in tried if one.rate.per_asset_week is not None and one.rate.per_asset_week <= budget]
    if within:
        return min(within, key=lambda one: (-one.alarms, *least_change(one)))
    return min(tried, key=lambda one: (one.alarms, *least_change(one)))


def _warnings(proposal: Proposal, weeks: float) -> list[str]:
    found = []
    if proposal.budget * weeks < ALARMS_MIN:
        needed = ALARMS_MIN / proposal.budget
        found.append(
            f"the budget allows {proposal.budget * weeks:.2g} alarms in this history: too short to show that it is "
            f"kept ({needed:.3g} asset-weeks would do)"
        )
    others = {name: n for name, n in proposal.chosen.by_detector.items() if name.split(".")[0] not in TUNABLE}
    if not proposal.within:
        left = ", ".join(f"{n} by {name}" for name, n in others.items()) or "none"
        found.append(f"no option keeps the budget; alarms that no boundary here changes: {left}")
    return found


def _general(counting: _Counting, assets: int) -> list[str]:
    if not counting.short:
        return []
    return [f"{counting.short} of {assets} assets have less than twice the warm-up: their learning counts as well"]


def _head(found: AssetRate | None) -> str:
    if found is None:
        return ""
    chosen = found.chosen
    told = f"{chosen.alarms} alarms of models; {found.reason}"
    return f"# asset_false_alarm_rate {found.proposed:g} (now {found.now:g}): {told}\n"


def _comments(proposal: Proposal) -> list[str]:
    chosen, weeks = proposal.chosen, proposal.chosen.rate
    told = "-" if weeks.per_asset_week is None else f"{weeks.per_asset_week:.3g} (at most {weeks.high:.3g})"
    return [
        f"{chosen.option.name}: {chosen.alarms} alarms on {proposal.signals} signals, {told} per asset-week, "
        f"budget {proposal.budget:.3g}",
        *(f"warning: {warning}" for warning in proposal.warnings),
    ]
