"""Files on cases: whoever may read a case may open them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.imports.models import StoredUpload
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file
from app.modules.after_sales.models.case_work import CaseAttachment
from app.modules.after_sales.schemas.case_work import CaseAttachmentInput
from app.modules.after_sales.services.cases.cases import CaseService

MOST_FILES: Final = 100


class CaseFiles:
    """The files of the cases that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._cases = CaseService(uow)

    async def list(self, case_id: UUID) -> list[CaseAttachment]:
        """The files of a visible case, in the order they were added. Raises `NotFound`."""
        await self._cases.get(case_id)
        statement = self._uow.select(CaseAttachment).where(CaseAttachment.case_id == case_id)
        return await self._uow.all(statement.order_by(CaseAttachment.id))

    async def add(self, case_id: UUID, body: CaseAttachmentInput) -> CaseAttachment:
        """Put a file that one may open on a case. Raises `NotFound`, `Invalid`, `DuplicateValue`."""
        await self._cases.locked(case_id)
        try:
            file = await visible_file(self._uow, body.file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may open.") from None
        if len(await self.list(case_id)) >= MOST_FILES:
            raise Invalid.at("/file_id", "too_many", f"A case has at most {MOST_FILES} files.")
        made = await self._uow.insert(
            CaseAttachment,
            case_id=case_id,
            file_id=file.id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            public=body.public,
            created_by=self._uow.actor.member_id,
        )
        self._uow.record_audit("case", case_id, "attachment_added", {"attachments": [None, file.name]})
        return made

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
