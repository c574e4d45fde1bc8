"""Imports over HTTP: from one request to mapping by hand, results, cancelling and undoing."""

from __future__ import annotations

import pytest

from app.kernel.custom_fields import CustomFields
from app.kernel.jobs import JobRunner
from app.main import Application
from tests.modules.support import acting
from tests.support.api import Client, Company

FILE = b"ID,Name,Price,Sold on,Tags\nt1,Robot,12.50,2026-01-31,a;b\nt2,Kite,3,2026/2/1,\n"


async def run_jobs(app: Application) -> None:
    assert app.kernel is not None
    await JobRunner(app.kernel).run_due()


async def upload(owner: Client, content: bytes, name: str = "toys.csv", **fields: str):
    return await owner.post(
        "/v1/imports", data={"object": "toys", **fields}, files={"file": (name, content, "text/csv")}
    )


async def test_one_request_imports_a_file(app: Application, owner: Client):
    answer = await upload(owner, FILE)
    assert (answer.status_code, answer.json()["state"]) == (202, "validating"), answer.text
    assert answer.headers["Retry-After"]
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["total"], done["created"], done["failed"]) == ("completed", 2, 2, 0)
    toys = await owner.ok("GET", "/v1/toys?sort=name")
    assert [(t["name"], t["price"]["amount"], t["tags"], t["sold_on"]) for t in toys["data"]] == [
        ("Kite", "3.00", [], "2026-02-01"),
        ("Robot", "12.50", ["a", "b"], "2026-01-31"),
    ]
    listed = await owner.ok("GET", f"/v1/jobs/{done['job_id']}")
    assert (listed["state"], listed["result"]["created"]) == ("completed", 2)
    assert [i["id"] for i in (await owner.ok("GET", "/v1/imports"))["data"]] == [done["id"]]


async def test_the_mapping_is_guessed_shown_and_can_be_mended(app: Application, owner: Client):
    made = await owner.ok("POST", "/v1/imports", json={"object": "toy", "mode": "upsert"})
    assert made["state"] == "open"
    content = "编号;叫法;Pieces\nx1;木偶;7\n".encode("gb18030")
    put = await owner.request(
        "PUT", f"/v1/imports/{made['id']}/content?filename=a.csv", content=content,
        headers={"Content-Type": "text/csv"},
    )  # fmt: skip
    shown = put.json()
    assert (put.status_code, shown["state"], shown["detected"]["delimiter"]) == (200, "uploaded", ";"), (
        put.text
    )
    assert shown["detected"]["encoding"].lower().startswith("gb")
    assert {c["column"]: c["field"] for c in shown["columns"]} == {
        "编号": "external_id", "叫法": None, "Pieces": "pieces",
    }  # fmt: skip
    assert shown["columns"][1]["samples"] == ["木偶"]
    early = await owner.post(f"/v1/imports/{made['id']}/start")
    assert (early.status_code, early.json()["code"], early.json()["missing"]) == (
        409,
        "import_not_ready",
        ["name"],
    )
    wrong = await owner.patch(
        f"/v1/imports/{made['id']}", {"mapping": {"叫法": "nonsense"}}, if_match=shown["version"]
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "unknown_field")
    mended = await owner.patch(
        f"/v1/imports/{made['id']}", {"mapping": {"叫法": "name"}}, if_match=shown["version"]
    )
    assert mended.status_code == 200, mended.text
    started = await owner.post(f"/v1/imports/{made['id']}/start")
    assert started.status_code == 202, started.text
    await run_jobs(app)
    toys = await owner.ok("GET", "/v1/toys")
    assert [(t["external_id"], t["name"], t["pieces"]) for t in toys["data"]] == [("x1", "木偶", 7)]
    found = await owner.ok("GET", "/v1/toys?q=mo")
    assert len(found["data"]) == 1


