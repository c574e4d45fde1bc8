"""Work orders as records, and their steps from the draft to the customer's signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Conflict, Invalid, NotFound, require_version
from app.kernel.numbering import next_number
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import entity
from app.kernel.states import StateMachine
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file
from app.modules.after_sales.models.service import EntitlementKind, WorkOrder, WorkOrderStatus
from app.modules.after_sales.schemas.service import (
    WorkOrderCreate,
    WorkOrderRead,
    WorkOrderReport,
    WorkOrderSchedule,
    WorkOrderSignature,
    WorkOrderUpdate,
)
from app.modules.after_sales.services.assets.references import References, fill
from app.modules.after_sales.services.service.contracts import ServiceContractService
from app.modules.after_sales.services.service.parts import PartsInStock

NUMBER: Final = "W-{year}-{number:05d}"
DRAFT, SCHEDULED = WorkOrderStatus.DRAFT, WorkOrderStatus.SCHEDULED
IN_PROGRESS, DONE = WorkOrderStatus.IN_PROGRESS, WorkOrderStatus.DONE
SIGNED_OFF, CANCELLED = WorkOrderStatus.SIGNED_OFF, WorkOrderStatus.CANCELLED

WORK_ORDER_STATES: StateMachine[WorkOrderStatus] = StateMachine(
    "The work order",
    DRAFT,
    {
        (DRAFT, "schedule"): SCHEDULED,
        (SCHEDULED, "schedule"): SCHEDULED,
        (DRAFT, "start"): IN_PROGRESS,
        (SCHEDULED, "start"): IN_PROGRESS,
        (IN_PROGRESS, "finish"): DONE,
        (DONE, "resume"): IN_PROGRESS,
        (DONE, "sign_off"): SIGNED_OFF,
        (DRAFT, "cancel"): CANCELLED,
        (SCHEDULED, "cancel"): CANCELLED,
        (IN_PROGRESS, "cancel"): CANCELLED,
    },
)
"""Urgent work may start without a window; what the customer does not sign is resumed."""

ENDED: Final = frozenset({SIGNED_OFF, CANCELLED})
PLANNED: Final = frozenset({SCHEDULED, IN_PROGRESS, DONE})
"""Their parts are kept in stock."""
_ALWAYS: Final = frozenset({"tags", "custom", "external_id", "owner_id", "team_id"})
_UNSAID: Final = (
    "maintenance_plan_id", "planned_on", "due_reading", "window_starts_at", "window_ends_at", "started_at", "done_at",
    "report", "signed_by", "signed_at", "signature_file_id", "cancel_reason",
)  # fmt: skip


class WorkOrderEnded(Conflict):
    """Carries `state`."""

    code = "work_order_ended"
    title = "A signed off or cancelled work order changes no more"


class WorkOrderService(RecordService[WorkOrder]):
    """Work orders."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self._planned: Mapping[str, Any] | None = None

    # -- writing -------------------------------------------------------------------------------------------

    async def create_planned(self, values: Mapping[str, Any], **planned: Any) -> WorkOrder:
        """Make the one that a maintenance plan calls for; its owner is the plan's, whoever that is."""
        self._planned = planned
        try:
            empty = dict.fromkeys(WorkOrderCreate.model_fields) | {"tags": [], "custom": {}}
            return await self.create({**empty, **values}, explicit=())
        finally:
            self._planned = None

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if self._planned is None:
            await super()._assign(values, creating=creating)

    async def before_create(self, values: dict[str, Any]) -> None:
        values |= dict.fromkeys(_UNSAID) | {"status": DRAFT.value, "minutes_worked": 0}
        await self._check(values, set(values))
        values |= self._planned or {}
        values["number"] = await next_number(self.uow, "work_order", NUMBER)

    async def before_update(self, row: WorkOrder, changes: dict[str, Any]) -> None:
        told = {name for name, value in changes.items() if getattr(row, name) != value}
        if row.status in ENDED and told - _ALWAYS:
            raise WorkOrderEnded(f"It is {row.status}.", state=row.status)
        values = {**row.__dict__, **changes}
        await self._check(values, told)
        changes |= {name: values[name] for name in ("account_id", "asset_id")}

    async def _check(self, values: dict[str, Any], told: set[str]) -> None:
        """Look at the references that were named, and fill in what follows from them. Raises `Invalid`."""
        references = References(self.uow)
        if "case_id" in told and values.get("case_id") is not None:
            case = await references.own("case_id", values["case_id"])
            if values.get("asset_id") is None and case["asset_id"] is not None:
                values["asset_id"] = case["asset_id"]
                told = told | {"asset_id"}
            fill(values, account_id=case["account_id"])
        if "asset_id" in told and values.get("asset_id") is not None:
            asset = await references.own("asset_id", values["asset_id"])
            fill(values, account_id=asset["account_id"])
        await references.customer(values, told)
        contract_id = values.get("service_contract_id")
        if contract_id is not None and {"service_contract_id", "account_id", "asset_id"} & told:
            contract = await references.own("service_contract_id", contract_id)
            fill(values, account_id=contract["account_id"])
            if contract["account_id"] != values["account_id"]:
                raise Invalid.at("/service_contract_id", "other_account", "It is another account's.")
            if contract["asset_id"] not in (None, values.get("asset_id")):
                raise Invalid.at("/service_contract_id", "other_asset", "It is for another asset.")

    async def before_delete(self, row: WorkOrder) -> None:
        if row.status not in (DRAFT, CANCELLED):
            raise Conflict("Only a draft or a cancelled work order is deleted.", state=row.status)

    # -- steps ---------------------------------------------------------------------------------------------

    async def locked(self, id: UUID, expected_version: int | None = None) -> WorkOrder:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action="update", lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return row

    async def open(self, id: UUID) -> WorkOrder:
        """As `locked`, of one that is not over. Raises also `WorkOrderEnded`."""
        row = await self.locked(id)
        if row.status in ENDED:
            raise WorkOrderEnded(f"It is {row.status}.", state=row.status)
        return row

    async def schedule(self, id: UUID, body: WorkOrderSchedule, *, expected_version: int) -> WorkOrder:
        """Say when it is done, and by whom; its parts are kept in stock from then on.

        Raises: InvalidTransition; StaleVersion; Invalid; Forbidden; OutOfStock.
        """
        row = await self.locked(id, expected_version)
        status = WORK_ORDER_STATES.next(WorkOrderStatus(row.status), "schedule")
        if body.ends_at <= body.starts_at:
            raise Invalid.at("/ends_at", "before_start", "The window ends after it starts.")
        changes: dict[str, Any] = {
            "status": status.value,
            "window_starts_at": body.starts_at,
            "window_ends_at": body.ends_at,
        }
        if body.assignee_id is not None and body.assignee_id != row.owner_id:
            self.actor.require("work_order:assign")
            owner = {"owner_id": body.assignee_id}
            await self._assign(owner, creating=False)
            changes |= owner
        await self._keep_parts(row)
        return await self.write(row, changes, action="schedule")

    async def _keep_parts(self, row: WorkOrder) -> None:
        """Of work that leaves the draft; later parts are kept as they come."""
        if row.status == DRAFT:
            stock = PartsInStock(self.uow)
            await stock.keep(row, await stock.of(row.id))

    async def step(
        self, id: UUID, name: str, *, expected_version: int, reason: str | None = None, **changes: Any
    ) -> WorkOrder:
        """Start, resume or cancel. Raises: InvalidTransition; StaleVersion; OutOfStock for parts of urgent work."""
        row = await self.locked(id, expected_version)
        status = WORK_ORDER_STATES.next(WorkOrderStatus(row.status), name)
        if name == "start":
            await self._keep_parts(row)
            changes["started_at"] = self.uow.now
        if name == "cancel":
            stock = PartsInStock(self.uow)
            await stock.give_back(await stock.of(row.id))
        if name == "resume":
            changes["done_at"] = None
        return await self.write(row, {**changes, "status": status.value}, action=name, reason=reason)

    async def finish(self, id: UUID, body: WorkOrderReport, *, expected_version: int) -> WorkOrder:
        """It is done: a visit is drawn from the service contract, once, where that includes some.

        Raises: InvalidTransition; StaleVersion; EntitlementExhausted; ServiceContractNotInForce.
        """
        row = await self.locked(id, expected_version)
        status = WORK_ORDER_STATES.next(WorkOrderStatus(row.status), "finish")
        if not body.outside_contract:
            await self._draw_visit(row)
        changes = {"status": status.value, "done_at": self.uow.now, "report": body.report or row.report}
        return await self.write(row, changes, action="finish")

    async def _draw_visit(self, row: WorkOrder) -> None:
        if row.service_contract_id is None:
            return
        wanted = await self.uow.fetchrow(
            "SELECT 1 FROM after_sales.service_contracts c WHERE c.tenant_id = $1 AND c.id = $2"
            " AND c.visits_included > 0 AND NOT EXISTS (SELECT 1 FROM after_sales.entitlement_draws d"
            " WHERE d.tenant_id = $1 AND d.work_order_id = $3 AND d.kind = 'visits')",
            row.tenant_id,
            row.service_contract_id,
            row.id,
        )
        if wanted is not None:
            contracts = ServiceContractService(self.uow)
            await contracts.draw_for(
                row.service_contract_id, EntitlementKind.VISITS, 1, work_order_id=row.id, note=row.number
            )

    async def sign_off(self, id: UUID, body: WorkOrderSignature, *, expected_version: int) -> WorkOrder:
        """The customer agrees that it was done; its parts are out of stock. Raises: InvalidTransition; …"""
        row = await self.locked(id, expected_version)
        status = WORK_ORDER_STATES.next(WorkOrderStatus(row.status), "sign_off")
        signed_at = body.signed_at or self.uow.now
        if signed_at > self.uow.now:
            raise Invalid.at("/signed_at", "in_future", "Nobody has signed it in the future.")
        if body.signature_file_id is not None:
            try:
                await visible_file(self.uow, body.signature_file_id)
            except NotFound:
                detail = "There is no such file that you may open."
                raise Invalid.at("/signature_file_id", "unknown_file", detail) from None
        changes = {
            "status": status.value,
            "signed_by": body.signed_by,
            "signed_at": signed_at,
            "signature_file_id": body.signature_file_id,
        }
        await PartsInStock(self.uow).take_out(row)
        return await self.write(row, changes, action="sign_off")

    async def worked(self, row: WorkOrder, minutes: int) -> WorkOrder:
        """Add to the time that was worked on a held row, or take from it."""
        rows = await self.uow.fetch(
            "UPDATE after_sales.work_orders SET minutes_worked = minutes_worked + $3, version = version + 1,"
            " updated_at = $4 WHERE tenant_id = $1 AND id = $2 RETURNING *",
            row.tenant_id,
            row.id,
            minutes,
            self.uow.now,
        )
        after = entity(WorkOrder, rows[0])
        self.uow.record_audit(
            "work_order", row.id, "worked", {"minutes_worked": [row.minutes_worked, after.minutes_worked]}
        )
        self.uow.publish_record(
            WORK_ORDER.updated,
            row.id,
            after.version,
            changed=["minutes_worked"],
            record=WORK_ORDER.render(after),
        )
        return after


WORK_ORDER: RecordType[WorkOrder] = RecordType(
    object="work_order",
    plural="work_orders",
    module="after_sales",
    model=WorkOrder,
    read=WorkOrderRead,
    create=WorkOrderCreate,
    update=WorkOrderUpdate,
    service=WorkOrderService,
    title="subject",
    search=Search(names=("number", "subject")),
    importable=False,
    labels={
        "number": ("work order number", "工单编号"),
        "subject": ("work order", "工单"),
        "status": ("状态",),
        "due_on": ("due date", "到期日期"),
        "signed_by": ("signed by", "签收人"),
    },
)
WorkOrderService.record = WORK_ORDER
