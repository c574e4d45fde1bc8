"""What an opportunity is worth in the company's own currency.

As with dated exchange rates elsewhere, the close date decides: the day it was closed, else the day it is expected
to be; without either, the day it was opened. Where no rate is known for that day, nothing is made up:
`amount_home` is null, `rate_missing` says so, and reports tell how many they had to leave out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from app.kernel.money import EXPONENTS, Money
from app.kernel.statements import rows_of
from app.kernel.uow import UnitOfWork
from app.tenants.interface import ExchangeRates

_INPUTS: Final = frozenset({"amount", "currency", "closed_on", "expected_close_on", "opened_on"})
BATCH: Final = 5_000


class HomeAmounts:
    """Converts one opportunity on its way into the table, and all of them when rates change."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def depends_on(self, changes: Collection[str]) -> bool:
        """Whether such changes may change what it is worth."""
        return not _INPUTS.isdisjoint(changes)

    async def of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns `amount_home`, `home_currency` and `rate_missing` of a row with these values."""
        amount, currency = values.get("amount"), values.get("currency")
        home = None
        if amount is not None and currency is not None:
            day = values.get("closed_on") or values.get("expected_close_on") or values["opened_on"]
            (home,) = await self._uow.of(ExchangeRates).convert_many([(Money(amount, currency), day)])
        return {
            "amount_home": home and home.amount_minor,
            "home_currency": home and home.currency,
            "rate_missing": amount is not None and home is None,
        }

    async def convert_batch(self, currency: str | None, after: UUID | None) -> tuple[int, UUID | None]:
        """Convert the next 5,000 opportunities behind `after` again, of one currency or of all.

        (How many came out differently, where the next batch goes on or None at the end.) Deleted ones count too:
        they may be restored.
        """
        rates = self._uow.of(ExchangeRates)
        home = self._uow.actor.tenant.currency
        known = await rates.rates(None if currency is None else [currency])
        row = await self._uow.fetchone(
            _CONVERT,
            self._uow.tenant_id,
            after,
            currency,
            BATCH,
            home,
            [rate.currency for rate in known],
            [rate.valid_from for rate in known],
            [rate.until for rate in known],
            [rate.rate.scaleb(EXPONENTS[home] - EXPONENTS[rate.currency]) for rate in known],
        )
        return int(row["changed"]), row["last"] if row["seen"] == BATCH else None


_CONVERT = f"""
WITH part AS (
  SELECT o.id, o.amount, o.currency, coalesce(o.closed_on, o.expected_close_on, o.opened_on) AS day
  FROM opportunities.opportunities o
  WHERE o.tenant_id = $1 AND ($2::uuid IS NULL OR o.id > $2) AND o.amount IS NOT NULL
    AND ($3::text IS NULL OR o.currency = $3)
  ORDER BY o.id LIMIT $4
), rates AS (
  SELECT * FROM unnest($6::text[], $7::date[], $8::date[], $9::numeric[]) r(currency, valid_from, until, factor)
), wanted AS (
  SELECT p.id, p.amount, p.currency, p.day, CASE WHEN p.currency = $5::text THEN p.amount
    WHEN abs(round(p.amount * r.factor)) <= 9223372036854775807 THEN round(p.amount * r.factor)::bigint END AS home
  FROM part p
  LEFT JOIN rates r ON r.currency = p.currency AND p.day >= r.valid_from AND (r.until IS NULL OR p.day < r.until)
), done AS (
  UPDATE opportunities.opportunities o
  SET amount_home = wanted.home, home_currency = CASE WHEN wanted.home IS NOT NULL THEN $5::text END,
    rate_missing = wanted.home IS NULL
  FROM {rows_of("wanted", "id", "amount", "currency", "day", "home")}
  WHERE o.tenant_id = $1 AND o.id = wanted.id
    -- What somebody changes meanwhile was converted by them.
    AND o.amount IS NOT DISTINCT FROM wanted.amount AND o.currency IS NOT DISTINCT FROM wanted.currency
    AND coalesce(o.closed_on, o.expected_close_on, o.opened_on) IS NOT DISTINCT FROM wanted.day
    AND (o.amount_home, o.home_currency, o.rate_missing) IS DISTINCT FROM
      (wanted.home, CASE WHEN wanted.home IS NOT NULL THEN $5::text END, wanted.home IS NULL)
  RETURNING 1
)
SELECT (SELECT count(*) FROM done) AS changed, (SELECT count(*) FROM part) AS seen,
  (SELECT p.id FROM part p ORDER BY p.id DESC LIMIT 1) AS last"""
