"""Registers the forms by which customers open cases."""

from __future__ import annotations

from app.kernel.merging.ports import Merger
from app.kernel.registry import Module, Schedule
from app.modules.after_sales.services.cases.merging import submissions
from app.modules.after_sales.services.forms import listing

PART = Module(
    name="after_sales",
    tags={"case forms": "Forms by which customers open cases, on pages of ours and on websites."},
    routers=("app.modules.after_sales.router.forms:router",),
    ports=((Merger, submissions),),
    schedules=(
        Schedule(
            "after_sales.forget_form_attempts",
            listing.FORGET_EVERY,
            listing.forget_attempts,
            per_tenant=True,
        ),
    ),
)