async def test_the_mapping_stays_when_the_file_is_read_another_way(app: Application, owner: Client):
    answer = await upload(owner, "叫法,Sold\nRobot,01/02/2026\n".encode(), start="false")
    location, made = answer.headers["Location"], answer.json()
    mapping = {"叫法": "name", "Sold": "sold_on"}
    both = {"mapping": mapping, "options": {"date_order": "mdy"}}
    mended = await owner.ok("PATCH", location, json=both, if_match=made["version"])
    assert {c["column"]: c["field"] for c in mended["columns"]} == mapping
    later = {"options": {"date_order": "dmy"}}
    mended = await owner.ok("PATCH", location, json=later, if_match=mended["version"])
    assert {c["column"]: c["field"] for c in mended["columns"]} == mapping
    other = {"options": {"delimiter": "|"}}
    mended = await owner.ok("PATCH", location, json=other, if_match=mended["version"])
    assert {c["column"]: c["field"] for c in mended["columns"]} == {"叫法,Sold": None}


async def test_after_a_dry_run_the_file_can_be_read_another_way(app: Application, owner: Client):
    answer = await upload(owner, b"name,sold_on\nRobot,01/02/2026\n", dry_run="true")
    location = answer.headers["Location"]
    await run_jobs(app)
    done = await owner.ok("GET", location)
    assert (done["state"], done["failed"]) == ("completed_with_errors", 1)
    await owner.ok("PATCH", location, json={"options": {"date_order": "dmy"}}, if_match=done["version"])
    await owner.ok("POST", f"{location}/start", json={"dry_run": False})
    await run_jobs(app)
    assert [t["sold_on"] for t in (await owner.ok("GET", "/v1/toys"))["data"]] == ["2026-02-01"]
    written = await owner.ok("GET", location)
    refused = await owner.patch(location, {"options": {"date_order": "ymd"}}, if_match=written["version"])
    assert (refused.status_code, refused.json()["code"]) == (409, "invalid_transition")


async def test_cells_of_custom_fields_are_read_as_those_of_other_fields(app: Application, owner: Client):
    labels = {
        "count": ("integer", "数量"), "weight": ("decimal", "重量"), "cost": ("money", "成本"), "due": ("date", "到期日"),
        "seen": ("datetime", "查看时间"), "keeper": ("member", "保管人"),
    }  # fmt: skip
    for key, (kind, label) in labels.items():
        body = {"object": "toy", "key": key, "type": kind, "labels": {"en": key.title(), "zh": label}}
        await owner.ok("POST", "/v1/custom-fields", json=body)
    me = await owner.ok("GET", "/v1/me")
    await owner.ok("PATCH", "/v1/tenant", json={"time_zone": "Asia/Shanghai"}, if_match=1)
    head = "名称,数量,重量,成本,到期日,查看时间,保管人\n"
    rows = f'木偶,"1,234","1,234.50","1,299 JPY",2026/1/31,2026-01-31 09:00,{me["email"].upper()}\n'
    answer = await upload(owner, (head + rows).encode("gb18030"))
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert [c["field"] for c in done["columns"]] == ["name", *(f"custom.{key}" for key in labels)]
    assert (done["state"], done["created"]) == ("completed", 1), done
    (toy,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert toy["custom"] == {
        "count": 1234, "weight": "1234.5", "cost": {"amount": "1299", "currency": "JPY"}, "due": "2026-01-31",
        "seen": "2026-01-31T01:00:00Z", "keeper": me["member_id"],
    }  # fmt: skip


async def test_bad_rows_come_back_as_a_file_with_line_and_column(app: Application, owner: Client):
    content = b"external_id,name,colour,price,pieces\na,Ok,red,1,1\nb,,red,1,1\nc,C,green,1,1\nd,D,red,much,1\ne,E\na,Again,red,1,1\n"
    answer = await upload(owner, content)
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 1, 5)
    failed = await owner.get(done["results"]["failed"])
    lines = failed.text.lstrip("\ufeff").splitlines()
    assert lines[0] == "external_id,name,colour,price,pieces,line,column,code,reason"
    cells = [line.split(",")[5:8] for line in lines[1:]]
    assert cells == [
        ["3", "name", "required"],
        ["4", "colour", "enum"],
        ["5", "price", "unreadable"],
        ["6", "", "ragged_row"],
        ["7", "external_id", "duplicate_value"],
    ]
    successful = (await owner.get(done["results"]["successful"])).text.lstrip("\ufeff").splitlines()
    toy = (await owner.ok("GET", "/v1/toys"))["data"][0]
    assert successful == ["line,id,action,warnings", f"2,{toy['id']},created,"]


