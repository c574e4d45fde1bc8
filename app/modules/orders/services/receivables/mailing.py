"""Invoices by mail. Making the PDF takes a while, so whoever asks for it is answered before it is sent."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel

from app.kernel.access import system_actor
from app.kernel.errors import Forbidden, Invalid, InvalidTransition
from app.kernel.figures import Figures, Language
from app.kernel.jobs import JobContext
from app.kernel.mail import Attachment, Message
from app.kernel.money import format_minor
from app.kernel.pdf.documents import Document
from app.kernel.pdf.kept import kept_pdf
from app.kernel.people import People
from app.kernel.registry import JobKind
from app.kernel.uow import UnitOfWork
from app.modules.customers.interface import Customers
from app.modules.orders.models.orders import Order
from app.modules.orders.models.receivables import Invoice, InvoiceKind
from app.modules.orders.schemas.receivables import InvoiceMailed, InvoiceMailing
from app.modules.orders.services.receivables.invoices import ISSUED, InvoiceService
from app.modules.orders.services.receivables.paper import describe

JOB: Final = "orders.mail_invoice"
_SUBJECT: Final[dict[str, dict[str, str]]] = {
    "en": {"invoice": "Invoice {number}", "credit_note": "Credit note {number}"},
    "zh": {"invoice": "账单 {number}", "credit_note": "贷项通知单 {number}"},
}
_TEXT: Final[dict[str, dict[str, str]]] = {
    "en": {
        "invoice": "{company} sends you invoice {number} over {total}, due on {due}. It is attached.",
        "credit_note": "{company} sends you credit note {number} over {total}. It is attached.",
    },
    "zh": {
        "invoice": "{company} 向您发送账单 {number}，金额 {total}，付款期限 {due}，见附件。",
        "credit_note": "{company} 向您发送贷项通知单 {number}，金额 {total}，见附件。",
    },
}


class InvoiceMail(BaseModel):
    """The order of the job: which invoice goes to whom, in which words."""

    invoice_id: UUID
    language: Language
    to: str
    subject: str
    text: str
    reply_to: str | None


class InvoiceMailer:
    """Sending invoices."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def send(self, id: UUID, how: InvoiceMailing) -> InvoiceMailed:
        """Order a mail with an issued invoice or credit note; answers to it go to whoever sends it.

        Raises: NotFound; Forbidden, also where amounts are hidden from the actor; InvalidTransition for a draft;
        Invalid without an address to mail it to.
        """
        if self._uow.actor.hidden("invoice") & {"net", "tax", "total"}:
            raise Forbidden("Amounts of invoices are hidden from you.")
        row = await InvoiceService(self._uow).get(id, action="issue")
        if row.status not in ISSUED:
            raise InvalidTransition(f"The invoice is {row.status}.", state=row.status, allowed=[])
        to = how.to or await self._address(row)
        language: Language = how.language or self._uow.actor.tenant.language
        subject, text = _words(row, language, self._uow.actor.tenant.name)
        order = InvoiceMail(
            invoice_id=row.id,
            language=language,
            to=to,
            subject=subject,
            text="\n\n".join(part for part in ((how.message or "").strip(), text) if part) + "\n",
            reply_to=await self._sender(),
        )
        self._uow.enqueue(JOB, order.model_dump(mode="json"))
        self._uow.record_audit("invoice", row.id, "mailed")
        return InvoiceMailed(invoice_id=row.id, to=to)

    async def _address(self, row: Invoice) -> str:
        """That of the order's contact."""
        order = None if row.order_id is None else await self._uow.find(Order, row.order_id)
        if order is not None and order.contact_id is not None:
            contacts = await self._uow.of(Customers).get_contacts([order.contact_id])
            found = contacts.get(order.contact_id)
            if found is not None and found.email:
                return found.email
        raise Invalid.at("/to", "required", "Neither you nor the order's contact say where to mail it.")

    async def _sender(self) -> str | None:
        me = self._uow.actor.member_id
        if me is None:
            return None
        found = (await self._uow.of(People).addresses([me])).get(me)
        return found[1] if found else None


def _words(row: Invoice, language: Language, company: str) -> tuple[str, str]:
    kind = "credit_note" if row.kind == InvoiceKind.CREDIT_NOTE else "invoice"
    said = {
        "company": company,
        "number": row.number or "",
        "total": f"{format_minor(row.total, row.currency)} {row.currency}",
        "due": Figures(language, row.currency).date(row.due_on) if row.due_on else "",
    }
    return _SUBJECT[language][kind].format(**said), _TEXT[language][kind].format(**said)


async def mail_invoice(context: JobContext, order: InvoiceMail) -> None:
    """Make the PDF, or take the one that is kept, and send it. Raises what either does, and it is tried again."""

    async def described(uow: UnitOfWork) -> Document:
        return await describe(uow, order.invoice_id, order.language)

    pdf = await kept_pdf(
        context.kernel,
        system_actor(context.actor.tenant),
        object_name="invoice",
        record_id=order.invoice_id,
        describe=described,
        request_id=context.request_id,
    )
    name = "".join(one if one.isalnum() or one in "-_" else "-" for one in order.subject.rpartition(" ")[2])
    message = Message(
        to=order.to,
        subject=order.subject,
        text=order.text,
        reply_to=order.reply_to,
        attachments=[Attachment(name=f"{name}.pdf", media_type="application/pdf", content=pdf.content)],
    )
    await context.kernel.mailer.send(message)


KIND: Final = JobKind(JOB, InvoiceMail, mail_invoice, wipe=True)
