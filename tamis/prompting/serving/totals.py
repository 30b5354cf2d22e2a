"""What a proxy did since it started."""

from dataclasses import asdict, dataclass
from typing import Any

from tamis.prompting.serving.press import Pressed

__all__ = ["Totals"]


@dataclass
class Totals:
    """Counts since the start, and what is at work now.

    Attributes
    ----------
    requests : int
        All that came, those at work included.
    compressed : int
    refused : int
        Answered by the proxy itself: over a limit, without a token, with a wrong setting.
    broken : int
        Whose upstream did not answer, or not to the end.
    left : int
        Whose client went away first.
    in_flight : int
    original_tokens, tokens, model_tokens : int
        Of the compressed prompts: before, after, and through the compressing model.
    seconds : float
        That compressed requests waited for the compressor, in line or at work.
    """

    requests: int = 0
    compressed: int = 0
    refused: int = 0
    broken: int = 0
    left: int = 0
    in_flight: int = 0
    original_tokens: int = 0
    tokens: int = 0
    model_tokens: int = 0
    seconds: float = 0.0

    def add(self, pressed: Pressed, seconds: float) -> None:
        """Count a compressed request."""
        self.compressed += 1
        self.original_tokens += pressed.original_tokens
        self.tokens += pressed.tokens
        self.model_tokens += pressed.model_tokens
        self.seconds += seconds

    def told(self) -> dict[str, Any]:
        """Return all of them by name, and `saved_tokens`."""
        return asdict(self) | {"saved_tokens": self.original_tokens - self.tokens}
