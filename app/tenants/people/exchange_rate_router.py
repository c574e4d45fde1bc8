"""`/v1/exchange-rates`."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from app.kernel.errors import DuplicateValue, InvalidCursor, problems
from app.kernel.listing import Kind
from app.kernel.log_pages import order_by, select_page
from app.kernel.money import Currency
from app.kernel.paging import Cursor, Limit
from app.kernel.record_router import tag
from app.kernel.routing import IfMatch, Router, Uow
from app.kernel.schemas import Input, Output, Page
from app.tenants.models import ExchangeRate
from app.tenants.people.exchange_rates import ExchangeRateService
from app.tenants.people.wire import answer, changes_of

router = Router(prefix="/v1/exchange-rates", tags=["exchange-rates"])


def _positive(text: str) -> str:
    if not Decimal(text) > 0:
        raise PydanticCustomError("not_positive", "A rate is more than nothing")
    return text


def _plain(value: object) -> object:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


OnlyCurrency = Annotated[Currency | None, Query(description="Only the rates of this currency.")]
Rate = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$"),
    Field(examples=["7.25"], description="Units of the company's currency for one of `currency`."),
    AfterValidator(_positive),
]
_BY_DAY: Final = order_by({"currency": Kind.TEXT, "valid_from": Kind.DATE})


class ExchangeRateCreate(Input):
    """What one unit of a currency is worth from a day on."""

    currency: Currency = Field(json_schema_extra={"examples": ["EUR"]})
    valid_from: date
    rate: Rate


class ExchangeRateUpdate(Input):
    """A correction; everything converted with it is converted again."""

    valid_from: date | None = None
    rate: Rate | None = None


class ExchangeRateRead(Output):
    """A dated rate; it holds until the day of the next one."""

    id: UUID
    version: int
    currency: str
    home_currency: str = Field(description="The company's own when the rate was entered.")
    valid_from: date
    rate: Annotated[str, BeforeValidator(_plain)]
    created_at: datetime
    updated_at: datetime


def _answer(row: ExchangeRate, response: Response) -> ExchangeRateRead:
    tag(response, row)
    return answer(ExchangeRateRead, row)


@router.get("", access="exchange_rate:read", responses=problems(InvalidCursor))
async def list_exchange_rates(
    uow: Uow, currency: OnlyCurrency = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ExchangeRateRead]:
    """The rates to the company's currency, by currency and day."""
    statement = uow.select(ExchangeRate).where(ExchangeRate.home_currency == uow.actor.tenant.currency)
    if currency is not None:
        statement = statement.where(ExchangeRate.currency == currency)
    name = f"exchange_rates:{currency}"
    found = await select_page(uow, statement, _BY_DAY, name=name, limit=limit, cursor=cursor)
    return found.page(lambda row: answer(ExchangeRateRead, row))


@router.post("", access="exchange_rate:manage", status_code=201, responses=problems(DuplicateValue))
async def create_exchange_rate(body: ExchangeRateCreate, uow: Uow, response: Response) -> ExchangeRateRead:
    """Enter a rate. Amounts that it is valid for are converted again in the background."""
    row = await ExchangeRateService(uow).create(body.currency, body.valid_from, Decimal(body.rate))
    response.headers["Location"] = f"/v1/exchange-rates/{row.id}"
    return _answer(row, response)


@router.get("/{id}", access="exchange_rate:read")
async def get_exchange_rate(id: UUID, uow: Uow, response: Response) -> ExchangeRateRead:
    """One rate."""
    return _answer(await ExchangeRateService(uow).get(id), response)


@router.patch("/{id}", access="exchange_rate:manage", responses=problems(DuplicateValue))
async def update_exchange_rate(
    id: UUID, body: ExchangeRateUpdate, uow: Uow, version: IfMatch, response: Response
) -> ExchangeRateRead:
    """Correct a rate. Amounts that it is valid for are converted again in the background."""
    changes = changes_of(body)
    if "rate" in changes:
        changes["rate"] = Decimal(changes["rate"])
    return _answer(await ExchangeRateService(uow).update(id, changes, expected_version=version), response)


@router.delete("/{id}", access="exchange_rate:manage", status_code=204)
async def delete_exchange_rate(id: UUID, uow: Uow, version: IfMatch) -> None:
    """Delete a rate; the one before it holds again."""
    await ExchangeRateService(uow).delete(id, expected_version=version)
