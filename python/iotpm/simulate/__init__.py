"""A plant with physics and labelled faults, and the rule that says which of them were found."""

from .faults import FAULT_KINDS, Fault, FaultKind, FaultSchedule
from .plant import DEFAULT_START_US, Plant, PlantTick, end_message, plant_messages
from .score import Alarm, HitRule, Score, Verdict, judge, random_control, score_run
from .sweep import Sweep, SweepSchedule

__all__ = [
    "DEFAULT_START_US",
    "FAULT_KINDS",
    "Alarm",
    "Fault",
    "FaultKind",
    "FaultSchedule",
    "HitRule",
    "Plant",
    "PlantTick",
    "Score",
    "Sweep",
    "SweepSchedule",
    "Verdict",
    "end_message",
    "judge",
    "plant_messages",
    "random_control",
    "score_run",
]
