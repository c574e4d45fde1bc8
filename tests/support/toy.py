"""A record type that exists only in tests: what the kernel gives to any module, tried on the smallest one."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from app.kernel.merging.ports import Merger
from app.kernel.merging.references import record_column
from app.kernel.models import RecordTable, module_ref
from app.kernel.money import MoneyIn, MoneyOut
from app.kernel.record_router import record_router
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.registry import Module
from app.kernel.schemas import RecordInput, RecordOutput, ShortText, patch_of


class Toy(RecordTable):
    """A thing with one column of each kind."""

    __tablename__ = "toys"
    __table_args__ = ({"schema": "toys"},)

    name: Mapped[str]
    colour: Mapped[str]
    price: Mapped[int | None]
    currency: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    pieces: Mapped[int | None]
    fragile: Mapped[bool]
    sold_on: Mapped[date | None]
    seen_at: Mapped[datetime | None]
    account_id: Mapped[UUID | None] = module_ref("customers.accounts", on_delete="clear")  # not on the wire


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class ToyCreate(RecordInput):
    name: ShortText
    colour: Colour = Colour.RED
    price: MoneyIn | None = None
    email: str | None = None
    phone: str | None = None
    pieces: int | None = None
    fragile: bool = False
    sold_on: date | None = None
    seen_at: datetime | None = None


class ToyRead(RecordOutput):
    name: str
    colour: Colour
    price: MoneyOut | None
    email: str | None
    phone: str | None
    pieces: int | None
    fragile: bool
    sold_on: date | None
    seen_at: datetime | None


class ToyService(RecordService[Toy]):
    """No rules of its own."""

    record: RecordType[Any]  # type: ignore[misc]


TOY: RecordType[Toy] = RecordType(
    object="toy",
    plural="toys",
    module="toys",
    model=Toy,
    read=ToyRead,
    create=ToyCreate,
    update=patch_of(ToyCreate),
    service=ToyService,
    search=Search(names=("name",), emails=("email",), phones=("phone",)),
)
ToyService.record = TOY

ROUTER = record_router(TOY)
MODULE = Module(
    name="toys",
    description="Toys, in tests only.",
    routers=["tests.support.toy:ROUTER"],
    records=[TOY],
    ports=[(Merger, record_column(TOY, "account_id", "account"))],
)


def create_statements() -> list[str]:
    """The SQL that a migration of this module would run."""
    import migrations.support as support

    collected: list[str] = []
    real = vars(support)["op"]
    vars(support)["op"] = _Collector(collected)
    try:
        support.create_schema("toys")
        vars(support)["op"].execute(
            "CREATE TABLE toys.toys (tenant_id uuid NOT NULL, id uuid NOT NULL, name text NOT NULL,"
            " colour text NOT NULL CONSTRAINT ck_toys_colour CHECK (colour IN ('red', 'blue')), price bigint,"
            " currency text, email text, phone text, pieces bigint, fragile boolean NOT NULL, sold_on date,"
            f" seen_at timestamptz, account_id uuid, {support.record_columns()}, CONSTRAINT pk_toys PRIMARY KEY (tenant_id, id))"
        )
        support.protect("toys.toys", record=True)
        support.record_indexes("toys.toys", sorts=("name",))
    finally:
        vars(support)["op"] = real
    return collected


class _Collector:
    def __init__(self, into: list[str]) -> None:
        self._into = into

    def execute(self, statement: str) -> None:
        self._into.append(statement)
