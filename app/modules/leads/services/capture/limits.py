"""How often a form takes something, an hour."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from app.kernel.attempts import Allowance, Attempts

COUNTERS: Final = Attempts("leads.form_attempts", timedelta(hours=1))
MAILS_PER_ADDRESS: Final = 5


def for_submission(form_id: UUID, ip: str, *, per_address: int, per_form: int) -> list[Allowance]:
    """What limits submissions to a form: those of one address, and all."""
    return [Allowance(f"address\0{form_id}\0{ip}", per_address), Allowance(f"form\0{form_id}", per_form)]


def for_mail(email: str) -> list[Allowance]:
    """What limits letting a company's forms send mail to somebody."""
    return [Allowance(f"mail\0{email.casefold()}", MAILS_PER_ADDRESS)]
