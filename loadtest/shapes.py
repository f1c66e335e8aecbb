"""Shapes of load. Open load: requests are sent at their time, whether or not earlier ones have been answered."""

import enum
from dataclasses import dataclass

from loadtest.errors import LoadTestError

#: Each user of an open load sends one image in this many seconds, so that load stays open up to this latency.
USER_PERIOD_S = 5.0


class Shape(enum.Enum):
    """How load changes over time."""

    STEADY = "steady"  # a constant rate
    BURST = "burst"  # several images at once, again and again
    RAMP = "ramp"  # a rate that grows step by step until beyond saturation
    OVERLOAD = "overload"  # a constant rate of three times saturation, then normal load again
    SOAK = "soak"  # the steady rate for a long time


@dataclass(frozen=True, slots=True)
class Plan:
    """One shape with its numbers.

    Attributes:
        shape: how load changes.
        seconds: how long it lasts.
        rate_per_s: images per second: of STEADY, SOAK and OVERLOAD throughout, of RAMP at its end.
        burst_images: images of one burst.
        burst_pause_s: seconds between the answer to a burst's last image and the next burst.
    """

    shape: Shape
    seconds: float
    rate_per_s: float = 10.0
    burst_images: int = 10
    burst_pause_s: float = 1.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.rate_per_s > 0 and self.burst_images > 0 and self.burst_pause_s >= 0):
            raise LoadTestError(f"{self.shape.value}: seconds, rate and images must be positive")

    def users_at(self, elapsed_s: float) -> int | None:
        """How many users run ``elapsed_s`` seconds into the run; None when it is over."""
        if elapsed_s >= self.seconds:
            return None
        if self.shape is Shape.BURST:
            return 1
        rate = self.rate_per_s
        if self.shape is Shape.RAMP:
            steps = 10
            rate *= (int(elapsed_s / self.seconds * steps) + 1) / steps
        return max(1, round(rate * USER_PERIOD_S))
