"""What coupons and points take off a document beside its own discounts, kept with it step by step.

A step says what comes off each line. All of them are part of the lines' and the header's `header_discount`, so that
a document adds up as it does without them; `benefit_discount` says how much of that they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.kernel.money import MoneyOut
from app.kernel.parts import Parts
from app.kernel.schemas import Output

MOST_CODES = 10
CODE_PATTERN = r"^[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*$"
"""Letters, digits and hyphens, with one letter at least: so no code is ever a card's number."""
CouponCode = Annotated[
    str,
    StringConstraints(strip_whitespace=True, to_upper=True, pattern=CODE_PATTERN, max_length=40),
    Field(examples=["WELCOME10"]),
]
CouponCodes = Annotated[list[CouponCode], Field(max_length=MOST_CODES)]


class AppliedKind(StrEnum):
    COUPON = "coupon"
    POINTS = "points"


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefit:
    """What one coupon takes off each line, or so many `points` of the member whose card has the number `code`.

    `discounts` are minor units by line, in the order of the document's lines.
    """

    kind: AppliedKind
    code: str
    name: str
    discounts: tuple[int, ...]
    points: int = 0

    @property
    def discount(self) -> int:
        return sum(self.discounts)


class BenefitRead(Output):
    """One step: what a coupon, or points, took off the document."""

    position: int
    kind: AppliedKind
    code: str = Field(description="The coupon's code, or the number of the member's card.")
    name: str
    points: int = Field(description="Points that were spent; 0 for a coupon.")
    discount: MoneyOut | None


BENEFITS = Parts(
    "benefits",
    BenefitRead,
    "SELECT * FROM jsonb_to_recordset(t.benefits)"
    " AS b(position bigint, kind text, code text, name text, points bigint, discount bigint)",
    hides={"total": ("discount",)},
)
"""Of any record with a column `benefits`; who may not see its total sees no discount."""


def stored(benefits: Sequence[Benefit]) -> list[dict[str, Any]]:
    """What the column holds."""
    return [
        {
            "position": position,
            "kind": one.kind.value,
            "code": one.code,
            "name": one.name,
            "points": one.points,
            "discount": one.discount,
            "lines": list(one.discounts),
        }
        for position, one in enumerate(benefits)
    ]


def read(column: Sequence[Mapping[str, Any]]) -> tuple[Benefit, ...]:
    """What a column holds."""
    return tuple(
        Benefit(
            kind=AppliedKind(one["kind"]),
            code=one["code"],
            name=one["name"],
            points=one["points"],
            discounts=tuple(one["lines"]),
        )
        for one in column
    )


def codes_of(benefits: Sequence[Benefit]) -> list[str]:
    """The coupons' codes, in the order in which they are taken off."""
    return [one.code for one in benefits if one.kind is AppliedKind.COUPON]


def names_of(benefits: Sequence[Benefit]) -> list[tuple[str, int]]:
    """What papers say of them: a name, and what it takes off."""
    return [(f"{one.name} ({one.points or one.code})", one.discount) for one in benefits]


def by_line(benefits: Sequence[Benefit], count: int) -> list[int]:
    """What all of them together take off each of `count` lines."""
    if not benefits:
        return [0] * count
    return [sum(one.discounts[place] for one in benefits) for place in range(count)]


def reduced(benefits: Sequence[Benefit], shares: Mapping[int, Fraction]) -> tuple[Benefit, ...]:
    """The benefits when only a share of some lines, by index, is left; rounded down, for lines lose no more."""
    return tuple(
        replace(
            one,
            discounts=tuple(
                off if place not in shares else int(off * shares[place])
                for place, off in enumerate(one.discounts)
            ),
        )
        for one in benefits
    )
