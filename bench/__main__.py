"""`python -m bench [suite …]`: measure, print tables, keep JSON under bench/results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console

from bench import (
    api,
    billing,
    bulk,
    fairness,
    loyalty,
    orders,
    pipeline,
    pools,
    records,
    routes,
    routing,
    sla,
    usage,
)
from bench.house import House, house

Given = argparse.Namespace

# Each in a house of its own: an empty database, and the product on it.
HOUSED: Final[dict[str, Callable[[House, Given, Console], Any]]] = {
    "api": lambda home, given, console: api.run_compare(home, given.size, console),
    "records": lambda home, given, console: records.run_records(home, console, given.types),
    "growth": lambda home, given, console: api.run_growth(
        home, [size for size in (10_000, 100_000, 1_000_000, 5_000_000) if size <= given.largest], console
    ),
    "bulk": lambda home, given, console: bulk.run_bulk(home, given.rows, console),
    "pipeline": lambda home, given, console: pipeline.run_pipeline(home, given.size, console),
    "pools": lambda home, given, console: pools.run_pools(home, given.accounts, console),
    "orders": lambda home, given, console: orders.run_orders(home, given.rows, console),
    "usage": lambda home, given, console: usage.run_usage(home, given.rows, console),
    "fairness": lambda home, _, console: fairness.run_fairness(home, console),
    "billing": lambda home, given, console: billing.run_billing(home, given.rows, console),
    "sla": lambda home, _, console: sla.run_sla(home, console),
    "loyalty": lambda home, _, console: loyalty.run_loyalty(home, console),
    "routing": lambda home, _, console: routing.run_routing(home, console),
}
SUITES = ("routes", *HOUSED)


def main() -> None:
    """Run the suites asked for, all by default."""
    parser = argparse.ArgumentParser(prog="rapport bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], default=list(SUITES))
    parser.add_argument(
        "--size", type=int, default=200_000, help="leads, or opportunities, in the measured tenant"
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=200_000,
        help="rows imported and exported, lines of orders, events of usage",
    )
    parser.add_argument(
        "--largest", type=int, default=1_000_000, help="where growth ends; 5000000 takes a while"
    )
    parser.add_argument(
        "--accounts", type=int, default=1_000_000, help="accounts, a tenth of them to recycle"
    )
    parser.add_argument(
        "--types", nargs="+", metavar="PLURAL", help="only these record types, as in their path"
    )
    given = parser.parse_args()
    console = Console()
    suites = given.suites or list(SUITES)
    if "routes" in suites:
        routes.run_routes(console)
    for name, run in HOUSED.items():
        if name in suites:
            with house() as home:
                run(home, given, console)


if __name__ == "__main__":
    main()
