"""Names and boundaries that hold in the whole code, checked over what is there."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import typing
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import app.main  # noqa: F401 - loads every module
from app.kernel.errors import Problem
from app.kernel.events import Event, declared_events
from app.kernel.models import Base
from app.kernel.routing import OPERATOR
from app.kernel.uow import UnitOfWork
from tests.architecture.catalogue import ROOT, module_schemas

METHODS = ("get", "put", "post", "patch", "delete")
VERB_NOUN = re.compile(r"[a-z]+(_[a-z0-9]+)+$")
ONE_WORD_OPERATIONS = frozenset({"refresh"})  # of sessions; the noun would be the verb's own


def subclasses(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def in_product(kind: type[Any]) -> bool:
    return kind.__module__.startswith("app.")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / "app" / folder).rglob("*.py"))


# -- the API -------------------------------------------------------------------------------------------------


def operations(app: Any) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_every_operation_has_a_unique_id_of_verb_and_noun(app):
    ids = [operation["operationId"] for _, _, operation in operations(app)]
    assert [id for id, count in Counter(ids).items() if count > 1] == []
    assert [id for id in ids if not VERB_NOUN.fullmatch(id) and id not in ONE_WORD_OPERATIONS] == []


def test_every_operation_says_who_may_call_it(app):
    known = set(app.registry.permissions) | {"signed_in", "public", OPERATOR}
    wrong = [
        operation["operationId"]
        for _, _, operation in operations(app)
        if operation.get("x-permission") not in known
    ]
    assert wrong == []


def test_paths_are_versioned_plural_kebab_case(app):
    shape = re.compile(r"/v1(/([a-z0-9]+(-[a-z0-9]+)*|\{[a-z_]+\}))+$")
    outside_api = [
        path
        for _, path, operation in operations(app)
        if not path.startswith("/v1/") and operation["x-permission"] != "public"
    ]
    assert outside_api == []
    assert [
        path for _, path, _ in operations(app) if path.startswith("/v1") and not shape.fullmatch(path)
    ] == []


def test_every_operation_is_described_tagged_and_declares_its_problems(app):
    tags = {tag["name"] for tag in app.openapi()["tags"]}
    for _, _, operation in operations(app):
        name = operation["operationId"]
        assert operation.get("summary", "").endswith("."), name
        assert set(operation["tags"]) <= tags, name
        if operation["x-permission"] != "public":
            assert {"401"} <= set(operation["responses"]), name


def test_no_two_operations_share_an_address(app):
    shapes = Counter((method, re.sub(r"\{[^}]+\}", "{}", path)) for method, path, _ in operations(app))
    assert [shape for shape, count in shapes.items() if count > 1] == []


def test_every_schema_of_the_document_has_a_name_of_its_own(app):
    """Two of one name would be told apart by their Python path, which clients are generated with."""
    names = app.openapi()["components"]["schemas"]
    assert [name for name in names if "__" in name or name.startswith("_")] == []


# -- errors, events ------------------------------------------------------------------------------------------


def test_error_codes_are_unique_and_snake_case():
    codes = Counter(
        kind.__dict__["code"] for kind in subclasses(Problem) if "code" in kind.__dict__ and in_product(kind)
    )
    assert [code for code, count in codes.items() if count > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", code)] == []


def test_every_refusal_has_its_own_code_and_title():
    lazy = [
        kind.__name__
        for kind in subclasses(Problem)
        if in_product(kind) and not {"code", "title"} <= set(kind.__dict__)
    ]
    assert lazy == []


def test_event_types_are_unique_and_named_after_module_object_and_what_happened(app):
    for record in app.registry.records.values():
        _ = record.events
    kinds = [
        kind
        for kind in subclasses(Event)
        if "type" in kind.__dict__ and (in_product(kind) or "toys" in kind.__module__)
    ]
    counted = Counter(kind.type for kind in kinds)
    assert [name for name, count in counted.items() if count > 1] == []
    for kind in kinds:
        match = re.fullmatch(r"([a-z_]+)\.([a-z_]+)\.([a-z_]+)\.v(\d+)", kind.type)
        assert match is not None, kind.type
        assert match[1] in module_schemas(), kind.type
        assert kind.object == match[2] or kind.object.startswith(f"{match[2]}_"), kind.type
    assert len(declared_events()) >= len(counted)


def test_subscriptions_name_events_that_exist(app):
    for record in app.registry.records.values():
        _ = record.events
    known = {kind.type for kind in declared_events()}
    assert set(app.registry.subscriptions) - known == set()


def test_permissions_are_object_and_action(app):
    assert [name for name in app.registry.permissions if not re.fullmatch(r"[a-z_]+:[a-z_]+", name)] == []
    assert [p.name for p in app.registry.permissions.values() if not p.description] == []


# -- interfaces ----------------------------------------------------------------------------------------------


def interfaces() -> list[Any]:
    names = ["app.tenants.interface"] + [
        f"app.modules.{path.parent.name}.interface"
        for path in sorted((ROOT / "app" / "modules").glob("*/interface.py"))
    ]
    return [importlib.import_module(name) for name in names]


def named_types(annotation: Any) -> set[type[Any]]:
    found = {annotation} if isinstance(annotation, type) else set()
    return found.union(*(named_types(part) for part in typing.get_args(annotation)))


@pytest.mark.parametrize("interface", interfaces(), ids=lambda module: module.__name__)
def test_an_interface_shows_data_and_promises_only(interface):
    own = [
        kind
        for _, kind in inspect.getmembers(interface, inspect.isclass)
        if kind.__module__ == interface.__name__
    ]
    for kind in own:
        assert not issubclass(kind, Base), f"{kind.__name__} is a table"
        members = [kind] + [
            f for name, f in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")
        ]
        if issubclass(kind, BaseModel | Problem):
            members = [kind] if issubclass(kind, BaseModel) else []
        for member in members:
            for annotation in typing.get_type_hints(member).values():
                for shown in named_types(annotation):
                    assert not issubclass(shown, Base | UnitOfWork), f"{kind.__name__} shows {shown.__name__}"


@pytest.mark.parametrize("interface", interfaces(), ids=lambda module: module.__name__)
def test_the_data_of_an_interface_cannot_be_changed(interface):
    for name, kind in inspect.getmembers(interface, inspect.isclass):
        if kind.__module__ == interface.__name__ and hasattr(kind, "__dataclass_fields__"):
            assert kind.__dataclass_params__.frozen, f"{name} is not frozen"


# -- SQL -----------------------------------------------------------------------------------------------------


def sql_texts(path: Path) -> list[str]:
    return [text for node in ast.walk(ast.parse(path.read_text())) for text in text_of(node)]


def text_of(node: ast.AST) -> list[str]:
    """The text of a string, with a question mark for what is formatted into it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return ["".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)]
    return []


