"""A token bucket, the way providers count requests per second."""

import time


class TokenBucket:
    """Holds up to `burst` requests and gains `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._filled_at = time.monotonic()

    def take(self) -> float:
        """0.0 when the request may pass, else the seconds until one could."""
        now = time.monotonic()
        self._level = min(self.burst, self._level + (now - self._filled_at) * self.rate)
        self._filled_at = now
        if self._level >= 1:
            self._level -= 1
            return 0.0
        return (1 - self._level) / self.rate
