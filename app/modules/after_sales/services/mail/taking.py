"""Mail that a gateway hands on: an answer becomes a comment on its case, anything else a case of its own.

Which case is meant says, in this order, the key in the address that it was sent to, the mails that it answers, and
the number in its subject, if the sender is the case's customer. What went along with a split is answered in the new
case, although the address in it is the old one's. Mail of machines and of ourselves is left alone, or two machines
would answer each other for ever; and whoever sends more than a person writes is not listened to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.kernel.allowances import PlanLimitReached
from app.kernel.config import Settings
from app.kernel.contact import normalise_email
from app.kernel.ids import new_id
from app.kernel.inbound_mail import Mail
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.kernel.uploads import Received, record_upload
from app.modules.after_sales.interface import CaseChannel, NewCase
from app.modules.after_sales.models.case_work import CaseMail, CommentAuthor, MailDirection
from app.modules.after_sales.models.cases import Case
from app.modules.after_sales.schemas.case_work import CommentCreate
from app.modules.after_sales.schemas.mail import CaseMailAnswer
from app.modules.after_sales.services.cases.attachments import MOST_FILES, CaseFiles
from app.modules.after_sales.services.cases.cases import CaseService
from app.modules.after_sales.services.cases.comments import CaseComments
from app.modules.after_sales.services.cases.settings import CaseSettingsService
from app.modules.after_sales.services.mail.addresses import is_ours, keys_in
from app.modules.after_sales.services.mail.sending import MARK
from app.modules.customers.interface import Customers

MOST_PER_HOUR: Final = 60
_NUMBER: Final = re.compile(r"\[(C-[0-9]{4}-[0-9]{5,})\]")


async def take_mail(
    uow: UnitOfWork, mail: Mail, files: list[Received]
) -> tuple[CaseMailAnswer, list[Received]]:
    """Take a mail with its files, which are stored already; answers the files that no case has, too.

    Raises: Forbidden.
    """
    reason = to_ignore(uow.kernel.settings, mail)
    if reason is not None:
        return _ignored(reason), files
    # Held until the end, so that of two deliveries at once the second finds the first.
    await lock_name(uow, f"case-mail:{mail.fingerprint.hex()}")
    known = await uow.first(uow.select(CaseMail).where(CaseMail.message_hash == mail.fingerprint))
    if known is not None:
        return _answer(known.case_id, known.comment_id, repeated=True), files
    if await _too_many(uow, mail.address):
        return _ignored("too_many"), files
    contact_id = await _contact(uow, mail.address)
    case = await _meant(uow, mail, contact_id)
    comment_id = None
    if case is None:
        case = await _open(uow, mail, contact_id)
    else:
        comment_id = await _comment(uow, case, mail, contact_id)
    await _note(uow, mail, case.id, comment_id)
    left_out = await _keep(uow, case.id, comment_id, files, more=mail.more_files)
    answer = _answer(
        case.id,
        comment_id,
        attachments=len(files) - len(left_out),
        left_out=[why for _, why in left_out] + ["too_many"] * mail.more_files,
    )
    return answer, [file for file, _ in left_out]


def to_ignore(settings: Settings, mail: Mail) -> str | None:
    """Why nobody has to read a mail: a machine wrote it, or we did."""
    return mail.machine or ("own_mail" if is_ours(settings, mail.address) else None)


async def _keep(
    uow: UnitOfWork, case_id: UUID, comment_id: UUID | None, files: Sequence[Received], *, more: int
) -> list[tuple[Received, str]]:
    """Put files on a held case, as far as there is room; those that are left out, and why. `more` came with them."""
    service = CaseFiles(uow)
    room = MOST_FILES - len(await service.list(case_id)) if files else 0
    left_out = [(file, "too_many") for file in files[max(room, 0) :]]
    for file in files[: max(room, 0)]:
        try:
            async with uow.savepoint():
                stored = await record_upload(uow, file)
                await service.put(case_id, stored, public=True, comment_id=comment_id)
        except PlanLimitReached:
            left_out.append((file, "no_room"))
    if left_out or more:
        told = {"attachments": [None, len(left_out) + more]}
        uow.record_audit("case", case_id, "attachments_left_out", told)
    return left_out


def _answer(
    case_id: UUID,
    comment_id: UUID | None,
    *,
    repeated: bool = False,
    attachments: int = 0,
    left_out: Sequence[str] = (),
) -> CaseMailAnswer:
    return CaseMailAnswer(
        status="commented" if comment_id else "opened",
        reason=None,
        repeated=repeated,
        case_id=case_id,
        comment_id=comment_id,
        attachments=attachments,
        left_out=list(left_out),
    )


def _ignored(reason: str) -> CaseMailAnswer:
    return CaseMailAnswer(
        status="ignored",
        reason=reason,
        repeated=False,
        case_id=None,
        comment_id=None,
        attachments=0,
        left_out=[],
    )


async def _too_many(uow: UnitOfWork, address: str) -> bool:
    """Whether the sender has written enough this hour. Mails of one sender wait for each other: it is exact."""
    await lock_name(uow, f"case-mail-from:{normalise_email(address)}")
    row = await uow.fetchrow(
        "SELECT count(*) FROM after_sales.case_mails"
        " WHERE tenant_id = $1 AND address = $2 AND at > $3 AND direction = 'in'",
        uow.tenant_id,
        normalise_email(address),
        uow.now - timedelta(hours=1),
    )
    return bool(row and row[0] >= MOST_PER_HOUR)


async def _contact(uow: UnitOfWork, address: str) -> UUID | None:
    found = await uow.of(Customers).contacts_by_email([address])
    return next(iter(found.values()), None)


async def _meant(uow: UnitOfWork, mail: Mail, contact_id: UUID | None) -> Case | None:
    """The case that a mail is about, if it still takes words of its customer."""
    row = await uow.fetchrow(
        _MEANT,
        uow.tenant_id,
        keys_in(uow.kernel.settings, mail.recipients),
        [hashlib.sha256(one.encode()).digest() for one in mail.answers],
        [match[1] for match in _NUMBER.finditer(mail.subject)],
        contact_id,
        normalise_email(mail.address),
    )
    case = None if row is None else await uow.find(Case, row["id"], lock="update")
    return None if case is None else await CaseService(uow).written_to(case)


async def _open(uow: UnitOfWork, mail: Mail, contact_id: UUID | None) -> Case:
    queue_id = (await CaseSettingsService(uow).get()).mail_queue_id
    new = NewCase(
        subject=mail.subject,
        description=mail.text,
        channel=CaseChannel.EMAIL,
        contact_id=contact_id,
        queue_id=queue_id,
        owner_id=None if queue_id is not None else uow.actor.member_id,
        email=mail.address,
    )
    given = asdict(new) | {"channel": new.channel.value, "priority": new.priority.value, "tags": []}
    return await CaseService(uow).open_for_others(given)


async def _comment(uow: UnitOfWork, case: Case, mail: Mail, contact_id: UUID | None) -> UUID:
    body = CommentCreate(
        body=said(mail.text) or mail.subject, author=CommentAuthor.CUSTOMER, contact_id=contact_id
    )
    return (await CaseComments(uow).add(case.id, body, email=mail.address)).id


async def _note(uow: UnitOfWork, mail: Mail, case_id: UUID, comment_id: UUID | None) -> None:
    await uow.insert_many(
        CaseMail,
        [
            {
                "id": new_id(),
                "case_id": case_id,
                "comment_id": comment_id,
                "direction": MailDirection.IN.value,
                "message_hash": mail.fingerprint,
                "message_id": mail.message_id,
                "address": normalise_email(mail.address),
                "at": uow.now,
            }
        ],
    )


def said(text: str) -> str:
    """What is new in an answer: without our mail, which most programs quote below, and what leads to it."""
    lines = text.split("\n")
    cut = next((place for place, line in enumerate(lines) if MARK in line), None)
    kept = lines if cut is None else lines[:cut]
    quotes = cut is not None
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith(">")):
        quotes = quotes or bool(kept[-1].strip())
        kept.pop()
    if quotes and kept and kept[-1].rstrip().endswith((":", "：")):
        kept.pop()  # "On Monday Ada wrote:"
    return "\n".join(kept).strip() or text.strip()


_MEANT: Final = """
WITH keyed AS (
  SELECT a.case_id FROM after_sales.case_addresses a WHERE a.tenant_id = $1 AND a.key = ANY($2::text[])
), nearest AS (
  SELECT m.case_id FROM after_sales.case_mails m WHERE m.tenant_id = $1 AND m.message_hash = ANY($3::bytea[])
  ORDER BY array_position($3::bytea[], m.message_hash) LIMIT 1
)
SELECT c.id FROM (
  SELECT 0 AS way, s.id AS case_id FROM nearest
  JOIN after_sales.cases s ON s.tenant_id = $1 AND s.id = nearest.case_id
  JOIN keyed ON keyed.case_id = s.split_from_id
  UNION ALL
  SELECT 1, keyed.case_id FROM keyed
  UNION ALL
  SELECT 2, nearest.case_id FROM nearest
  UNION ALL
  SELECT 3, n.id FROM after_sales.cases n WHERE n.tenant_id = $1 AND n.number = ANY($4::text[])
    AND (n.contact_id = $5::uuid OR lower(n.email) = $6)
) found JOIN after_sales.cases c ON c.tenant_id = $1 AND c.id = found.case_id AND c.deleted_at IS NULL
ORDER BY found.way LIMIT 1"""
