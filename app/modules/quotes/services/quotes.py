"""Quotes as records: one write prices and totals everything, and what has left the draft does not change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.benefits import BENEFITS, codes_of, stored
from app.kernel.errors import FieldError, Invalid, require_version
from app.kernel.ids import new_ids
from app.kernel.money import Money, format_minor
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import LOCKING, columns_of, entities
from app.kernel.uow import UnitOfWork
from app.modules.quotes.interface import QuoteImmutable
from app.modules.quotes.models import Quote, QuoteLine, QuoteStatus, QuoteStep
from app.modules.quotes.schemas import QuoteCreate, QuoteDetail, QuoteLineInput, QuoteRead, QuoteUpdate
from app.modules.quotes.services import shown
from app.modules.quotes.services.benefits import promised, with_benefits
from app.modules.quotes.services.lines import given_again, given_line, line_row
from app.modules.quotes.services.origin import Origin
from app.modules.quotes.services.pricing import PRICING_FIELDS, GivenLine, Header, Pricing
from app.modules.quotes.services.states import MACHINE
from app.modules.quotes.services.summing import add_up, header_columns

SERIES: Final = "quotes.quote"
VALID_DAYS: Final = 30
_ALWAYS_OPEN: Final = frozenset({"owner_id", "team_id", "tags", "custom", "external_id"})
"""Ours to change whatever the customer has seen."""
_DECIMALS: Final = ("discount_percent", "prepayment_percent")


class QuoteService(RecordService[Quote]):
    """Quotes with their lines."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.pricing = Pricing(uow)
        self.origin = Origin(uow)
        self._lines: Sequence[GivenLine] | None = None
        self._rows: list[dict[str, Any]] | None = None
        self._taxes: list[dict[str, Any]] = []
        self._as: dict[str, Any] = {}  # of a revision: what it has of the one before
        self._copying = False  # then coupons that hold no more are left out

    # -- creating ------------------------------------------------------------------------------------------

    async def create(self, given: Mapping[str, Any], *, explicit: Collection[str] | None = None) -> Quote:
        """As every record, with its lines; what an opportunity says is taken over where nothing else is given.

        Raises also: `Invalid` with all that is wrong with the lines.
        """
        values = dict(given)
        wanted: Sequence[QuoteLineInput] = values.pop("lines", None) or ()
        if wanted:
            self._require_lines(wanted)
        copied = await self.origin.complete(values, lines_given=explicit is not None and "lines" in explicit)
        values["issued_on"] = values.get("issued_on") or self.today
        _check_currency(values.get("discount_amount"), values["currency"])
        self._lines = [*copied] if not wanted else _given(wanted, values["currency"])
        named = None if explicit is None else set(explicit) - {"lines"}
        return await super().create(values, explicit=named)

    async def create_revision(self, of: Quote, given: Mapping[str, Any], lines: Sequence[GivenLine]) -> Quote:
        """The next revision of a locked quote, which stays its owner's."""
        self._as = {"number": of.number, "revision": of.revision + 1}
        self._lines, self._copying = lines, True
        try:
            return await super().create(given, explicit=())
        finally:
            self._as = {}

    async def create_clone(self, given: Mapping[str, Any], lines: Sequence[GivenLine]) -> Quote:
        """A new quote of the actor's with these lines."""
        self._lines, self._copying = lines, True
        return await super().create(given, explicit=())

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if not self._as:
            await super()._assign(values, creating=creating)

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = super()._columns(given)
        for name in _DECIMALS:
            if isinstance(values.get(name), str):
                values[name] = Decimal(values[name])
        if values.get("prepayment_percent") == 0:
            raise Invalid.at("/prepayment_percent", "not_positive", "A prepayment is more than nothing.")
        return values

    async def before_create(self, values: dict[str, Any]) -> None:
        values.setdefault("issued_on", self.today)
        if values.get("valid_until") is None:
            values["valid_until"] = values["issued_on"] + timedelta(days=VALID_DAYS)
        _check_days(values)
        values |= {"status": QuoteStatus.DRAFT.value}
        values |= await self._priced(values, self._lines or ())
        if self._as:
            values |= self._as
        else:
            values |= {"number": await next_number(self.uow, SERIES), "revision": 1}

    async def after_create(self, row: Quote) -> None:
        lines = await self._write_lines(row)
        self.wrote_parts(row, lines=lines, taxes=self._taxes, benefits=row.benefits)
        await self.note_step(row, None, "revise" if row.revision > 1 else "create")

    # -- changing ------------------------------------------------------------------------------------------

    async def change(self, row: Quote, given: Mapping[str, Any], *, action: str = "updated") -> Quote:
        """As every record; with `lines` they are replaced whole. Raises `QuoteImmutable` for all but a draft."""
        values = dict(given)
        wanted: Sequence[QuoteLineInput] | None = values.pop("lines", None)
        if row.status != QuoteStatus.DRAFT and (wanted is not None or values.keys() - _ALWAYS_OPEN):
            raise QuoteImmutable(f"It is {row.status}.", status_now=row.status)
        currency = values.get("currency") or row.currency
        _check_currency(values.get("discount_amount"), currency)
        if currency != row.currency:
            _check_new_currency(row, values, lines_given=wanted is not None)
        self._lines = None
        if wanted is not None:
            self._require_lines(wanted)
            known = {line.product_id for line in await self.lines_of(row.id)}
            self._lines = [replace(line, kept=line.product_id in known) for line in _given(wanted, currency)]
        return await super().change(row, values, action=action)

    async def before_update(self, row: Quote, changes: dict[str, Any]) -> None:
        after = {**row.__dict__, **changes}
        _check_days(after)
        account = await self.origin.check(after, changes)
        if account is not None and account.id != row.account_id:
            changes |= await self.origin.changed_account(row, account, changes)
            after |= changes
        fields = (
            PRICING_FIELDS
            | {"coupon_codes"}
            | ({"contact_id", "becomes"} if after["coupon_codes"] else set())
        )
        priced = any(changes[name] != getattr(row, name) for name in fields & changes.keys())
        if self._lines is None and priced:
            self._lines = [given_again(line) for line in await self.lines_of(row.id)]
        if self._lines is not None:
            changes |= await self._priced(after, self._lines)

    async def after_update(self, before: Quote, after: Quote) -> None:  # noqa: ARG002
        if self._rows is None:
            return
        await self.uow.fetch(
            "DELETE FROM quotes.quote_lines WHERE tenant_id = $1 AND quote_id = $2", after.tenant_id, after.id
        )
        await self._write_lines(after)
        await self.settle_prices(after)

    async def reprice(self, id: UUID, *, expected_version: int) -> Quote:
        """Ask the catalogue again for every price that was not entered. Raises `QuoteImmutable`, `Invalid`."""
        row = await self.locked(id, expected_version)
        self.require_writable("total")
        if row.status != QuoteStatus.DRAFT:
            raise QuoteImmutable(f"It is {row.status}.", status_now=row.status)
        lines = [given_again(line) for line in await self.lines_of(row.id)]
        changes = await self._priced(row.__dict__, lines)
        after = await self.write(row, changes, action="repriced")
        await self.settle_prices(after)
        return after

    async def settle_prices(self, row: Quote) -> None:
        """The owner has dealt with the prices that changed."""
        await self.uow.fetch(
            "DELETE FROM quotes.price_notices WHERE tenant_id = $1 AND quote_id = $2", row.tenant_id, row.id
        )

    async def _priced(self, values: Mapping[str, Any], lines: Sequence[GivenLine]) -> dict[str, Any]:
        """The columns that follow from the lines, which are written after the quote."""
        header = Header.of(values)
        prices = await self.pricing.price(header, lines)
        benefits = await promised(self.uow, values, header, prices, skip_invalid=self._copying)
        prices = with_benefits(prices, benefits)
        sums = add_up(header, prices)
        self._rows = [
            line_row(line, amounts, position)
            for position, (line, amounts) in enumerate(zip(prices, sums.lines, strict=True))
        ]
        self._taxes = [asdict(one) for one in sums.totals.taxes]
        return header_columns(header, prices, sums) | {
            "coupon_codes": codes_of(benefits),
            "benefits": stored(benefits),
            "benefit_discount": sum(one.discount for one in benefits),
        }

    async def _write_lines(self, row: Quote) -> list[dict[str, Any]]:
        """Insert the lines that were priced, with the next statement; answers them with their ids."""
        rows, self._rows = self._rows or (), None
        ids = new_ids(len(rows))
        made = [{"id": id, "quote_id": row.id, **line} for id, line in zip(ids, rows, strict=True)]
        await self.uow.insert_many_last(QuoteLine, made)
        return made

    async def before_delete(self, row: Quote) -> None:
        if row.status != QuoteStatus.DRAFT:
            raise QuoteImmutable(f"It is {row.status}; only drafts are deleted.", status_now=row.status)

    # -- steps ---------------------------------------------------------------------------------------------

    async def step(self, row: Quote, action: str, *, note: str | None = None, **columns: Any) -> Quote:
        """Take a locked quote to the state that `action` leads to. Raises `InvalidTransition`."""
        to = MACHINE.next(QuoteStatus(row.status), action)
        after = await self.write(row, {"status": to.value, **columns}, action=action, reason=note)
        await self.note_step(after, row.status, action, note)
        return after

    async def note_step(self, row: Quote, before: str | None, action: str, note: str | None = None) -> None:
        """Keep the way of a quote through its states."""
        step = {
            "quote_id": row.id,
            "action": action,
            "from_status": before,
            "to_status": row.status,
            "at": self.uow.now,
            "actor_id": self.actor.member_id,
            "note": note,
        }
        await self.uow.insert_many_last(QuoteStep, [step])

    async def locked(self, id: UUID, expected_version: int | None) -> Quote:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action="update", lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return row

    # -- reading -------------------------------------------------------------------------------------------

    async def lines_of(self, quote_id: UUID) -> list[QuoteLine]:
        """The lines of a quote that the actor sees, in their order."""
        statement = self.uow.select(QuoteLine).where(QuoteLine.quote_id == quote_id)
        return await self.uow.all(statement.order_by(QuoteLine.position))

    async def revisions_of(self, row: Quote, *, lock: bool = False) -> list[Quote]:
        """All live revisions of the quote, the first one first; locked in this order if wanted."""
        found = await self.uow.fetch(
            f"SELECT {', '.join(columns_of(Quote))} FROM quotes.quotes"
            " WHERE tenant_id = $1 AND number = $2 AND deleted_at IS NULL ORDER BY revision"
            f"{LOCKING['update'] if lock else ''}",
            row.tenant_id,
            row.number,
        )
        return entities(Quote, found)

    def _require_lines(self, lines: Sequence[QuoteLineInput]) -> None:
        """Raises `Forbidden` where the actor's role may not price, or enters costs that it may not change.

        A made-up cost would make a margin that needs nobody's approval.
        """
        self.require_writable("total", *(("cost",) if any(line.unit_cost for line in lines) else ()))

    def require_writable(self, *fields: str) -> None:
        """Raises `Forbidden` where the actor's role may not change these fields, or not even see them."""
        self._check_field_rules(fields)

    @property
    def today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)


