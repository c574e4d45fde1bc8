"""The crm_sales files as they are, dirt included, and the same figures computed plainly from them.

Nothing here knows the product: it is the other side of the comparison.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, str]


def folder() -> Path:
    """Where the files are: `RAPPORT_DATA`, default `../shared/data` beside the checkout."""
    return Path(os.environ.get("RAPPORT_DATA", ROOT.parent / "shared" / "data")) / "crm_sales"


def _read(name: str) -> list[Row]:
    with (folder() / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Sum:
    """Opportunities of one group: how many, how many won, and what those are worth in whole dollars."""

    count: int
    won: int
    won_value: int


@dataclass(frozen=True)
class CrmSales:
    """The four files, row by row."""

    accounts: list[Row]
    products: list[Row]
    teams: list[Row]
    pipeline: list[Row]

    @classmethod
    def load(cls) -> CrmSales:
        return cls(
            _read("accounts.csv"),
            _read("products.csv"),
            _read("sales_teams.csv"),
            _read("sales_pipeline.csv"),
        )

    @property
    def manager_of(self) -> dict[str, str]:
        """Manager by agent."""
        return {row["sales_agent"]: row["manager"] for row in self.teams}

    @property
    def managers(self) -> dict[str, str]:
        """Regional office by manager."""
        return {row["manager"]: row["regional_office"] for row in self.teams}

    def by(self, key: Callable[[Row], str | None], only: str | None = None) -> dict[str | None, Sum]:
        """The opportunities by any key, of one deal stage if `only` says so."""
        counts: Counter[str | None] = Counter()
        won: Counter[str | None] = Counter()
        value: Counter[str | None] = Counter()
        for row in self.pipeline:
            if only is not None and row["deal_stage"] != only:
                continue
            group = key(row)
            counts[group] += 1
            if row["deal_stage"] == "Won":
                won[group] += 1
                value[group] += int(row["close_value"])
        return {group: Sum(count, won[group], value[group]) for group, count in counts.items()}


@dataclass(frozen=True)
class Result:
    """What was closed in one group: won and lost, their worth, and the days from engaging to winning."""

    won: int
    lost: int
    won_value: int
    cycle_days: int


def results(rows: Iterable[Row], key: Callable[[Row], str | None]) -> dict[str | None, Result]:
    """What was won and lost by any key, of the closed rows among `rows`."""
    found: dict[str | None, list[Row]] = {}
    for row in rows:
        if row["deal_stage"] in ("Won", "Lost"):
            found.setdefault(key(row), []).append(row)
    return {
        group: Result(
            won=sum(row["deal_stage"] == "Won" for row in closed),
            lost=sum(row["deal_stage"] == "Lost" for row in closed),
            won_value=sum(int(row["close_value"]) for row in closed if row["deal_stage"] == "Won"),
            cycle_days=sum(
                (date.fromisoformat(row["close_date"]) - date.fromisoformat(row["engage_date"])).days
                for row in closed
                if row["deal_stage"] == "Won"
            ),
        )
        for group, closed in found.items()
    }


def quarter(day: str) -> str | None:
    """The first day of the calendar quarter of an ISO date; None for none."""
    if not day:
        return None
    year, month, _ = map(int, day.split("-"))
    return f"{year}-{(month - 1) // 3 * 3 + 1:02}-01"


def product_name(row: Row) -> str:
    """The product as the price list writes it."""
    return "GTX Pro" if row["product"] == "GTXPro" else row["product"]