async def test_the_reasons_beside_failed_rows_fill_no_field(app: Application, owner: Client):
    field = {"object": "toy", "key": "code", "type": "text", "labels": {"en": "Code"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    answer = await upload(owner, b"external_id,name\na,\n")
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    failed = (await owner.get(done["results"]["failed"])).text
    mended = await upload(owner, failed.replace("a,,2", "a,Robot,2").encode())
    await run_jobs(app)
    done = await owner.ok("GET", mended.headers["Location"])
    assert (done["created"], done["failed"]) == (1, 0)
    assert (await owner.ok("GET", "/v1/toys"))["data"][0]["custom"] == {}


async def test_a_worker_knows_a_field_that_was_made_a_moment_ago(
    app: Application, company: Company, monkeypatch
):
    owner = company.owner
    workers = CustomFields()
    async with acting(company) as uow:
        assert (await workers.of(uow, "toy")).by_key == {}
    field = {"object": "toy", "key": "maker", "type": "text", "labels": {"en": "Maker"}}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    imported = await upload(owner, b"name,Maker\nRobot,Reed\n")
    exported = await owner.ok("POST", "/v1/exports", json={"object": "toy", "fields": ["custom.maker"]})
    monkeypatch.setattr(company.kernel, "custom_fields", workers)
    await run_jobs(app)
    done = await owner.ok("GET", imported.headers["Location"])
    assert (done["state"], done["created"]) == ("completed", 1)
    assert (await owner.ok("GET", f"/v1/jobs/{exported['id']}"))["state"] == "completed"


async def test_half_a_character_in_a_first_row_is_a_fault_of_that_row(app: Application, owner: Client):
    answer = await upload(owner, b'{"name": "a\\ud800b"}\n{"name": "Robot"}\n', name="toys.ndjson")
    assert (answer.status_code, answer.json()["columns"][0]["samples"]) == (202, ["a?b", "Robot"])
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["created"], done["failed"]) == (1, 1)


async def test_upsert_changes_what_is_there_and_undo_restores_it(app: Application, owner: Client):
    kept = await owner.ok("POST", "/v1/toys", json={"name": "Old", "external_id": "k", "pieces": 1})
    answer = await upload(owner, b"external_id,name,pieces\nk,New,\nn,Fresh,5\nn,Fresher,5\n", mode="upsert")
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["updated"]) == ("completed", 1, 2)
    now = await owner.ok("GET", f"/v1/toys/{kept['id']}")
    assert (now["name"], now["pieces"], now["version"]) == ("New", 1, 2)
    history = await owner.ok("GET", f"/v1/toys/{kept['id']}/history")
    assert history["data"][0]["changes"] == {"name": ["Old", "New"]}
    begun = await owner.post(f"/v1/imports/{done['id']}/undo")
    assert begun.json()["undo"]["state"] == "in_progress"
    await run_jobs(app)
    undone = (await owner.ok("GET", f"/v1/imports/{done['id']}"))["undo"]
    assert (undone["state"], undone["deleted"] + undone["restored"]) == ("completed", 2)
    back = await owner.ok("GET", f"/v1/toys/{kept['id']}")
    assert (back["name"], back["pieces"]) == ("Old", 1)
    again = await owner.post(f"/v1/imports/{done['id']}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")


async def test_undo_keeps_what_has_changed_since(app: Application, owner: Client):
    answer = await upload(owner, b"external_id,name\na,A\nb,B\n")
    await run_jobs(app)
    toys = {t["external_id"]: t for t in (await owner.ok("GET", "/v1/toys"))["data"]}
    await owner.patch(f"/v1/toys/{toys['a']['id']}", {"name": "Mine"}, if_match=1)
    location = answer.headers["Location"]
    await owner.ok("POST", f"{location}/undo")
    await run_jobs(app)
    done = await owner.ok("GET", location)
    assert done["undo"] == {"state": "completed", "deleted": 1, "restored": 0, "kept": 1}
    assert [t["name"] for t in (await owner.ok("GET", "/v1/toys"))["data"]] == ["Mine"]
    kept = (await owner.get(done["results"]["not_undone"])).text
    assert f"2,{toys['a']['id']},The record has changed since." in kept


