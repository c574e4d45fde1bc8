"""Accounts and contacts from files: references, duplicates and trees, for whole chunks."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest

from app.kernel.duplicate_imports import hold_forms
from app.kernel.ids import new_id
from app.kernel.imports.models import Import
from app.kernel.imports.rules import Earlier, ImportOptions
from app.kernel.imports.run import IMPORT_JOB
from app.kernel.registry import Module
from app.main import Application
from app.modules.customers.schemas import AccountCreate
from app.modules.customers.services.accounts import ACCOUNT_TREE, AccountService
from tests.modules.customers.pooling import make_pool, pooled
from tests.modules.support import acting, actor_of, make, subject_id
from tests.support.api import Client, Company, running, sign_up
from tests.support.bulk import Bench, Members

JOBS = Module(name="jobs", jobs=(IMPORT_JOB,))


class Files:
    """Imports into one company."""

    def __init__(self, bench: Bench, company: Company) -> None:
        self._bench = bench
        self.company = company
        self.owner: Client = company.owner

    async def run(self, object_name: str, text: str, **options: Any) -> Import:
        columns = text.splitlines()[0].split(",")
        return await self._bench.run(
            text.encode(), dict(zip(columns, columns, strict=True)), object=object_name, **options
        )

    async def accounts(self) -> dict[str, dict[str, Any]]:
        rows = (await self.owner.ok("GET", "/v1/accounts?limit=200"))["data"]
        return {row["name"]: row for row in rows}

    async def again(self, done: Import) -> Import:
        return await self._bench.read(done.id)

    async def all_names(self) -> list[str]:
        async with acting(self.company) as uow:
            rows = await uow.fetch("SELECT name FROM customers.accounts WHERE tenant_id = $1", uow.tenant_id)
        return [row["name"] for row in rows]

    async def faults(self, done: Import) -> list[tuple[int, str]]:
        """(line, code) of what was refused."""
        rows = await self._bench.fetch(
            "SELECT (f ->> 'line')::int AS line, fault ->> 0 AS code FROM kernel.import_chunks c,"
            " jsonb_array_elements(c.failures) f, jsonb_array_elements(f -> 'faults') fault"
            " WHERE c.import_id = $1 ORDER BY 1, 2",
            done.id,
        )
        return [(row["line"], row["code"]) for row in rows]


@pytest.fixture(scope="module")
async def app_with_imports(
    worker_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Application]:
    async with running(worker_database, tmp_path_factory.mktemp("data"), (JOBS,)) as app:
        yield app


@pytest.fixture
async def files(app_with_imports: Application, worker_database: str) -> Files:
    company = await sign_up(app_with_imports)
    assert app_with_imports.kernel is not None
    bench = Bench(app_with_imports.kernel, Members(), await actor_of(company), worker_database)
    return Files(bench, company)


async def test_a_parent_is_named_by_external_id_or_name_wherever_it_stands_in_the_file(files: Files):
    await make(files.owner, "accounts", name="Acme Holding Ltd")
    done = await files.run(
        "account",
        "external_id,name,parent\nA-1,Leaf Works,A-3\nA-2,Twig Works,acme holding\nA-3,Branch Works,Twig Works GmbH\n"
        "A-4,Lost Works,Nowhere\n",
    )
    assert (done.created, done.failed) == (3, 1)
    accounts = await files.accounts()
    parents = {name: row["parent_id"] for name, row in accounts.items()}
    assert parents == {
        "Acme Holding Ltd": None,
        "Twig Works": accounts["Acme Holding Ltd"]["id"],
        "Branch Works": accounts["Twig Works"]["id"],
        "Leaf Works": accounts["Branch Works"]["id"],
    }
    assert accounts["Leaf Works"]["completeness"] == 10


async def test_a_file_makes_no_loop_and_no_tree_too_deep(files: Files):
    loop = await files.run("account", "external_id,name,parent\nA,Alpha,B\nB,Beta,A\n")
    assert (loop.created, loop.failed) == (0, 2)
    lines = "".join(
        f"L{n},Level {n} Works,L{n - 1}\n" if n > 1 else "L1,Level 1 Works,\n" for n in range(1, 13)
    )
    deep = await files.run("account", "external_id,name,parent\n" + lines)
    assert (deep.created, deep.failed) == (10, 2)


@pytest.mark.parametrize(
    ("kept", "rule", "created", "failed", "counts"),
    [
        (None, None, 4, 0, [0, 1, 1, 0]),
        (None, "block", 2, 2, [0, 0]),
        (None, "allow", 4, 0, [0, 0, 0, 0]),
        ("block", None, 2, 2, [0, 0]),
        ("allow", None, 4, 0, [0, 0, 0, 0]),
        ("allow", "warn", 4, 0, [0, 1, 1, 0]),
        ("block", "allow", 4, 0, [0, 0, 0, 0]),
    ],
)
async def test_look_alikes_in_table_and_file_go_by_the_rule(
    files: Files, kept, rule, created, failed, counts
):
    if kept is not None:
        await files.owner.ok("PUT", "/v1/duplicate-rules/account", json={"action": kept}, if_match=0)
    await make(files.owner, "accounts", name="Brackenridge Tooling Ltd", external_id="old")
    done = await files.run(
        "account",
        "external_id,name,email\n1,Zenith,info@zenith.example\n2,Brackenrigde Tooling,\n"
        "3,Else,INFO@zenith.example\n4,Fourth,\n",
        duplicate_rule=rule,
    )
    assert (done.created, done.failed) == (created, failed)
    rows = (await files.owner.ok("GET", "/v1/accounts?sort=external_id"))["data"]
    assert [row["duplicate_count"] for row in rows if row["external_id"] != "old"] == counts


@pytest.mark.parametrize("kept", ["block", "warn"])
async def test_what_is_made_meanwhile_is_no_way_around_a_block(files: Files, kept):
    await files.owner.ok("PUT", "/v1/duplicate-rules/account", json={"action": kept}, if_match=0)
    body = AccountCreate(name="Zenith")
    async with acting(files.company) as uow:
        await AccountService(uow).create({name: getattr(body, name) for name in AccountCreate.model_fields})
        running = asyncio.create_task(files.run("account", "name\nZenith Ltd\nBirch\n"))
        await asyncio.wait([running], timeout=1)
        assert running.done() == (kept == "warn")
    done = await running
    assert (done.created, await files.faults(done)) == (
        (1, [(2, "duplicate_found")]) if kept == "block" else (2, [])
    )


async def test_a_chunk_that_blocks_waits_in_no_circle_with_who_puts_an_account_under_another(files: Files):
    await files.owner.ok("PUT", "/v1/duplicate-rules/account", json={"action": "block"}, if_match=0)
    top = await make(files.owner, "accounts", name="Zenith Holding")
    async with acting(files.company) as uow:
        await hold_forms(AccountService(uow), ImportOptions(mode="create"))
        single = asyncio.create_task(
            files.owner.post("/v1/accounts", {"name": "Birch", "parent_id": top["id"]})
        )
        await asyncio.wait([single], timeout=0.5)
        assert not single.done()
        await uow.fetch("SET LOCAL lock_timeout = '100ms'")
        await ACCOUNT_TREE.lock(uow)
    assert (await single).status_code == 201


async def test_a_chunk_that_blocks_waits_in_no_circle_with_a_batch_of_upserts(files: Files):
    await files.owner.ok("PUT", "/v1/duplicate-rules/account", json={"action": "block"}, if_match=0)
    old = await make(files.owner, "accounts", name="Zenith", external_id="Z")
    records = [{"name": "Zenith again", "external_id": "Z"}, {"name": "Birch", "external_id": "B"}]
    items = {"items": [{"record": record} for record in records]}
    async with acting(files.company) as uow:
        await hold_forms(AccountService(uow), ImportOptions(mode="upsert"))
        batch = asyncio.create_task(files.owner.post("/v1/accounts/batch/upsert", items))
        await asyncio.wait([batch], timeout=0.5)
        assert not batch.done()
        await uow.fetch("SET LOCAL lock_timeout = '100ms'")
        await AccountService(uow).get(subject_id(old), lock="update")
    assert [result["status"] for result in (await batch).json()["results"]] == [200, 201]


async def test_two_imports_at_once_block_each_others_rows(files: Files):
    await files.owner.ok("PUT", "/v1/duplicate-rules/account", json={"action": "block"}, if_match=0)
    text = "name\n" + "".join(f"{sha256(str(n).encode()).hexdigest()}\n" for n in range(400))  # nowhere alike
    both = await asyncio.gather(files.run("account", text), files.run("account", text))
    done = [
        await files.again(one) for one in both
    ]  # each may have run the other's, which had not ended by then
    assert {one.state for one in done} <= {"completed", "completed_with_errors"}
    assert sum(one.created for one in done) == len(await files.all_names()) == 400
    assert sum(one.failed for one in done) == 400


@pytest.mark.parametrize("rule", ["block", "warn", "allow"])
async def test_a_dry_run_counts_what_the_import_does_however_far_rows_are_apart(
    files: Files, monkeypatch, rule
):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", 2)
    content = (
        "external_id,name,email\n1,Zenith,info@zenith.example\n2,Quartz,q@quartz.example\n3,Birch,\n"
        "None,Oak,INFO@zenith.example\n2,Elm,elm@elm.example\n5,Birch,\n,Ash,\n"
    )
    refused = [(6, "duplicate_value")]
    if rule == "block":
        refused = [(5, "duplicate_found"), *refused, (7, "duplicate_found")]
    for dry_run in (True, False):  # the second would find what the first had written
        done = await files.run("account", content, duplicate_rule=rule, dry_run=dry_run)
        assert (done.created, done.failed) == (7 - len(refused), len(refused))
        assert await files.faults(done) == refused
        if dry_run:
            assert await files.accounts() == {}


@pytest.mark.parametrize("chunk", [2, 9])
async def test_a_dry_run_knows_the_accounts_before_by_their_names(files: Files, monkeypatch, chunk):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", chunk)
    content = (
        "external_id,name,parent\nA-1,Zenith Holding,\n2,Quartz,\n3,Elm,A-1\n4,Oak,zenith holding ltd\n5,Ash,Nowhere\n"
        "6,Fir,Ash\n"
    )
    for dry_run in (True, False):
        done = await files.run("account", content, dry_run=dry_run, duplicate_rule="allow")
        assert (done.created, await files.faults(done)) == (
            4, [(6, "unknown_reference"), (7, "unknown_reference")],
        )  # fmt: skip
    accounts = await files.accounts()
    assert accounts["Elm"]["parent_id"] == accounts["Oak"]["parent_id"] == accounts["Zenith Holding"]["id"]


@pytest.mark.parametrize("chunk", [1, 2])
async def test_a_dry_run_finds_unique_values_that_rows_far_above_have(files: Files, monkeypatch, chunk):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", chunk)
    field = {"object": "account", "key": "code", "type": "text", "unique": True, "labels": {"en": "Code"}}
    await files.owner.ok("POST", "/v1/custom-fields", json=field)
    await make(files.owner, "accounts", name="Old", external_id="0")
    content = "external_id,name,custom.code\n1,Zenith,U-1\n2,Quartz,\n0,Old,U-9\n4,Oak,U-1\n5,,U-2\n6,Fir,U-2\n7,Elm,U-9\n"
    for dry_run in (True, False):
        done = await files.run("account", content, mode="upsert", dry_run=dry_run)
        assert (done.created, done.updated) == (3, 1)
        assert await files.faults(done) == [
            (5, "duplicate_value"), (6, "required"), (8, "duplicate_value"),
        ]  # fmt: skip


@pytest.mark.parametrize("chunk", [2, 6])
async def test_a_dry_run_of_an_upsert_knows_rows_that_change_rows_before(files: Files, monkeypatch, chunk):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", chunk)
    content = "external_id,name,email\n1,Zenith,\n2,Quartz,\n1,,info@zenith.example\n3,,\n2,Quartz Ltd,\n4,Elm,\n3,Fir,\n"
    for dry_run in (True, False):
        done = await files.run("account", content, mode="upsert", dry_run=dry_run)
        assert (done.created, done.updated, done.unchanged, done.failed) == (4, 2, 0, 1)
        assert await files.faults(done) == [(5, "required")]
        rows = (await files.owner.get(f"/v1/imports/{done.id}/results/successful")).text.splitlines()[1:]
        assert [row.split(",")[::2] for row in rows] == [
            ["2", "created"], ["3", "created"], ["4", "updated"], ["6", "updated"], ["7", "created"],
            ["8", "created"],
        ]  # fmt: skip
    accounts = await files.accounts()
    assert {name: row["email"] for name, row in accounts.items()} == {
        "Zenith": "info@zenith.example", "Quartz Ltd": None, "Elm": None, "Fir": None,
    }  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 4, 9])  # 4: the table has some of the five, the chunk the others
async def test_a_row_counts_up_to_five_that_look_like_it_in_one_chunk_or_several(
    files: Files, monkeypatch, chunk
):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", chunk)
    names = ("Zenith", "Quartz", "Birch", "Elm", "Oak", "Ash", "Larch", "Rowan", "Alder")
    lines = "".join(f"{name},info@one.example\n" for name in names)
    assert (await files.run("account", f"name,email\n{lines}")).created == 9
    accounts = await files.accounts()
    assert [accounts[name]["duplicate_count"] for name in names] == [0, 1, 2, 3, 4, 5, 5, 5, 5]


@pytest.mark.parametrize("chunk", [1, 4, 9])
async def test_a_row_with_two_numbers_counts_five_for_each(files: Files, monkeypatch, chunk):
    monkeypatch.setattr("app.kernel.imports.run.CHUNK", chunk)
    header = "family_name,mobile,phone\n"
    one, two = "+442071838750", "+442071838751"
    kept = "".join(f"Kept{n},{one},\n" for n in range(5)) + "".join(f"Kept{n},{two},\n" for n in range(5, 10))
    assert (await files.run("contact", header + kept)).created == 10
    lines = "".join(f"New{n},{one},{two}\n" for n in range(8))
    assert (await files.run("contact", header + lines)).created == 8
    rows = (await files.owner.ok("GET", "/v1/contacts?limit=100"))["data"]
    counts = [row["duplicate_count"] for row in rows if row["name"].startswith("New")]
    assert counts == [10] * 8


def test_what_a_dry_run_keeps_of_rows_before_is_bounded(monkeypatch):
    monkeypatch.setattr(Earlier, "MOST", 3)
    earlier = Earlier()
    earlier.lines.update((("email", f"{line}@example.com"), line) for line in range(5))
    earlier.trim()
    assert earlier.lines == {("email", f"{line}@example.com"): line for line in (2, 3, 4)}


async def test_contacts_find_their_account_and_a_changed_row_moves_them(files: Files):
    for name, key in (("Acme Ltd", "A-1"), ("Zenith GmbH", "A-2")):
        await make(files.owner, "accounts", name=name, external_id=key)
    done = await files.run(
        "contact",
        "external_id,family_name,given_name,account,role,email\n"
        "C-1,张,伟,A-1,champion,wei@acme.example\nC-2,Byron,Ada,zenith,user,ada@zenith.example\n"
        "C-3,Nobody,Al,,blocker,al@x.example\n",
    )
    assert (done.created, done.failed) == (2, 1)
    accounts = {name: row["id"] for name, row in (await files.accounts()).items()}
    people = (await files.owner.ok("GET", "/v1/contacts?sort=external_id"))["data"]
    assert [(row["name"], row["account_id"], row["role"]) for row in people] == [
        ("张伟", accounts["Acme Ltd"], "champion"),
        ("Ada Byron", accounts["Zenith GmbH"], "user"),
    ]
    moved = await files.run("contact", "external_id,account\nC-1,A-2\n", mode="update")
    assert (moved.updated, moved.failed) == (1, 0)
    wei = (await files.owner.ok("GET", "/v1/contacts?external_id=C-1"))["data"][0]
    assert (wei["account_id"], wei["role"]) == (accounts["Zenith GmbH"], None)


async def test_a_thousand_rows_take_a_fixed_number_of_statements(files: Files):
    from app.kernel.imports.rules import ImportRow

    def rows(number: int) -> list[ImportRow]:
        return [
            ImportRow(
                n,
                n + 2,
                [],
                {"name": f"Works {n}", "email": f"w{n}@x.example"},
                extras={"parent": "Works 0"},
                id=new_id(),
            )
            for n in range(number)
        ]

    spent = []
    for number in (10, 1_000):
        async with acting(files.company) as uow:
            before = uow.statements
            await AccountService(uow).prepare_import(rows(number)[1:], ImportOptions("create"))
            spent.append(uow.statements - before)
    assert spent[0] == spent[1] <= 6


async def test_changes_of_one_file_make_no_loop_and_no_tree_too_deep(files: Files):
    lines = "external_id,name,parent\n" + "".join(f"{key},{key} Works,\n" for key in "ABCDEFGHIJKLM")
    assert (await files.run("account", lines)).created == 13
    loop = await files.run("account", "external_id,parent\nA,B\nB,C\nC,A\n", mode="update")
    assert (loop.updated, loop.failed) == (2, 1)
    assert await files.faults(loop) == [(4, "hierarchy_loop")]
    failed = (await files.owner.get(f"/v1/imports/{loop.id}/results/failed")).text.splitlines()
    assert failed[1].startswith("C,A,4,parent_id,hierarchy_loop,")
    chain = "".join(f"{below},{above}\n" for below, above in zip("CDEFGHIJKL", "DEFGHIJKLM", strict=True))
    deep = await files.run("account", "external_id,parent\n" + chain, mode="update")
    assert (deep.updated, await files.faults(deep)) == (9, [(9, "hierarchy_too_deep")])
    accounts = await files.accounts()
    assert accounts["J Works"]["parent_id"] is None
    nodes = (await files.owner.ok("GET", f"/v1/accounts/{accounts['A Works']['id']}/hierarchy"))["nodes"]
    assert len(nodes) == len({node["id"] for node in nodes})


async def test_changes_of_one_file_let_nobody_report_to_themselves(files: Files):
    people = [await make(files.owner, "contacts", name=f"Person {n}", external_id=f"C-{n}") for n in (1, 2)]
    circle = f"external_id,reports_to_id\nC-1,{people[1]['id']}\nC-2,{people[0]['id']}\n"
    done = await files.run("contact", circle, mode="update")
    assert (done.updated, await files.faults(done)) == (1, [(3, "hierarchy_loop")])
    second = await files.owner.ok("GET", f"/v1/contacts/{people[1]['id']}")
    assert (second["reports_to_id"], second["version"]) == (None, 1)


async def test_a_file_that_moves_a_contact_where_they_have_a_part_leaves_them_there_once(files: Files):
    former, other = [await make(files.owner, "accounts", name=name) for name in ("Acme Ltd", "Zenith GmbH")]
    una = await make(
        files.owner, "contacts", name="Una Poe", external_id="C-1", account_id=former["id"], role="user"
    )
    await files.owner.ok(
        "PUT", f"/v1/contacts/{una['id']}/roles/{other['id']}", json={"role": "champion"}, if_match=1
    )
    moved = await files.run("contact", "external_id,account\nC-1,Zenith\n", mode="update")
    assert (moved.updated, moved.failed) == (1, 0)
    members = (await files.owner.ok("GET", f"/v1/accounts/{other['id']}/committee"))["members"]
    assert [(member["contact"]["name"], member["is_primary"]) for member in members] == [("Una Poe", True)]
    assert len((await files.owner.ok("GET", f"/v1/contacts/{una['id']}/roles"))["data"]) == 1


async def test_a_change_that_is_refused_takes_no_account_out_of_its_pool(files: Files):
    owner = files.owner
    field = {"object": "account", "key": "code", "type": "text", "labels": {"en": "Code"}, "unique": True}
    await owner.ok("POST", "/v1/custom-fields", json=field)
    await make(owner, "accounts", name="Taken", custom={"code": "1"})
    pool = await make_pool(owner)
    [account] = await pooled(owner, pool, external_id="P")
    me = str(files.company.member_id)
    done = await files.run("account", f"external_id,owner_id,custom.code\nP,{me},1\n", mode="update")
    assert await files.faults(done) == [(2, "duplicate_value")]
    assert await owner.ok("GET", f"/v1/accounts/{account['id']}") == account
    async with acting(files.company) as uow:
        moved = await uow.fetch(
            "SELECT kind FROM customers.pool_movements WHERE tenant_id = $1", uow.tenant_id
        )
    assert [row["kind"] for row in moved] == ["released"]
