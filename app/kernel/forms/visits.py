"""Submissions of strangers: whose form it is, whether it is spam, and how often somebody may send something.

Every answer is the same whatever is known of the visitor, so that nobody learns who is known here. A submission
commits in one transaction with what is made of it; the client's token makes it count once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic

from app.kernel.access import TenantProfile, system_actor
from app.kernel.attempts import Allowance
from app.kernel.errors import Forbidden, Invalid, NotFound
from app.kernel.forms.answers import refuse_unknown
from app.kernel.forms.definitions import origin_of
from app.kernel.forms.kinds import Field, FormKind, Row
from app.kernel.forms.schemas import SubmissionReceipt
from app.kernel.links import open_company, tenant_of_key
from app.kernel.secrets import SignatureInvalid
from app.kernel.uow import UnitOfWork, transaction

if TYPE_CHECKING:
    from uuid import UUID

    from app.kernel.runtime import Kernel

BODY_LIMIT: Final = 64 * 1024
MAX_TOKEN: Final = 100
MAILS_PER_ADDRESS: Final = 5
NOTHING: Final = "There is no such form."
_OPENED: Final = "form-opened"


class OriginNotAllowed(Forbidden):
    """The page that sent this lies on an origin that the form does not list."""

    code = "origin_not_allowed"
    title = "Pages of this origin may not use the form"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who sends something, and how: `strict` refuses fields that the form does not have."""

    kernel: Kernel
    request_id: str
    ip: str
    language: str
    strict: bool = True


@dataclass(frozen=True, slots=True)
class OpenForm(Generic[Row]):
    """A form that takes submissions with its fields as they stand, and the company that it belongs to."""

    kind: FormKind[Row]
    row: Row
    fields: list[Field]
    visit: Visit
    company: TenantProfile

    @property
    def consents(self) -> Sequence[Mapping[str, Any]]:
        return self.kind.consents_of(self.row)

    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        return acting(self.visit, self.company)

    def for_visit(self, visit: Visit) -> OpenForm[Row]:
        """The same form, now that more is known of who sends something."""
        return replace(self, visit=visit)

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of this origin may send something: a listed one, or our own."""
        own = origin_of(self.visit.kernel.settings.public_url)
        return origin in (*self.row.allowed_origins, own) or (
            bool(host) and origin.partition("://")[2] == host
        )

    def receipt(self) -> SubmissionReceipt:
        """What everybody is answered."""
        message = self.kind.message(self.row, self.visit.language)
        return SubmissionReceipt(status="received", message=message, redirect_url=self.row.redirect_url)


Take = Callable[[UnitOfWork, OpenForm[Any], Mapping[str, Any], str | None], Awaitable[None]]
"""What a module does with a submission and its token, in the company's transaction."""


def acting(visit: Visit, company: TenantProfile) -> AbstractAsyncContextManager[UnitOfWork]:
    """A transaction of the company, for what a stranger sends."""
    return transaction(visit.kernel, system_actor(company, "Web form"), request_id=visit.request_id)


async def open_form(kind: FormKind[Row], visit: Visit, key: str) -> OpenForm[Row]:
    """The form with this public key. Raises `NotFound`, alike for unknown, closed and suspended ones."""
    try:
        company = await open_company(visit.kernel, tenant_of_key(key))
    except NotFound:
        raise NotFound(NOTHING) from None
    async with acting(visit, company) as uow:
        model = kind.model
        row = await uow.first(uow.select(model).where(model.public_key == key, model.enabled))
        fields = [] if row is None else await kind.fields_of(uow, row)
    if row is None:
        raise NotFound(NOTHING)
    return OpenForm(kind, row, fields, visit, company)


def stamp(kernel: Kernel) -> str:
    """When a page was shown, signed: it comes back with what was filled in."""
    return kernel.secrets.sign(kernel.clock.now().isoformat().encode(), purpose=_OPENED)


async def submit(
    form: OpenForm[Row], sent: Mapping[str, Any], take: Take, *, key: str | None = None
) -> SubmissionReceipt:
    """Take a submission; `key` stands for a token where the body has none.

    Raises: TooManyRequests with `Retry-After`; Invalid for answers that do not fit the form.
    """
    row, counters = form.row, form.kind.counters
    allowances = [
        Allowance(f"address\0{row.id}\0{form.visit.ip}", row.limit_per_address),
        Allowance(f"form\0{row.id}", row.limit_per_form),
    ]
    async with form.transaction() as uow:
        refusal = await counters.count(uow, allowances, uow.now, tenant=uow.tenant_id)
    if refusal is not None:
        raise refusal
    if form.visit.strict:
        refuse_unknown(form.fields, form.consents, row.honeypot, sent)
    token = _token(sent, key)
    async with form.transaction() as uow:
        await take(uow, form, sent, token)
    return form.receipt()


async def may_mail(uow: UnitOfWork, kind: FormKind[Any], email: str) -> bool:
    """Count a mail that forms of this kind send to an address; whether it is not one too many an hour."""
    allowances = [Allowance(f"mail\0{email.casefold()}", MAILS_PER_ADDRESS)]
    return await kind.counters.count(uow, allowances, uow.now, tenant=uow.tenant_id) is None


async def noted(
    uow: UnitOfWork,
    tables: tuple[str, str],
    form: OpenForm[Any],
    *,
    id: UUID,
    status: str,
    token: str | None,
    answers: Mapping[str, Any],
) -> bool:
    """Write a submission to the second of these tables, that of its form; False where the same came before."""
    forms, submissions = tables
    made = await uow.fetchrow(
        f"INSERT INTO {submissions} (tenant_id, id, form_id, status, token, answers, language, created_at)"
        f" SELECT $1, $2, f.id, $8, $4, $5, $6, $7 FROM {forms} f WHERE f.tenant_id = $1 AND f.id = $3"
        " ON CONFLICT (tenant_id, form_id, token) DO NOTHING RETURNING id",
        uow.tenant_id,
        id,
        form.row.id,
        token,
        dict(answers),
        form.visit.language,
        uow.now,
        status,
    )
    return made is not None


def spam(uow: UnitOfWork, form: OpenForm[Any], sent: Mapping[str, Any]) -> str | None:
    """Why this was sent by a machine, or None. People see no honeypot, and need a moment to write."""
    if sent.get(form.row.honeypot) not in (None, ""):
        return "honeypot"
    if form.row.min_seconds == 0:
        return None
    taken = _seconds_taken(uow, sent)
    return None if taken is not None and taken >= form.row.min_seconds else "too_quick"


def _token(sent: Mapping[str, Any], key: str | None) -> str | None:
    token = sent.get("token") or key
    if token is None:
        return None
    if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN:
        raise Invalid.at("/token", "string_length", f"A token has 1 to {MAX_TOKEN} characters.")
    return token


def _seconds_taken(uow: UnitOfWork, sent: Mapping[str, Any]) -> float | None:
    """How long somebody took: by our own stamp, else as the page says; None where nobody does."""
    if "opened" in sent:
        try:
            opened = uow.kernel.secrets.unsign(str(sent["opened"]), purpose=_OPENED)
            return (uow.now - datetime.fromisoformat(opened.decode())).total_seconds()
        except (SignatureInvalid, ValueError):
            return None
    try:
        return float(sent["seconds"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
