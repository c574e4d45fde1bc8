"""What a worker and commands do without: they serve no requests, so they import nothing that only requests need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
import {process}
from app.kernel.catalogue import secret_columns
from app.kernel.models import Base
from app.product import build_registry

registry = build_registry()
named = {{name.partition(":")[0] for module in registry.modules for name in module.routers}}
imported = (named | {{"app.main", "app.kernel.routing", "app.kernel.transactional"}}) & sys.modules.keys()
tables, secrets = set(Base.metadata.tables), secret_columns()
list(registry.routers())
unknown = Base.metadata.tables.keys() - tables
print(json.dumps([len(named), sorted(imported), sorted(unknown), secrets == secret_columns()]))
"""


@pytest.fixture(scope="module", params=["app.worker", "app.cli.leaving"])
def found(request: pytest.FixtureRequest) -> tuple[int, list[str], list[str], bool]:
    """Names of routers; which of them are imported; tables that are not known; whether all secrets are."""
    code = CODE.format(process=request.param)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    named, imported, unknown, same = json.loads(done.stdout)
    return named, imported, unknown, same


def test_no_routers_are_imported(found: tuple[int, list[str], list[str], bool]):
    named, imported, _, _ = found
    assert named > 50
    assert imported == []


def test_all_tables_are_known_and_what_of_them_is_secret(found: tuple[int, list[str], list[str], bool]):
    """Exports and erasures run in both: `Module.tables` has those that else only routers import."""
    _, _, unknown, same = found
    assert unknown == []
    assert same
