"""Contracts as records: numbered drafts that may be written freely, and keep what was agreed once they are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.numbering import next_number
from app.kernel.people import People
from app.kernel.records import RecordService, RecordType, Search
from app.kernel.statements import columns_of, entity
from app.kernel.uow import UnitOfWork
from app.kernel.validation import fields_of
from app.modules.contracts.interface import ContractLocked
from app.modules.contracts.models import Contract
from app.modules.contracts.schemas import ContractCreate, ContractRead, ContractUpdate
from app.modules.contracts.services.imports import PATTERN, SERIES, ContractImport, moves_plan
from app.modules.contracts.services.instalments import Instalments, items_of
from app.modules.contracts.services.references import References
from app.modules.contracts.services.states import DRAFT

ADMINISTRATIVE: Final = frozenset(
    {
        "owner_id", "team_id", "tags", "custom", "external_id", "description", "auto_renew", "renewal_months",
        "renewal_uplift_percent", "renewal_status", "renewal_reminder_days", "opportunity_id",
    }
)  # fmt: skip
"""Fields that are not what was agreed, and change whatever the contract's state."""
_LEFT_OPEN: Final = frozenset({"language", "account_id"})


class ContractService(ContractImport, RecordService[Contract]):
    """Contracts; what has left the draft keeps what was agreed."""

    record: ClassVar[RecordType[Any]]

    def __init__(self, uow: UnitOfWork) -> None:
        super().__init__(uow)
        self.references = References(uow)
        self.instalments = Instalments(uow)
        self._inherited = False
        self._more: Mapping[str, Any] = {}

    # -- creating ------------------------------------------------------------------------------------------

    async def create_for(self, owner_id: UUID | None, given: Mapping[str, Any], **columns: Any) -> Contract:
        """Make one that comes of something else: with its owner, whoever acts, and with columns of its own.

        Raises: Forbidden without the permission to create; Invalid.
        """
        self._inherited = owner_id is not None or "predecessor_id" in columns
        self._more = columns
        try:
            body = ContractCreate.model_validate({**given, "owner_id": owner_id})
            return await self.create(fields_of(body), explicit=())
        finally:
            self._inherited, self._more = False, {}

    def _columns(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As every record; the language and, until it is known from a file, the account may be left open."""
        return super()._columns({n: v for n, v in given.items() if v is not None or n not in _LEFT_OPEN})

    async def _assign(self, values: dict[str, Any], *, creating: bool) -> None:
        if not self._inherited:
            await super()._assign(values, creating=creating)
            return
        owner = values["owner_id"]
        if values.get("team_id") is None and "predecessor_id" not in self._more:
            values["team_id"] = (await self.uow.of(People).require_members([owner], pointer="/owner_id"))[
                owner
            ]

    async def before_create(self, values: dict[str, Any]) -> None:
        await self.references.learn([values])
        await self.complete(values, "")
        values["number"] = await next_number(self.uow, SERIES, PATTERN)
        values |= self._more

    async def complete(self, values: dict[str, Any], number: str) -> None:
        """The columns of a new draft from what was given of them. Raises `Invalid`."""
        if values.get("account_id") is None:
            raise Invalid.at("/account_id", "required", "A contract is made with an account.")
        values.setdefault("language", self.actor.tenant.language)
        values |= {
            "number": number,
            "status": DRAFT.value,
            "drawn": 0,
            "revision": 0,
            "plan": [],
        }
        check_term(values)
        await self.references.check(values)

    # -- changing ------------------------------------------------------------------------------------------

    async def change(self, row: Contract, given: Mapping[str, Any], *, action: str = "updated") -> Contract:
        """As every record; nothing that was left open at first can be emptied."""
        for name in _LEFT_OPEN & given.keys():
            if given[name] is None:
                raise Invalid.at(f"/{name}", "required", f"{name} may not be null.")
        return await super().change(row, given, action=action)

    async def before_update(self, row: Contract, changes: dict[str, Any]) -> None:
        await self.settle(row, changes)

    async def settle(self, row: Contract, changes: dict[str, Any]) -> None:
        """Check changes of what was agreed. Raises `ContractLocked`, `Invalid`."""
        changed = {name for name, value in changes.items() if getattr(row, name) != value}
        if row.status != DRAFT and changed - ADMINISTRATIVE:
            raise locked(row)
        after = {**row.__dict__, **changes}
        check_term(after)
        await self.references.check(after, changed)
        if "currency" in changed and await self._has_lines(row.id):
            raise Invalid.at("/value/currency", "other_currency", f"Its lines are in {row.currency}.")
        if row.plan and moves_plan(row, changes):
            self.instalments.require_plan(after, items_of(row.plan))

    async def after_update(self, before: Contract, after: Contract) -> None:
        if after.status == DRAFT and after.plan and moves_plan(before, after.__dict__):
            await self.instalments.rebuild(after)

    async def before_delete(self, row: Contract) -> None:
        """Only drafts go; the contract of the period before may then be renewed again."""
        if row.status != DRAFT or row.revision:
            raise locked(row, "Only a draft that was never in force can be deleted.")
        if row.predecessor_id is not None:
            former = await self.uow.get(Contract, row.predecessor_id, lock="update")
            if former.successor_id == row.id:
                await self.uow.update(former, audit="contract", successor_id=None)
                self.uow.publish_record(
                    CONTRACT.updated, former.id, former.version + 1, changed=["successor_id"]
                )

    async def held(self, id: UUID, expected_version: int | None, *, action: str = "update") -> Contract:
        """The row, held until the transaction ends. Raises `NotFound`, `Forbidden`, `StaleVersion`."""
        row = await self.get(id, action=action, lock="update")
        if expected_version is not None:
            require_version(row.version, expected=expected_version)
        return row

    async def draft(self, id: UUID, expected_version: int) -> Contract:
        """A draft, held, whose parts are about to change. Raises also `ContractLocked`."""
        row = await self.held(id, expected_version)
        if row.status != DRAFT:
            raise locked(row)
        return row

    async def bump(self, row: Contract, what: str, before: Any, after: Any, **changes: Any) -> Contract:
        """The next version of a held row whose parts have changed; history and listeners are told so."""
        stored = await self.uow.update(row, **changes)
        if stored is row:
            rows = await self.uow.fetch(_BUMP, row.tenant_id, row.id, self.uow.now)
            stored = entity(Contract, rows[0])
        self.uow.record_audit("contract", row.id, "updated", {what: [before, after]})
        self.uow.publish_record(CONTRACT.updated, row.id, stored.version, changed=[what])
        return stored

    def require_writable(self, *fields: str) -> None:
        """Raises `Forbidden` where the actor's role may not change these fields, or not even see them."""
        self._check_field_rules(fields)

    @property
    def hides_value(self) -> bool:
        """Whether the actor's role does not see what contracts are worth."""
        return "value" in self.actor.hidden("contract")

    async def _has_lines(self, id: UUID) -> bool:
        found = await self.uow.fetchrow(
            "SELECT 1 FROM contracts.lines WHERE tenant_id = $1 AND contract_id = $2 LIMIT 1",
            self.uow.tenant_id,
            id,
        )
        return found is not None


_BUMP: Final = (
    "UPDATE contracts.contracts SET version = version + 1, updated_at = $3 WHERE tenant_id = $1 AND id = $2"
    f" RETURNING {', '.join(columns_of(Contract))}"
)


def check_term(values: Mapping[str, Any]) -> None:
    """Raises `Invalid` for a term that ends before it starts, or a renewal that cannot be computed."""
    starts, ends = values["starts_on"], values.get("ends_on")
    if ends is not None and ends < starts:
        raise Invalid.at("/ends_on", "before_start", "The last day is not before the first.")
    if values.get("auto_renew"):
        if ends is None:
            raise Invalid.at("/auto_renew", "open_term", "A contract with an open term is not renewed.")
        if values.get("renewal_months") is None:
            raise Invalid.at("/renewal_months", "required", "Say how long the next period is.")


def locked(row: Contract, detail: str | None = None) -> ContractLocked:
    """The refusal to change a contract in its present state."""
    told = detail or f"It is {row.status.replace('_', ' ')}: amend it, or void it first."
    return ContractLocked(told, status_now=row.status)


CONTRACT: RecordType[Contract] = RecordType(
    object="contract",
    plural="contracts",
    module="contracts",
    model=Contract,
    read=ContractRead,
    create=ContractCreate,
    update=ContractUpdate,
    service=ContractService,
    title="title",
    search=Search(names=("title", "number")),
    follows={"drawn": "value"},
    labels={
        "title": ("contract", "contract title", "合同", "合同标题", "合同名称"),
        "kind": ("contract type", "合同类型"),
        "value": ("amount", "contract value", "合同金额"),
        "starts_on": ("start date", "开始日期"),
        "ends_on": ("end date", "结束日期"),
        "kind.sale": ("sale", "销售合同"),
        "kind.frame": ("frame", "框架合同"),
        "kind.service": ("service", "服务合同"),
        "kind.subscription": ("subscription", "订阅合同"),
        "kind.other": ("other", "其他"),
    },
)
ContractService.record = CONTRACT
