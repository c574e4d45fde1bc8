"""Properties of the arithmetic of coupons, whatever the basket and the coupons."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from app.modules.membership.schemas.coupons import Reason
from app.modules.membership.services.coupons.stacking import Amount, Offer, combined

LINES = st.lists(
    st.builds(Amount, st.integers(1, 50).map(Decimal), st.integers(0, 100_000)), min_size=1, max_size=5
)


@st.composite
def offers(draw: st.DrawFn) -> list[Offer]:
    count = draw(st.integers(1, 5))
    return [draw(_offer(number)) for number in range(count)]


@st.composite
def _offer(draw: st.DrawFn, number: int) -> Offer:
    benefit = draw(st.sampled_from(["percent", "amount", "fixed_price", "free_product"]))
    some = st.none() | st.integers(1, 50_000)
    return Offer(
        code=f"C{number}",
        coupon_id=UUID(int=draw(st.integers(1, 6))),
        benefit=benefit,
        places=tuple(sorted(draw(st.sets(st.integers(0, 4), min_size=1)))),
        percent=Decimal(draw(st.integers(1, 1000))) / 10 if benefit == "percent" else None,
        amount=draw(st.integers(1, 60_000)) if benefit in ("amount", "fixed_price") else None,
        free_quantity=draw(st.integers(1, 20)),
        maximum=draw(some),
        room=draw(some),
        exclusive=draw(st.booleans()),
        group=draw(st.sampled_from([None, "a", "b"])),
        priority=draw(st.integers(-1, 1)),
    )


@settings(max_examples=200, deadline=None)
@given(offers(), LINES, st.randoms())
def test_never_below_zero_nor_above_budget_nor_by_the_order_of_codes(
    some: list[Offer], lines: list[Amount], chance: Any
) -> None:
    done = combined(some, lines, "USD")
    for place, line in enumerate(lines):
        assert 0 <= sum(one.discounts[place] for one in done.given) <= line.minor
    for one in done.given:
        assert 0 < one.discount <= min(one.offer.room or 10**9, one.offer.maximum or 10**9)
        assert all(not off or place in one.offer.places for place, off in enumerate(one.discounts))
    taken = [one.offer for one in done.given]
    assert len({offer.coupon_id for offer in taken}) == len(taken)
    groups = [offer.group for offer in taken if offer.group is not None]
    assert len(set(groups)) == len(groups)
    assert len(taken) == 1 or not any(offer.exclusive for offer in taken)
    assert {offer.code for offer in taken} | done.refused.keys() == {offer.code for offer in some}
    assert not {offer.code for offer in taken} & done.refused.keys()
    shuffled = list(some)
    chance.shuffle(shuffled)
    assert combined(shuffled, lines, "USD") == done


@settings(max_examples=200, deadline=None)
@given(offers(), LINES)
def test_no_exclusive_coupon_alone_would_have_given_more(some: list[Offer], lines: list[Amount]) -> None:
    got = sum(one.discount for one in combined(some, lines, "USD").given)
    for offer in some:
        if offer.exclusive:
            assert sum(one.discount for one in combined([offer], lines, "USD").given) <= got


def _percent(code: str, percent: str, **more: Any) -> Offer:
    return Offer(
        code=code, coupon_id=UUID(int=hash(code) % 10**9), benefit="percent", places=(0, 1, 2),
        percent=Decimal(percent), **more,
    )  # fmt: skip


THREE = [Amount(Decimal(1), 3333), Amount(Decimal(1), 3333), Amount(Decimal(1), 3334)]


def test_lines_sum_to_the_discount_by_largest_remainder() -> None:
    (one,) = combined([_percent("TEN", "10")], THREE, "USD").given
    assert (one.discount, one.discounts) == (1000, (333, 333, 334))


def test_coupons_come_off_one_after_the_other_the_higher_priority_first() -> None:
    fixed = Offer(
        code="OFF", coupon_id=UUID(int=1), benefit="amount", amount=5000, places=(0, 1, 2), priority=1
    )
    done = combined([_percent("HALF", "50"), fixed], THREE, "USD")
    assert [(one.offer.code, one.discount) for one in done.given] == [("OFF", 5000), ("HALF", 2500)]


def test_an_exclusive_coupon_goes_alone_where_it_gives_more_than_all_others_together() -> None:
    alone = _percent("ALONE", "20", exclusive=True)
    done = combined([_percent("A", "10"), _percent("B", "10"), alone], THREE, "USD")
    assert [one.offer.code for one in done.given] == ["ALONE"]
    assert done.refused == {"A": Reason.NOT_COMBINABLE, "B": Reason.NOT_COMBINABLE}
    more = combined([_percent("A", "10"), _percent("B", "15"), alone], THREE, "USD")
    assert [one.offer.code for one in more.given] == ["B", "A"]
    assert more.refused == {"ALONE": Reason.NOT_COMBINABLE}


def test_of_a_group_the_better_one_counts_and_a_full_price_leaves_nothing_for_the_next() -> None:
    done = combined([_percent("A", "10", group="x"), _percent("B", "11", group="x")], THREE, "USD")
    assert ([one.offer.code for one in done.given], done.refused) == (["B"], {"A": Reason.NOT_COMBINABLE})
    done = combined([_percent("ALL", "100"), _percent("B", "11")], THREE, "USD")
    assert ([one.offer.code for one in done.given], done.refused) == (["ALL"], {"B": Reason.NOTHING_LEFT})


def test_fixed_prices_and_free_units_are_computed_line_by_line() -> None:
    lines = [Amount(Decimal(3), 3000), Amount(Decimal(2), 1000)]
    fixed = Offer(code="F", coupon_id=UUID(int=1), benefit="fixed_price", amount=700, places=(0, 1))
    assert combined([fixed], lines, "USD").given[0].discounts == (900, 0)
    free = Offer(code="G", coupon_id=UUID(int=1), benefit="free_product", free_quantity=4, places=(0, 1))
    assert combined([free], lines, "USD").given[0].discounts == (3000, 500)
