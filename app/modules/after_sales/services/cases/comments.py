"""What is said about cases, and what follows from who says it."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.positions import MAX_LIMIT, read_position, sign_position
from app.kernel.schemas import Page
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseCommented
from app.modules.after_sales.models.case_work import CaseComment, CommentAuthor
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.schemas.case_work import CommentCreate, CommentRead
from app.modules.after_sales.services.cases.attachments import CaseFiles
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.ports import ReplyFollower
from app.modules.after_sales.services.cases.states import ENDED
from app.modules.customers.interface import Customers

_SHOWN: Final = tuple(CommentRead.model_fields)


class CaseComments:
    """Comments on the cases that the actor sees."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._cases = CaseService(uow)

    async def list(
        self, case_id: UUID, *, public: bool | None, limit: int, cursor: str | None
    ) -> Page[CommentRead]:
        """What was said, oldest first; only what is public or internal if asked so. Raises `NotFound`."""
        await self._cases.get(case_id)
        limit = min(limit, MAX_LIMIT)
        name = f"case-comments:{case_id}:{public}"
        after = read_position(self._uow, name, cursor)
        rows = await self._uow.fetch(
            f"SELECT {', '.join(_SHOWN)} FROM after_sales.case_comments WHERE tenant_id = $1 AND case_id = $2"
            " AND ($3::boolean IS NULL OR public = $3)"
            " AND ($4::text IS NULL OR (at, id) > ($4::text::timestamptz, $5::text::uuid))"
            " ORDER BY at, id LIMIT $6",
            self._uow.tenant_id,
            case_id,
            public,
            after[0] if after else None,
            after[1] if after else None,
            limit + 1,
        )
        more, shown = len(rows) > limit, rows[:limit]
        last = shown[-1] if more else None
        return Page[CommentRead](
            data=[CommentRead.model_validate(dict(row)) for row in shown],
            next_cursor=sign_position(self._uow, name, [last["at"], last["id"]]) if last else None,
            has_more=more,
            total=None,
            total_is_estimate=None,
        )

    async def add(self, case_id: UUID, body: CommentCreate, *, email: str | None = None) -> CommentRead:
        """Say something; `email` is where it came from by mail, from the contact or nobody we know.

        Raises: NotFound; Forbidden; Invalid; ReopenWindowOver for a customer who comes too late.
        """
        row = await self._cases.locked(case_id)
        by_customer = body.author is CommentAuthor.CUSTOMER
        known = email is None or body.contact_id is not None
        contact_id = await self._contact(row, body.contact_id) if by_customer and known else None
        public = body.public or by_customer
        made = await self._uow.insert(
            CaseComment,
            case_id=row.id,
            author=body.author.value,
            public=public,
            member_id=self._uow.actor.member_id,
            contact_id=contact_id,
            body=body.body,
            at=self._uow.now,
            email=email,
        )
        await CaseFiles(self._uow).go_with(
            row.id, body.attachment_ids, made.id, public=public, mailed=public and not by_customer
        )
        told = f"{body.author}, {'public' if public else 'internal'}"
        self._uow.record_audit("case", row.id, "commented", {"comments": [None, told]})
        self._uow.publish(
            CaseCommented(id=row.id, comment_id=made.id, author=body.author.value, public=public)
        )
        if by_customer:
            await self._cases.asked_row(row)
            for follower in self._uow.ports(ReplyFollower):
                await follower.replied(row.id)
        elif public and row.status not in ENDED:
            await self._cases.answered_row(row)
        return CommentRead.model_validate({name: made.__dict__[name] for name in _SHOWN})

    async def _contact(self, row: Case, contact_id: UUID | None) -> UUID | None:
        if contact_id is None or contact_id == row.contact_id:
            return row.contact_id
        if contact_id not in await self._uow.of(Customers).get_contacts([contact_id], hold=True):
            raise Invalid.at("/contact_id", "unknown_reference", "There is no contact with this id.")
        return contact_id