SQL_TABLE = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|TRUNCATE|USING)\s+(?:ONLY\s+)?([a-z_]+)\.([a-z_]+)\b"
)


def foreign_schemas(path: Path, own: set[str]) -> set[str]:
    return {
        f"{schema}.{table}"
        for text in sql_texts(path)
        for schema, table in SQL_TABLE.findall(text)
        if schema in module_schemas() and schema not in own
    }


READERS_OF_THE_KERNEL: dict[str, set[str]] = {
    # One timeline shows activities and changes by (at, id): one statement over both, page by page.
    "app/modules/activities/services/timeline.py": {"kernel.audit_entries"},
}
"""Modules that read a kernel table by name; everybody else goes through the kernel's functions."""


def test_no_sql_of_a_module_names_another_modules_schema():
    wrong: dict[str, set[str]] = {}
    for path in sources("modules"):
        parts = path.relative_to(ROOT / "app" / "modules").parts
        if len(parts) > 1 and (
            found := foreign_schemas(path, {parts[0]})
            - READERS_OF_THE_KERNEL.get(str(path.relative_to(ROOT)), set())
        ):
            wrong[str(path.relative_to(ROOT))] = found
    for path in sources("tenants"):
        if found := {name for name in foreign_schemas(path, {"tenants"}) if not name.startswith("kernel.")}:
            wrong[str(path.relative_to(ROOT))] = found
    for path in sources("kernel"):
        if found := foreign_schemas(path, {"kernel"}):
            wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}


