"""What we say in public about a case goes to the customer by mail, as an answer to what they wrote last."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.ids import new_id
from app.kernel.mail import Message, StoredAttachment, domain_of
from app.kernel.registry import Subscription
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.interface import CaseCommented
from app.modules.after_sales.models.case_work import CaseComment, CommentAuthor, MailDirection
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.cases.attachments import CaseFiles
from app.modules.after_sales.services.cases.settings import CaseSettingsService
from app.modules.after_sales.services.mail.addresses import answers_go_to, is_ours, key_of
from app.modules.customers.interface import Customers

MARK: Final = "— ✂ —"
"""Above what we write: what an answer quotes from here on is not said again."""
_MOST_ANSWERED: Final = 8
_MOST_CHARACTERS: Final = 900
_TEXTS: Final = {
    "en": ("Please answer above this line", "Answer this mail to write to us about it."),
    "zh": ("请在此行上方回复", "直接回复此邮件即可继续与我们沟通。"),
}


class Commented(BaseModel):
    """As much of `after_sales.case.commented.v1` as matters here."""

    id: UUID
    comment_id: UUID
    author: CommentAuthor
    public: bool


async def on_commented(uow: UnitOfWork, event: Commented) -> None:
    """Mail a public comment of ours, once; nothing where the customer has no address, or it is one of our own."""
    if event.author is not CommentAuthor.MEMBER or not event.public:
        return
    if not (await CaseSettingsService(uow).get()).mail_comments:
        return
    comment = await uow.find(CaseComment, event.comment_id)
    case = None if comment is None else await uow.find(Case, comment.case_id, lock="update")
    if comment is None or case is None or case.deleted_at is not None:
        return
    address = await address_of(uow, case)
    if address is None or is_ours(uow.kernel.settings, address):
        return
    message = await _message(uow, case, comment, address)
    if message is not None:
        uow.enqueue("mail.send", message.model_dump(exclude_none=True))


async def address_of(uow: UnitOfWork, case: Case) -> str | None:
    """Of the case's contact, else of whoever asked."""
    if case.contact_id is not None:
        contact = (await uow.of(Customers).get_contacts([case.contact_id])).get(case.contact_id)
        if contact is not None and contact.email is not None:
            return contact.email
    return case.email


async def _message(uow: UnitOfWork, case: Case, comment: CaseComment, address: str) -> Message | None:
    """The mail, noted; None where it went out before."""
    settings = uow.kernel.settings
    earlier = await uow.fetch(_EARLIER, uow.tenant_id, case.id, _MOST_ANSWERED)
    message_id = f"<{comment.id}@{domain_of(settings.mail_reply_to)}>"
    if not await note_sent(uow, case, comment.id, message_id, address):
        return None
    language = uow.actor.tenant.language
    below = _TEXTS[language][1]
    subject = f"[{case.number}] {case.subject}"
    parts = (instruction(language), comment.body, f"-- \n{uow.actor.tenant.name}, {case.number}\n{below}")
    return Message(
        to=address,
        subject=f"Re: {subject}" if earlier else subject,
        text="\n\n".join(parts),
        reply_to=answers_go_to(settings, await key_of(uow, case.id)),
        message_id=message_id,
        answers=_thread(earlier),
        automatic=comment.member_id is None,
        files=[
            StoredAttachment(key=file.key, name=one.name, media_type=file.media_type)
            for one, file in await CaseFiles(uow).of_comment(comment.id)
        ],
    )


async def note_sent(
    uow: UnitOfWork, case: Case, comment_id: UUID | None, message_id: str, address: str
) -> bool:
    """Note a mail that goes out, so that answers to it find the case; False where it went out before."""
    noted = await uow.fetch(
        _NOTE,
        uow.tenant_id,
        new_id(),
        case.id,
        comment_id,
        MailDirection.OUT.value,
        hashlib.sha256(message_id.encode()).digest(),
        message_id,
        address,
        uow.now,
    )
    return bool(noted)


def instruction(language: str) -> str:
    """The line above which is answered."""
    return f"{MARK} {_TEXTS[language][0]} {MARK}"


def _thread(earlier: list[Any]) -> list[str]:
    """The identifiers of earlier mails, the nearest last, as many as fit into one header."""
    found: list[str] = []
    for row in earlier:
        if sum(map(len, found)) + len(row["message_id"]) > _MOST_CHARACTERS:
            break
        found.append(row["message_id"])
    return found[::-1]


_EARLIER: Final = """
SELECT message_id FROM after_sales.case_mails
WHERE tenant_id = $1 AND case_id = $2 AND message_id IS NOT NULL ORDER BY at DESC, id DESC LIMIT $3"""
_NOTE: Final = """
INSERT INTO after_sales.case_mails
  (tenant_id, id, case_id, comment_id, direction, message_hash, message_id, address, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, message_hash) DO NOTHING RETURNING id"""

SUBSCRIPTION: Final = Subscription(CaseCommented.type, Commented, on_commented, "after_sales.mail")
