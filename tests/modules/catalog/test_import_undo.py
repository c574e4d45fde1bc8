"""The undo of imports into the catalogue: codes that are taken since, and trees."""

from __future__ import annotations

from tests.modules.support import make
from tests.support.api import Client, Company
from tests.support.importing import changed, counted, undo


async def test_a_code_that_somebody_took_since_stays_theirs(company: Company, owner: Client) -> None:
    for key in ("a", "b"):
        await make(owner, "products", name=f"Product {key}", external_id=key, code=f"OLD-{key}")
    done = await changed(company, "products", "external_id,code\na,NEW-a\nb,NEW-b\n", changes=2)
    await make(owner, "products", name="Taker", code="OLD-b")
    assert await undo(company, done) == (
        counted(restored=1, kept=1),
        ["3: Another record already has this code."],
    )
    found = (await owner.ok("GET", "/v1/products?sort=name"))["data"]
    codes = [(one["name"], one["code"]) for one in found]
    assert codes == [("Product a", "OLD-a"), ("Product b", "NEW-b"), ("Taker", "OLD-b")]


async def test_no_category_goes_back_under_one_that_lies_below_it(company: Company, owner: Client) -> None:
    top = await make(owner, "product-categories", name="Top", external_id="top")
    child = await make(owner, "product-categories", name="Child", external_id="child", parent_id=top["id"])
    other = await make(owner, "product-categories", name="Other", external_id="other")
    text = f"external_id,parent_id\nchild,{other['id']}\n"
    done = await changed(company, "product_categories", text, changes=1)
    path = f"/v1/product-categories/{top['id']}"
    await owner.ok("PATCH", path, json={"parent_id": child["id"]}, if_match=1)
    before = await owner.ok("GET", f"/v1/product-categories/{child['id']}")
    counts, reasons = await undo(company, done)
    assert (counts, len(reasons)) == (counted(restored=0, kept=1), 1)
    assert await owner.ok("GET", f"/v1/product-categories/{child['id']}") == before
