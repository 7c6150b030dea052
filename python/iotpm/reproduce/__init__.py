"""One alarm again, from its slice of the stream: does the engine decide the same, to the bit?"""

from .find import CannotReproduce, Facts
from .run import Difference, Reproduction, reproduce

__all__ = ["CannotReproduce", "Difference", "Facts", "Reproduction", "reproduce"]
