"""Commands for operators: what they print, for people and for scripts, and how they end."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.demo import client
from app.kernel.config import Settings
from app.kernel.secrets import KeyRing
from tests.support.command import Rapport

DOCUMENTED = {"done": 0, "failed": 1, "usage": 2, "no": 3}


def fetch(url: str, sql: str) -> list[Any]:
    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


def test_help_names_every_command(rapport: Rapport):
    said = rapport("--help").out
    for command in (
        "up", "serve", "worker", "demo", "import", "export", "tenants", "db", "audit", "check", "figures", "config", "openapi",
        "bench", "billing",
    ):  # fmt: skip
        assert re.search(rf"│ {command} ", said), command


@pytest.mark.parametrize(
    "command",
    ["up", "serve", "worker", "demo", "import", "export", "config", "db upgrade", "db check", "db distribute",
     "tenants create", "tenants list", "tenants suspend", "tenants resume", "tenants erase", "tenants certificate",
     "tenants impersonate", "tenants reapply-erasures", "operator create-key", "openapi export", "audit verify",
     "figures check", "check money", "billing run", "billing reconcile", "billing coupon",
     "billing bills", "billing pay", "billing credit", "billing void", "billing uncollectible", "tenants cancel"],
)  # fmt: skip
def test_every_command_explains_itself(rapport: Rapport, command: str):
    answer = rapport(*command.split(), "--help")
    assert answer.code == DOCUMENTED["done"]
    assert f"Usage: rapport {command}" in answer.out
    assert len(answer.out.split("Usage:")[1].splitlines()[2].strip()) > 20


def test_an_unknown_option_is_wrong_usage(rapport: Rapport):
    assert rapport("db", "check", "--nonsense").code == DOCUMENTED["usage"]


# -- config ----------------------------------------------------------------------------------------------------


def test_config_lists_every_setting_with_the_value_in_force(rapport: Rapport):
    rows = rapport("config", "--json", RAPPORT_PORT="8765").json
    assert [row["setting"] for row in rows] == list(Settings.model_fields)
    port = next(row for row in rows if row["setting"] == "port")
    assert (port["variable"], port["value"], port["is_default"]) == ("RAPPORT_PORT", 8765, False)
    assert all(row["description"] for row in rows)


def test_config_shows_no_secret(rapport: Rapport):
    key = KeyRing.generate()
    environment = {
        "RAPPORT_SECRET_KEYS": json.dumps([key]),
        "DATABASE_URL": "postgresql://rapport:hunter22@db.example/rapport",
        "RAPPORT_MAIL_URL": "smtp://mailer:hunter22@mail.example:587",
    }
    for arguments in (("config",), ("config", "--json")):
        said = rapport(*arguments, **environment).out
        assert key not in said
        assert "hunter22" not in said
        assert "rapport:***@db.example" in said


def test_config_makes_keys_that_the_key_ring_takes(rapport: Rapport):
    first, second = (rapport("config", "--new-key").out.strip() for _ in range(2))
    assert first != second
    KeyRing.from_texts([first, second])


def test_a_wrong_setting_is_named_without_a_traceback(rapport: Rapport):
    answer = rapport("config", RAPPORT_PORT="eighty")
    assert answer.code == DOCUMENTED["failed"]
    assert "RAPPORT_PORT" in answer.err
    assert "Traceback" not in answer.err


# -- db --------------------------------------------------------------------------------------------------------


def test_db_upgrade_applies_what_db_check_finds_missing(rapport: Rapport, empty_database: str):
    before = rapport("db", "check", "--json", DATABASE_URL=empty_database)
    assert before.code == DOCUMENTED["no"]
    assert before.json["current"] is None
    applied = rapport("db", "upgrade", "--json", DATABASE_URL=empty_database)
    assert (applied.code, applied.json["applied"]) == (0, before.json["pending"])
    after = rapport("db", "check", "--json", DATABASE_URL=empty_database)
    assert (after.code, after.json["pending"]) == (0, [])
    assert rapport("db", "upgrade", DATABASE_URL=empty_database).out == "The database is up to date.\n"


def test_db_check_says_what_to_do(rapport: Rapport, empty_database: str):
    answer = rapport("db", "check", DATABASE_URL=empty_database)
    assert answer.code == DOCUMENTED["no"]
    assert "rapport db upgrade" in answer.err


def test_an_unreachable_database_is_an_error_with_advice(rapport: Rapport):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    answer = rapport("db", "check", DATABASE_URL=f"postgresql://someone:secret@127.0.0.1:{port}/x")
    assert answer.code == DOCUMENTED["failed"]
    assert "Is PostgreSQL running?" in answer.err
    assert "secret" not in answer.err
    assert "Traceback" not in answer.err


def test_a_wrong_password_is_an_error_with_advice(rapport: Rapport, empty_database: str):
    wrong = re.sub(r"//postgres:[^@]+@", "//postgres:wrong@", empty_database)
    answer = rapport("db", "upgrade", DATABASE_URL=wrong)
    assert answer.code == DOCUMENTED["failed"]
    assert "Check user and password in DATABASE_URL." in answer.err


def test_distribute_covers_every_table_once(rapport: Rapport, worker_database: str):
    plan = rapport("db", "distribute", "--dry-run", "--json", DATABASE_URL=worker_database).json
    tables = fetch(
        worker_database,
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE tableowner = 'rapport_owner'",
    )
    assert sorted([*plan["distribute"], *plan["local"]]) == sorted(row["name"] for row in tables)


def test_distribute_leaves_identities_and_queues_on_the_coordinator(rapport: Rapport, worker_database: str):
    plan = rapport("db", "distribute", "--dry-run", "--json", DATABASE_URL=worker_database).json
    assert {"tenants.users", "tenants.api_key_hashes", "kernel.outbox", "kernel.jobs"} <= set(plan["local"])
    assert {"leads.leads", "customers.accounts", "kernel.audit_entries"} <= set(plan["distribute"])


def test_distribute_leaves_tables_with_triggers_on_the_coordinator(rapport: Rapport, worker_database: str):
    plan = rapport("db", "distribute", "--dry-run", "--json", DATABASE_URL=worker_database).json
    assert plan["local"]["opportunities.opportunities"] == "triggers keep sums of it"
    assert "opportunities.opportunities" not in plan["distribute"]


def test_distribute_keeps_both_ends_of_a_foreign_key_together_and_in_order(
    rapport: Rapport, worker_database: str
):
    plan = rapport("db", "distribute", "--dry-run", "--json", DATABASE_URL=worker_database).json
    place = {name: at for at, name in enumerate(plan["distribute"])}
    keys = fetch(
        worker_database,
        "SELECT a.relnamespace::regnamespace || '.' || a.relname AS child,"
        " b.relnamespace::regnamespace || '.' || b.relname AS parent"
        " FROM pg_constraint k JOIN pg_class a ON a.oid = k.conrelid JOIN pg_class b ON b.oid = k.confrelid"
        " WHERE k.contype = 'f' AND a.oid <> b.oid",
    )
    assert keys
    for key in keys:
        assert (key["child"] in place) == (key["parent"] in place), key
        if key["child"] in place:
            assert place[key["parent"]] < place[key["child"]], key


def test_distribute_prints_sql(rapport: Rapport, worker_database: str):
    lines = rapport("db", "distribute", "--dry-run", DATABASE_URL=worker_database).out.splitlines()
    assert lines[0] == "CREATE EXTENSION IF NOT EXISTS citus;"
    counted = [line for line in lines if line.startswith("DROP TRIGGER")]
    first = next(line for line in lines[1:] if line not in counted)
    assert re.fullmatch(r"SELECT create_distributed_table\('[a-z_.]+', 'tenant_id'\);", first)
    place = lines.index("DROP TRIGGER records_made ON leads.leads;")
    assert lines[place + 1].startswith("SELECT create_distributed_table('leads.leads', 'tenant_id'")
    assert {re.sub(r" ON [a-z_.]+;$", "", line) for line in counted} == {
        f"DROP TRIGGER {name}" for name in ("record_deleted", "record_gone", "records_made")
    }
    assert "-- stays on the coordinator: kernel.jobs (worked on across tenants)" in lines


def test_distribute_without_citus_says_what_is_missing(rapport: Rapport, worker_database: str):
    answer = rapport("db", "distribute", DATABASE_URL=worker_database)
    assert answer.code == DOCUMENTED["no"]
    assert "no Citus extension, so nothing was changed" in answer.err
    assert "shared_preload_libraries" in answer.err


# -- openapi ---------------------------------------------------------------------------------------------------


def test_openapi_check_finds_drift(rapport: Rapport, tmp_path: Path):
    target = tmp_path / "openapi.json"
    assert rapport("openapi", "export", "-o", str(target)).code == 0
    assert rapport("openapi", "export", "--check", "-o", str(target)).code == 0
    document = json.loads(target.read_text())
    del document["paths"]["/v1/leads"]["get"]
    target.write_text(json.dumps(document))
    drifted = rapport("openapi", "export", "--check", "-o", str(target))
    assert drifted.code == DOCUMENTED["no"]
    assert "operation GET /v1/leads: new" in drifted.err
    assert json.loads(target.read_text()) == document


# -- tenants and audit -------------------------------------------------------------------------------------------


def make_company(rapport: Rapport, url: str) -> dict[str, Any]:
    answer = rapport(
        "tenants", "create", "Farsail", "--owner-email", "lin@farsail.example.com", "--owner-name", "Lin Yuan",
        "--country", "CN", "--currency", "CNY", "--time-zone", "Asia/Shanghai", "--locale", "zh-CN", "--json",
        DATABASE_URL=url, RAPPORT_OWNER_PASSWORD="correct horse battery staple",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    made: dict[str, Any] = answer.json
    return made


def test_a_created_company_is_listed(rapport: Rapport, own_database: str):
    made = make_company(rapport, own_database)
    listed = rapport("tenants", "list", "--json", DATABASE_URL=own_database).json
    assert [(one["id"], one["name"], one["currency"]) for one in listed] == [(made["id"], "Farsail", "CNY")]
    assert "Farsail" in rapport("tenants", "list", DATABASE_URL=own_database).out


def test_a_company_is_suspended_and_resumed_with_a_reason(rapport: Rapport, own_database: str):
    made = make_company(rapport, own_database)
    for verb, status in (("suspend", "suspended"), ("resume", "active")):
        assert rapport("tenants", verb, made["id"], "--reason", "unpaid", DATABASE_URL=own_database).code == 0
        listed = rapport("tenants", "list", "--json", DATABASE_URL=own_database).json
        assert listed[0]["status"] == status
    entries = fetch(
        own_database, "SELECT reason FROM kernel.audit_entries WHERE object = 'tenant' AND action = 'updated'"
    )
    assert [row["reason"] for row in entries] == ["unpaid", "unpaid"]


def test_figures_that_do_not_fit_are_found_and_repaired(rapport: Rapport, own_database: str):
    made = make_company(rapport, own_database)
    assert rapport("figures", "check", DATABASE_URL=own_database).code == 0
    fetch(
        own_database,
        "INSERT INTO opportunities.sums (tenant_id, pipeline_id, stage, status, owner_id, team_id, currency,"
        " home_currency, category, month, n, amount, weighted, amount_home, weighted_home, missing)"
        f" VALUES ('{made['id']}', gen_random_uuid(), 'x', 'open', gen_random_uuid(), gen_random_uuid(), '', '', '',"
        " '2026-01-01', 1, 0, 0, 0, 0, 0)",
    )
    found = rapport("figures", "check", made["id"], "--json", DATABASE_URL=own_database)
    assert (found.code, found.json["right"]) == (DOCUMENTED["no"], False)
    assert found.json["tenants"][0]["differences"]["opportunities.sums"] == 1
    repaired = rapport("figures", "check", "--repair", "--json", DATABASE_URL=own_database)
    assert (repaired.code, repaired.json["tenants"][0]["repaired"]) == (0, True)
    assert rapport("figures", "check", DATABASE_URL=own_database).code == 0


def test_an_unknown_company_cannot_be_suspended(rapport: Rapport, own_database: str):
    nobody = "0198c0de-0000-7000-8000-000000000000"
    answer = rapport("tenants", "suspend", nobody, "--reason", "x", DATABASE_URL=own_database)
    assert answer.code == DOCUMENTED["failed"]
    assert "Traceback" not in answer.err


def test_a_weak_password_makes_no_company(rapport: Rapport, own_database: str):
    answer = rapport(
        "tenants", "create", "Farsail", "--owner-email", "lin@farsail.example.com", "--owner-name", "Lin",
        DATABASE_URL=own_database, RAPPORT_OWNER_PASSWORD="password",
    )  # fmt: skip
    assert answer.code == DOCUMENTED["failed"]
    assert fetch(own_database, "SELECT id FROM tenants.tenants") == []


def test_audit_verify_finds_a_changed_entry(rapport: Rapport, own_database: str):
    make_company(rapport, own_database)
    deadline = time.monotonic() + 60
    seals = "SELECT entry_id FROM kernel.audit_seals"
    # Nothing is sealed that is younger than the oldest transaction of the cluster, and others test on it.
    while not fetch(own_database, seals) and time.monotonic() < deadline:
        seal(own_database)
    sound = rapport("audit", "verify", "--json", DATABASE_URL=own_database)
    assert (sound.code, sound.json["intact"]) == (0, True)
    assert sound.json["tenants"][0]["sealed"] > 0
    fetch(own_database, "UPDATE kernel.audit_entries SET actor_name = 'Somebody Else'")
    broken = rapport("audit", "verify", DATABASE_URL=own_database)
    assert broken.code == DOCUMENTED["no"]
    assert "does not verify" in broken.err
    (first,) = fetch(own_database, f"{seals} WHERE sequence = 1")
    told = "changed at number 1: the entry, or the chain up to it, is not what was sealed"
    assert f"  {told} (entry {first['entry_id']})" in broken.out.splitlines()


def test_billing_makes_bills_and_finds_one_that_is_not_what_lies_behind_it(
    rapport: Rapport, own_database: str
):
    company = make_company(rapport, own_database)
    fetch(own_database, "UPDATE tenants.tenants SET created_at = created_at - interval '17 days'")
    made = rapport("billing", "run", "--json", DATABASE_URL=own_database)
    assert (made.code, made.json["bills"]) == (0, 1)
    sound = rapport("billing", "reconcile", "--tenant", company["id"], "--json", DATABASE_URL=own_database)
    assert (sound.code, sound.json["reconciled"]) == (0, True)
    fetch(own_database, "UPDATE tenants.seat_changes SET at = at - interval '17 days'")
    fetch(
        own_database,
        "INSERT INTO tenants.seat_changes SELECT tenant_id, gen_random_uuid(), at, gen_random_uuid(), 1"
        " FROM tenants.seat_changes",
    )
    broken = rapport("billing", "reconcile", DATABASE_URL=own_database)
    assert broken.code == DOCUMENTED["failed"]
    assert "line 1 quantity: stored 1, computed 2" in " ".join(broken.out.split())


def test_an_operator_pays_credits_voids_and_gives_up_bills(rapport: Rapport, own_database: str):
    company = make_company(rapport, own_database)["id"]
    fetch(own_database, "UPDATE tenants.tenants SET created_at = created_at - interval '100 days'")
    fetch(own_database, "UPDATE tenants.seat_changes SET at = at - interval '100 days'")

    def billing(*arguments: str) -> Any:
        return rapport("billing", *arguments, DATABASE_URL=own_database)

    billing("run")
    first, second, third = [bill["number"] for bill in billing("bills", company, "--json").json][2::-1]
    paid = billing("pay", company, first, "100", "--reference", "T-1", "--reason", "a transfer", "--json")
    assert (paid.code, paid.json["status"], paid.json["due"], paid.json["paid"]) == (
        0,
        "paid",
        "0.00",
        "100.00",
    )
    again = billing("pay", company, first, "100", "--reference", "T-1", "--reason", "a transfer", "--json")
    assert (again.code, again.json["paid"]) == (0, "100.00")
    note = billing("credit", company, second, "--line", "1=4.00", "--reason", "sorry", "--json")
    assert (note.code, note.json["bill"], note.json["total"], note.json["applied"]) == (
        0,
        second,
        "4.00",
        "4.00",
    )
    note = billing("credit", company, second.lower(), "1", "--reason", "sorry", "--json")
    assert (note.json["total"], note.json["to_balance"]) == ("1.00", "0.00")
    given_up = billing("uncollectible", company, second, "--reason", "no answer", "--json")
    assert (given_up.json["status"], given_up.json["due"]) == ("uncollectible", "94.00")
    assert f"{third} is void" in billing("void", company, third, "--reason", "never used").out
    for arguments, said in (
        (("void", company, first, "--reason", "x"), "paid"),
        (("pay", company, first, "100", "--reference", "T-1", "--reason", "x"), ""),
        (
            ("pay", company, second, "100", "--reference", "T-1", "--reason", "x"),
            "booked with another amount",
        ),
        (
            ("pay", company, second, "2.345", "--reference", "T-2", "--reason", "x"),
            "'2.345' is no amount in CNY",
        ),
        (("credit", company, second, "99", "--reason", "x"), "at most what it came to"),
        (("credit", company, second, "--line", "nine", "--reason", "x"), "'nine' is no line"),
        (("void", company, "INV-1900-000001", "--reason", "x"), "no bill INV-1900-000001"),
    ):
        answer = billing(*arguments)
        assert answer.code == (DOCUMENTED["failed"] if said else 0), arguments
        assert said in " ".join(answer.err.split()), answer.err
    assert billing("credit", company, second, "--reason", "x").code == DOCUMENTED["usage"]
    assert billing("reconcile", "--json").json["reconciled"]
    acts = fetch(own_database, "SELECT action FROM tenants.operator_acts ORDER BY id")
    assert [row["action"].removesuffix("_by_operator") for row in acts] == [
        "bill_paid", "bill_paid", "bill_credited", "bill_credited", "bill_given_up", "bill_voided", "bill_paid",
    ]  # fmt: skip
    ended = rapport(
        "tenants",
        "cancel",
        company,
        "--reason",
        "closing",
        "--when",
        "now",
        "--json",
        DATABASE_URL=own_database,
    )
    assert (ended.code, ended.json["status"]) == (0, "cancelled")
    assert (
        rapport(
            "tenants", "cancel", company, "--reason", "x", "--when", "soon", DATABASE_URL=own_database
        ).code
        == 2
    )


def test_check_money_finds_a_figure_that_does_not_add_up(rapport: Rapport, own_database: str):
    company = make_company(rapport, own_database)
    sound = rapport("check", "money", "--json", DATABASE_URL=own_database)
    assert (sound.code, sound.json["adds_up"], sound.json["tenants"][0]["differences"]) == (0, True, [])
    fetch(
        own_database,
        """INSERT INTO orders.payments (tenant_id, id, number, kind, method, account_id, amount, currency,
             unallocated, received_on, reference_scope, created_at, updated_at)
           SELECT tenant_id, gen_random_uuid(), 'PAY-1', 'payment', 'cash', gen_random_uuid(), 500, 'USD', 499,
             now()::date, gen_random_uuid(), now(), now() FROM tenants.tenants""",
    )
    broken = rapport("check", "money", DATABASE_URL=own_database)
    assert broken.code == DOCUMENTED["failed"]
    assert "stored 500, computed 499" in " ".join(broken.out.split())
    assert "1 figures of 1 companies do not add up" in broken.err
    one = rapport("check", "money", company["id"], "--json", DATABASE_URL=own_database)
    assert (one.code, one.json["adds_up"], len(one.json["tenants"])) == (1, False, 1)
    nobody = rapport("check", "money", "0198c0de-0000-7000-8000-000000000000", DATABASE_URL=own_database)
    assert nobody.code == DOCUMENTED["failed"]


def seal(url: str) -> None:
    """What the worker does every few seconds."""
    from app.cli.tenants import with_kernel
    from app.kernel.audit import seal as seal_all

    with pytest.MonkeyPatch.context() as context:
        context.setenv("DATABASE_URL", url)
        context.setenv("RAPPORT_DATA_DIR", "var")
        with_kernel(seal_all)


# -- starting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["up", "serve"])
def test_a_taken_port_is_refused_with_another_one_to_try(rapport: Rapport, command: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = rapport(command, "--port", str(port))
    assert answer.code == DOCUMENTED["failed"]
    assert f"Port {port} of 127.0.0.1 is taken" in answer.err
    assert f"--port {port + 1}" in answer.err


@pytest.mark.parametrize("command", ["demo", "import", "export"])
def test_a_client_command_without_a_server_says_so(
    rapport: Rapport, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
):
    async def at_once(attempt: int, asked: str | None = None) -> None:
        """Between two tries a client waits, up to five seconds: not here."""

    monkeypatch.setattr(client, "_pause", at_once)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    (tmp_path / "leads.csv").write_text("name\nLi Hua\n")
    arguments = {
        "demo": [],
        "import": ["leads.csv", "--object", "leads"],
        "export": ["--object", "leads"],
    }[command]
    environment = {"RAPPORT_URL": f"http://127.0.0.1:{port}", "RAPPORT_API_KEY": "rk_live_x"}
    answer = rapport(command, *arguments, **environment)
    assert answer.code == DOCUMENTED["failed"]
    assert f"Nobody answers at http://127.0.0.1:{port}" in answer.err
    assert "Traceback" not in answer.err
