"""Assets as records: what was bought or installed where, and under what warranty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Conflict, Invalid, Problem
from app.kernel.imports.references import texts_of
from app.kernel.imports.rules import ImportColumn, ImportOptions, ImportRow, ImportRules
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.uow import UnitOfWork
from app.kernel.validation import refuse_nulls
from app.modules.after_sales.models.assets import Asset, AssetStatus
from app.modules.after_sales.schemas.assets import AssetCreate, AssetRead, AssetUpdate, AssetWarranty
from app.modules.after_sales.services.assets.references import References, fill
from app.modules.after_sales.services.assets.warranties import covers, last_day, promises
from app.modules.after_sales.services.cases.ports import AssetFacts
from app.modules.catalog.interface import Catalog
from app.modules.customers.interface import Customers
from app.modules.orders.interface import OrderLineRef

ACCOUNT: Final = ImportColumn(
    "account", labels=("Account", "客户"), synonyms=("account name", "company", "客户名称", "公司")
)
PRODUCT: Final = ImportColumn(
    "product", labels=("Product", "产品"), synonyms=("sku", "product code", "产品编码")
)
_WARRANTY: Final = ("warranty_starts_on", "warranty_ends_on", "warranty_terms")


class AssetInUse(Conflict):
    """`used_by` counts what refers to the asset; one that is not used any more is retired instead."""

    code = "asset_in_use"
    title = "Other records refer to this asset"


class AssetService(ImportRules, RecordService[Asset]):
    """Assets. Their warranty is what was promised when they were made, until somebody says otherwise."""

    record: ClassVar[RecordType[Any]]
    import_columns: ClassVar[tuple[ImportColumn, ...]] = (ACCOUNT, PRODUCT)

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.references = References(uow)
        self._complete = False

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; the name may be left open until the product is known."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n != "name"})

    async def create_complete(self, values: Mapping[str, Any]) -> Asset:
        """Make one of columns that are known and checked, as of a shipment; its owner is taken as it is."""
        self._complete = True
        try:
            empty = dict.fromkeys(AssetCreate.model_fields) | {"tags": [], "custom": {}}
            return await self.create({**empty, **values}, explicit=())
        finally:
            self._complete = False

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if not self._complete:
            await super()._assign(values, creating=creating)

    async def before_create(self, values: dict[str, Any]) -> None:
        if self._complete:
            return
        line = await self.references.order_line(values)
        product = await self.references.product(values.get("product_id"))
        await self.references.customer(values, {"account_id", "contact_id"})
        if product is not None:
            fill(values, name=product.name)
            self._fill_start(values, line)
            promise = (await promises(self.uow, [product])).get(product.id)
            starts_on = values.get("warranty_starts_on")
            if promise is not None and starts_on is not None:
                fill(
                    values,
                    warranty_ends_on=last_day(starts_on, promise.months),
                    warranty_terms=promise.coverage,
                )
        if values.get("name") is None:
            raise Invalid.at("/name", "required", "Name it, or its product.")
        _check_warranty(values)

    def _fill_start(self, values: dict[str, Any], line: OrderLineRef | None) -> None:
        bought = self.actor.tenant.day_of(line.at) if line is not None else None
        fill(values, bought_on=bought)
        fill(values, warranty_starts_on=values["bought_on"])

    async def change(self, row: Asset, given: Mapping[str, Any], *, action: str = "updated") -> Asset:
        """As every record; the name cannot be emptied."""
        refuse_nulls({"name": given.get("name", row.name)})
        return await super().change(row, given, action=action)

    async def before_update(self, row: Asset, changes: dict[str, Any]) -> None:
        told = {name for name, value in changes.items() if getattr(row, name) != value}
        values = {**row.__dict__, **changes}
        if {"order_id", "order_line_id"} & told:
            await self.references.order_line(values)
        if "product_id" in told:
            await self.references.product(values["product_id"])
        await self.references.customer(values, told)
        _check_warranty(values)
        filled = ("account_id", "product_id", "bought_on")
        changes |= {name: values[name] for name in filled if values[name] != getattr(row, name)}

    async def before_delete(self, row: Asset) -> None:
        """Raises `AssetInUse`."""
        used = await self.uow.fetchrow(_USED, row.tenant_id, row.id)
        counts = {} if used is None else {name: count for name, count in used.items() if count}
        if counts:
            raise AssetInUse(used_by=counts)

    async def warranty(self, id: UUID, on: date | None) -> AssetWarranty:
        """Whether an asset is under warranty on a day, today unless another is named. Raises `NotFound`."""
        row = await self.get(id)
        unseen = self.actor.hidden("asset") & set(_WARRANTY)
        day = on or self.actor.tenant.day_of(self.uow.now)
        starts, ends, terms = (None if name in unseen else getattr(row, name) for name in _WARRANTY)
        covered = covers(starts, ends, day)
        return AssetWarranty(
            on=day,
            covered=covered,
            starts_on=starts,
            ends_on=ends,
            days_left=(ends - day).days if covered and ends is not None else None,
            terms=terms,
        )

    # -- import --------------------------------------------------------------------------------------------

    async def prepare_import(self, rows: Sequence[ImportRow], options: ImportOptions) -> None:  # noqa: ARG002
        await self._resolve(rows)
        for row in rows:
            row.missing = [fault for fault in row.missing if fault.column != "name"]
            if not row.faults:
                row.values = dict.fromkeys(_FIELDS) | row.values
                try:
                    await self.before_create(row.values)
                except Problem as problem:
                    row.refuse_by(problem)

    async def prepare_import_updates(
        self,
        rows: Sequence[ImportRow],
        options: ImportOptions,  # noqa: ARG002
    ) -> None:
        await self._resolve(rows)
        for row in rows:
            try:
                await self.before_update(row.existing, row.values)
            except Problem as problem:
                row.refuse_by(problem)

    async def _resolve(self, rows: Sequence[ImportRow]) -> None:
        """Put ids where the file names accounts and products; refuse rows that name unknown ones."""
        customers = self.uow.of(Customers)
        names = texts_of(rows, ACCOUNT)
        if names:
            by_name = await customers.accounts_by_name(names)
            _place(rows, ACCOUNT, {**by_name, **await customers.accounts_by_external_id(names)})
        codes = texts_of(rows, PRODUCT)
        if codes:
            _place(rows, PRODUCT, await self.uow.of(Catalog).by_code(codes))


_FIELDS: Final = AssetCreate.model_fields.keys() - {
    "external_id", "owner_id", "team_id", "tags", "custom", "status",
}  # fmt: skip

_USED: Final = """
SELECT
  (SELECT count(*) FROM after_sales.cases WHERE tenant_id = $1 AND asset_id = $2 AND deleted_at IS NULL) AS cases,
  (SELECT count(*) FROM after_sales.work_orders
    WHERE tenant_id = $1 AND asset_id = $2 AND deleted_at IS NULL) AS work_orders,
  (SELECT count(*) FROM after_sales.maintenance_plans
    WHERE tenant_id = $1 AND asset_id = $2 AND deleted_at IS NULL) AS maintenance_plans,
  (SELECT count(*) FROM after_sales.service_contracts
    WHERE tenant_id = $1 AND asset_id = $2 AND deleted_at IS NULL) AS service_contracts"""


def _check_warranty(values: Mapping[str, Any]) -> None:
    starts, ends = values.get("warranty_starts_on"), values.get("warranty_ends_on")
    if ends is None:
        return
    if starts is None:
        raise Invalid.at("/warranty_starts_on", "required", "Say when the warranty starts.")
    if ends < starts:
        raise Invalid.at("/warranty_ends_on", "before_start", "The last day is not before the first.")


def _place(rows: Sequence[ImportRow], column: ImportColumn, found: Mapping[str, UUID]) -> None:
    name = f"{column.name}_id"
    for row in rows:
        text = row.extras.get(column.name, "").strip()
        if text in found:
            row.values[name] = found[text]
            row.given = row.given | {name}
        elif text:
            row.refuse(
                column.name, "unknown_reference", f"There is no {column.name} {text!r}, or several are."
            )


class AssetsOfCases:
    """`AssetSource`: what cases copy of the assets that they are about."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def assets(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, AssetFacts]:
        if not ids or not self._uow.actor.may("asset:read"):
            return {}
        rows = await AssetService(self._uow).get_many(list(ids), lock="share" if hold else None)
        return {
            id: AssetFacts(
                id=id,
                name=row.name,
                account_id=row.account_id,
                product_id=row.product_id,
                warranty_starts_on=row.warranty_starts_on,
                warranty_ends_on=row.warranty_ends_on,
                warranty_terms=row.warranty_terms,
            )
            for id, row in rows.items()
        }


ASSET: RecordType[Asset] = RecordType(
    object="asset",
    plural="assets",
    module="after_sales",
    model=Asset,
    read=AssetRead,
    create=AssetCreate,
    update=AssetUpdate,
    service=AssetService,
    search=Search(names=("name", "serial_number", "location")),
    labels={
        "name": ("asset", "设备", "设备名称"),
        "serial_number": ("serial", "serial no", "序列号"),
        "status": ("状态",),
        "bought_on": ("purchase date", "购买日期"),
        "installed_on": ("installation date", "安装日期"),
        "location": ("site", "位置"),
        "warranty_starts_on": ("warranty from", "质保开始"),
        "warranty_ends_on": ("warranty until", "质保截止"),
        "warranty_terms": ("warranty", "质保条款"),
        **{
            f"status.{status.value}": (status.value.replace("_", " "), chinese)
            for status, chinese in zip(
                AssetStatus, ("库存", "已安装", "故障", "已退回", "已停用"), strict=True
            )
        },
    },
)
AssetService.record = ASSET
