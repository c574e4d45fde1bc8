"""Days and figures that say as much of a person as a name: when they were born, what fields of a company's own held."""

from __future__ import annotations

import pytest

from app.kernel.jobs import JobRunner
from tests.modules.membership.points import enrol, programme
from tests.tenants.privacy.support import erased, tables_with

pytestmark = pytest.mark.usefixtures("rival")


async def test_no_copy_says_when_somebody_was_born_or_what_fields_of_the_companys_own_held(
    owner, app, company, look
):
    for key, kind in (("wedding", "date"), ("shoe", "integer")):
        field = {"object": "account", "key": key, "type": kind, "labels": {"en": key}}
        await owner.ok("POST", "/v1/custom-fields", json=field)
    person = {
        "name": "Zelda Quimby",
        "kind": "person",
        "custom": {"wedding": "2011-03-09", "shoe": 987654321},
    }
    account = await owner.ok("POST", "/v1/accounts", json=person)
    await enrol(owner, await programme(owner), account, birthday="1977-02-13")
    await JobRunner(app.kernel).run_due()
    said = ("2011-03-09", "987654321", "1977-02-13")
    assert all([await tables_with(look.connection, company.tenant_id, word) for word in said])
    await erased(owner, app.kernel, ("account", account["id"]))
    left = {word: await tables_with(look.connection, company.tenant_id, word) for word in said}
    assert left == {word: {} for word in said}
