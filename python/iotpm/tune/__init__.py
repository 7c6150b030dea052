"""Settings for an alarm budget, proposed from healthy history: a proposal a template, never a file or a signal."""

from .asset_rate import AssetRate, TriedRate
from .options import Option
from .propose import Proposal, Proposals, propose

__all__ = ["AssetRate", "Option", "Proposal", "Proposals", "TriedRate", "propose"]
