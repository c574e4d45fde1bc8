"""The library of clauses: texts in versions, of which contracts take copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.kernel.errors import Invalid, require_version
from app.kernel.statements import entities
from app.kernel.uow import UnitOfWork
from app.modules.contracts.interface import ClauseTemplateInUse
from app.modules.contracts.models.texts import ClauseTemplate, ClauseTemplateVersion
from app.modules.contracts.schemas.texts import (
    ClauseTemplateCreate,
    ClauseTemplateRead,
    ClauseTemplateUpdate,
    ClauseTemplateVersionRead,
)
from app.modules.contracts.services import merge_fields

AUDITED_AS = "contract_clause_template"
TEXTS = ("title_en", "title_zh", "body_en", "body_zh")


class ClauseTemplateService:
    """Clauses that contracts are written with."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def all(self, *, active: bool | None = None) -> list[ClauseTemplateRead]:
        """By category and key, in their current versions."""
        statement = self._uow.select(ClauseTemplate)
        if active is not None:
            statement = statement.where(ClauseTemplate.is_active.is_(active))
        rows = await self._uow.all(statement.order_by(ClauseTemplate.category, ClauseTemplate.key))
        texts = await self.texts_of([(row.id, row.current_version) for row in rows])
        return [_read(row, texts[row.id, row.current_version]) for row in rows]

    async def get(self, id: UUID) -> ClauseTemplateRead:
        """Raises `NotFound`."""
        row = await self._uow.get(ClauseTemplate, id)
        texts = await self.texts_of([(row.id, row.current_version)])
        return _read(row, texts[row.id, row.current_version])

    async def versions(self, id: UUID) -> list[ClauseTemplateVersionRead]:
        """All that it ever said, newest first. Raises `NotFound`."""
        await self._uow.get(ClauseTemplate, id)
        statement = self._uow.select(ClauseTemplateVersion).where(ClauseTemplateVersion.template_id == id)
        rows = await self._uow.all(statement.order_by(ClauseTemplateVersion.number.desc()))
        return [
            ClauseTemplateVersionRead(
                number=row.number,
                created_at=row.created_at,
                created_by=row.created_by,
                **{name: getattr(row, name) for name in TEXTS},
            )
            for row in rows
        ]

    async def create(self, body: ClauseTemplateCreate) -> ClauseTemplateRead:
        """Raises `DuplicateValue`; `Invalid` for a merge field that is not declared."""
        texts = {name: getattr(body, name) for name in TEXTS}
        _check(texts)
        row = await self._uow.insert(
            ClauseTemplate,
            audit=AUDITED_AS,
            key=body.key,
            category=body.category,
            is_active=True,
            current_version=1,
        )
        return _read(row, await self._add_version(row.id, 1, texts))

    async def update(
        self, id: UUID, body: ClauseTemplateUpdate, *, expected_version: int
    ) -> ClauseTemplateRead:
        """Change it; another text is a new version. Raises `NotFound`, `StaleVersion`, `Invalid`."""
        row = await self._current(id, expected_version)
        former = (await self.texts_of([(id, row.current_version)]))[id, row.current_version]
        texts = {name: getattr(former, name) for name in TEXTS}
        given = {name: getattr(body, name) for name in body.model_fields_set}
        texts |= {name: value for name, value in given.items() if name in TEXTS}
        if (texts["title_zh"] is None) != (texts["body_zh"] is None):
            raise Invalid.at("/body_zh", "chinese_text", "A Chinese text has a Chinese title.")
        changes = {name: value for name, value in given.items() if name not in TEXTS}
        version = former
        if any(texts[name] != getattr(former, name) for name in TEXTS):
            _check(texts)
            changes["current_version"] = row.current_version + 1
            version = await self._add_version(id, row.current_version + 1, texts)
        after = await self._uow.update(row, audit=AUDITED_AS, **changes)
        return _read(after, version)

    async def delete(self, id: UUID, *, expected_version: int) -> None:
        """Raises `NotFound`, `StaleVersion`; `ClauseTemplateInUse` where a contract was written with it."""
        row = await self._current(id, expected_version)
        used = await self._uow.fetchrow(
            "SELECT 1 FROM contracts.clauses WHERE tenant_id = $1 AND template_id = $2 LIMIT 1",
            row.tenant_id,
            id,
        )
        if used is not None:
            raise ClauseTemplateInUse
        await self._uow.delete(row, audit=AUDITED_AS)

    async def texts_of(
        self, versions: Sequence[tuple[UUID, int]]
    ) -> Mapping[tuple[UUID, int], ClauseTemplateVersion]:
        """What templates say in these versions; unknown ones are absent. One statement."""
        if not versions:
            return {}
        rows = await self._uow.fetch(
            "SELECT v.* FROM contracts.clause_template_versions v"
            " JOIN unnest($2::uuid[], $3::bigint[]) AS w(id, number)"
            "  ON w.id = v.template_id AND w.number = v.number WHERE v.tenant_id = $1",
            self._uow.tenant_id,
            [id for id, _ in versions],
            [number for _, number in versions],
        )
        return {(row.template_id, row.number): row for row in entities(ClauseTemplateVersion, rows)}

    async def held(self, ids: Sequence[UUID]) -> Mapping[UUID, ClauseTemplate]:
        """Templates by id, kept from being deleted meanwhile."""
        if not ids:
            return {}
        rows = await self._uow.fetch(
            "SELECT * FROM contracts.clause_templates WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
            " ORDER BY id FOR KEY SHARE",
            self._uow.tenant_id,
            sorted(set(ids)),
        )
        return {row.id: row for row in entities(ClauseTemplate, rows)}

    async def _current(self, id: UUID, expected_version: int) -> ClauseTemplate:
        row = await self._uow.get(ClauseTemplate, id, lock="exclusive")
        require_version(row.version, expected=expected_version)
        return row

    async def _add_version(
        self, template_id: UUID, number: int, texts: Mapping[str, Any]
    ) -> ClauseTemplateVersion:
        made = await self._uow.insert(
            ClauseTemplateVersion,
            template_id=template_id,
            number=number,
            created_by=self._uow.actor.member_id,
            **texts,
        )
        changes = {name: [None, value] for name, value in texts.items() if value is not None}
        self._uow.record_audit(
            AUDITED_AS, template_id, "version_added", {"number": [None, number], **changes}
        )
        return made


def _check(texts: Mapping[str, Any]) -> None:
    for name in ("body_en", "body_zh"):
        if texts[name] is not None:
            merge_fields.check(texts[name], f"/{name}")


def _read(row: ClauseTemplate, text: ClauseTemplateVersion) -> ClauseTemplateRead:
    return ClauseTemplateRead(
        id=row.id,
        version=row.version,
        key=row.key,
        category=row.category,
        is_active=row.is_active,
        current_version=row.current_version,
        **{name: getattr(text, name) for name in TEXTS},
    )
