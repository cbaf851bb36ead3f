"""The spending cap, where calls and batch jobs share it."""

import asyncio

import pytest

from components.errors import CapReached
from components.llms.budget import Budget


def test_what_batch_jobs_may_cost_stays_set_aside_when_all_calls_are_home():
    budget = Budget(cap=10.0)
    budget.promised = 6.0
    budget.reserve(1.0)
    budget.settle(1.0, 0.5)
    with pytest.raises(CapReached):
        budget.check(4.0)
    budget.check(3.5)


def test_a_call_does_not_wait_forever_for_what_batch_jobs_may_cost():
    async def scenario():
        budget = Budget(cap=10.0)
        budget.promised = 8.0
        for _ in range(3):
            budget.book(0.5)
        with pytest.raises(CapReached):
            await asyncio.wait_for(budget.set_aside(2.0), 5)

    asyncio.run(scenario())


def test_a_call_that_waits_for_another_gets_its_turn_when_a_batch_cost_less():
    async def scenario():
        budget = Budget(cap=10.0)
        budget.promised = 8.0
        await budget.set_aside(1.0)
        waiting = asyncio.create_task(budget.set_aside(2.0))
        await asyncio.sleep(0)
        budget.promised = 0.0
        budget.book(1.0)
        await asyncio.wait_for(waiting, 5)
        return budget.reserved

    assert asyncio.run(scenario()) == 3.0
