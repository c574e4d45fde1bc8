"""Links to one record that strangers open: they expire, can be revoked, and count their views.

A module names its purpose (`quotes.page`) and gets making, listing and revoking, and the row behind a token. What a
link lets its holder do is the module's own business.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.errors import Invalid, NotFound
from app.kernel.links import Link, NewToken, is_over, new_link
from app.kernel.models import TenantOwned
from app.kernel.schemas import Input, Output
from app.kernel.uow import UnitOfWork

LONGEST: Final = timedelta(days=730)
MOST_LINKS: Final = 100


class RecordLink(TenantOwned):
    """One link; its token is kept as a hash."""

    __tablename__ = "links"
    __table_args__ = ({"schema": "kernel"},)
    purpose: Mapped[str]
    record_id: Mapped[UUID]
    token_hash: Mapped[bytes] = mapped_column(info={"secret": True})
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None]
    first_viewed_at: Mapped[datetime | None]
    last_viewed_at: Mapped[datetime | None]
    views: Mapped[int]


class LinkState(StrEnum):
    OPEN = "open"
    EXPIRED = "expired"
    REVOKED = "revoked"


class RecordLinks:
    """The links of one purpose; `audit` names the object of their records in the audit log.

    Who may make, see or revoke them is checked by the caller.
    """

    def __init__(self, uow: UnitOfWork, *, purpose: str, audit: str) -> None:
        self.uow = uow
        self.purpose = purpose
        self.audit = audit

    async def issue(self, record_id: UUID, *, expires_at: datetime) -> tuple[RecordLink, NewToken]:
        """A new link; the others go on working. Its token is in this answer and nowhere else.

        Raises: Invalid for an end that is past or more than two years away, and for the 101st link of a record.
        """
        now = self.uow.now
        if is_over(expires_at, now) or expires_at > now + LONGEST:
            raise Invalid.at("/expires_at", "out_of_range", "A link ends within the next two years.")
        made = new_link(self.uow.kernel, self.uow.tenant_id, self.purpose)
        if len(await self.list(record_id)) >= MOST_LINKS:
            raise Invalid(f"A record has at most {MOST_LINKS} links.")
        row = await self.uow.insert(
            RecordLink,
            purpose=self.purpose,
            record_id=record_id,
            token_hash=made.hash,
            expires_at=expires_at,
            created_by=self.uow.actor.member_id,
        )
        self.uow.record_audit(self.audit, record_id, "link_made", {"link": [None, str(row.id)]})
        return row, made

    async def list(self, record_id: UUID) -> list[RecordLink]:
        """All links to a record, oldest first."""
        statement = self.uow.select(RecordLink).where(
            RecordLink.purpose == self.purpose, RecordLink.record_id == record_id
        )
        return await self.uow.all(statement.order_by(RecordLink.id))

    async def revoke(self, record_id: UUID, id: UUID) -> RecordLink:
        """Stop a link from working; one that is revoked already stays as it is. Raises `NotFound`."""
        row = await self.uow.find(RecordLink, id, lock="update")
        if row is None or row.purpose != self.purpose or row.record_id != record_id:
            raise NotFound
        if row.revoked_at is not None:
            return row
        self.uow.record_audit(self.audit, record_id, "link_revoked", {"link": [str(id), None]})
        return await self.uow.update(row, revoked_at=self.uow.now)

    async def behind(self, link: Link) -> RecordLink:
        """The row of a token that fits this purpose, whatever its state. Raises `NotFound`."""
        statement = self.uow.select(RecordLink).where(
            RecordLink.token_hash == link.hash, RecordLink.purpose == self.purpose
        )
        row = await self.uow.first(statement)
        if row is None:
            raise NotFound
        return row

    def state_of(self, row: RecordLink) -> LinkState:
        """Whether it works: revoked counts before expired."""
        if row.revoked_at is not None:
            return LinkState.REVOKED
        return LinkState.EXPIRED if is_over(row.expires_at, self.uow.now) else LinkState.OPEN

    async def seen(self, row: RecordLink) -> bool:
        """Count a view, exactly; whether it is the first through this link."""
        views = await self.uow.fetchrow(
            "UPDATE kernel.links SET views = views + 1, first_viewed_at = coalesce(first_viewed_at, $3),"
            " last_viewed_at = greatest(last_viewed_at, $3) WHERE tenant_id = $1 AND id = $2 RETURNING views",
            row.tenant_id,
            row.id,
            self.uow.now,
        )
        return views is not None and views["views"] == 1

    def read(self, row: RecordLink) -> RecordLinkRead:
        """As members see it."""
        return RecordLinkRead.model_validate(
            {name: getattr(row, name) for name in RecordLinkRead.model_fields if name != "state"}
            | {"state": self.state_of(row)}
        )

    def created(self, row: RecordLink, address: str) -> RecordLinkCreated:
        """As whoever made it sees it, once; `address` is the path with the token."""
        url = self.uow.kernel.settings.address_of(address)
        return RecordLinkCreated.model_validate(self.read(row).model_dump() | {"url": url})


class RecordLinkCreate(Input):
    expires_at: Annotated[
        datetime | None, Field(description="When the link stops working; within two years.")
    ] = None


class RecordLinkRead(Output):
    id: UUID
    state: LinkState
    expires_at: datetime
    revoked_at: datetime | None
    created_at: datetime
    created_by: UUID | None
    first_viewed_at: datetime | None
    last_viewed_at: datetime | None
    views: int


class RecordLinkCreated(RecordLinkRead):
    url: Annotated[str, Field(description="The link, shown this once.")]


class RecordLinkList(Output):
    data: list[RecordLinkRead]
