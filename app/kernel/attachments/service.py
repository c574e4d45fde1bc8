"""Put files on records, list them and take them off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar
from uuid import UUID

from app.kernel.attachments.models import AttachedFile
from app.kernel.errors import Invalid, NotFound
from app.kernel.imports.models import StoredUpload
from app.kernel.records import RecordService
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import visible_file

A = TypeVar("A", bound=AttachedFile)

MAX_ATTACHMENTS: Final = 50


class AttachedFiles(Generic[A]):
    """The files on those records of one type that the actor sees; to change them is to change the record.

    A subclass names the table, its column of the record's id, the record's service, and what people call a record.
    Each operation raises `NotFound` for a record that is not visible.
    """

    model: type[A]
    column: ClassVar[str]
    service: ClassVar[type[RecordService[Any]]]
    noun: ClassVar[str]

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._records = self.service(uow)
        self._object = self.service.record.object

    async def list(self, record_id: UUID) -> list[A]:
        """In the order in which they were added."""
        await self._records.get(record_id)
        statement = self._uow.select(self.model).where(self.model.__table__.c[self.column] == record_id)
        return await self._uow.all(statement.order_by(self.model.id))

    async def add(self, record_id: UUID, file_id: UUID) -> A:
        """Put a file that the actor may open on a record. Raises: Invalid; DuplicateValue."""
        await self._records.get(record_id, action="update", lock="update")
        try:
            file = await visible_file(self._uow, file_id)
        except NotFound:
            raise Invalid.at("/file_id", "unknown_file", "There is no such file that you may open.") from None
        if len(await self.list(record_id)) >= MAX_ATTACHMENTS:
            raise Invalid.at("/file_id", "too_many", f"{self.noun} has at most {MAX_ATTACHMENTS} files.")
        of_record: dict[str, Any] = {self.column: record_id}
        made = await self._uow.insert(
            self.model,
            **of_record,
            file_id=file.id,
            name=file.name,
            media_type=file.media_type,
            size=file.size,
            created_by=self._uow.actor.member_id,
        )
        self._audit(record_id, "attachment_added", [None, file.name])
        return made

    async def remove(self, record_id: UUID, id: UUID) -> None:
        """Take a file off a record; the file itself stays. Raises: NotFound."""
        await self._records.get(record_id, action="update", lock="update")
        found = await self._one(record_id, id)
        await self._uow.delete(found)
        self._audit(record_id, "attachment_removed", [found.name, None])

    async def file(self, record_id: UUID, id: UUID) -> StoredUpload:
        """The file itself. Raises: NotFound."""
        await self._records.get(record_id)
        return await self._uow.get(StoredUpload, (await self._one(record_id, id)).file_id)

    async def _one(self, record_id: UUID, id: UUID) -> A:
        found = await self._uow.find(self.model, id)
        if found is None or found.__dict__[self.column] != record_id:
            raise NotFound
        return found

    def _audit(self, record_id: UUID, action: str, names: Sequence[str | None]) -> None:
        self._uow.record_audit(self._object, record_id, action, {"attachments": list(names)})
