"""Payment plans as arithmetic: from the items that were asked for to instalments that are the value, to the unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from app.kernel.errors import Invalid
from app.kernel.money import Money, MoneySum, half_up
from app.kernel.periods import add_months
from app.modules.contracts.models import DueAfter
from app.modules.contracts.schemas.parts import MOST_INSTALMENTS, RECURRING, Due, DueRule, PlanItem

_AFTER = {DueRule.AFTER_SIGNING: DueAfter.SIGNING, DueRule.AFTER_ACTIVATION: DueAfter.ACTIVATION}


@dataclass(frozen=True, slots=True)
class Planned:
    """An instalment to be: due on a day, or `due_days` after something that has not happened yet."""

    label: str
    amount: Money
    due_on: date | None
    due_after: DueAfter | None = None
    due_days: int | None = None


def expand(
    items: Sequence[PlanItem], value: Money, starts_on: date, ends_on: date | None, pointer: str = "/items"
) -> list[Planned]:
    """The instalments of a plan, which sum to `value` exactly; none without items.

    Percentages are of `value`; their shares, and the parts of what recurs, go by largest remainder.
    Raises: Invalid at the item's place; `plan_mismatch` where the items are not the value.
    """
    found: list[Planned] = []
    for index, (item, share) in enumerate(zip(items, shares(items, value, pointer), strict=True)):
        found += _instalments(item, share, starts_on, ends_on, f"{pointer}/{index}/due")
        if len(found) > MOST_INSTALMENTS:
            raise Invalid.at(
                f"{pointer}/{index}", "too_many", f"A plan has at most {MOST_INSTALMENTS} instalments."
            )
    return found


def shares(items: Sequence[PlanItem], value: Money, pointer: str = "/items") -> list[Money]:
    """What each item comes to. Raises `Invalid` where they are not `value` together."""
    if not items:
        return []
    for index, item in enumerate(items):
        if item.amount is not None and item.amount.currency != value.currency:
            raise Invalid.at(
                f"{pointer}/{index}/amount/currency",
                "other_currency",
                f"The contract is in {value.currency}.",
            )
    fixed = sum(item.amount.amount_minor for item in items if item.amount is not None)
    percents = [Decimal(item.percent) for item in items if item.percent is not None]
    rest = value.amount_minor - fixed
    by_percent = Fraction(sum(percents, Decimal(0))) * value.amount_minor / 100
    if by_percent != rest:
        planned = MoneySum(fixed + half_up(by_percent), value.currency)
        raise Invalid.at(
            pointer, "plan_mismatch", f"The items come to {planned}, and are to be {value} together."
        )
    parts = iter(_allocated(Money(rest, value.currency), percents))
    return [item.amount if item.amount is not None else next(parts) for item in items]


def reallocate(amounts: Sequence[int], value: Money) -> list[Money]:
    """Instalments of these amounts made to sum to `value`, in proportion; evenly where they were all nothing."""
    return value.allocate(list(amounts) if any(amounts) else [1] * len(amounts))


def next_plan(
    items: Sequence[PlanItem], before: Money, after: Money, former_start: date, start: date
) -> list[PlanItem]:
    """A payment plan for the next period: amounts in proportion, days as far from the first day as they were."""
    moved = [item.model_copy(update={"due": _moved(item.due, former_start, start)}) for item in items]
    if all(item.percent is not None for item in items):
        return moved
    amounts = reallocate([share.amount_minor for share in shares(items, before)], after)
    return [
        item.model_copy(update={"percent": None, "amount": amount})
        for item, amount in zip(moved, amounts, strict=True)
    ]


def _moved(due: Due, former_start: date, start: date) -> Due:
    if due.date is None:
        return due
    months = (start.year - former_start.year) * 12 + start.month - former_start.month
    if add_months(former_start, months) == start:
        return due.model_copy(update={"date": add_months(due.date, months)})
    return due.model_copy(update={"date": due.date + (start - former_start)})


def _allocated(amount: Money, weights: Sequence[Decimal]) -> list[Money]:
    if not any(weights):
        return [Money.zero(amount.currency)] * len(weights)
    return amount.allocate(list(weights))


def _instalments(
    item: PlanItem, share: Money, starts_on: date, ends_on: date | None, pointer: str
) -> list[Planned]:
    due = item.due
    if due.rule in _AFTER:
        return [Planned(item.label, share, None, _AFTER[due.rule], due.days or 0)]
    if due.rule is DueRule.ON_DATE:
        return [Planned(item.label, share, due.date)]
    days = _recurrences(due, starts_on, ends_on, pointer)
    if len(days) == 1:
        return [Planned(item.label, share, days[0])]
    parts = share.allocate([1] * len(days))
    return [
        Planned(f"{item.label} {number}/{len(days)}", part, day)
        for number, (day, part) in enumerate(zip(days, parts, strict=True), 1)
    ]


def _recurrences(due: Due, starts_on: date, ends_on: date | None, pointer: str) -> list[date]:
    """The days of what recurs, each counted from the first, so that a 31st comes back after a February."""
    first = due.date or starts_on
    if due.count is None and ends_on is None:
        raise Invalid.at(f"{pointer}/count", "open_term", "Over an open term, say how often it recurs.")
    found: list[date] = []
    for day in _steps(first, RECURRING[due.rule]):
        if len(found) == due.count or (due.count is None and ends_on is not None and day > ends_on):
            break
        found.append(day)
        if len(found) > MOST_INSTALMENTS:
            raise Invalid.at(pointer, "too_many", f"A plan has at most {MOST_INSTALMENTS} instalments.")
    if not found:
        raise Invalid.at(f"{pointer}/date", "after_the_term", "The first one falls after the last day.")
    return found


def _steps(first: date, months: int) -> Iterator[date]:
    number = 0
    while True:
        yield add_months(first, number * months)
        number += 1
