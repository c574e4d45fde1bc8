"""Mail: to a folder in development, where `/dev/mail` shows it, and through SMTP in production.

Mail never leaves inside a transaction: code enqueues the job `mail.send` with its rows, and the worker sends it
after the commit. A mail about something that was rolled back does not exist.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from email.headerregistry import Address, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
from pydantic import Field

from app.kernel.access import Actor
from app.kernel.allowances import METRICS, LimitName, PlanLimitReached
from app.kernel.clock import Clock, SystemClock
from app.kernel.config import Settings
from app.kernel.files import FileNotFound, InvalidKey, tenant_of
from app.kernel.ids import created_at, new_id
from app.kernel.jobs import JobDeferred, require_open
from app.kernel.limits import require_message
from app.kernel.registry import JobKind
from app.kernel.schemas import Input
from app.kernel.uow import UnitOfWork

_NAME = re.compile(r"[0-9a-f-]{36}\.eml")
_TIMEOUT_SECONDS = 20.0
LOOK_AGAIN = timedelta(hours=1)


MessageId = Annotated[str, Field(max_length=252, pattern=r"^<[!-;=?-~]{3,250}>$")]
"""A message identifier (RFC 5322, 3.6.4) as headers hold it."""


class _Identifiers(UnstructuredHeader):
    """A header of message identifiers: one to a line, as long as it is. Encoded as text, no thread would hold."""

    def fold(self, *, policy: email.policy.Policy) -> str:
        return f"{self.name}: {f'{policy.linesep} '.join(str(self).split())}{policy.linesep}"  # type: ignore[attr-defined]


_HEADERS = HeaderRegistry()
for _name in ("message-id", "in-reply-to", "references"):
    _HEADERS.map_to_type(_name, _Identifiers)  # type: ignore[arg-type]
_POLICY = email.policy.SMTP.clone(header_factory=_HEADERS)


class CalendarPart(Input):
    """An iCalendar object (RFC 5545) that goes with a mail; `method` is that of RFC 5546."""

    method: Literal["REQUEST", "CANCEL"]
    content: str = Field(max_length=100_000)


class Attachment(Input):
    """A file that goes with a mail."""

    name: str = Field(max_length=200)
    media_type: str = Field(max_length=100, pattern=r"^[a-z]+/[a-z0-9.+-]+$")
    content: bytes = Field(max_length=20 << 20)


class StoredAttachment(Input):
    """A file of the store that goes with a mail: it is read when the mail is sent, and left out if it is gone."""

    key: str = Field(max_length=500)
    name: str = Field(max_length=200)
    media_type: str = Field(max_length=100, pattern=r"^[a-z]+/[a-z0-9.+-]+$")


class Message(Input):
    """One mail in plain text, with an HTML body beside it if wanted; also the payload of `mail.send`.

    `answers` are the identifiers of the mails that it follows, the nearest last; a thread is built of them. What a
    person wrote is not `automatic`.
    """

    to: str = Field(max_length=320, description="One address, `Ada <ada@example.com>` or bare.")
    subject: str = Field(max_length=300)
    text: str = Field(max_length=200_000)
    html: str | None = Field(None, max_length=500_000)
    reply_to: str | None = Field(None, max_length=320)
    message_id: MessageId | None = None
    answers: list[MessageId] = Field([], max_length=20)
    automatic: bool = True
    calendar: CalendarPart | None = None
    attachments: list[Attachment] = Field([], max_length=10)
    files: list[StoredAttachment] = Field([], max_length=10)
    counted: bool = Field(False, description="It goes to customers and counts as a message of the plan.")


@dataclass(frozen=True, slots=True)
class Transport:
    """Where an SMTP server listens and how to sign in there."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool

    @classmethod
    def from_url(cls, url: str) -> Transport:
        """`smtp://user:pass@host:587` (STARTTLS when offered), `smtps://host` (TLS from the start)."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("mail_url is smtp://user:password@host:port or smtps://…")
        tls = parts.scheme == "smtps"
        return cls(
            parts.hostname,
            parts.port or (465 if tls else 587),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            tls,
        )


class Mailer:
    """Sends mail by one transport: SMTP if given, else a folder of `.eml` files."""

    def __init__(
        self, sender: str, *, folder: Path, transport: Transport | None = None, clock: Clock | None = None
    ) -> None:
        self._sender = sender
        self.folder = folder
        self._transport = transport
        self._clock = clock or SystemClock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Mailer:
        transport = Transport.from_url(settings.mail_url) if settings.mail_url else None
        return cls(settings.mail_from, folder=settings.data_dir / "mail", transport=transport)

    async def send(self, message: Message) -> None:
        """Hand the mail to the transport. Raises OSError and aiosmtplib's errors: the job is tried again."""
        mime = compose(message, sender=self._sender, clock=self._clock)
        if self._transport is None:
            await asyncio.to_thread(self._store, mime.as_bytes())
            return
        server = self._transport
        await aiosmtplib.send(
            mime,
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            use_tls=server.tls,
            timeout=_TIMEOUT_SECONDS,
        )

    def _store(self, raw: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{new_id()}.eml"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(raw)
        unfinished.rename(path)  # readers see whole files only


def compose(message: Message, *, sender: str, clock: Clock) -> EmailMessage:
    """The MIME message; a header cannot be smuggled in through a name or subject. Raises ValueError."""
    mime = EmailMessage(policy=_POLICY)
    mime["From"] = _address(sender)
    mime["To"] = _address(message.to)
    if message.reply_to is not None:
        mime["Reply-To"] = _address(message.reply_to)
    mime["Subject"] = " ".join(message.subject.split())
    mime["Date"] = format_datetime(clock.now())
    mime["Message-ID"] = message.message_id or make_msgid(domain=domain_of(sender))
    if message.answers:
        mime["In-Reply-To"] = message.answers[-1]
        mime["References"] = " ".join(message.answers)
    if message.automatic:
        mime["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    mime.set_content(message.text)
    if message.html is not None:
        mime.add_alternative(message.html, subtype="html")
    if message.calendar is not None:
        _add_calendar(mime, message.calendar)
    for file in message.attachments:
        main, _, sub = file.media_type.partition("/")
        mime.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name)
    return mime


def domain_of(address: str) -> str:
    """The domain of an address, `Ada <ada@example.com>` or bare."""
    return parseaddr(address)[1].rpartition("@")[2] or "localhost"


def _add_calendar(mime: EmailMessage, part: CalendarPart) -> None:
    """As an alternative, which calendars act upon (RFC 6047 §2.4), and as a file for those that do not."""
    mime.add_alternative(part.content, subtype="calendar", params={"method": part.method})
    name = "cancel.ics" if part.method == "CANCEL" else "invite.ics"
    mime.add_attachment(part.content.encode(), maintype="text", subtype="calendar", filename=name)


def _address(text: str) -> Address:
    name, address = parseaddr(" ".join(text.split()))
    user, _, domain = address.rpartition("@")
    if not user or not domain:
        raise ValueError(f"{text!r} is no mail address")
    return Address(display_name=name, username=user, domain=domain)


# -- what was written to the folder ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One mail of the folder, as `/dev/mail` shows it."""

    name: str
    at: str
    to: str
    subject: str
    text: str
    html: str | None


def stored_mails(folder: Path, *, limit: int = 100) -> list[StoredMail]:
    """The latest mails of the folder, newest first."""
    names = sorted((path.name for path in folder.glob("*.eml")), reverse=True)[:limit]
    return [found for name in names if (found := stored_mail(folder, name)) is not None]


def stored_mail(folder: Path, name: str) -> StoredMail | None:
    """One mail by its file name, or None."""
    path = folder / name
    if _NAME.fullmatch(name) is None or not path.is_file():
        return None
    mime = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    at = created_at(_id_of(name)).strftime("%Y-%m-%d %H:%M:%S UTC")
    return StoredMail(
        name, at, str(mime["To"]), str(mime["Subject"]), _part(mime, "plain") or "", _part(mime, "html")
    )


def _id_of(name: str) -> Any:
    from uuid import UUID

    return UUID(name.removesuffix(".eml"))


def _part(mime: EmailMessage, kind: str) -> str | None:
    part = mime.get_body(preferencelist=(kind,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n")


# -- the job ---------------------------------------------------------------------------------------------------


class _JobContext(Protocol):
    """What this job needs of the runner's context."""

    @property
    def kernel(self) -> Any: ...

    @property
    def actor(self) -> Actor: ...

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]: ...


def post(uow: UnitOfWork, message: Message) -> None:
    """Queue a mail to somebody outside with the transaction; it counts as a message of the plan once it is sent.

    While the company's account is closed it is held. Beyond a hard limit it is, too, and looked at every hour until
    the next period or a larger plan lets it go.
    """
    uow.enqueue(MAIL_SEND.name, message.model_copy(update={"counted": True}).model_dump(exclude_none=True))


async def _send(context: _JobContext, message: Message) -> None:
    if message.counted:
        require_open(context.actor, context.kernel.clock.now())
        await _hold_beyond_limit(context)
    await context.kernel.mailer.send(await _with_files(context, message))
    if message.counted:
        async with context.transaction() as uow:
            uow.meter(METRICS[LimitName.MESSAGES])


async def _with_files(context: _JobContext, message: Message) -> Message:
    """The mail with what the files hold, those of the company that sends it only."""
    read = list(message.attachments)
    for file in message.files:
        if tenant_of(file.key) != context.actor.tenant.id:
            raise InvalidKey(f"{file.key!r} is not a file of the company.")
        with suppress(FileNotFound):
            content = b"".join([piece async for piece in await context.kernel.files.get_stream(file.key)])
            read.append(Attachment(name=file.name, media_type=file.media_type, content=content))
    return message.model_copy(update={"attachments": read, "files": []})


async def _hold_beyond_limit(context: _JobContext) -> None:
    """Raises: JobDeferred. As exact as the messages that are being sent at this moment are few."""
    if context.actor.tenant.allowance.hard(LimitName.MESSAGES) is None:
        return
    async with context.transaction() as uow:
        try:
            await require_message(uow)
        except PlanLimitReached as refusal:
            end = uow.actor.tenant.allowance.period_end or uow.now + LOOK_AGAIN
            reason = f"{refusal.code}: {refusal.detail}"
            raise JobDeferred(max(uow.now, min(end, uow.now + LOOK_AGAIN)), reason) from None


MAIL_SEND = JobKind(
    "mail.send", Message, _send, attempts=8, wipe=True, while_closed=True, outlives_session=True
)
JOBS: Sequence[JobKind] = (MAIL_SEND,)
