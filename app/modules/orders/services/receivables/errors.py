"""What invoices and payments refuse."""

from __future__ import annotations

from app.kernel.errors import Conflict


class InvoiceNotDraft(Conflict):
    """Carries `state`."""

    code = "invoice_not_draft"
    title = "Only a draft can be changed; a credit note corrects what was issued"


class IssuedOutOfOrder(Conflict):
    """Carries `earliest_on`, the first day that may be given."""

    code = "issued_out_of_order"
    title = "A later invoice or credit note has been issued already; their days run on with their numbers"


class NothingToInvoice(Conflict):
    code = "nothing_to_invoice"
    title = "There is nothing left to invoice"


class NothingToCredit(Conflict):
    """Carries `left`, the money that may still be credited."""

    code = "nothing_to_credit"
    title = "More would be credited than was invoiced"


class NotAllocatable(Conflict):
    """One of the two is not open, is of another account or of another currency."""

    code = "not_allocatable"
    title = "These cannot be settled with each other"


class AllocationExceeded(Conflict):
    """Carries `left`, the money that may still be allocated."""

    code = "allocation_exceeded"
    title = "More would be allocated than is there"


class AllocationFinal(Conflict):
    """A refund was paid out, or a credit note took off its own invoice."""

    code = "allocation_final"
    title = "This allocation cannot be taken back"


class PaymentAllocated(Conflict):
    """Carries `allocated`."""

    code = "payment_allocated"
    title = "The payment settles invoices; take that back first"


class OrderInvoiced(Conflict):
    """Carries `order_line_id`."""

    code = "order_invoiced"
    title = "This has been invoiced; credit the invoice or give up its draft first"


class PaymentFinal(Conflict):
    code = "payment_final"
    title = "Who paid how much and when stays; delete the payment and enter it again"


class PaidFromStoredValue(Conflict):
    """Of a credit note, carries `left`: the money that may be paid out in other ways."""

    code = "paid_from_stored_value"
    title = "Whoever keeps the stored value pays with it and takes it back"
