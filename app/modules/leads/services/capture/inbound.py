"""Leads from mail that a gateway hands on: the sender is the lead, what they wrote a note about it.

Answers of machines are left alone (RFC 3834): they would make leads of robots, and answering them makes loops.
The Message-ID makes a mail count once, however often the gateway delivers it.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Final

from app.kernel.contact import EmailInvalid, clean_email
from app.kernel.errors import Conflict, Invalid
from app.kernel.ids import new_id
from app.kernel.locks import lock_name
from app.kernel.uow import UnitOfWork
from app.modules.activities.interface import Activities, Subject
from app.modules.leads.models.capture import CapturedMail
from app.modules.leads.schemas.capture import MailAnswer
from app.modules.leads.services.capture.intake import Capture, Intake

SIZE_LIMIT: Final = 1024 * 1024
SOURCE: Final = "email"
_MAX_NOTE: Final = 20_000
_MACHINES: Final = frozenset(
    {"mailer-daemon", "postmaster", "no-reply", "noreply", "do-not-reply", "donotreply"}
)
_BULK: Final = frozenset({"bulk", "junk", "list", "auto_reply"})
_UNFIT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class MailRefused(Conflict):
    """The company's rules do not let this sender become a lead; `reason` is the code of the rule."""

    code = "mail_refused"
    title = "The sender of this mail cannot become a lead"


@dataclass(frozen=True, slots=True)
class Mail:
    """What matters of a mail."""

    address: str
    name: str
    subject: str
    text: str
    fingerprint: bytes
    machine: str | None


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


def read_mail(raw: bytes) -> Mail:
    """The sender, subject and text of a mail. Raises `Invalid`."""
    try:
        parsed = email.message_from_bytes(raw, policy=email.policy.default)
        sender = _sender(parsed)
        subject = _tidy(str(parsed["Subject"] or ""))[:200].strip() or "(no subject)"
        text = _text(parsed)
        machine = _machine(parsed, sender[0] if sender else "")
        message_id = str(parsed["Message-ID"] or "").strip()
    except (MessageError, LookupError, ValueError, AttributeError, IndexError, TypeError):
        # The parser of the standard library gives up on some headers in these ways.
        raise Invalid.at("", "invalid_mail", "This cannot be read as a mail (RFC 5322).") from None
    if sender is None and machine is None:
        raise Invalid.at("/from", "invalid_email", "The mail has no sender that one could answer.")
    address, name = sender or ("", "")
    identity = message_id.encode("utf-8", "surrogateescape") if message_id else raw
    return Mail(address, name or address, subject, text, hashlib.sha256(identity).digest(), machine)


def _sender(mail: EmailMessage) -> tuple[str, str] | None:
    """Who can be answered: `Reply-To` (forms of websites send so), else `From`. Address and name."""
    for header in ("Reply-To", "From"):
        found = mail[header]
        for address in found.addresses if isinstance(found, AddressHeader) else ():
            try:
                return clean_email(address.addr_spec), _tidy(address.display_name)[:200].strip()
            except EmailInvalid:
                continue
    return None


def _machine(mail: EmailMessage, address: str) -> str | None:
    """By what a mail shows that no person wrote it, or None."""
    if str(mail["Auto-Submitted"] or "no").partition(";")[0].strip().lower() != "no":
        return "auto_submitted"
    if str(mail["Precedence"] or "").strip().lower() in _BULK or mail["List-Id"] is not None:
        return "bulk"
    if str(mail["Return-Path"] or "").strip() == "<>" or mail.get_content_type() == "multipart/report":
        return "bounce"
    if mail["X-Autoreply"] is not None or mail["X-Autorespond"] is not None:
        return "auto_submitted"
    return "no_reply" if address.partition("@")[0].lower() in _MACHINES else None


def _text(mail: EmailMessage) -> str:
    """The plain text, else the text of the HTML part; at most 20,000 characters."""
    part = mail.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    content = part.get_content()
    text = content if isinstance(content, str) else ""
    if part.get_content_subtype() == "html":
        text = _text_of_html(text)
    return _UNFIT.sub("", text.replace("\r\n", "\n")).strip()[:_MAX_NOTE]


def _tidy(text: str) -> str:
    return " ".join(_UNFIT.sub(" ", text).split())


class _Words(HTMLParser):
    """Collects what is read, with a line per block."""

    _SILENT: Final = frozenset({"script", "style", "head", "title"})
    _BLOCKS: Final = frozenset({"p", "div", "br", "tr", "li", "h1", "h2", "h3", "blockquote"})

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag in self._SILENT:
            self._silent += 1
        elif tag in self._BLOCKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT and self._silent:
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)


def _text_of_html(text: str) -> str:
    words = _Words()
    words.feed(text)
    words.close()
    lines = (" ".join(line.split()) for line in "".join(words.words).split("\n"))
    return "\n".join(line for line in lines if line)
