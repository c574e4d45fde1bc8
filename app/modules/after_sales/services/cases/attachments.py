"""Files on cases: whoever may read a case may open them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, literal

from app.kernel.errors import Invalid, NotFound
from app.kernel.imports.models import StoredUpload
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file
from app.modules.after_sales.models.case_work import CaseAttachment
from app.modules.after_sales.schemas.case_work import CaseAttachmentInput
from app.modules.after_sales.services.cases.cases import CaseService

MOST_FILES: Final = 100
MOST_SENT: Final = 10 << 20
"""Bytes that go along with one mail; many servers take no larger ones."""


class CaseFiles:
    """The files of the cases that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._cases = CaseService(uow)

    async def add(self, case_id: UUID, body: CaseAttachmentInput) -> CaseAttachment:
        """Put a file that one may open on a case. Raises `NotFound`, `Invalid`, `DuplicateValue`."""
        await self._cases.locked(case_id)
        try:
            file = await visible_file(self._uow, body.file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may open.") from None
        if len(await self.list(case_id)) >= MOST_FILES:
            raise Invalid.at("/file_id", "too_many", f"A case has at most {MOST_FILES} files.")
        return await self.put(case_id, file, public=body.public)

    async def put(
        self, case_id: UUID, file: StoredUpload, *, public: bool, comment_id: UUID | None = None
    ) -> CaseAttachment:
        """Put a file on a held case. Raises `DuplicateValue`."""
        made = await self._uow.insert(
            CaseAttachment,
            case_id=case_id,
            file_id=file.id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            public=public,
            created_by=self._uow.actor.member_id,
            comment_id=comment_id,
        )
        self._uow.record_audit("case", case_id, "attachment_added", {"attachments": [None, file.name]})
        return made

    async def go_with(
        self, case_id: UUID, ids: Sequence[UUID], comment_id: UUID, *, public: bool, mailed: bool
    ) -> None:
        """Let files of a held case go with what is said; with `public` words they become public. Raises `Invalid`."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return
        rows = await self._uow.fetch(
            "UPDATE after_sales.case_attachments SET comment_id = $4, public = public OR $5"
            " WHERE tenant_id = $1 AND case_id = $2 AND id = ANY($3::uuid[]) RETURNING name, size, public",
            self._uow.tenant_id,
            case_id,
            wanted,
            comment_id,
            public,
        )
        if len(rows) < len(wanted):
            raise Invalid.at(
                "/attachment_ids", "unknown_reference", "Some of these are no files of this case."
            )
        if mailed and sum(row["size"] for row in rows) > MOST_SENT:
            raise Invalid.at("/attachment_ids", "too_large", f"At most {MOST_SENT} bytes go with a mail.")
        if public:
            names = sorted(row["name"] for row in rows)
            self._uow.record_audit("case", case_id, "attachments_told", {"attachments": [None, names]})

    async def of_comment(self, comment_id: UUID) -> list[tuple[CaseAttachment, StoredUpload]]:
        """The public files that go with a comment, and where their content lies; two statements."""
        table = CaseAttachment
        statement = self._uow.select(table).where(table.comment_id == comment_id, table.public)
        found = await self._uow.all(statement.order_by(table.id))
        if not found:
            return []
        ids = [one.file_id for one in found]
        files = await self._uow.all(
            self._uow.select(StoredUpload).where(StoredUpload.id == any_(literal(ids, ARRAY(Uuid()))))
        )
        stored = {file.id: file for file in files}
        return [(one, stored[one.file_id]) for one in found if one.file_id in stored]

    async def remove(self, case_id: UUID, id: UUID) -> None:
        """Take a file off a case; the file itself stays. Raises `NotFound`."""
        await self._cases.locked(case_id)
        found = await self._one(case_id, id)
        await self._uow.delete(found)
        self._uow.record_audit("case", case_id, "attachment_removed", {"attachments": [found.name, None]})

    async def file(self, case_id: UUID, id: UUID) -> StoredUpload:
        """The file behind an attachment of a visible case. Raises `NotFound`."""
        await self._cases.get(case_id)
        return await self._uow.get(StoredUpload, (await self._one(case_id, id)).file_id)

    async def _one(self, case_id: UUID, id: UUID) -> CaseAttachment:
        found = await self._uow.find(CaseAttachment, id)
        if found is None or found.case_id != case_id:
            raise NotFound
        return found

    async def list(self, case_id: UUID) -> list[CaseAttachment]:
        """The files of a visible case, in the order they were added. Raises `NotFound`."""
        await self._cases.get(case_id)
        statement = self._uow.select(CaseAttachment).where(CaseAttachment.case_id == case_id)
        return await self._uow.all(statement.order_by(CaseAttachment.id))
