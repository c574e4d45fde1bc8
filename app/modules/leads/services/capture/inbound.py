"""Leads from mail that a gateway hands on: the sender is the lead, what they wrote a note about it.

Answers of machines are left alone (RFC 3834): they would make leads of robots, and answering them makes loops.
The Message-ID makes a mail count once, however often the gateway delivers it.
"""

from __future__ import annotations

from typing import Final

from app.kernel.errors import Conflict
from app.kernel.ids import new_id
from app.kernel.inbound_mail import read_mail
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.leads.models.capture import CapturedMail
from app.modules.leads.schemas.capture import MailAnswer
from app.modules.leads.services.capture.intake import Capture, Intake

SOURCE: Final = "email"


class MailRefused(Conflict):
    """The company's rules do not let this sender become a lead; `reason` is the code of the rule."""

    code = "mail_refused"
    title = "The sender of this mail cannot become a lead"


async def take_mail(uow: UnitOfWork, raw: bytes) -> MailAnswer:
    """Make a lead of the sender, or touch the one that is open, and note what they wrote.

    Raises: Invalid for what is no mail, or has no sender; MailRefused when the company's rules refuse the lead.
    """
    mail = read_mail(raw)
    if mail.machine is not None:
        return MailAnswer(status="ignored", reason=mail.machine, repeated=False, lead_id=None)
    # Held until the end, so that of two deliveries at once the second finds the first.
    await lock_name(uow, f"mail:{mail.fingerprint.hex()}")
    known = await uow.first(uow.select(CapturedMail).where(CapturedMail.message_hash == mail.fingerprint))
    if known is not None:
        return MailAnswer.model_validate(
            {"status": known.status, "reason": None, "repeated": True, "lead_id": known.lead_id}
        )
    capture = Capture(
        {"name": mail.name, "email": mail.address},
        touch={"source": SOURCE, "channel": SOURCE, "medium": SOURCE},
    )
    landed = await Intake(uow).land(capture, touch_open=True)
    if landed.lead_id is None:
        raise MailRefused(reason=landed.reason)
    body = mail.text or mail.subject
    await uow.of(Activities).add_note([Subject("lead", landed.lead_id)], body, subject=mail.subject)
    await uow.insert_many(
        CapturedMail,
        [
            {
                "id": new_id(),
                "message_hash": mail.fingerprint,
                "status": landed.status.value,
                "lead_id": landed.lead_id,
                "created_at": uow.now,
            }
        ],
    )
    return MailAnswer.model_validate(
        {"status": landed.status.value, "reason": None, "repeated": False, "lead_id": landed.lead_id}
    )
