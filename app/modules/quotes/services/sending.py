"""Sending: a revision goes to the customer by a secret link, and takes the place of the ones before it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.kernel.errors import Invalid
from app.kernel.limits import require_message
from app.kernel.mail import Message, post
from app.kernel.people import People
from app.kernel.record_links import RecordLink, RecordLinkCreated, RecordLinks
from app.kernel.uow import UnitOfWork
from app.modules.automation.interface import ApprovalStatus
from app.modules.customers.interface import Customers
from app.modules.quotes.interface import ApprovalRequired, QuoteExpired, QuoteNotOpen, QuoteSent
from app.modules.quotes.models import Quote, QuoteLanguage, QuoteStatus
from app.modules.quotes.schemas.steps import QuoteSubmission, Sending
from app.modules.quotes.services.approving import QuoteApprovals
from app.modules.quotes.services.quotes import QuoteService, money_of
from app.modules.quotes.services.states import MACHINE, WITH_CUSTOMER

LINK_PURPOSE: Final = "quotes.page"
PAGE: Final = "/q/"
_AFTERWARDS: Final = timedelta(days=60)
"""How long after its last day an offer can still be looked at, and explain itself."""
_WITHOUT_END: Final = timedelta(days=365)

_SUBJECT: Final = {"en": "{number}: {name}", "zh": "报价单 {number}：{name}"}
_TEXT: Final = {
    "en": "{company} has made you an offer, number {number}.\n\nRead it, and accept or decline it, here:\n\n{link}",
    "zh": "{company} 向您提供了报价，编号 {number}。\n\n请通过以下链接查看、接受或谢绝：\n\n{link}",
}
_VALID: Final = {"en": "It is valid until {day}.", "zh": "报价有效期至 {day}。"}


class QuoteSender:
    """Sending quotes, and the links to them."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow
        self._quotes = QuoteService(uow)
        self._links = RecordLinks(uow, purpose=LINK_PURPOSE, audit="quote")

    async def send(self, id: UUID, how: Sending, *, expected_version: int) -> Quote:
        """Send an approved quote, or a draft that needs no approval; earlier revisions are superseded.

        Raises: `InvalidTransition`; `ApprovalRequired`; `QuoteExpired` past its last day; `QuoteNotOpen` where
        another revision was accepted; `QuoteEmpty`; `Invalid` without an address to mail it to.
        """
        row = await self._quotes.locked(id, expected_version)
        if row.status == QuoteStatus.DRAFT:
            row = await self._without_asking(row)
        MACHINE.next(QuoteStatus(row.status), "send")
        if row.valid_until is not None and row.valid_until < self._quotes.today:
            raise QuoteExpired(valid_until=row.valid_until.isoformat())
        address = await self._address(row, how) if how.by_mail else None
        await self._supersede(row)
        row = await self._quotes.step(row, "send", sent_at=self._uow.now)
        if address is not None:
            _, made = await self._links.issue(row.id, expires_at=self._end(row))
            await self._mail(row, address, how.message, PAGE + made.token)
        self._uow.publish(
            QuoteSent(
                id=row.id,
                account_id=row.account_id,
                opportunity_id=row.opportunity_id,
                number=row.number,
                revision=row.revision,
                total=money_of(row, row.total),
                valid_until=row.valid_until,
            )
        )
        return row

    async def _without_asking(self, row: Quote) -> Quote:
        after, request = await QuoteApprovals(self._uow).ask(row, QuoteSubmission())
        if after.status != QuoteStatus.APPROVED:
            process = request.process if request.status is ApprovalStatus.PENDING else None
            raise ApprovalRequired(process=process)
        return after

    async def _supersede(self, row: Quote) -> None:
        """What the customer has of earlier revisions is no longer an offer."""
        for other in await self._quotes.revisions_of(row, lock=True):
            if other.status == QuoteStatus.ACCEPTED:
                raise QuoteNotOpen(f"Revision {other.revision} was accepted.", status_now=other.status)
            if other.id != row.id and MACHINE.may(QuoteStatus(other.status), "supersede"):
                await self._quotes.step(other, "supersede")

    # -- mail ----------------------------------------------------------------------------------------------

    async def _address(self, row: Quote, how: Sending) -> str:
        if how.to is not None:
            return how.to
        if row.contact_id is not None:
            found = (await self._uow.of(Customers).get_contacts([row.contact_id])).get(row.contact_id)
            if found is not None and found.email:
                return found.email
        raise Invalid.at("/to", "required", "Neither you nor the contact say where to mail it.")

    async def _mail(self, row: Quote, to: str, message: str | None, path: str) -> None:
        language = QuoteLanguage(row.language).value
        said = {
            "number": row.number,
            "name": " ".join(row.name.split()),
            "company": self._uow.actor.tenant.name,
            "link": self._uow.kernel.settings.address_of(path),
        }
        parts = [(message or "").strip(), _TEXT[language].format(**said)]
        if row.valid_until is not None:
            parts.append(_VALID[language].format(day=row.valid_until.isoformat()))
        mail = Message(
            to=to,
            subject=_SUBJECT[language].format(**said)[:300],
            text="\n\n".join(part for part in parts if part) + "\n",
            reply_to=await self._sender(),
        )
        await require_message(self._uow)
        post(self._uow, mail)

    async def _sender(self) -> str | None:
        """Whoever sends it gets the answers to the mail."""
        me = self._uow.actor.member_id
        if me is None:
            return None
        found = (await self._uow.of(People).addresses([me])).get(me)
        return found[1] if found else None

    # -- links ---------------------------------------------------------------------------------------------

    async def make_link(self, id: UUID, expires_at: datetime | None) -> RecordLinkCreated:
        """A link to a quote that the customer may answer. Raises `QuoteNotOpen`, `Invalid`, `NotFound`."""
        row = await self._quotes.locked(id, None)
        if row.status not in WITH_CUSTOMER:
            raise QuoteNotOpen(f"It is {row.status}.", status_now=row.status)
        link, made = await self._links.issue(row.id, expires_at=expires_at or self._end(row))
        return self._links.created(link, PAGE + made.token)

    async def links(self, id: UUID) -> list[RecordLink]:
        """Raises `NotFound`."""
        await self._quotes.get(id)
        return await self._links.list(id)

    async def revoke(self, id: UUID, link_id: UUID) -> RecordLink:
        """Stop a link from working. Raises `NotFound`."""
        await self._quotes.get(id, action="update")
        return await self._links.revoke(id, link_id)

    @property
    def reader(self) -> RecordLinks:
        """Shows links as members see them."""
        return self._links

    def _end(self, row: Quote) -> datetime:
        """A while after the offer's last day, so that it can explain that it is over."""
        if row.valid_until is None:
            return self._uow.now + _WITHOUT_END
        last = self._uow.actor.tenant.midnight(row.valid_until + _AFTERWARDS)
        return min(last, self._uow.now + timedelta(days=729))
