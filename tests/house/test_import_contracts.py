"""Our own import contract: other units are entered by their front door."""

import pytest
from grimp import ImportGraph

from tools.import_contracts import ThroughInterface


def wrong_imports(*imports: tuple[str, str]) -> list[tuple[str, str]]:
    graph = ImportGraph()
    for unit in ("app.modules.leads", "app.modules.customers", "app.tenants"):
        for name in (unit, f"{unit}.interface", f"{unit}.service"):
            graph.add_module(name)
    for name in ("app.modules", "app.kernel", "app.main"):
        graph.add_module(name)
    for importer, imported in imports:
        graph.add_import(importer=importer, imported=imported)
    contract = ThroughInterface(
        name="doors",
        session_options={},
        contract_options={
            "name": "doors",
            "type": "through_interface",
            "modules": "app.modules",
            "others": ["app.tenants"],
        },
    )
    found: list[tuple[str, str]] = contract.check(graph, verbose=False).metadata["wrong"]
    return found


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("app.modules.leads.service", "app.modules.customers.service"),
        ("app.modules.leads.service", "app.modules.customers"),
        ("app.modules.leads.interface", "app.modules.leads.service"),
        ("app.modules.leads.service", "app.tenants.service"),
        ("app.tenants.interface", "app.tenants.service"),
    ],
)
def test_going_past_a_front_door_is_found(importer: str, imported: str):
    assert wrong_imports((importer, imported)) == [(importer, imported)]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("app.modules.leads.service", "app.modules.customers.interface"),
        ("app.modules.leads.interface", "app.modules.customers.interface"),
        ("app.modules.leads.service", "app.modules.leads.interface"),
        ("app.modules.leads.service", "app.tenants.interface"),
        ("app.modules.leads.service", "app.kernel"),
        ("app.main", "app.modules.leads.service"),
        ("app.modules", "app.modules.leads"),
    ],
)
def test_an_import_through_a_front_door_is_fine(importer: str, imported: str):
    assert wrong_imports((importer, imported)) == []
