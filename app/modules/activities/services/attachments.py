"""Files on activities: whoever may read an activity may open them."""

from __future__ import annotations

from uuid import UUID

from app.kernel.errors import Invalid, NotFound
from app.kernel.imports.models import StoredUpload
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file
from app.modules.activities.models import Attachment
from app.modules.activities.services.activities import ActivityService
from app.modules.activities.services.people import OBJECT

MAX_ATTACHMENTS = 50


class Attachments:
    """The files of the activities that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.service = ActivityService(uow)

    async def list(self, activity_id: UUID) -> list[Attachment]:
        """The files of a visible activity, in the order they were added."""
        await self.service.get(activity_id)
        statement = self.uow.select(Attachment).where(Attachment.activity_id == activity_id)
        return await self.uow.all(statement.order_by(Attachment.id))

    async def add(self, activity_id: UUID, file_id: UUID) -> Attachment:
        """Put a file of one's own, or one that may be opened, on an activity. Raises `Invalid`, `DuplicateValue`."""
        await self.service.get(activity_id, action="update", lock="update")
        try:
            file = await visible_file(self.uow, file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may open.") from None
        if len(await self.list(activity_id)) >= MAX_ATTACHMENTS:
            raise Invalid.at("/file_id", "too_many", f"An activity has at most {MAX_ATTACHMENTS} files.")
        made = await self.uow.insert(
            Attachment,
            activity_id=activity_id,
            file_id=file.id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            created_by=self.uow.actor.member_id,
        )
        self.uow.record_audit(OBJECT, activity_id, "attachment_added", {"attachments": [None, file.name]})
        return made

    async def remove(self, activity_id: UUID, id: UUID) -> None:
        """Take a file off an activity; the file itself stays. Raises `NotFound`."""
        await self.service.get(activity_id, action="update", lock="update")
        found = await self._one(activity_id, id)
        await self.uow.delete(found)
        self.uow.record_audit(OBJECT, activity_id, "attachment_removed", {"attachments": [found.name, None]})

    async def file(self, activity_id: UUID, id: UUID) -> StoredUpload:
        """The file behind an attachment of a visible activity. Raises `NotFound`."""
        await self.service.get(activity_id)
        return await self.uow.get(StoredUpload, (await self._one(activity_id, id)).file_id)

    async def _one(self, activity_id: UUID, id: UUID) -> Attachment:
        found = await self.uow.find(Attachment, id)
        if found is None or found.activity_id != activity_id:
            raise NotFound
        return found
