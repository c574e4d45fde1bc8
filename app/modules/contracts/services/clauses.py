"""The clauses of contracts: copies of library texts, whose merge fields are filled in and then kept as submitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import FieldError, Invalid
from app.kernel.ids import new_id
from app.kernel.money import Money
from app.kernel.people import People
from app.kernel.uow import UnitOfWork
from app.modules.contracts.models import Clause, Contract, ContractLanguage
from app.modules.contracts.models.texts import ClauseTemplateVersion
from app.modules.contracts.schemas.parts import ClauseInput, ClauseRead, Clauses
from app.modules.contracts.services import merge_fields
from app.modules.contracts.services.clause_templates import ClauseTemplateService
from app.modules.contracts.services.contracts import ContractService
from app.modules.customers.interface import Customers


class ClauseService:
    """The texts of one contract."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._contracts = ContractService(uow)
        self._templates = ClauseTemplateService(uow)

    async def all(self, contract_id: UUID) -> Clauses:
        """In their order. Raises `NotFound` for a contract that is not visible."""
        row = await self._contracts.get(contract_id)
        return Clauses(data=await self.read(row, await self.of(contract_id)))

    async def set(
        self, contract_id: UUID, given: Sequence[ClauseInput], *, expected_version: int
    ) -> Contract:
        """Replace a draft's clauses, copying those of the library.

        Raises: NotFound; StaleVersion; ContractLocked; Invalid for an unknown or retired template, one that has no
        text in the contract's language, and a merge field that is not declared.
        """
        row = await self._contracts.draft(contract_id, expected_version)
        before = await self.of(contract_id)
        after = await self.replace(row, given)
        titles = [[one.title for one in before], [one["title"] for one in after]]
        return await self._contracts.bump(row, "clauses", *titles)

    async def replace(self, row: Contract, given: Sequence[ClauseInput]) -> list[dict[str, Any]]:
        """Put these in the place of those that a held contract has. Raises `Invalid`."""
        copies = await self._copies(given, row.language)
        rows = [
            {"id": new_id(), "contract_id": row.id, "position": position, "merged": None, **copy}
            for position, copy in enumerate(copies)
        ]
        await self._uow.fetch(
            "DELETE FROM contracts.clauses WHERE tenant_id = $1 AND contract_id = $2", row.tenant_id, row.id
        )
        await self._uow.insert_many(Clause, rows)
        return rows

    async def of(self, contract_id: UUID) -> list[Clause]:
        statement = self._uow.select(Clause).where(Clause.contract_id == contract_id)
        return await self._uow.all(statement.order_by(Clause.position, Clause.id))

    async def read(self, row: Contract, clauses: Sequence[Clause]) -> list[ClauseRead]:
        """With their merge fields filled in: as submitted, or as they are at the moment."""
        values: dict[str, str | None] = {}
        if any(clause.merged is None for clause in clauses):
            values = await self._values(row)
            if self._contracts.hides_value:
                values["contract.value"] = None
        found = []
        for clause in clauses:
            text, missing = (clause.merged, []) if clause.merged is not None else _filled(clause, values)
            found.append(
                ClauseRead(
                    id=clause.id,
                    template_id=clause.template_id,
                    template_version=clause.template_version,
                    title=clause.title,
                    body=clause.body,
                    text=merge_fields.text_without_amounts(text or "")
                    if self._contracts.hides_value
                    else text or "",
                    missing=missing,
                )
            )
        return found

    async def freeze(self, row: Contract) -> None:
        """Keep the texts as they are. Raises `Invalid` at a clause whose merge fields have no value."""
        clauses = [clause for clause in await self.of(row.id) if clause.merged is None]
        if not clauses:
            return
        values = await self._values(row)
        filled = [_filled(clause, values) for clause in clauses]
        errors = [
            FieldError(
                f"/clauses/{clause.position}", "missing_value", f"{name} has no value in this contract."
            )
            for clause, (_, missing) in zip(clauses, filled, strict=True)
            for name in missing
        ]
        if errors:
            raise Invalid(errors[0].detail, errors=errors)
        await self._uow.fetch(
            "UPDATE contracts.clauses c SET merged = m.text FROM unnest($2::uuid[], $3::text[]) AS m(id, text)"
            " WHERE c.tenant_id = $1 AND c.id = m.id",
            row.tenant_id,
            [clause.id for clause in clauses],
            [text for text, _ in filled],
        )

    async def thaw(self, contract_id: UUID) -> None:
        """It is a draft again: the texts follow the contract."""
        await self._uow.fetch(
            "UPDATE contracts.clauses SET merged = NULL WHERE tenant_id = $1 AND contract_id = $2",
            self._uow.tenant_id,
            contract_id,
        )

    async def _values(self, row: Contract) -> dict[str, str | None]:
        customers = self._uow.of(Customers)
        accounts = await customers.account_names([row.account_id])
        contacts = {} if row.contact_id is None else await customers.contact_names([row.contact_id])
        owners = {} if row.owner_id is None else await self._uow.of(People).names([row.owner_id])
        return merge_fields.values_of(
            row.language,
            account=accounts.get(row.account_id),
            contact=contacts.get(row.contact_id) if row.contact_id else None,
            company=self._uow.actor.tenant.name,
            owner=owners.get(row.owner_id) if row.owner_id else None,
            number=row.number,
            title=row.title,
            value=Money(row.value, row.currency),
            starts_on=row.starts_on,
            ends_on=row.ends_on,
            notice_days=row.notice_days,
        )

    async def _copies(self, given: Sequence[ClauseInput], language: str) -> list[dict[str, Any]]:
        templates = await self._templates.held([one.template_id for one in given if one.template_id])
        wanted = [
            (one.template_id, one.template_version or templates[one.template_id].current_version)
            for one in given
            if one.template_id is not None and one.template_id in templates
        ]
        texts = await self._templates.texts_of(wanted)
        copies: list[dict[str, Any]] = []
        for index, one in enumerate(given):
            place = f"/clauses/{index}"
            if one.template_id is None:
                merge_fields.check(one.body or "", f"{place}/body")
                copies.append(_copy(None, None, one.title, one.body))
                continue
            template = templates.get(one.template_id)
            if template is None or not template.is_active:
                told = "There is no clause in use with this id."
                raise Invalid.at(f"{place}/template_id", "unknown_reference", told)
            number = one.template_version or template.current_version
            text = texts.get((one.template_id, number))
            if text is None:
                raise Invalid.at(
                    f"{place}/template_version", "unknown_reference", "There is no such version."
                )
            title, body = _in_language(text, language, f"{place}/template_id")
            copies.append(_copy(one.template_id, number, title, body))
        return copies


def _copy(
    template_id: UUID | None, number: int | None, title: str | None, body: str | None
) -> dict[str, Any]:
    return {"template_id": template_id, "template_version": number, "title": title, "body": body}


def _in_language(text: ClauseTemplateVersion, language: str, pointer: str) -> tuple[str, str]:
    """Raises `Invalid` where the clause was not written in the contract's language."""
    if language == ContractLanguage.EN:
        return text.title_en, text.body_en
    if text.title_zh is None or text.body_zh is None:
        told = "The clause has no Chinese text, in which the contract is written."
        raise Invalid.at(pointer, "no_text", told)
    return text.title_zh, text.body_zh


def _filled(clause: Clause, values: dict[str, str | None]) -> tuple[str, list[str]]:
    return merge_fields.fill(clause.body, values)
