"""Registers what after_sales does with mail: what is said goes out, answers and new cases come in."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.registry import Module
from app.modules.after_sales.services.cases.merging import addresses, mails
from app.modules.after_sales.services.mail.sending import SUBSCRIPTION

PART = Module(
    name="after_sales",
    routers=("app.modules.after_sales.router.mail:router",),
    ports=((Merger, mails), (Merger, addresses)),
    subscriptions=(SUBSCRIPTION,),
)
