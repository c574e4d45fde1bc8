"""Service contracts: what is included, and what is drawn on it, which never exceeds it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Conflict, Invalid
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, select_page
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.schemas import Page
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.service import EntitlementDraw, EntitlementKind, ServiceContract
from app.modules.after_sales.schemas.service import (
    EntitlementDrawCreate,
    EntitlementDrawRead,
    ServiceContractCreate,
    ServiceContractRead,
    ServiceContractUpdate,
)
from app.modules.after_sales.services.assets.references import References

NUMBER: Final = "SC-{year}-{number:05d}"


class EntitlementExhausted(Conflict):
    """Carries `kind`, `wanted` and `left`."""

    code = "entitlement_exhausted"
    title = "The service contract does not include so much any more"


class ServiceContractNotInForce(Conflict):
    """Carries `starts_on` and `ends_on`."""

    code = "service_contract_not_in_force"
    title = "The service contract does not hold today"


class ServiceContractService(RecordService[ServiceContract]):
    """Service contracts."""

    record: ClassVar[RecordType[Any]]

    async def before_create(self, values: dict[str, Any]) -> None:
        references = References(self.uow)
        await references.customer(values, {"account_id"})
        await references.contract(values.get("contract_id"))
        await self._check_asset(references, values)
        _check_term(values)
        values |= {"minutes_used": 0, "visits_used": 0}
        values["number"] = await next_number(self.uow, "service_contract", NUMBER)

    async def before_update(self, row: ServiceContract, changes: dict[str, Any]) -> None:
        told = {name for name, value in changes.items() if getattr(row, name) != value}
        values = {**row.__dict__, **changes}
        references = References(self.uow)
        await references.customer(values, told)
        if "contract_id" in told:
            await references.contract(values["contract_id"])
        if {"asset_id", "account_id"} & told:
            await self._check_asset(references, values)
        _check_term(values)
        for kind in EntitlementKind:
            if values[f"{kind}_included"] < row.__dict__[f"{kind}_used"]:
                used = row.__dict__[f"{kind}_used"]
                raise Invalid.at(f"/{kind}_included", "used_up", f"{used} of them have been used.")

    async def before_delete(self, row: ServiceContract) -> None:
        if row.minutes_used or row.visits_used:
            raise Conflict("Something was drawn on it: cancel it instead.")

    async def _check_asset(self, references: References, values: Mapping[str, Any]) -> None:
        if values.get("asset_id") is None:
            return
        asset = await references.own("asset_id", values["asset_id"])
        if asset["account_id"] != values["account_id"]:
            raise Invalid.at("/asset_id", "other_account", "The asset is not this account's.")

    # -- drawing -------------------------------------------------------------------------------------------

    async def draw(self, id: UUID, body: EntitlementDrawCreate) -> EntitlementDrawRead:
        """Take something by hand. Raises: NotFound; Forbidden; EntitlementExhausted; ServiceContractNotInForce."""
        await self.get(id, action="update")
        return read_draw(await self.draw_for(id, body.kind, body.quantity, note=body.note))

    async def draw_for(
        self,
        id: UUID,
        kind: EntitlementKind,
        quantity: int,
        *,
        work_order_id: UUID | None = None,
        note: str | None = None,
    ) -> EntitlementDraw:
        """Take something, whoever acts: only as much as is left, and only while the contract holds.

        Raises: EntitlementExhausted; ServiceContractNotInForce.
        """
        row = await self.uow.fetchrow(
            _DRAW.format(kind=kind.value, columns=", ".join(columns_of(ServiceContract))),
            self.uow.tenant_id,
            id,
            quantity,
            self.uow.now,
            self._today,
        )
        if row is None:
            raise await self._refusal(id, kind, quantity)
        after = entity(ServiceContract, row)
        used = getattr(after, f"{kind}_used")
        self.uow.record_audit(
            "service_contract", id, "drawn", {f"{kind}_used": [used - quantity, used]}, reason=note
        )
        self.uow.publish_record(
            SERVICE_CONTRACT.updated,
            id,
            after.version,
            changed=[f"{kind}_used"],
            record=SERVICE_CONTRACT.render(after),
        )
        return await self.uow.insert(
            EntitlementDraw,
            service_contract_id=id,
            kind=kind.value,
            quantity=quantity,
            work_order_id=work_order_id,
            note=note,
            drawn_at=self.uow.now,
            drawn_by=self.actor.member_id,
        )

    @property
    def _today(self) -> date:
        return self.actor.tenant.day_of(self.uow.now)

    async def _refusal(self, id: UUID, kind: EntitlementKind, quantity: int) -> Conflict:
        row = await self.uow.get(ServiceContract, id)
        ended = row.cancelled_on is not None and row.cancelled_on <= self._today
        if ended or not row.starts_on <= self._today <= row.ends_on:
            return ServiceContractNotInForce(
                starts_on=row.starts_on.isoformat(), ends_on=(row.cancelled_on or row.ends_on).isoformat()
            )
        left = row.__dict__[f"{kind}_included"] - row.__dict__[f"{kind}_used"]
        return EntitlementExhausted(kind=kind.value, wanted=quantity, left=left)

    async def draws(self, id: UUID, *, limit: int, cursor: str | None) -> Page[EntitlementDrawRead]:
        """What was drawn, newest first. Raises `NotFound`, `InvalidCursor`."""
        await self.get(id)
        drawn = self.uow.select(EntitlementDraw).where(EntitlementDraw.service_contract_id == id)
        name = f"service-contracts/{id}/draws"
        found = await select_page(self.uow, drawn, NEWEST, name=name, limit=limit, cursor=cursor)
        return found.page(read_draw)


_DRAW: Final = """
UPDATE after_sales.service_contracts
SET {kind}_used = {kind}_used + $3, version = version + 1, updated_at = $4
WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL AND {kind}_used + $3 <= {kind}_included
  AND $5 BETWEEN starts_on AND ends_on AND (cancelled_on IS NULL OR cancelled_on > $5)
