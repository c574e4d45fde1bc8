"""Whoever opens a case from the web is told that it arrived: its number, where it stands, and how to answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from app.kernel.forms.kinds import FormKind
from app.kernel.forms.visits import may_mail
from app.kernel.mail import Message, domain_of, post
from app.kernel.record_links import RecordLinks
from app.kernel.uow import UnitOfWork
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.services.mail.addresses import answers_go_to, is_ours, key_of
from app.modules.after_sales.services.mail.sending import address_of, instruction, note_sent

PURPOSE: Final = "after_sales.case_status"
PAGE: Final = "/case-status/"
VALID_FOR: Final = timedelta(days=365)
_SUBJECTS: Final = {"en": "[{number}] We have received your request", "zh": "[{number}] 我们已收到您的请求"}
_TEXTS: Final = {
    "en": "Hello,\n\nthank you for writing to {company}. Your request has the number {number}.\n\n"
    "Where it stands:\n{link}\n\nAnswer this mail to tell us more.\n\n"
    "If you did not write to us, you need do nothing.",
    "zh": "您好，\n\n感谢您联系{company}。您的请求编号为 {number}。\n\n查看进度：\n{link}\n\n"
    "如需补充，请直接回复此邮件。\n\n如果不是您本人操作，请忽略本邮件。",
}


async def acknowledge(uow: UnitOfWork, kind: FormKind[Any], case: Case, language: str) -> None:
    """Mail the receipt of a case whose row is held; nothing where there is no address, or it has had enough mail.

    Nothing that a stranger wrote is in it: it could be anything, and go to anybody.
    """
    settings = uow.kernel.settings
    address = await address_of(uow, case)
    if address is None or is_ours(settings, address) or not await may_mail(uow, kind, address):
        return
    message_id = f"<{case.id}@{domain_of(settings.mail_reply_to)}>"
    if not await note_sent(uow, case, None, message_id, address):
        return
    links = RecordLinks(uow, purpose=PURPOSE, audit="case")
    _, made = await links.issue(case.id, expires_at=uow.now + VALID_FOR)
    told = {
        "number": case.number,
        "company": " ".join(uow.actor.tenant.name.split()),
        "link": settings.address_of(f"{PAGE}{made.token}"),
    }
    post(
        uow,
        Message(
            to=address,
            subject=_SUBJECTS[language].format(**told),
            text=f"{instruction(language)}\n\n{_TEXTS[language].format(**told)}\n",
            reply_to=answers_go_to(settings, await key_of(uow, case.id)),
            message_id=message_id,
        ),
    )
