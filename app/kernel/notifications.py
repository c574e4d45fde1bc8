"""Notifications: what a member is told, kept until read, shown live and mailed as they wish.

One mechanism for every module. A notice is written with the rows that it is about; the event that takes it to the
member's browser and the mail are of the same transaction, so nobody is told of what was rolled back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.access import NOBODY
from app.kernel.errors import NotFound
from app.kernel.events import Event
from app.kernel.ids import new_id
from app.kernel.listing import Bindings
from app.kernel.log_pages import NEWEST, Slice, select_page
from app.kernel.mail import CalendarPart, Message
from app.kernel.models import Base, TenantOwned
from app.kernel.people import People
from app.kernel.uow import UnitOfWork

TITLE_LENGTH = 300
_COLUMNS = "id, kind, title, body, object, record_id, actor_id, created_at, read_at"


class Notification(TenantOwned):
    """One thing that one member was told."""

    __tablename__ = "notifications"
    __table_args__ = ({"schema": "kernel"},)

    member_id: Mapped[UUID]
    kind: Mapped[str]  # declared by a module: `activity.assigned`
    title: Mapped[str]
    body: Mapped[str | None]
    object: Mapped[str | None]  # with `record_id`: what it is about
    record_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]


class NotificationPreference(Base):
    """How a member wants to be told of one kind; without a row, as the kind says."""

    __tablename__ = "notification_preferences"
    __table_args__ = ({"schema": "kernel"},)

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    member_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    live: Mapped[bool]
    mail: Mapped[bool]


class NotificationCreated(Event):
    """A member was told something. Only that member's live stream carries it; the text is read by its id."""

    type: ClassVar[str] = "kernel.notification.created.v1"
    object: ClassVar[str] = "notification"

    for_member_id: UUID
    kind: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell: a declared kind, a line, perhaps more text, and the record that it is about.

    `calendar` goes with the mail, if there is one.
    """

    kind: str
    title: str
    body: str | None = None
    object: str | None = None
    record_id: UUID | None = None
    calendar: CalendarPart | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """How somebody is told beside the list."""

    live: bool
    mail: bool


class Notifications:
    """Telling members, in a bounded number of statements however many there are; and what one was told."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow

    # -- telling -------------------------------------------------------------------------------------------

    async def tell(self, member_ids: Iterable[UUID], notice: Notice) -> None:
        """Tell members one thing; whoever acts knows it already and is left out."""
        others = dict.fromkeys(id for id in member_ids if id != self.uow.actor.member_id)
        await self.tell_each([(id, notice) for id in others])

    async def tell_each(self, notices: Sequence[tuple[UUID, Notice]]) -> None:
        """Tell each member their own thing, the actor too."""
        if not notices:
            return
        uow = self.uow
        rows = [
            {
                "id": new_id(),
                "member_id": member_id,
                "kind": notice.kind,
                "title": notice.title[:TITLE_LENGTH],
                "body": notice.body,
                "object": notice.object,
                "record_id": notice.record_id,
                "actor_id": uow.actor.member_id,
                "created_at": uow.now,
                "read_at": None,
            }
            for member_id, notice in notices
        ]
        await uow.insert_many(Notification, rows)
        ways = await self._ways({member_id for member_id, _ in notices})
        mailed: list[tuple[UUID, Notice]] = []
        for row, (member_id, notice) in zip(rows, notices, strict=True):
            wanted = ways.get((member_id, notice.kind)) or self.default(notice.kind)
            if wanted.live:
                uow.publish(
                    NotificationCreated(id=UUID(str(row["id"])), for_member_id=member_id, kind=notice.kind)
                )
            if wanted.mail:
                mailed.append((member_id, notice))
        await self._mail(mailed)

    def default(self, kind: str) -> Ways:
        """How a kind is told to those who said nothing."""
        declared = self.uow.kernel.registry.notifications.get(kind)
        return Ways(live=True, mail=declared is not None and declared.mail)

    async def _ways(self, member_ids: Collection[UUID]) -> Mapping[tuple[UUID, str], Ways]:
        rows = await self.uow.fetch(
            "SELECT member_id, kind, live, mail FROM kernel.notification_preferences"
            " WHERE tenant_id = $1 AND member_id = ANY($2::uuid[])",
            self.uow.tenant_id,
            list(member_ids),
        )
        return {(row["member_id"], row["kind"]): Ways(row["live"], row["mail"]) for row in rows}

    async def _mail(self, notices: Sequence[tuple[UUID, Notice]]) -> None:
        if not notices:
            return
        uow = self.uow
        people = await uow.of(People).addresses({member_id for member_id, _ in notices})
        chinese = uow.actor.tenant.language == "zh"
        for member_id, notice in notices:
            if member_id not in people:
                continue  # gone meanwhile
            name, address = (" ".join(part.split()) for part in people[member_id])
            greeting = f"{name}，您好：" if chinese else f"Hello {name},"
            parts = [greeting, " ".join(notice.title.split()), notice.body or "", self._link(notice)]
            text = "\n\n".join(part for part in parts if part)
            mail = Message(
                to=address, subject=notice.title[:TITLE_LENGTH], text=text + "\n", calendar=notice.calendar
            )
            uow.enqueue("mail.send", mail.model_dump(exclude_none=True))

    def _link(self, notice: Notice) -> str:
        record = self.uow.kernel.registry.records.get(notice.object or "")
        if record is None:
            return ""
        return self.uow.kernel.settings.address_of(f"/app/{record.path}/{notice.record_id}")

    # -- mine ----------------------------------------------------------------------------------------------

    @property
    def _me(self) -> UUID:
        return self.uow.actor.member_id or NOBODY

    async def page(
        self, *, unread: bool | None, kind: str | None, limit: int, cursor: str | None
    ) -> Slice[Notification]:
        """My notifications, newest first. Raises `InvalidCursor`."""
        statement = self.uow.select(Notification).where(Notification.member_id == self._me)
        if unread is not None:
            seen = Notification.read_at
            statement = statement.where(seen.is_(None) if unread else seen.is_not(None))
        if kind is not None:
            statement = statement.where(Notification.kind == kind)
        name = f"notifications:{unread}:{kind}"
        return await select_page(self.uow, statement, NEWEST, name=name, limit=limit, cursor=cursor)

    async def read(self, id: UUID) -> Notification:
        """Mark one of mine as read; again changes nothing. Raises `NotFound`."""
        row = await self.uow.find(Notification, id, lock="update")
        if row is None or row.member_id != self._me:
            raise NotFound
        return row if row.read_at else await self.uow.update(row, read_at=self.uow.now)

    async def read_all(self) -> int:
        """Mark all of mine as read; how many were not."""
        row = await self.uow.fetchrow(
            "WITH seen AS (UPDATE kernel.notifications SET read_at = $3 WHERE tenant_id = $1 AND member_id = $2"
            " AND read_at IS NULL RETURNING 1) SELECT count(*) FROM seen",
            self.uow.tenant_id,
            self._me,
            self.uow.now,
        )
        return int(row[0]) if row else 0

    def unread(self, kinds: Collection[str], bind: Bindings) -> str:
        """SQL that follows FROM: my unread ones of some kinds, as `n`, for lists of what waits for me."""
        return (
            f"kernel.notifications n WHERE n.tenant_id = {bind(self.uow.tenant_id)}"
            f" AND n.member_id = {bind(self._me)} AND n.read_at IS NULL AND n.kind = ANY({bind(list(kinds))}::text[])"
        )

    # -- preferences ---------------------------------------------------------------------------------------

    async def preferences(self) -> dict[str, Ways]:
        """How I am told of each declared kind."""
        said = await self._ways([self._me])
        return {
            kind: said.get((self._me, kind)) or self.default(kind)
            for kind in self.uow.kernel.registry.notifications
        }

    async def prefer(self, kind: str, ways: Ways) -> None:
        """Say how I want to be told of a kind. Raises `NotFound` for an unknown one."""
        if kind not in self.uow.kernel.registry.notifications or self.uow.actor.member_id is None:
            raise NotFound
        before = (await self.preferences())[kind]
        await self.uow.fetch(
            "INSERT INTO kernel.notification_preferences (tenant_id, member_id, kind, live, mail)"
            " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, member_id, kind)"
            " DO UPDATE SET live = $4, mail = $5",
            self.uow.tenant_id,
            self._me,
            kind,
            ways.live,
            ways.mail,
        )
        changes = {
            f"{kind}.{name}": [getattr(before, name), getattr(ways, name)]
            for name in ("live", "mail")
            if getattr(before, name) != getattr(ways, name)
        }
        if changes:
            self.uow.record_audit("member", self._me, "notification_preference_changed", changes)