async def test_a_dry_run_finds_the_errors_and_writes_nothing(app: Application, owner: Client):
    answer = await upload(owner, b"external_id,name\na,A\nb,\n", dry_run="true")
    await run_jobs(app)
    location = answer.headers["Location"]
    done = await owner.ok("GET", location)
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 1, 1)
    assert (await owner.ok("GET", "/v1/toys"))["data"] == []
    await owner.ok("POST", f"{location}/start", json={"dry_run": False})
    await run_jobs(app)
    assert [t["name"] for t in (await owner.ok("GET", "/v1/toys"))["data"]] == ["A"]


async def test_a_waiting_import_can_be_cancelled_and_offers_its_rows(app: Application, owner: Client):
    answer = await upload(owner, b"external_id,name\na,A\n")
    location = answer.headers["Location"]
    cancelled = await owner.post(f"{location}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    await run_jobs(app)
    assert (await owner.ok("GET", "/v1/toys"))["data"] == []
    rows = await owner.get(f"{location}/results/unprocessed")
    assert rows.text.lstrip("\ufeff").splitlines() == ["external_id,name", "a,A"]


async def test_the_same_upload_under_one_key_imports_once(app: Application, owner: Client):
    options = {"data": {"object": "toys"}, "files": {"file": ("t.csv", FILE, "text/csv")}}
    first = await owner.post("/v1/imports", key="k1", **options)
    second = await owner.post("/v1/imports", key="k1", **options)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.json()["id"] == second.json()["id"]
    await run_jobs(app)
    assert len((await owner.ok("GET", "/v1/toys"))["data"]) == 2


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "required"), (b"\xff\xfe\x00", "no_header"), (b"\n\n", "no_header")]
)
async def test_a_file_that_is_no_table_is_refused(owner: Client, content: bytes, code: str):
    answer = await upload(owner, content)
    assert answer.status_code == 422
    assert (await owner.ok("GET", "/v1/imports"))["data"] == []


async def test_a_stranger_company_sees_neither_import_nor_file(
    app: Application, owner: Client, rival: Company
):
    answer = await upload(owner, FILE)
    made = answer.json()
    for path in (
        f"/v1/imports/{made['id']}",
        f"/v1/files/{made['file_id']}/content",
        f"/v1/jobs/{made['job_id']}",
    ):
        assert (await rival.owner.get(path)).status_code == 404
    assert (await rival.owner.post(f"/v1/imports/{made['id']}/cancel")).status_code == 404
    await run_jobs(app)
    assert (await owner.ok("GET", f"/v1/imports/{made['id']}"))["state"] == "completed"


async def test_a_moment_beyond_the_calendar_is_a_fault_of_its_row(app: Application, owner: Client):
    body = {"object": "toy", "key": "seen", "type": "datetime", "labels": {"en": "Seen"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    late, early = "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+08:00"
    answer = await upload(owner, f"Name,Seen\nRobot,{late}\nKite,{early}\nBall,2026-01-31\n".encode())
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 1, 2)
    failed = (await owner.get(f"{answer.headers['Location']}/results/failed")).text.splitlines()
    assert failed[1:] == [
        f"Robot,{late},2,Seen,unreadable,'{late}' is out of the calendar.",
        f"Kite,{early},3,Seen,unreadable,'{early}' is out of the calendar.",
    ]


async def test_the_currency_beside_an_amount_is_not_lost(app: Application, owner: Client):
    file = "名称,Price,Currency\nRobot,USD 1299.00,\nKite,1000 jpy,\nBall,RMB 5,\nDoll,$6.5,\nTop,12 USD,EUR\nCar,12 USD,USD\n"
    answer = await upload(owner, file.encode())
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 5, 1)
    failed = (await owner.get(f"{answer.headers['Location']}/results/failed")).text.splitlines()
    assert failed[1:] == [
        'Top,12 USD,EUR,6,Price,other_currency,"The amount is in USD, but its currency is EUR."'
    ]
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [(t["name"], t["price"]["amount"], t["price"]["currency"]) for t in toys] == [
        ("Ball", "5.00", "CNY"), ("Car", "12.00", "USD"), ("Doll", "6.50", "USD"), ("Kite", "1000", "JPY"),
        ("Robot", "1299.00", "USD"),
    ]  # fmt: skip


