"""Registers after_sales: each file says what one topic brings."""

from __future__ import annotations

from app.kernel.registry import Module, combined
from app.modules.after_sales.module.assets import PART as ASSETS
from app.modules.after_sales.module.cases import PART as CASES
from app.modules.after_sales.module.desk import PART as DESK
from app.modules.after_sales.module.forms import PART as FORMS
from app.modules.after_sales.module.knowledge import PART as KNOWLEDGE
from app.modules.after_sales.module.mail import PART as MAIL
from app.modules.after_sales.services.personal_data import PERSONAL_DATA

PERSONAL = Module(name="after_sales", personal_data=PERSONAL_DATA)

MODULE = combined(
    "after_sales",
    "Service after the sale: cases, deadlines, routing, knowledge, assets, work orders, surveys, calls.",
    (CASES, MAIL, FORMS, DESK, ASSETS, KNOWLEDGE, PERSONAL),
)
