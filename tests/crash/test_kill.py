"""SIGKILL at any moment: nothing lost, nothing twice, at most the calls in flight paid again."""

import pytest

from tests.crash.killing import kill_often, most_again


def check(report, kills):
    assert (report.lost, report.wrong, report.duplicated, report.integrity) == (0, 0, 0, "ok")
    assert report.kills == kills
    assert report.kills_at_work >= 0.7 * kills
    assert max(report.paid_again) <= most_again()


@pytest.mark.crash
@pytest.mark.timeout(400)
def test_ten_kills_lose_nothing_and_pay_for_at_most_the_calls_in_flight(tmp_path):
    check(kill_often(tmp_path, rows=400, kills=10, seed=11), 10)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_a_hundred_kills_in_five_thousand_rows_of_three_steps(tmp_path):
    report = kill_often(tmp_path, rows=5000, kills=100, seed=7)
    print(report)
    check(report, 100)
    assert report.slowest_resume <= 5.0
