"""The seller's numbers: without gaps over all companies, per year. Take one last: others wait until the commit."""

from __future__ import annotations

from datetime import UTC, datetime

from app.kernel.uow import UnitOfWork


async def next_bill_number(uow: UnitOfWork, series: str) -> tuple[str, datetime]:
    """The next number of `INV` or `CN` in the UTC year at hand, and the moment of issue.

    A transaction that rolls back gives it back. The moment is never before that of the number before it, however long
    this one waited for it. Only `rapport_control` may count (docs/adr/0020-bills-are-immutable.md).
    """
    year = uow.now.astimezone(UTC).year
    row = await uow.fetchone(
        "INSERT INTO tenants.bill_numbers AS n (series, year, last_number, last_at) VALUES ($1, $2, 1, $3)"
        " ON CONFLICT (series, year) DO UPDATE SET last_number = n.last_number + 1,"
        " last_at = greatest(n.last_at, EXCLUDED.last_at) RETURNING last_number, last_at",
        series,
        year,
        uow.now,
    )
    return f"{series}-{year}-{row['last_number']:06d}", row["last_at"]
