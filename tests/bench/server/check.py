"""Is the benchmark server out of the way? `python -m tests.bench.server.check` prints what it can do by itself.

Two questions: how many requests a second it answers with no latency, sharing the machine with the bare client; and what
it costs at the load of the benchmark, 256 in flight at 200 ms. As long as it is busy for a small part of one core, and
its ceiling is far above the requests a second of the client under test, it is not the bottleneck.
"""

from dataclasses import dataclass

from tests.bench.server.client import Figures, run_apart
from tests.bench.server.fast_server import FastServer


@dataclass(frozen=True)
class Measurement:
    """One load, seen from both ends."""

    latency_ms: float
    client: Figures
    server_cpu: float  # seconds

    @property
    def server_cpu_ms(self) -> float:
        """CPU milliseconds of the server per request."""
        return 1000 * self.server_cpu / self.client.requests

    @property
    def ceiling(self) -> float:
        """Requests a second that the server could answer with a core to itself."""
        return self.client.requests / self.server_cpu

    @property
    def busy(self) -> float:
        """Share of one core that the server used."""
        return self.server_cpu / self.client.wall

    @property
    def ideal(self) -> float:
        """Seconds that the latency alone takes."""
        return self.latency_ms / 1000 * self.client.requests / self.client.concurrency


def measure(n: int, concurrency: int, latency_ms: float) -> Measurement:
    with FastServer(latency_ms) as server:
        before = server.stats()
        figures = run_apart(server.base_url, n, concurrency)
        after = server.stats()
    return Measurement(latency_ms, figures, after.cpu - before.cpu)


def table(measurements: list[Measurement]) -> str:
    """Markdown."""
    lines = [
        "| requests | connections | latency ms | wall s | ideal s | requests/s | server CPU ms | server busy "
        "| its ceiling/s | bare client CPU ms | client peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for m in measurements:
        c = m.client
        lines.append(
            f"| {c.requests:,} | {c.concurrency} | {m.latency_ms:g} | {c.wall:.2f} | {m.ideal:.2f} "
            f"| {c.per_second:,.0f} | {m.server_cpu_ms:.3f} | {m.busy:.0%} | {m.ceiling:,.0f} "
            f"| {c.cpu_ms:.3f} | {c.peak_rss:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    print(table([measure(10_000, 1, 0), measure(20_000, 64, 0), measure(20_000, 256, 0), measure(10_000, 256, 200)]))


if __name__ == "__main__":
    main()
