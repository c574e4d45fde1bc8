"""Credit: what an account may owe, what it does owe, and whether another order fits.

Exposure is what is ordered and not yet invoiced, and what is invoiced and not yet paid, less what was paid and is
not yet allocated. Whoever checks holds the account's credit until the transaction ends, so that two orders at once
cannot both take what is left for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from app.kernel.errors import Conflict, NotFound, require_version
from app.kernel.locks import lock_keys
from app.kernel.money import Money, MoneySum, exponent_of, half_up
from app.kernel.notifications import Notice, Notifications
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.interface import CreditRefused
from app.modules.orders.models.receivables import CreditMode, CreditSettings
from app.modules.orders.schemas.receivable_reports import CreditRead, CreditSettingsRead, CreditSettingsWrite
from app.modules.orders.services.receivables.counters import BACK, TO_INVOICE
from app.modules.orders.services.receivables.shown import require_whole
from app.tenants.interface import ExchangeRates

CREDIT_EXCEEDED = "credit.exceeded"


class CreditRateMissing(Conflict):
    """Carries `currency`."""

    code = "credit_rate_missing"
    title = "There is no exchange rate by which to compare with the credit limit"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What an account owes and will owe, each in one currency, minor units."""

    open_orders: int
    receivables: int
    unallocated: int
    overdue: int

    @property
    def total(self) -> int:
        return self.open_orders + self.receivables - self.unallocated


async def check(
    uow: UnitOfWork, account_id: UUID, amount: Money, order_id: UUID, *, approved: int | None = None
) -> None:
    """Let an order of this amount, tax included, through or not; `order_id` itself is not counted.

    Raises: CreditRefused, which carries `amount`, and `limit` and `exposure` for those who see credit limits;
    CreditRateMissing. Where the company only wants to be warned, the account's owner is told instead; where it wants
    to approve, up to `approved` minor units of this order pass.
    """
    if amount.amount_minor <= 0:
        return  # what replaces returned goods costs nothing
    terms = (await uow.of(Customers).credit_terms([account_id])).get(account_id)
    if terms is None or terms.limit is None:
        return
    await lock_keys(uow, "orders.credit", [str(account_id)])
    service = CreditService(uow)
    mode = await CreditSettingsService(uow).mode()
    if mode is CreditMode.APPROVAL and approved is not None and amount.amount_minor <= approved:
        return
    limit = terms.limit
    try:
        exposure = (await service.exposure(account_id, limit.currency, without=order_id)).total
        wanted = (await service.converted([(amount.amount_minor, amount.currency)], limit.currency))[0]
    except CreditRateMissing:
        if mode is CreditMode.WARN:
            return
        raise
    if exposure + wanted <= limit.amount_minor:
        return
    if mode is not CreditMode.WARN:
        raise _refused(uow, limit, MoneySum(exposure, limit.currency), amount)
    await _warn(uow, account_id, order_id)


def _refused(uow: UnitOfWork, limit: Money, exposure: MoneySum, amount: Money) -> CreditRefused:
    if "credit_limit" in uow.actor.hidden("account"):
        return CreditRefused(amount=amount.to_wire())
    return CreditRefused(
        f"The limit is {limit}, {exposure} of it is taken.",
        limit=limit.to_wire(),
        exposure=exposure.to_wire(),
        amount=amount.to_wire(),
    )


async def _warn(uow: UnitOfWork, account_id: UUID, order_id: UUID) -> None:
    # Whoever reads an order's history need not see the account's limit, so it is not written there.
    uow.record_audit("order", order_id, "credit_exceeded")
    account = (await uow.of(Customers).get_many([account_id])).get(account_id)
    if account is None or account.owner_id is None:
        return
    notice = Notice(
        kind=CREDIT_EXCEEDED,
        title=f"{account.name}: the credit limit is exceeded",
        object="order",
        record_id=order_id,
    )
    await Notifications(uow).tell_each([(account.owner_id, notice)])


