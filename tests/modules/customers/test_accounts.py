"""Accounts over HTTP."""

from tests.support.api import Client


async def test_an_account_is_created_read_changed_and_deleted(owner: Client):
    made = await owner.ok(
        "POST",
        "/v1/accounts",
        json={
            "name": "上海云帆科技有限公司",
            "email": "Info@YunFan.example",
            "phone": "021-5555 0100",
            "country": "中国",
            "credit_limit": {"amount": "1000.50", "currency": "CNY"},
        },
    )
    assert (made["name"], made["kind"], made["lifecycle_stage"]) == ("上海云帆科技有限公司", "company", "lead")
    assert (made["country"], made["email"]) == ("CN", "Info@yunfan.example")
    assert made["credit_limit"] == {"amount": "1000.50", "currency": "CNY"}
    assert made["completeness"] == 45  # name 10, e-mail 15, phone 15, country 5
    path = f"/v1/accounts/{made['id']}"
    assert await owner.ok("GET", path) == made
    changed = await owner.ok("PATCH", path, json={"city": "上海", "credit_limit": None}, if_match=1)
    assert (changed["version"], changed["completeness"], changed["credit_limit"]) == (2, 50, None)
    found = await owner.ok("GET", "/v1/accounts?q=yunfan")
    assert [row["id"] for row in found["data"]] == [made["id"]]
    await owner.ok("DELETE", path, if_match=2)
    assert (await owner.get(path)).status_code == 404
