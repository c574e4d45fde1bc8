"""What finds a person in texts: their addresses whole, and never those that only end or begin alike."""

from __future__ import annotations

import pytest

from app.tenants.privacy.identifiers import REDACTED, Identifiers
from tests.support.api import Client
from tests.tenants.privacy.support import asked, erased, held

pytestmark = pytest.mark.usefixtures("rival")
ANN = Identifiers.of(["Al"], ["ann@x.example"], ["+12125550188"])
THEIRS = (
    "ann@x.example", "<ANN@X.example>,", "mailto:ann@x.example", "请联系ann@x.example谢谢", "line\\nann@x.example",
    "-ann@x.example", "ann@x.example.", "'ann@x.example'", "tel:+12125550188.", "电话+12125550188号",
)  # fmt: skip
OTHERS = (
    "joann@x.example", "jo-ann@x.example", "jo.ann@x.example", "jo+ann@x.example", "ann@x.examples",
    "ann@x.example-shop.example", "+121255501889", "1+12125550188",
)  # fmt: skip


def test_an_address_is_found_whole_by_both_sides() -> None:
    assert [text for text in THEIRS if not ANN.meant_in(text)] == []
    assert [text for text in OTHERS if ANN.meant_in(text)] == []
    assert ANN.swept(["joann@x.example, ann@x.example"]) == [f"joann@x.example, {REDACTED}"]


async def test_the_database_finds_the_same(look) -> None:
    sql = "SELECT x FROM unnest($1::text[]) x WHERE x ~* $2"
    found = await look.connection.fetch(sql, [*THEIRS, *OTHERS], ANN.everywhere)
    assert [row["x"] for row in found] == list(THEIRS)
    nobody = Identifiers()
    assert await look.connection.fetch(sql, [*THEIRS, *OTHERS], nobody.everywhere) == []


async def test_who_is_told_or_forgotten_is_not_somebody_whose_address_ends_alike(owner, app, company) -> None:
    contact = await owner.ok("POST", "/v1/contacts", json={"name": "Ann", "email": "ann@x.example"})
    fields = [{"name": name, "label": {"en": name}, "required": True} for name in ("email", "subject")]
    body = {"name": {"en": "Help"}, "fields": fields, "min_seconds": 0}
    form = await owner.ok("POST", "/v1/case-forms", json=body)
    for email in ("joann@x.example", "ann@x.example"):
        path = f"/v1/case-forms/{form['public_key']}/submissions"
        sent = await Client(company.http).post(path, {"email": email, "subject": "Mine"})
        assert sent.status_code == 202
    draft = await asked(owner, "export", ("contact", contact["id"]))
    assert held(draft)["after_sales.case_form_submissions"][0] == 1
    await erased(owner, app.kernel, ("contact", contact["id"]))
    left = await owner.ok("GET", f"/v1/case-forms/{form['id']}/submissions")
    assert [one["answers"]["email"] for one in left["data"]] == ["joann@x.example"]
