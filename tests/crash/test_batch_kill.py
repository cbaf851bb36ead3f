"""SIGKILL at every point of a batch job's life: no row wrong, none lost, none paid for twice."""

import random

import pytest

from tests.crash.batch_killing import CANCEL_POINTS, EXPIRY_POINTS, POINTS, Trial, Workers, random_deaths
from tests.servers.batch.openai_batch_server import OpenAIBatchServer

pytestmark = pytest.mark.timeout(170)
ROWS, SHARD = 1200, 400
SCHEDULES = 200


@pytest.fixture(scope="module")
def workers():
    with Workers() as running:
        yield running


@pytest.fixture
def trial(workers, tmp_path):
    with OpenAIBatchServer(polls_until_done=2) as server:
        yield Trial(workers, server, tmp_path, ROWS, SHARD)


def check(verdict):
    assert verdict.is_clean, verdict
    assert verdict.orphans == 0 and verdict.ingested_twice == []


@pytest.mark.crash
@pytest.mark.parametrize("point", POINTS)
def test_two_kills_at_a_point_do_no_harm(trial, point):
    trial.troubles()
    assert trial.die_at(point)
    trial.die_at(point)
    verdict = trial.finish()
    check(verdict)
    assert verdict.states == {"ok": ROWS - 2, "failed": 1, "missing": 1}
    assert len(trial.server.batches) == 4


@pytest.mark.crash
@pytest.mark.parametrize(("call", "path"), [("on_upload", "/v1/files"), ("on_create", "/v1/batches")])
def test_two_kills_while_a_reply_is_on_its_way_do_no_harm(trial, call, path):
    trial.troubles(**{call: ["land_hang", "land_hang"]})
    trial.die_while("POST", path)
    trial.die_while("POST", path)
    verdict = trial.finish()
    check(verdict)
    assert verdict.states == {"ok": ROWS - 2, "failed": 1, "missing": 1}
    assert len(trial.server.batches) == 4


@pytest.mark.crash
@pytest.mark.parametrize("point", EXPIRY_POINTS)
def test_two_kills_while_an_expired_batch_is_collected_do_no_harm(trial, point):
    trial.server.batch.change(final="expired", done_when_stopped=150)
    assert trial.die_at(point)
    trial.die_at(point)
    verdict = trial.finish()
    check(verdict)
    assert verdict.states == {"ok": 450, "expired": 750}


@pytest.mark.crash
@pytest.mark.parametrize("point", CANCEL_POINTS)
def test_two_kills_while_a_batch_is_canceled_do_no_harm(trial, point):
    trial.cancel = True
    trial.server.batch.change(polls_until_done=10_000, done_when_stopped=150)
    assert trial.die_at(point)
    trial.die_at(point)
    verdict = trial.finish()
    check(verdict)
    assert verdict.states == {"ok": 450, "missing": 750}


@pytest.mark.crash
def test_a_kill_with_each_reply_lost_and_the_list_behind_makes_no_second_batch(trial):
    trial.troubles(on_create=["land_500", None, "land_drop"], list_lag_calls=1)
    for point in ("intent", "created", "adopted", "settled"):
        trial.die_at(point)
    check(trial.finish())


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_random_schedules_do_no_harm(workers, tmp_path):
    chance, kills = random.Random(41), 0
    for number in range(SCHEDULES):
        home = tmp_path / str(number)
        home.mkdir()
        with OpenAIBatchServer(polls_until_done=chance.randint(1, 3), seed=number) as server:
            trial = Trial(workers, server, home, ROWS, SHARD)
            trial.troubles(
                on_create=chance.choices([None, "land_500", "land_drop", "500", "429"], [5, 1, 1, 1, 1], k=8),
                on_upload=chance.choices([None, "500", "land_drop"], [5, 1, 1], k=5),
                on_download=chance.choices([None, "cut", "500"], [5, 1, 1], k=5),
                list_lag_calls=chance.choice([0, 0, 1]),
                poll_retry_after_s=None,
            )
            random_deaths(trial, chance, most=8)
            verdict = trial.finish()
        check(verdict)
        kills += verdict.kills
    print(f"{kills} kills in {SCHEDULES} schedules")
    assert kills >= 2 * SCHEDULES
