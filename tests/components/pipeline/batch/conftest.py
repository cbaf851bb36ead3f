"""Batches against a loopback provider, with a clock that a test sets."""

from dataclasses import replace

import pytest

from components.llms import OpenAILLM
from components.llms.batch import either
from components.llms.learned import forget
from components.pipeline.batch.machine import Machine
from components.pipeline.batch.matching import Want
from components.pipeline.batch.offline import Batches
from components.pipeline.batch.states import Unsure
from components.pipeline.batch.store import BatchStore
from components.pipeline.ledger import Ledger
from components.pipeline.ledger.ledger import shared_ledger
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

KEY = "sk-canary-4f1e9d7c2b"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        import time

        self.now = time.time()

    def __call__(self):
        return self.now

    def pass_seconds(self, seconds):
        self.now += seconds


class Bench:
    """A ledger, a provider and a model; hands rows in and moves their jobs on."""

    def __init__(self, ledger, server, clock, model=OpenAILLM, settings=()):
        self.ledger, self.server, self.clock = ledger, server, clock
        self.model, self.settings = model, dict(settings)
        self.store = BatchStore(ledger)
        self.max_requests = None
        self.unsure = Unsure.ASK
        self.machine_class = Machine

    def llm(self, key=KEY, **settings):
        settings = {"model": "gpt-4o-mini", "base_url": self.server.base_url, "timeout": 1.0} | self.settings | settings
        return self.model(api_key=key, use_offline_batch_generation=True, **settings)

    def batches(self, key=KEY, llm=None, **settings):
        def make(store, opener, **options):
            return self.machine_class(store, opener, unsure=self.unsure, **options)

        made = Batches(self.ledger, llm or self.llm(key, **settings), make_machine=make, clock=self.clock)
        if self.max_requests:
            made.provider.caps = replace(made.provider.caps, max_requests=self.max_requests)
        return made

    def wants(self, rows):
        return [
            Want(f"{at:08d}", f"key-{name}", lambda name=name: [{"role": "user", "content": name}], at)
            for at, name in enumerate(rows)
        ]

    def hand_in(self, rows, batches=None, count=1, **options):
        batches = batches or self.batches()
        return batches, batches.hand_in(self.wants(rows), count, {}, **options)

    def until_over(self, batches, handed, rounds=30, seconds=400.0):
        for _ in range(rounds):
            batches.advance(handed.sets)
            if all(job.state in ("closed", "lost", "rejected") for job in batches.jobs(handed.sets)):
                return
            self.clock.pass_seconds(seconds)
        states = [(job.state, job.message) for job in batches.jobs(handed.sets)]
        raise AssertionError(f"still at it: {states}")

    def run(self, rows, **options):
        """Everything there is to know of these rows once all jobs are over, by row."""
        batches, handed = self.hand_in(rows, **options)
        self.until_over(batches, handed)
        return self.found(batches, handed, rows, options.get("count", 1))

    def found(self, batches, handed, rows, count=1):
        names = {f"{at:08d}": name for at, name in enumerate(rows)}
        return {names[row]: one for chunk in batches.answers(handed, count) for row, one in chunk}

    def jobs(self):
        return self.store.jobs()


def text(found):
    return found.output["generations"][0] if found.output else None


def rows(count):
    return [f"row-{number}" for number in range(count)]


@pytest.fixture(autouse=True)
def clean_slate(monkeypatch, tmp_path):
    monkeypatch.setenv("STILLROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STILLROOM_DATABASE", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    forget()
    either.forget()
    yield
    from components.pipeline.ledger.ledger import _opened

    for ledger in list(_opened.values()):
        ledger.close()


@pytest.fixture
def ledger():
    return shared_ledger()


@pytest.fixture
def server():
    with OpenAIBatchServer() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bench(ledger: Ledger, server, clock):
    return Bench(ledger, server, clock)