RETURNING {columns}"""


def _check_term(values: Mapping[str, Any]) -> None:
    if values["ends_on"] < values["starts_on"]:
        raise Invalid.at("/ends_on", "before_start", "The last day is not before the first.")


def read_draw(row: EntitlementDraw) -> EntitlementDrawRead:
    """As the API shows it."""
    return EntitlementDrawRead.model_validate(
        {name: getattr(row, name) for name in EntitlementDrawRead.model_fields}
    )


class AgreedResponse:
    """`ResponseClassSource`: the class of the contract that holds; one for the very asset goes before all others."""

    def __init__(self, uow: UnitOfWork) -> None:
        del uow  # it asks nothing itself

    def response_class(self, account_id: UUID, asset_id: UUID | None, on: date, bind: Bindings) -> str:
        day = bind(on)
        return (
            "(SELECT response_class FROM after_sales.service_contracts"
            f" WHERE tenant_id = $1 AND account_id = {bind(account_id)} AND deleted_at IS NULL"
            f" AND response_class IS NOT NULL AND (asset_id IS NULL OR asset_id = {bind(asset_id)})"
            f" AND {day} BETWEEN starts_on AND ends_on AND (cancelled_on IS NULL OR cancelled_on > {day})"
            " ORDER BY asset_id IS NULL, starts_on DESC, id DESC LIMIT 1)"
        )


SERVICE_CONTRACT: RecordType[ServiceContract] = RecordType(
    object="service_contract",
    plural="service_contracts",
    module="after_sales",
    model=ServiceContract,
    read=ServiceContractRead,
    create=ServiceContractCreate,
    update=ServiceContractUpdate,
    service=ServiceContractService,
    search=Search(names=("number", "name")),
    importable=False,
    labels={
        "number": ("service contract number", "服务合同编号"),
        "name": ("service contract", "服务合同"),
        "response_class": ("response class", "响应等级"),
        "starts_on": ("start date", "开始日期"),
        "ends_on": ("end date", "结束日期"),
    },
)
ServiceContractService.record = SERVICE_CONTRACT