async def test_a_sign_of_several_currencies_is_of_the_amounts_own_or_refused(app: Application, owner: Client):
    body = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    lines = ["Robot,$5,,$6", "Kite,¥5,,1", "Ball,¥5,JPY,1", "Doll,3k,,1", "Top,1.5万,CNY,2万元", "Car,£7,,£8"]
    answer = await upload(owner, "\n".join(["Name,Price,Currency,Cost", *lines]).encode())
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["failed"]) == ("completed_with_errors", 3, 3)
    failed = (await owner.get(f"{answer.headers['Location']}/results/failed")).text.splitlines()
    assert failed[1:] == [
        'Kite,¥5,,1,3,Price,other_currency,"The amount is in ¥, but its currency is USD."',
        "Doll,3k,,1,5,Price,unreadable,'k' is no currency that is known.",
        "Top,1.5万,CNY,2万元,6,Cost,invalid_money,'元' is not a currency of ISO 4217.",
    ]
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [(t["name"], t["price"], t["custom"]["cost"]) for t in toys] == [
        ("Ball", {"amount": "5", "currency": "JPY"}, {"amount": "1.00", "currency": "USD"}),
        ("Car", {"amount": "7.00", "currency": "GBP"}, {"amount": "8.00", "currency": "GBP"}),
        ("Robot", {"amount": "5.00", "currency": "USD"}, {"amount": "6.00", "currency": "USD"}),
    ]


async def test_a_column_of_currencies_may_have_their_names_and_signs(app: Application, owner: Client):
    body = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    lines = ["A,5,人民币,¥6,RMB", "B,5,$,6,￥", "C,5,usd,6,€", "D,5,¥,6,USD"]
    answer = await upload(
        owner, "\n".join(["Name,Price,Currency,Cost,Cost currency", *lines, "E,5,$,6,日元"]).encode()
    )
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["created"], done["failed"]) == (3, 2), done
    failed = (await owner.get(f"{answer.headers['Location']}/results/failed")).text.splitlines()
    assert [line.split(",")[0:1] + line.split(",")[5:8] for line in failed[1:]] == [
        ["B", "3", "Cost", "money_type"], ["D", "5", "Price", "unknown_currency"],
    ]  # fmt: skip
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [(t["price"]["currency"], t["custom"]["cost"]["currency"]) for t in toys] == [
        ("CNY", "CNY"), ("USD", "EUR"), ("USD", "JPY"),
    ]  # fmt: skip


async def unique_code(owner: Client, **more: object) -> None:
    body = {"object": "toy", "key": "code", "type": "text", "labels": {"en": "Code"}, "unique": True}
    await owner.ok("POST", "/v1/custom-fields", json=body | more)


async def test_a_unique_custom_field_is_a_key_of_upserts_and_updates(app: Application, owner: Client):
    await unique_code(owner)
    robot = await owner.ok(
        "POST", "/v1/toys", json={"name": "Robot", "pieces": 1, "custom": {"code": "木-1"}}
    )
    content = "Code,Name,Pieces\n木-1,Robot,7\n木-2,Kite,8\n木-2,Kite,9\n,Ball,1\n".encode()
    answer = await upload(owner, content, mode="upsert", key="custom.code")
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["state"], done["created"], done["updated"]) == ("completed", 2, 2), done
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [(t["name"], t["pieces"], t["custom"].get("code")) for t in toys] == [
        ("Ball", 1, None), ("Kite", 9, "木-2"), ("Robot", 7, "木-1"),
    ]  # fmt: skip
    assert toys[2]["id"] == robot["id"]
    content = "Code,Pieces\n木-1,70\n木-3,1\n,2\n".encode()
    answer = await upload(owner, content, mode="update", key="custom.code")
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["created"], done["updated"], done["failed"]) == (0, 1, 2), done
    failed = (await owner.get(f"{answer.headers['Location']}/results/failed")).text.splitlines()
    assert [line.split(",")[2:5] for line in failed[1:]] == [
        ["3", "Code", "not_found"], ["4", "Code", "required"],
    ]  # fmt: skip
    assert (await owner.ok("GET", f"/v1/toys/{robot['id']}"))["pieces"] == 70


