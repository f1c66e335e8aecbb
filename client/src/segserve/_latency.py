"""How long answers take, as far as hedging must know."""

from collections import deque

_WINDOW = 200


class LatencyWindow:
    """The latest 200 answer times, in seconds."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_WINDOW)

    def add(self, seconds: float) -> None:
        """Remember one answer."""
        self._seconds.append(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def percentile(self, percent: float) -> float:
        """The smallest time that ``percent`` of the answers did not exceed (nearest rank)."""
        ordered = sorted(self._seconds)
        rank = max(1, -(-len(ordered) * percent // 100))
        return ordered[int(rank) - 1]
