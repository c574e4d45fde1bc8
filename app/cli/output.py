"""What the commands print: tables and progress for people, JSON for scripts, and errors that say what to do.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the answer is no (a check found something), 130 interrupted.
Everything meant for a program goes to standard output; progress and errors go to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NO: Final = 3
INTERRUPTED: Final = 130

_PIPED_WIDTH: Final = 200  # of tables that nobody looks at on a screen, so that cells are rarely folded

out: Final = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
err: Final = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of text for people.")]


class Failure(Exception):
    """An expected failure: `message` says what is wrong, `advice` what to do. Never shown with a traceback."""

    def __init__(self, message: str, advice: str = "", *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.exit_code = exit_code


def fail(message: str, advice: str = "", *, exit_code: int = FAILED) -> NoReturn:
    """Stop the command."""
    raise Failure(message, advice, exit_code=exit_code)


def show_failure(failure: Failure) -> None:
    err.print(f"[bold red]Error:[/] {escape(failure.message)}")
    if failure.advice:
        err.print(escape(failure.advice))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)
    sys.stdout.write(data.decode())


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str | None = None,
    right: Sequence[str] = (),
) -> None:
    """A table for people; `right` names the columns of numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    out.print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one per line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        out.print(f"[bold]{name:<{width}}[/]  {escape(str(value))}")


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress bar on standard error; nothing when `quiet` or when nobody watches."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )
    with bar:
        yield bar