async def test_a_field_that_is_not_unique_is_no_key(owner: Client):
    await unique_code(owner, unique=False)
    answer = await upload(owner, b"Code,Name\n1,Robot\n", mode="upsert", key="custom.code")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_key")
    assert (await owner.ok("GET", "/v1/imports"))["data"] == []


async def with_defaults(app: Application, owner: Client, content: bytes, **defaults: object):
    """An import with defaults, done, and the file of what failed."""
    made = await owner.ok("POST", "/v1/imports", json={"object": "toy", "defaults": defaults})
    path = f"/v1/imports/{made['id']}"
    await owner.request(
        "PUT", f"{path}/content?filename=a.csv", content=content, headers={"Content-Type": "text/csv"}
    )
    await owner.ok("POST", f"{path}/start", json={})
    await run_jobs(app)
    done = await owner.ok("GET", path)
    failed = (await owner.get(f"{path}/results/failed")).text.splitlines()[1:] if done["failed"] else []
    return done, failed


async def test_a_default_amount_in_another_currency_than_its_column_is_a_fault_of_the_row(
    app: Application, owner: Client
):
    done, failed = await with_defaults(app, owner, b"name,currency\nRobot,EUR\nKite,USD\n", price="12 USD")
    assert (done["state"], done["created"]) == ("completed_with_errors", 1), done
    assert failed == ['Robot,EUR,2,price,other_currency,"The amount is in USD, but its currency is EUR."']


async def test_a_currency_in_the_cell_of_a_custom_field_outweighs_the_default(
    app: Application, owner: Client
):
    body = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    euros = {"currency": "EUR", "custom.cost.currency": "EUR"}
    done, _ = await with_defaults(app, owner, b"name,Price,Cost\nA,12 USD,12 USD\nB,3,4\n", **euros)
    assert (done["state"], done["created"]) == ("completed", 2), done
    toys = (await owner.ok("GET", "/v1/toys?sort=name"))["data"]
    assert [(t["price"]["currency"], t["custom"]["cost"]["currency"]) for t in toys] == [
        ("USD", "USD"), ("EUR", "EUR"),
    ]  # fmt: skip


async def test_a_cell_of_blanks_beside_an_amount_leaves_the_default_currency(app: Application, owner: Client):
    body = {"object": "toy", "key": "cost", "type": "money", "labels": {"en": "Cost"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    euros = {"currency": "EUR", "custom.cost.currency": "EUR"}
    done, _ = await with_defaults(app, owner, b"name,Price,Currency,Cost,Cost currency\nA,5, ,5, \n", **euros)
    assert (done["state"], done["created"]) == ("completed", 1), done
    (toy,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert (toy["price"]["currency"], toy["custom"]["cost"]["currency"]) == ("EUR", "EUR")


async def test_a_custom_field_may_be_called_currency(app: Application, owner: Client):
    body = {"object": "toy", "key": "currency", "type": "text", "labels": {"en": "Coin"}}
    await owner.ok("POST", "/v1/custom-fields", json=body)
    await with_defaults(app, owner, b"name\nRobot\n", **{"custom.currency": "penny"})
    assert [t["custom"] for t in (await owner.ok("GET", "/v1/toys"))["data"]] == [{"currency": "penny"}]
    export = {"object": "toys", "fields": ["name", "custom.currency"], "language": "en"}
    file = await owner.post("/v1/exports/stream", export)
    assert file.text.splitlines() == ["Name,Coin", "Robot,penny"]


async def test_an_amount_in_a_currency_that_nobody_knows_is_not_taken_for_one_at_home(
    app: Application, owner: Client
):
    lines = (
        b'{"name":"A","price":{"amount":"5","currency":"XYZ"}}\n'
        b'{"name":"B","price":{"amount":"5","currency":null}}\n'
        b'{"name":"C","price":{"amount":"5","currency":"EUR"}}\n'
    )
    answer = await upload(owner, lines, name="toys.ndjson")
    await run_jobs(app)
    done = await owner.ok("GET", answer.headers["Location"])
    assert (done["created"], done["failed"]) == (1, 2)
    (toy,) = (await owner.ok("GET", "/v1/toys"))["data"]
    assert (toy["name"], toy["price"]) == ("C", {"amount": "5.00", "currency": "EUR"})
