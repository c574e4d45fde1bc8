"""An import contract that import-linter does not bring: other modules are used through their front door only."""

from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

_FRONT_DOOR = "interface"


class ThroughInterface(Contract):
    """What may be imported of `units`, and by whom.

    A unit is a package that others may use: each child of `modules`, and each of `others`. A module imports nothing
    of another unit but its `interface`; and an interface imports nothing of its own unit, so that to know a
    promise is never to load the code that keeps it.
    """

    type_name = "through_interface"
    modules = fields.StringField()
    others = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 (given by import-linter)
        """Look at every direct import between two units, and at those of each interface."""
        parent = str(self.modules)
        modules = graph.find_children(parent) if parent in graph.modules else set()
        declared = cast("list[str] | None", self.others) or []  # the field holds its parsed value by now
        others = {name for name in declared if name in graph.modules}
        units = sorted(modules | others)
        wrong: list[tuple[str, str]] = []
        for importer in sorted(graph.modules):
            home = _unit_of(importer, units)
            if home is None:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                target = _unit_of(imported, units)
                if _is_wrong(importer, home, imported, target, from_module=home in modules):
                    wrong.append((importer, imported))
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which import goes past which front door."""
        for importer, imported in check.metadata["wrong"]:
            output.print_error(f"{importer} imports {imported}")
        output.print_error(
            "Import the other's `interface` only; an interface imports nothing of its own unit."
        )


def _unit_of(module: str, units: list[str]) -> str | None:
    return next((unit for unit in units if module == unit or module.startswith(f"{unit}.")), None)


def _is_wrong(importer: str, home: str, imported: str, target: str | None, *, from_module: bool) -> bool:
    if target == home:
        return importer == f"{home}.{_FRONT_DOOR}"
    return from_module and target is not None and imported != f"{target}.{_FRONT_DOOR}"