def money_of(row: Quote, amount: int) -> dict[str, str]:
    """An amount of a quote as events carry it."""
    return {"amount": format_minor(amount, row.currency), "currency": row.currency}


def _given(lines: Sequence[QuoteLineInput], currency: str) -> list[GivenLine]:
    """The lines of a request. Raises `Invalid` for prices in other currencies, all at once."""
    errors: list[FieldError] = []
    found = []
    for index, line in enumerate(lines):
        one, wrong = given_line(line, index, currency)
        found.append(one)
        errors += wrong
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
    return found


def _check_currency(discount: Money | None, currency: str) -> None:
    if discount is None:
        return
    if discount.currency != currency:
        raise Invalid.at("/discount_amount/currency", "other_currency", f"The quote is in {currency}.")
    if discount.amount_minor < 0:
        raise Invalid.at("/discount_amount", "negative", "A discount is not negative.")


def _check_new_currency(row: Quote, values: Mapping[str, Any], *, lines_given: bool) -> None:
    """Amounts of the old currency would be read as ones of the new."""
    if row.line_count and not lines_given:
        raise Invalid.at("/lines", "required", "In another currency the lines are given again.")
    if row.discount_amount is not None and "discount_amount" not in values:
        raise Invalid.at("/discount_amount", "required", "In another currency the discount is given again.")


