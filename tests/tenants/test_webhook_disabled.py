"""A webhook that is given up: its company's owners learn of it by mail."""

from datetime import timedelta

import pytest

from app.kernel.access import system_actor
from app.kernel.ids import new_id
from app.kernel.outbox import Relay
from app.kernel.uow import transaction
from app.kernel.webhooks.disabling import WebhookDisabled
from tests.tenants.people import colleague


@pytest.mark.parametrize(
    ("reason", "days", "sentence"),
    [
        (
            "failing",
            5,
            "the webhook https://hooks.example.com/in has not answered for 5 days, so we switched it off.",
        ),
        ("gone", None, "the webhook https://hooks.example.com/in said that it is gone for good (410), so we"),
    ],
)
async def test_owners_are_told_that_a_webhook_was_switched_off(app, company, look, reason, days, sentence):
    mate = await colleague(company, look)
    tenant = await app.kernel.authenticator.tenant_profile(company.tenant_id)
    before = len(await look.mails(company.email))
    async with transaction(app.kernel, system_actor(tenant)) as uow:
        uow.publish(
            WebhookDisabled(
                id=new_id(),
                url="https://hooks.example.com/in",
                description="",
                reason=reason,
                failing_since=uow.now - timedelta(days=days) if days else None,
                created_by=None,
            )
        )
    while await Relay(app.kernel).run_once():
        pass
    mails = await look.mails(company.email)
    assert len(mails) == before + 1
    assert mails[-1]["subject"].startswith("A webhook of ")
    assert sentence in mails[-1]["text"]
    others = await look.mails(mate.facts["email"])
    assert [mail for mail in others if "webhook" in mail["subject"]] == []