def whole_texts(path: Path) -> list[str]:
    """As `sql_texts`, without the parts of formatted ones."""
    tree = ast.parse(path.read_text())
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    return [text for node in ast.walk(tree) if id(node) not in parts for text in text_of(node)]


CTE = re.compile(r"(?:\bWITH|,)\s+([a-z_]+)(?:\s*\([^()]*\))?\s+AS\s+(?:MATERIALIZED\s+)?\(")
CHANGE = re.compile(r"\b(?:UPDATE|DELETE FROM)\s+[a-z_{}?]+(?:\.[a-z_]+)?\s.*?(?=\bWHERE\b|;|\Z)", re.DOTALL)


def levels(text: str) -> str:
    """What stands in parentheses, each pair's own text by itself."""
    open_, closed = [""], []
    for letter in text:
        if letter == "(":
            open_.append("")
        elif letter == ")" and len(open_) > 1:
            closed.append(open_.pop())
        else:
            open_[-1] += letter
    return ";".join([*closed, *open_])


def joined_ctes(text: str) -> set[str]:
    """The CTEs that an UPDATE or DELETE joins with its table as they are."""
    named = "|".join(CTE.findall(text))
    joined = re.compile(rf"(?:\bFROM|\bUSING|\bJOIN)\s+({named})\b") if named else None
    return {name for one in CHANGE.findall(levels(text)) for name in joined.findall(one)} if joined else set()


JOINS_FEW: dict[str, set[str]] = {
    # Queues across companies: a few hundred rows at a time, found by company and id, of which no prefix serves.
    "app/kernel/jobs/runner.py": {"chosen"},
    "app/kernel/outbox.py": {"judged"},
    "app/kernel/webhooks/deliveries.py": {"chosen", "results"},
    # All members of a programme, once a night: known to the planner by then, and too many to hold as arrays.
    "app/modules/membership/services/classifying.py": {"grouped"},
}
"""CTEs that are joined with what is changed all the same, by file, and why that does no harm."""


def test_rows_that_a_statement_found_are_joined_as_arrays():
    """`rows_of` says why: joined as they are, they may be met by all pairs."""
    wrong = {}
    for path in sources(""):
        name = str(path.relative_to(ROOT))
        found = {cte for text in whole_texts(path) for cte in joined_ctes(text)}
        if found - JOINS_FEW.get(name, set()):
            wrong[name] = found
    assert wrong == {}


def test_only_the_transaction_owners_commit():
    allowed = {"app/kernel/uow.py", "app/kernel/transactional.py"}
    committing = {
        str(path.relative_to(ROOT))
        for path in sources("modules", "tenants", "kernel")
        if re.search(r"uow\.commit\(|session\.commit\(", path.read_text())
    }
    assert committing - allowed <= {"app/tenants/auth/control_route.py"}  # sign-in has a route of its own


# -- readable ------------------------------------------------------------------------------------------------


def test_files_are_short_enough_to_read():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources("")
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert {name: lines for name, lines in long.items() if lines > 600} == {}
    for name, lines in long.items():
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(f"{name} has {lines} lines", stacklevel=1)


def test_every_module_says_why_it_exists():
    silent = [
        str(path.relative_to(ROOT))
        for path in sources("")
        if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_nobody_reads_the_clock_past_the_injected_one():
    allowed = {"app/kernel/clock.py"}
    callers = {
        str(path.relative_to(ROOT))
        for path in sources("modules", "kernel", "tenants")
        if re.search(r"datetime\.(now|utcnow)\(|date\.today\(|time\.time\(\)", path.read_text())
    }
    assert callers - allowed == set()


def test_import_contracts_hold():
    run = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-logo"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-3000:]
