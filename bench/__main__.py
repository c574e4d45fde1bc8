"""`python -m bench [suite …]`: measure, print tables, keep JSON under bench/results."""

from __future__ import annotations

import argparse

from rich.console import Console

from bench import api, bulk, orders, pipeline, pools, records, routes, sla
from bench.house import house

SUITES = ("routes", "api", "records", "growth", "bulk", "pipeline", "pools", "orders", "sla")


def main() -> None:
    """Run the suites asked for, all by default."""
    parser = argparse.ArgumentParser(prog="rapport bench", description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], default=list(SUITES))
    parser.add_argument(
        "--size", type=int, default=200_000, help="leads, or opportunities, in the measured tenant"
    )
    parser.add_argument(
        "--rows", type=int, default=200_000, help="rows imported and exported, and lines of orders"
    )
    parser.add_argument(
        "--largest", type=int, default=1_000_000, help="where growth ends; 5000000 takes a while"
    )
    parser.add_argument(
        "--accounts", type=int, default=1_000_000, help="accounts, a tenth of them to recycle"
    )
    given = parser.parse_args()
    console = Console()
    suites = given.suites or list(SUITES)
    if "routes" in suites:
        routes.run_routes(console)
    if "api" in suites:
        with house() as home:
            api.run_compare(home, given.size, console)
    if "records" in suites:
        with house() as home:
            records.run_records(home, console)
    if "growth" in suites:
        with house() as home:
            api.run_growth(
                home,
                [size for size in (10_000, 100_000, 1_000_000, 5_000_000) if size <= given.largest],
                console,
            )
    if "bulk" in suites:
        with house() as home:
            bulk.run_bulk(home, given.rows, console)
    if "pipeline" in suites:
        with house() as home:
            pipeline.run_pipeline(home, given.size, console)
    if "pools" in suites:
        with house() as home:
            pools.run_pools(home, given.accounts, console)
    if "orders" in suites:
        with house() as home:
            orders.run_orders(home, given.rows, console)
    if "sla" in suites:
        with house() as home:
            sla.run_sla(home, console)


if __name__ == "__main__":
    main()
