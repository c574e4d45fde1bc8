"""`Contracts` for other modules, bound to their transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from pydantic import ValidationError

from app.kernel.access import visible_rows
from app.kernel.errors import FieldError, Invalid
from app.kernel.listing import Bindings
from app.kernel.locks import lock_keys
from app.kernel.money import Money
from app.kernel.statements import columns_of, entities, entity
from app.kernel.uow import UnitOfWork
from app.kernel.validation import pointer_of
from app.modules.catalog.interface import ChargeKind, ContractTerms
from app.modules.contracts.interface import ContractRef, InstalmentRef, InstalmentStatus, NewContract
from app.modules.contracts.models import Contract, ContractStatus, Instalment
from app.modules.contracts.schemas import MAX_AMOUNT_MINOR
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.drawings import DrawingService
from app.modules.contracts.services.instalments import Instalments
from app.modules.contracts.services.parts import PartService


class ContractsOfTenant:
    """Contracts as far as the actor sees them; money moves on whatever the caller was handed before."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def create(self, new: NewContract) -> ContractRef:
        if new.quote_id is not None:
            await lock_keys(self._uow, "contracts.quote", [str(new.quote_id)])
            found = await self._of_quotes([new.quote_id], visible_only=False)
            if found:
                return reference(found[0])
        _check_lines(new)
        given = {name: getattr(new, name) for name in _SAME}
        try:
            made = await ContractService(self._uow).create_for(new.owner_id, given, quote_id=new.quote_id)
        except ValidationError as error:
            raise _invalid(error) from None
        if new.lines:
            lines = [{name: getattr(line, name) for name in _LINE} for line in new.lines]
            await PartService(self._uow).add_lines(made.id, lines)
        return reference(made)

    async def get_many(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContractRef]:
        if not ids or not self._uow.actor.may("contract:read"):
            return {}
        rows = await ContractService(self._uow).get_many(list(ids), lock="share" if hold else None)
        return {id: reference(row) for id, row in rows.items()}

    async def of_quotes(self, quote_ids: Collection[UUID]) -> Mapping[UUID, ContractRef]:
        if not quote_ids or not self._uow.actor.may("contract:read"):
            return {}
        rows = await self._of_quotes(quote_ids, visible_only=True)
        return {row.quote_id: reference(row) for row in rows if row.quote_id is not None}

    async def draw(self, contract_id: UUID, order_id: UUID, amount: Money) -> Money:
        return await DrawingService(self._uow).draw(contract_id, order_id, amount)

    async def release(self, contract_id: UUID, order_id: UUID) -> None:
        await DrawingService(self._uow).release(contract_id, order_id)

    async def instalments(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, InstalmentRef]:
        actor = self._uow.actor
        if not ids or not actor.may("contract:read"):
            return {}
        bind = Bindings(self._uow.tenant_id, list(ids))
        visible = visible_rows(actor, "contract", "read", bind)
        rows = await self._uow.fetch(
            _INSTALMENTS.format(visible=f" AND {visible}" if visible else "")
            + (" ORDER BY i.id FOR NO KEY UPDATE OF i" if hold else ""),
            *bind.values,
        )
        return {row["id"]: _instalment(entity(Instalment, row), row["account_id"]) for row in rows}

    async def plan(self, contract_id: UUID) -> Sequence[InstalmentRef]:
        row = await ContractService(self._uow).get(contract_id)
        rows = await Instalments(self._uow).of(contract_id)
        return [_instalment(one, row.account_id) for one in rows]

    async def invoiced(self, instalment_id: UUID, change: Money) -> InstalmentRef:
        return await self._ref(await Instalments(self._uow).invoiced(instalment_id, change))

    async def paid(self, instalment_id: UUID, change: Money) -> InstalmentRef:
        return await self._ref(await Instalments(self._uow).paid(instalment_id, change))

    async def _ref(self, row: Instalment) -> InstalmentRef:
        contract = await self._uow.get(Contract, row.contract_id, deleted=True)
        return _instalment(row, contract.account_id)

    async def _of_quotes(self, quote_ids: Collection[UUID], *, visible_only: bool) -> list[Contract]:
        bind = Bindings(self._uow.tenant_id, list(quote_ids))
        visible = visible_rows(self._uow.actor, "contract", "read", bind) if visible_only else None
        columns = ", ".join(f"t.{name}" for name in columns_of(Contract))
        rows = await self._uow.fetch(
            f"SELECT {columns} FROM contracts.contracts t WHERE t.tenant_id = $1 AND t.quote_id = ANY($2::uuid[])"
            f" AND t.deleted_at IS NULL{f' AND {visible}' if visible else ''}",
            *bind.values,
        )
        return entities(Contract, rows)


class ContractPrices:
    """`PricedContracts`: the prices of a contract hold while it is active, and may be agreed before."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def terms(self, ids: Collection[UUID], *, hold: bool = False) -> Mapping[UUID, ContractTerms]:
        found = await ContractsOfTenant(self._uow).get_many(ids, hold=hold)
        return {
            id: ContractTerms(one.account_id, one.status == ContractStatus.ACTIVE, one.status in _OVER)
            for id, one in found.items()
        }


_OVER = frozenset({ContractStatus.EXPIRED, ContractStatus.TERMINATED, ContractStatus.RENEWED})
"""What does not come back: a voided contract is reopened as a draft."""
_SAME = (
    "title", "kind", "account_id", "value", "starts_on", "ends_on", "contact_id", "opportunity_id",
)  # fmt: skip
_LINE = ("product_id", "description", "quantity", "unit_price", "charge", "amount")
_INSTALMENTS = """
SELECT i.*, t.account_id FROM contracts.instalments i
JOIN contracts.contracts t ON t.tenant_id = i.tenant_id AND t.id = i.contract_id AND t.deleted_at IS NULL
WHERE i.tenant_id = $1 AND i.id = ANY($2::uuid[]){visible}"""


def reference(row: Contract) -> ContractRef:
    """A contract as others show it."""
    return ContractRef(
        id=row.id,
        number=row.number,
        title=row.title,
        account_id=row.account_id,
        status=row.status,
        value=Money(row.value, row.currency),
        drawn=Money(row.drawn, row.currency),
        starts_on=row.starts_on,
        ends_on=row.ends_on,
    )


def _instalment(row: Instalment, account_id: UUID) -> InstalmentRef:
    return InstalmentRef(
        id=row.id,
        contract_id=row.contract_id,
        account_id=account_id,
        position=row.position,
        label=row.label,
        amount=Money(row.amount, row.currency),
        invoiced=Money(row.invoiced, row.currency),
        paid=Money(row.paid, row.currency),
        due_on=row.due_on,
        status=InstalmentStatus(row.status),
    )


def _check_lines(new: NewContract) -> None:
    """Lines are copied as they were agreed, as far as they can be kept. Raises `Invalid`."""
    errors = [
        FieldError(f"/lines/{index}", "not_a_line", "Its quantity, charge or amount cannot be kept.")
        for index, line in enumerate(new.lines)
        if line.quantity <= 0
        or line.charge not in frozenset(ChargeKind)
        or not -MAX_AMOUNT_MINOR <= line.amount <= MAX_AMOUNT_MINOR
    ]
    if errors:
        raise Invalid(errors[0].detail, errors=errors)


def _invalid(error: ValidationError) -> Invalid:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [FieldError(pointer_of(one["loc"]), str(one["type"]), str(one["msg"])) for one in found]
    return Invalid(errors[0].detail, errors=errors)
