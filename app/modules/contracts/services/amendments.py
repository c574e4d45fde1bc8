"""Amendments: changes of a contract in force, drafted and approved on their own, that make a new revision of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from app.kernel.errors import Conflict, FieldError, Invalid, NotFound, Problem, require_version
from app.kernel.money import Money
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import AmendmentOpen, ContractAmended, ContractNotActive
from app.modules.contracts.models import Contract
from app.modules.contracts.models.texts import Amendment, AmendmentStatus
from app.modules.contracts.schemas.parts import ClauseInput
from app.modules.contracts.schemas.texts import AmendedTerms, AmendmentCreate, AmendmentRead, AmendmentUpdate
from app.modules.contracts.services.amended import AmendedContract
from app.modules.contracts.services.clause_templates import ClauseTemplateService
from app.modules.contracts.services.content import content_of, without_amounts
from app.modules.contracts.services.contracts import ContractService
from app.modules.contracts.services.parts import PartService
from app.modules.contracts.services.revisions import RevisionService
from app.modules.contracts.services.states import ACTIVE, AMENDMENTS

AUDITED_AS = "contract_amendment"


class _Tried(Exception):
    """Ends a trial, with what came of it."""

    def __init__(self, row: Contract, content: dict[str, Any]) -> None:
        super().__init__()
        self.row = row
        self.content = content


class AmendmentService:
    """The amendments of one contract. Whoever moves one holds the contract first."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._contracts = ContractService(uow)
        self._revisions = RevisionService(uow)
        self._templates = ClauseTemplateService(uow)
        self._parts = PartService(uow)

    # -- reading -------------------------------------------------------------------------------------------

    async def all(self, contract_id: UUID) -> list[AmendmentRead]:
        """Oldest first. Raises `NotFound` for a contract that is not visible."""
        await self._contracts.get(contract_id)
        statement = self._uow.select(Amendment).where(Amendment.contract_id == contract_id)
        return [self.read(row) for row in await self._uow.all(statement.order_by(Amendment.number))]

    async def get(self, contract_id: UUID, id: UUID) -> AmendmentRead:
        """Raises `NotFound`."""
        await self._contracts.get(contract_id)
        return self.read(await self._one(contract_id, id))

    def read(self, row: Amendment) -> AmendmentRead:
        changes = without_amounts(row.changes) if self._contracts.hides_value else row.changes
        same = ("id", "version", "contract_id", "number", "title", "reason", "effective_on", "in_force_at")
        return AmendmentRead(
            status=AmendmentStatus(row.status),
            changes=changes,
            created_by=row.created_by,
            created_at=row.created_at,
            **{name: getattr(row, name) for name in same},
        )

    # -- drafting ------------------------------------------------------------------------------------------

    async def create(self, contract_id: UUID, body: AmendmentCreate) -> AmendmentRead:
        """Draft a change of a contract in force.

        Raises: NotFound; Forbidden; ContractNotActive; AmendmentOpen; Invalid for changes that it could not take.
        """
        row = await self._contracts.held(contract_id, None)
        self._require_active(row)
        await self._require_none_open(row)
        self._require_writable(body.changes)
        changes = await self._settled(body.changes)
        await self._try(row, changes)
        last = await self._uow.fetchrow(
            "SELECT coalesce(max(number), 0) FROM contracts.amendments WHERE tenant_id = $1 AND contract_id = $2",
            row.tenant_id,
            row.id,
        )
        made = await self._uow.insert(
            Amendment,
            audit=AUDITED_AS,
            contract_id=contract_id,
            number=int(last[0]) + 1 if last else 1,
            title=body.title,
            reason=body.reason,
            status=AmendmentStatus.DRAFT.value,
            effective_on=body.effective_on,
            changes=_stored(changes),
            created_by=self._uow.actor.member_id,
        )
        self._note(made, "amendment_drafted")
        return self.read(made)

    async def update(
        self, contract_id: UUID, id: UUID, body: AmendmentUpdate, *, expected_version: int
    ) -> AmendmentRead:
        """Change a draft. Raises `NotFound`, `StaleVersion`, `Conflict` for one that is no draft, `Invalid`."""
        row, amendment = await self._held(contract_id, id, expected_version)
        if amendment.status != AmendmentStatus.DRAFT:
            raise Conflict(f"It is {amendment.status.replace('_', ' ')}.", status_now=amendment.status)
        given = {name: getattr(body, name) for name in body.model_fields_set}
        if body.changes is not None:
            self._require_writable(body.changes)
            changes = await self._settled(body.changes)
            await self._try(row, changes)
            given["changes"] = _stored(changes)
        return self.read(await self._uow.update(amendment, audit=AUDITED_AS, **given))

    async def withdraw(self, contract_id: UUID, id: UUID, *, expected_version: int) -> AmendmentRead:
        """Give an amendment up. Raises `NotFound`, `StaleVersion`, `InvalidTransition`."""
        _, amendment = await self._held(contract_id, id, expected_version)
        return self.read(await self.step(amendment, "withdraw"))

    # -- approval ------------------------------------------------------------------------------------------

    async def to_submit(
        self, contract_id: UUID, id: UUID, expected_version: int
    ) -> tuple[Amendment, Contract]:
        """A draft and its contract, held.

        Raises: NotFound; StaleVersion; InvalidTransition; ContractNotActive.
        """
        row, amendment = await self._held(contract_id, id, expected_version)
        AMENDMENTS.next(AmendmentStatus(amendment.status), "submit")
        self._require_active(row)
        return amendment, row

    async def in_approval(self, contract_id: UUID, id: UUID, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`; `InvalidTransition` for one that nobody is asked about."""
        _, amendment = await self._held(contract_id, id, expected_version)
        AMENDMENTS.next(AmendmentStatus(amendment.status), "return")

    async def tried(self, row: Contract, amendment: Amendment) -> tuple[Contract, dict[str, Any]]:
        """The contract and its content as they would be. Raises `Invalid` for what it could not take."""
        return await self._try(row, AmendedTerms.model_validate(amendment.changes))

    async def step(
        self, amendment: Amendment, step: str, reason: str | None = None, **changes: Any
    ) -> Amendment:
        """Move a held amendment by the table of states. Raises `InvalidTransition`."""
        status = AMENDMENTS.next(AmendmentStatus(amendment.status), step)
        after = await self._uow.update(
            amendment, audit=AUDITED_AS, action=step, status=status.value, **changes
        )
        self._note(after, f"amendment_{step}", reason)
        return after

    async def approved(self, amendment: Amendment, row: Contract) -> None:
        """Nobody has anything against it: it comes into force, at once if its day has come. Raises `Invalid`."""
        amendment = await self.step(amendment, "approve")
        if amendment.effective_on is None or amendment.effective_on <= self._contracts.instalments.today:
            await self._put_in_force(amendment, row)

    async def decided(self, row: Contract, *, approved: bool) -> None:
        """What was decided about the amendment of a held contract; one that no longer fits is a draft again."""
        statement = self._uow.select(Amendment).where(
            Amendment.contract_id == row.id, Amendment.status == AmendmentStatus.IN_APPROVAL.value
        )
        amendment = await self._uow.first(statement.with_for_update(key_share=True))
        if amendment is None:
            return
        if not approved:
            await self.step(amendment, "return")
            return
        try:
            async with self._uow.savepoint():
                await self.approved(amendment, row)
        except Problem as problem:
            await self.step(amendment, "return", problem.detail)

    async def apply_due(self, id: UUID) -> bool:
        """Put an approved amendment in force whose day has come; one that no longer fits is given up."""
        amendment = await self._uow.get(Amendment, id)
        row = await self._uow.get(Contract, amendment.contract_id, lock="update")
        amendment = await self._uow.get(Amendment, id, lock="update")
        if amendment.status != AmendmentStatus.APPROVED:
            return False
        try:
            async with self._uow.savepoint():
                await self._put_in_force(amendment, row)
        except Problem as problem:
            await self.step(amendment, "withdraw", problem.detail)
        return True

    async def _put_in_force(self, amendment: Amendment, row: Contract) -> None:
        self._require_active(row)
        await self.step(amendment, "apply", in_force_at=self._uow.now)
        terms = AmendedTerms.model_validate(amendment.changes)
        after = await AmendedContract(self._uow, row).take(terms, revision=row.revision + 1)
        await self._revisions.keep(after, self._contracts.instalments.today, amendment.id)
        self._uow.publish(
            ContractAmended(
                id=row.id,
                amendment_id=amendment.id,
                revision=after.revision,
                value=Money(after.value, after.currency).to_texts(),
                ends_on=after.ends_on,
            )
        )

    # -- helpers -------------------------------------------------------------------------------------------

    async def _try(self, row: Contract, terms: AmendedTerms) -> tuple[Contract, dict[str, Any]]:
        """What the contract would become, computed by making it so and taking that back."""
        try:
            async with self._uow.savepoint():
                after = await AmendedContract(self._uow, row).take(terms)
                raise _Tried(after, await content_of(self._uow, after))
        except _Tried as tried:
            return tried.row, tried.content
        except Invalid as refusal:
            raise _in_changes(refusal) from None

    async def _held(self, contract_id: UUID, id: UUID, expected_version: int) -> tuple[Contract, Amendment]:
        row = await self._contracts.held(contract_id, None)
        amendment = await self._one(contract_id, id)
        require_version(amendment.version, expected=expected_version)
        return row, amendment

    async def _one(self, contract_id: UUID, id: UUID) -> Amendment:
        row = await self._uow.get(Amendment, id)
        if row.contract_id != contract_id:
            raise NotFound
        return row

    async def _settled(self, terms: AmendedTerms) -> AmendedTerms:
        """The same terms, as they will hold whoever puts them in force: parties named, clauses in this version.

        Raises: Invalid at `/changes` for parties and products that are not there.
        """
        settled: dict[str, Any] = {}
        try:
            if terms.parties is not None:
                settled["parties"] = await self._parts.named(terms.parties)
            if terms.lines is not None:
                products = [one.product_id for one in terms.lines]
                await self._contracts.references.check_products(products, "/lines")
        except Invalid as refusal:
            raise _in_changes(refusal) from None
        if terms.clauses is not None:
            settled["clauses"] = await self._in_this_version(terms.clauses)
        return terms.model_copy(update=settled)

    async def _in_this_version(self, clauses: Sequence[ClauseInput]) -> list[ClauseInput]:
        templates = await self._templates.held([one.template_id for one in clauses if one.template_id])
        settled = []
        for one in clauses:
            template = templates.get(one.template_id) if one.template_id else None
            if template is not None and one.template_version is None:
                settled.append(one.model_copy(update={"template_version": template.current_version}))
            else:
                settled.append(one)
        return settled

    def _require_active(self, row: Contract) -> None:
        if row.status != ACTIVE:
            raise ContractNotActive(f"It is {row.status.replace('_', ' ')}.", status_now=row.status)

    async def _require_none_open(self, row: Contract) -> None:
        statement = self._uow.select(Amendment).where(
            Amendment.contract_id == row.id,
            Amendment.status != AmendmentStatus.IN_FORCE.value,
            Amendment.status != AmendmentStatus.WITHDRAWN.value,
        )
        found = await self._uow.first(statement)
        if found is not None:
            raise AmendmentOpen(number=found.number)

    def _require_writable(self, terms: AmendedTerms) -> None:
        given = terms.model_fields_set
        fields = given & {"title", "value", "ends_on"}
        self._contracts.require_writable(*fields, *(["value"] if given & {"lines", "plan"} else []))

    def _note(self, amendment: Amendment, action: str, reason: str | None = None) -> None:
        self._uow.record_audit(
            "contract", amendment.contract_id, action, {"amendment": [None, amendment.number]}, reason=reason
        )


def _stored(terms: AmendedTerms) -> dict[str, Any]:
    """Only what was given, in its wire form."""
    return {name: _wire(getattr(terms, name)) for name in sorted(terms.model_fields_set)}


def _wire(value: Any) -> Any:
    if isinstance(value, list):
        return [one.model_dump(mode="json", exclude_none=True) for one in value]
    return (
        value.to_wire()
        if isinstance(value, Money)
        else value.isoformat()
        if isinstance(value, date)
        else value
    )


def _in_changes(refusal: Invalid) -> Invalid:
    """The same refusal, with pointers into the request."""
    errors = [FieldError(f"/changes{e.pointer}", e.code, e.detail) for e in refusal.errors]
    return Invalid(refusal.detail, errors=errors)
