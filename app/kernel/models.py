"""Bases of every table: declarative mapping, tenant ownership, and the columns all records share.

Mapped classes describe tables and type the rows that are read. They are never changed in place: writes go
through `UnitOfWork`, which keeps version, audit and events in step (docs/adr/0003-explicit-writes.md).
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Literal
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]
OnDelete = Literal["restrict", "clear", "keep"]


class Base(DeclarativeBase):
    """Root of the mapping; constraint names are fixed so that migrations and error messages can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        bool: Boolean(),
        bytes: LargeBinary(),
        date: Date(),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(),
        UUID: postgresql.UUID(as_uuid=True),
        Json: postgresql.JSONB(),
        list[Any]: postgresql.JSONB(),
        list[str]: ARRAY(Text()),
        list[UUID]: ARRAY(postgresql.UUID(as_uuid=True)),
    }


class TenantOwned(Base):
    """A row of exactly one tenant: `tenant_id` leads the primary key, every unique key and every index."""

    __abstract__ = True

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-100)
    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-99)


class Versioned(TenantOwned):
    """A row that clients may edit: `version` is the ETag and grows by one with each change."""

    __abstract__ = True

    version: Mapped[int] = mapped_column(default=1, sort_order=900)
    created_at: Mapped[datetime] = mapped_column(sort_order=901)
    updated_at: Mapped[datetime] = mapped_column(sort_order=902)


class RecordTable(Versioned):
    """The columns of a record type: what lists, custom fields, search, sharing and soft delete rely on."""

    __abstract__ = True

    external_id: Mapped[str | None] = mapped_column(sort_order=890)
    owner_id: Mapped[UUID | None] = mapped_column(sort_order=891)
    team_id: Mapped[UUID | None] = mapped_column(sort_order=892)
    tags: Mapped[list[str]] = mapped_column(sort_order=893)
    custom: Mapped[Json] = mapped_column(sort_order=894)
    tokens: Mapped[list[str]] = mapped_column(sort_order=895)
    created_by: Mapped[UUID | None] = mapped_column(sort_order=903)
    deleted_at: Mapped[datetime | None] = mapped_column(sort_order=904)


def module_ref(target: str, *, on_delete: OnDelete = "restrict", **column: Any) -> Any:
    """A column that points at another module's table (`"customers.accounts"`), without a foreign key.

    It is checked through the owner's interface when written; the nightly sweep reads `info` to find orphans.
    `on_delete` says what deleting the target means: refuse, clear this column, or keep the dead reference.
    """
    return mapped_column(info={"module_ref": target, "on_delete": on_delete}, **column)


def one_of(column: str, kinds: type[StrEnum], *, nullable: bool = False) -> CheckConstraint:
    """Enumerations are text with a CHECK: comparing them stays leakproof, so indexes work under RLS."""
    values = ", ".join(f"'{kind.value}'" for kind in kinds)
    clause = f"{column} IN ({values})"
    return CheckConstraint(f"{column} IS NULL OR {clause}" if nullable else clause, name=column)


def qualified(model: type[Base]) -> str:
    """`schema.table` of a mapped class."""
    table = model.__table__
    return f"{table.schema}.{table.name}"  # type: ignore[attr-defined]
