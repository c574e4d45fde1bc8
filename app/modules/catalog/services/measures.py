"""Units and tax classes. Every tenant has the usual ones, written when they are first needed.

The tax classes are those of Chinese value-added tax: 17 and 11 percent until 30 April 2018, 16 and 10 until
31 March 2019 (Caishui 2018 No. 32), 13 and 9 since (announcement 2019 No. 39 of MOF, STA and GACC), 6 for services.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, cast
from uuid import UUID, uuid5

from app.kernel.errors import NotFound, require_version
from app.kernel.uow import UnitOfWork
from app.modules.catalog.interface import CatalogEntryInUse
from app.modules.catalog.models import TaxClass, TaxRate, Unit
from app.modules.catalog.schemas import (
    TaxClassCreate,
    TaxClassRead,
    TaxClassUpdate,
    TaxRateInput,
    TaxRateRead,
    UnitCreate,
    UnitRead,
)

_UNITS = (
    ("piece", "Piece", "个", 0),
    ("set", "Set", "套", 0),
    ("box", "Box", "箱", 0),
    ("licence", "Licence", "许可", 0),
    ("hour", "Hour", "小时", 2),
    ("day", "Day", "天", 2),
    ("month", "Month", "月", 2),
    ("year", "Year", "年", 2),
    ("kg", "Kilogram", "千克", 3),
    ("metre", "Metre", "米", 3),
    ("litre", "Litre", "升", 3),
)
_TAX_CLASSES = (
    ("standard", "Standard rate", "标准税率"),
    ("reduced", "Reduced rate", "低税率"),
    ("services", "Services", "现代服务"),
    ("zero", "Zero rate", "零税率"),
)
_TAX_RATES = (
    ("standard", date(1994, 1, 1), 17),
    ("standard", date(2018, 5, 1), 16),
    ("standard", date(2019, 4, 1), 13),
    ("reduced", date(2012, 1, 1), 11),
    ("reduced", date(2018, 5, 1), 10),
    ("reduced", date(2019, 4, 1), 9),
    ("services", date(2012, 1, 1), 6),
    ("zero", date(1994, 1, 1), 0),
)


async def ensure_measures(uow: UnitOfWork) -> None:
    """Write the usual units and tax classes where the tenant has none; concurrent calls write them once."""
    known = await uow.fetchrow(
        "SELECT EXISTS (SELECT 1 FROM catalog.units WHERE tenant_id = $1),"
        " EXISTS (SELECT 1 FROM catalog.tax_classes WHERE tenant_id = $1)",
        uow.tenant_id,
    )
    has_units, has_classes = known or (True, True)
    if not has_units:
        await _insert_usual(uow, "units", ("decimals",), _UNITS)
    if not has_classes:
        await _insert_usual(uow, "tax_classes", (), _TAX_CLASSES)
        codes, days, rates = zip(*_TAX_RATES, strict=True)
        await uow.fetch(
            "INSERT INTO catalog.tax_rates (tenant_id, id, tax_class, country, valid_from, rate)"
            " SELECT $1, gen_random_uuid(), r.code, 'CN', r.day, r.rate"
            " FROM unnest($2::text[], $3::date[], $4::numeric[]) AS r(code, day, rate) ON CONFLICT DO NOTHING",
            uow.tenant_id,
            list(codes),
            list(days),
            [Decimal(rate) for rate in rates],
        )


async def _insert_usual(uow: UnitOfWork, table: str, more: Sequence[str], rows: Sequence[Any]) -> None:
    columns = list(map(list, zip(*rows, strict=True)))
    names = ["code", "name_en", "name_zh", *more]
    kinds = ["text", "text", "text", "bigint"][: len(names)]
    values = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, start=4))
    await uow.fetch(
        f"INSERT INTO catalog.{table} (tenant_id, id, version, created_at, updated_at, {', '.join(names)})"
        f" SELECT $1, u.id, 1, $2, $2, {', '.join(f'u.{name}' for name in names)}"
        f" FROM unnest($3::uuid[], {values}) AS u(id, {', '.join(names)}) ON CONFLICT DO NOTHING",
        uow.tenant_id,
        uow.now,
        [uuid5(uow.tenant_id, f"catalog.{table}.{row[0]}") for row in rows],
        *columns,
    )


class UnitService:
    """What products are counted in."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> list[UnitRead]:
        """By code; the usual ones also before anybody has needed them."""
        rows = await self._uow.all(self._uow.select(Unit).order_by(Unit.code))
        return [read_unit(row) for row in rows] or [
            UnitRead(
                id=uuid5(self._uow.tenant_id, f"catalog.units.{code}"),
                version=1,
                code=code,
                name_en=name_en,
                name_zh=name_zh,
                decimals=decimals,
            )
            for code, name_en, name_zh, decimals in sorted(_UNITS)
        ]

    async def get(self, id: UUID) -> UnitRead:
        """Raises `NotFound`."""
        for found in await self.all():
            if found.id == id:
                return found
        raise NotFound

    async def create(self, body: UnitCreate) -> UnitRead:
        """Raises `DuplicateValue`."""
        await ensure_measures(self._uow)
        return read_unit(await self._uow.insert(Unit, audit="unit", **body.model_dump()))

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`, `CatalogEntryInUse`."""
        await ensure_measures(self._uow)
        row = await self._uow.get(Unit, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        await require_unused(self._uow, "unit", row.code)
        await self._uow.delete(row, audit="unit")


class TaxClassService:
    """What is taxed alike, and the dated rates of each."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self) -> list[TaxClassRead]:
        """By code; the usual ones also before anybody has needed them."""
        rows = await self._uow.all(self._uow.select(TaxClass).order_by(TaxClass.code))
        if not rows:
            return self._unstored()
        rates = self._uow.select(TaxRate).order_by(TaxRate.country, TaxRate.valid_from)
        return _with_rates(rows, await self._uow.all(rates))

    async def get(self, id: UUID) -> TaxClassRead:
        """Raises `NotFound`."""
        for found in await self.all():
            if found.id == id:
                return found
        raise NotFound

    async def create(self, body: TaxClassCreate) -> TaxClassRead:
        """Raises `DuplicateValue`."""
        await ensure_measures(self._uow)
        made = await self._uow.insert(
            TaxClass, audit="tax_class", code=body.code, name_en=body.name_en, name_zh=body.name_zh
        )
        await self._write_rates(made.code, body.rates)
        return await self.get(made.id)

    async def update(self, id: UUID, body: TaxClassUpdate, *, expected_version: int) -> TaxClassRead:
        """Raises `NotFound`, `StaleVersion`. Rates are audited whole."""
        await ensure_measures(self._uow)
        row = await self._uow.get(TaxClass, id, lock="update")
        require_version(row.version, expected=expected_version)
        changes = {
            name: getattr(body, name)
            for name in body.model_fields_set - {"rates"}
            if name == "name_zh" or getattr(body, name) is not None
        }
        after = await self._uow.update(row, audit="tax_class", **changes)
        if body.rates is not None:
            before = (await self.get(id)).rates
            await self._uow.fetch(
                "DELETE FROM catalog.tax_rates WHERE tenant_id = $1 AND tax_class = $2",
                self._uow.tenant_id,
                row.code,
            )
            await self._write_rates(row.code, body.rates)
            if after is row:
                await self._bump(row)
            self._uow.record_audit(
                "tax_class", id, "rates_replaced", {"rates": [_shown(before), _shown(body.rates)]}
            )
        return await self.get(id)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`, `CatalogEntryInUse`."""
        await ensure_measures(self._uow)
        row = await self._uow.get(TaxClass, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        await require_unused(self._uow, "tax_class", row.code)
        await self._uow.delete(row, audit="tax_class")

    async def _bump(self, row: TaxClass) -> None:
        await self._uow.fetch(
            "UPDATE catalog.tax_classes SET version = version + 1, updated_at = $3"
            " WHERE tenant_id = $1 AND id = $2",
            row.tenant_id,
            row.id,
            self._uow.now,
        )

    async def _write_rates(self, code: str, rates: Sequence[TaxRateInput]) -> None:
        await self._uow.insert_many(TaxRate, [{"tax_class": code, **rate.model_dump()} for rate in rates])

    def _unstored(self) -> list[TaxClassRead]:
        return [
            TaxClassRead(
                id=uuid5(self._uow.tenant_id, f"catalog.tax_classes.{code}"),
                version=1,
                code=code,
                name_en=name_en,
                name_zh=name_zh,
                rates=[
                    TaxRateRead(country="CN", valid_from=day, rate=Decimal(rate))
                    for of, day, rate in _TAX_RATES
                    if of == code
                ],
            )
            for code, name_en, name_zh in sorted(_TAX_CLASSES)
        ]


async def require_unused(uow: UnitOfWork, column: str, value: str | UUID) -> None:
    """Nothing goes that products still name, deleted ones too, whose history it is. Raises `CatalogEntryInUse`."""
    kind = "uuid" if isinstance(value, UUID) else "text"
    found = await uow.fetchrow(
        f"SELECT count(*) FROM catalog.products WHERE tenant_id = $1 AND {column} = $2::{kind}",
        uow.tenant_id,
        value,
    )
    count = cast("int", found[0]) if found else 0
    if count:
        raise CatalogEntryInUse(f"{count} products use it.", used_by={"products": count})


def _shown(rates: Sequence[TaxRateInput] | Sequence[TaxRateRead]) -> list[dict[str, str]]:
    return [
        {"country": rate.country, "valid_from": rate.valid_from.isoformat(), "rate": f"{rate.rate:f}"}
        for rate in rates
    ]


def _with_rates(classes: Sequence[TaxClass], rates: Sequence[TaxRate]) -> list[TaxClassRead]:
    by_class: dict[str, list[TaxRateRead]] = {}
    for rate in rates:
        shown = TaxRateRead(country=rate.country, valid_from=rate.valid_from, rate=rate.rate)
        by_class.setdefault(rate.tax_class, []).append(shown)
    return [
        TaxClassRead(
            id=row.id,
            version=row.version,
            code=row.code,
            name_en=row.name_en,
            name_zh=row.name_zh,
            rates=by_class.get(row.code, []),
        )
        for row in classes
    ]


def read_unit(row: Unit) -> UnitRead:
    """The wire form."""
    return UnitRead(
        id=row.id,
        version=row.version,
        code=row.code,
        name_en=row.name_en,
        name_zh=row.name_zh,
        decimals=row.decimals,
    )