def _check_days(values: Mapping[str, Any]) -> None:
    if values["valid_until"] is not None and values["valid_until"] < values["issued_on"]:
        raise Invalid.at("/valid_until", "before_issue", "A quote is valid from the day of its issue.")


QUOTE: RecordType[Quote] = RecordType(
    object="quote",
    plural="quotes",
    module="quotes",
    model=Quote,
    read=QuoteRead,
    create=QuoteCreate,
    update=QuoteUpdate,
    service=QuoteService,
    detail=QuoteDetail,
    parts=(shown.LINES, shown.TAXES, BENEFITS),
    search=Search(names=("name", "number")),
    importable=False,
    follows={
        **dict.fromkeys(
            (
                "discount_amount", "gross", "discount", "header_discount", "benefit_discount", "net", "tax",
                "one_time_total", "monthly_total", "yearly_total", "accepted_total",
            ),
            "total",
        ),
        "cost": ("margin_amount", "margin_percent", "product.costs"),
        **dict.fromkeys(("margin_amount", "margin_percent"), "cost"),
    },
    labels={
        "number": ("quote number", "报价单号"),
        "name": ("quote", "quote name", "报价", "报价名称"),
        "status": ("状态",),
        "total": ("amount", "总价", "金额"),
        "issued_on": ("issue date", "报价日期"),
        "valid_until": ("expiration date", "有效期至"),
        "discount_percent": ("discount", "折扣"),
        "margin_percent": ("margin", "毛利率"),
        "terms": ("条款",),
    },
)  # fmt: skip
QuoteService.record = QUOTE