class CreditService:
    """Reads exposure."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def of(self, account_id: UUID) -> CreditRead:
        """How an account stands; without its limit for those who may not see it.

        Raises: NotFound for an account that is not visible; Forbidden for whoever may not read orders, invoices and
        payments, or where their amounts are hidden from the actor; CreditRateMissing.
        """
        require_whole(self._uow.actor, "order")
        customers = self._uow.of(Customers)
        account = (await customers.get_many([account_id])).get(account_id)
        if account is None:
            raise NotFound
        hidden = "credit_limit" in self._uow.actor.hidden("account")
        limit = None if hidden else (await customers.credit_terms([account.id]))[account.id].limit
        currency = limit.currency if limit else self._uow.actor.tenant.currency
        found = await self.exposure(account.id, currency)

        def money(amount: int) -> MoneySum:
            return MoneySum(amount, currency)

        return CreditRead(
            account_id=account.id,
            limit=limit,
            exposure=money(found.total),
            available=money(limit.amount_minor - found.total) if limit else None,
            open_orders=money(found.open_orders),
            receivables=money(found.receivables),
            unallocated=money(found.unallocated),
            overdue=money(found.overdue),
        )

    async def exposure(self, account_id: UUID, currency: str, *, without: UUID | None = None) -> Exposure:
        """Of all the account's orders, invoices and payments, whoever sees them. Raises `CreditRateMissing`."""
        uow = self._uow
        today = uow.actor.tenant.day_of(uow.now)
        rows = await uow.fetch(_EXPOSURE, uow.tenant_id, account_id, today, without)
        amounts = await self.converted([(int(row["amount"]), row["currency"]) for row in rows], currency)
        sums = dict.fromkeys(("open_orders", "receivables", "unallocated", "overdue"), 0)
        for row, amount in zip(rows, amounts, strict=True):
            sums[row["what"]] += amount
        return Exposure(**sums)

    async def converted(self, amounts: Sequence[tuple[int, str]], currency: str) -> list[int]:
        """Minor units of `currency` at today's rates, by way of the company's own; rounded once, half up.

        Raises: CreditRateMissing.
        """
        foreign = {code for _, code in amounts if code != currency}
        home = self._uow.actor.tenant.currency
        today = self._uow.actor.tenant.day_of(self._uow.now)
        rates = {home: Fraction(1)}
        wanted = (foreign | {currency}) - {home} if foreign else set()
        for rate in await self._uow.of(ExchangeRates).rates(wanted) if wanted else []:
            if rate.valid_from <= today and (rate.until is None or today < rate.until):
                rates[rate.currency] = Fraction(rate.rate)
        found = []
        for amount, code in amounts:
            if code == currency:
                found.append(amount)
                continue
            for needed in (code, currency):
                if needed not in rates:
                    raise CreditRateMissing(f"There is no rate of {needed} for {today}.", currency=needed)
            scale = Fraction(10) ** (exponent_of(currency) - exponent_of(code))
            found.append(half_up(amount * rates[code] / rates[currency] * scale))
        return found


class CreditSettingsService:
    """What the company wants to happen beyond a limit."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def _row(self) -> CreditSettings | None:
        return await self._uow.first(self._uow.select(CreditSettings))

    async def mode(self) -> CreditMode:
        row = await self._row()
        return CreditMode(row.mode) if row else CreditMode.BLOCK

    async def approves(self) -> bool:
        """Whether orders beyond a limit are confirmed once they are approved."""
        return await self.mode() is CreditMode.APPROVAL

    async def get(self) -> CreditSettingsRead:
        row = await self._row()
        return _read(row)

    async def set(self, body: CreditSettingsWrite, *, expected_version: int) -> CreditSettingsRead:
        """Raises `StaleVersion`."""
        await lock_keys(self._uow, "orders.credit_settings", [""])
        row = await self._row()
        require_version(row.version if row else 0, expected=expected_version)
        if row is None:
            return _read(
                await self._uow.insert(CreditSettings, audit="credit_settings", mode=body.mode.value)
            )
        return _read(await self._uow.update(row, audit="credit_settings", mode=body.mode.value))


def _read(row: CreditSettings | None) -> CreditSettingsRead:
    if row is None:
        return CreditSettingsRead(version=0, mode=CreditMode.BLOCK)
    return CreditSettingsRead(version=row.version, mode=CreditMode(row.mode))


_EXPOSURE = f"""
SELECT what, currency, sum(amount) AS amount FROM (
  SELECT CASE WHEN t.kind = 'invoice' THEN 'receivables' ELSE 'unallocated' END AS what, t.currency,
    t.open_amount AS amount
  FROM orders.invoices t WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.status IN ('open', 'partly_paid')
  UNION ALL
  SELECT 'overdue', t.currency, t.open_amount FROM orders.invoices t
  WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.kind = 'invoice' AND t.status IN ('open', 'partly_paid')
    AND t.due_on < $3::date
  UNION ALL
  SELECT 'unallocated', t.currency, t.unallocated FROM orders.payments t
  WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.unallocated > 0 AND t.deleted_at IS NULL
  UNION ALL
  SELECT 'open_orders', o.currency, {TO_INVOICE}
  FROM orders.orders o JOIN orders.order_lines l ON l.tenant_id = o.tenant_id AND l.order_id = o.id{BACK}
  WHERE o.tenant_id = $1 AND o.account_id = $2 AND o.status IN ('confirmed', 'in_fulfilment', 'fulfilled')
    AND o.deleted_at IS NULL AND o.id IS DISTINCT FROM $4::uuid
  GROUP BY o.id, o.currency, o.total
  UNION ALL
  SELECT 'open_orders', t.currency, t.total FROM orders.invoices t
  WHERE t.tenant_id = $1 AND t.account_id = $2 AND t.status = 'draft' AND t.order_id IS NOT NULL
    AND t.deleted_at IS NULL
) parts GROUP BY what, currency"""
