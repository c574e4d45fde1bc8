"""The large demo: a skewed million, quick to make and the same every time."""

import time
from itertools import islice

import phonenumbers

from app.demo.large import NOW, large_leads, large_plan


def test_the_plan_spreads_a_million_leads_over_200_tenants_with_one_giant():
    plan = large_plan()
    assert [tenant.index for tenant in plan] == list(range(200))
    assert plan[0].leads == 200_000
    assert sum(tenant.leads for tenant in plan) == 1_000_000
    sizes = [tenant.leads for tenant in plan]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] > 50 * sizes[-1]
    assert sizes[-1] > 1_000
    assert len({tenant.slug for tenant in plan}) == 200


def test_the_same_arguments_give_the_same_rows_and_a_longer_run_begins_alike():
    rows = list(large_leads(3, 5, 500))
    assert rows == list(large_leads(3, 5, 500))
    assert rows == list(islice(large_leads(3, 5, 5_000), 500))
    assert rows != list(large_leads(3, 6, 500))


def test_about_three_in_ten_are_chinese_and_mails_are_unique():
    rows = list(large_leads(1, 0, 20_000))
    chinese = [row for row in rows if row["country"] == "CN"]
    assert 0.27 < len(chinese) / len(rows) < 0.33
    assert all("\u4e00" <= row["name"][0] <= "\u9fff" for row in chinese)
    assert len({row["email"] for row in rows}) == 20_000
    assert {row["status"] for row in rows} == {"new", "working", "nurturing", "qualified", "disqualified"}
    assert all(0 <= row["score"] <= 100 for row in rows)
    assert all(row["created_at"] < NOW for row in rows)
    assert all((row["status"] == "disqualified") == (row["disqualified_reason"] is not None) for row in rows)
    for phone in {row["phone"] for row in rows[:2_000]}:
        assert phonenumbers.is_possible_number(phonenumbers.parse(phone)), phone


def test_rows_come_at_a_hundred_thousand_a_second():
    next(large_leads(1, 0, 1))
    rounds = []
    for _ in range(5):  # a machine that does something else for a moment slows one of them
        started = time.process_time()
        assert sum(1 for _ in large_leads(1, 0, 20_000)) == 20_000
        rounds.append(time.process_time() - started)
    assert min(rounds) < 0.2
