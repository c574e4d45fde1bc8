"""The tree of commands, and the one place where their failures become messages and exit codes."""

from __future__ import annotations

import typer

from app.cli import (
    billing,
    bills,
    bulk,
    checking,
    configuration,
    database,
    demo,
    documents,
    figures,
    leaving,
    measuring,
    operators,
    serving,
    tenants,
    up,
    verifying,
)
from app.cli.output import INTERRUPTED, Failure, err, show_failure

HELP = """
Rapport, an API-first CRM for many companies.

`rapport up` starts everything on this machine. `rapport demo` fills a company to try. `import` and `export`
talk to a running API: RAPPORT_URL says where (default http://127.0.0.1:8000), RAPPORT_API_KEY who asks.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found something, 130 interrupted.
"""

app = typer.Typer(
    name="rapport",
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
RUN, DATA, OPERATE, BUILD = "Run", "Work with data, through the API", "Look after an installation", "Develop"
app.command("up", rich_help_panel=RUN)(up.up)
app.command("serve", rich_help_panel=RUN)(serving.serve)
app.command("worker", rich_help_panel=RUN)(serving.worker)
app.command("demo", rich_help_panel=DATA)(demo.demo)
app.command("import", rich_help_panel=DATA)(bulk.import_file)
app.command("export", rich_help_panel=DATA)(bulk.export_file)
tenants.app.command("export")(leaving.export)
tenants.app.command("erase")(leaving.erase)
tenants.app.command("certificate")(leaving.certificate)
tenants.app.command("reapply-erasures")(leaving.reapply)
app.add_typer(operators.app, name="operator", rich_help_panel=OPERATE)
app.add_typer(tenants.app, name="tenants", rich_help_panel=OPERATE)
for command in (bills.bills, bills.pay, bills.credit, bills.void, bills.uncollectible):
    billing.app.command()(command)
app.add_typer(billing.app, name="billing", rich_help_panel=OPERATE)
app.add_typer(database.app, name="db", rich_help_panel=OPERATE)
app.add_typer(verifying.app, name="audit", rich_help_panel=OPERATE)
app.add_typer(checking.app, name="check", rich_help_panel=OPERATE)
app.add_typer(figures.app, name="figures", rich_help_panel=OPERATE)
app.command("config", rich_help_panel=OPERATE)(configuration.config)
app.add_typer(documents.app, name="openapi", rich_help_panel=BUILD)
app.command("bench", rich_help_panel=BUILD, context_settings=measuring.CONTEXT)(measuring.bench)


def main() -> int:
    """Run the command line; the exit code."""
    try:
        app(prog_name="rapport")
    except Failure as failure:
        show_failure(failure)
        return failure.exit_code
    except KeyboardInterrupt:
        err.print("Interrupted.")
        return INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (0 if end.code is None else 1)
    return 0
