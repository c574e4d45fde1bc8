"""Runs the shell sessions of the documents against a server, so that what they show is what one sees.

A block fenced as `sh` must succeed, command by command. In a block fenced as `console` each `$ ` begins a command,
`> ` continues it, and the lines below are what it prints. Ids, times, keys and tokens differ from run to run and
are compared as such; `…` stands for anything on its line, and alone on a line for any number of lines. A block with
`title=/tmp/…` is saved there. Others are not run. All blocks of a document are one session of one shell.

The sessions of `docs/guide` begin with KEY set: each has a company of its own with the leads of `docs/samples`.

    python -m tools.documents README.md …          compare, against the development server at RAPPORT
    python -m tools.documents --write README.md …  put what was printed into the document where it differs
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

ROOT: Final = Path(__file__).resolve().parents[1]
_FENCE: Final = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS: Final = 120
_VARYING: Final = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    r"\d{4}-\d\d-\d\d",
    r"rk_live_\w+…?",
    r"whsec_[\w+/=]+",
    r"https?://(?:127\.0\.0\.1|localhost):\d+",
)
_ANY: Final = re.compile("|".join(f"({one})" for one in (*_VARYING, "…")))


@dataclass
class Command:
    """One command of a document, and what it is said to print; None in a block that shows no output."""

    line: int
    text: str
    expected: list[str] | None
    printed: list[str] = field(default_factory=list)
    code: int | None = None

    @property
    def wrong(self) -> str:
        """What does not fit, in words; empty when all does."""
        if self.code is None:
            return "was not reached"
        if self.expected is None:
            return f"ended with {self.code}" if self.code else ""
        return "" if matches(self.expected, self.printed) else "prints something else"


def commands_of(text: str) -> list[Command]:
    """The commands of a document, in order."""
    found: list[Command] = []
    for block in _FENCE.finditer(text):
        line = text.count("\n", 0, block.start(3)) + 1
        if block[1] == "sh":
            found.append(Command(line, block[3].rstrip(), None))
        elif block[1] == "console":
            found += _console(block[3].splitlines(), line)
        elif saved := re.search(r"title=(/tmp/\S+)", block[2]):
            found.append(Command(line, f"cat > {saved[1]} <<'END_OF_FILE'\n{block[3]}END_OF_FILE", None))
    return found


def _console(lines: Sequence[str], first: int) -> list[Command]:
    found: list[Command] = []
    for number, line in enumerate(lines, first):
        if line.startswith("$ "):
            found.append(Command(number, line[2:], []))
        elif line.startswith("> ") and found and not found[-1].expected:
            found[-1].text += "\n" + line[2:]
        elif found:
            expected = found[-1].expected
            assert expected is not None
            expected.append(line)
    for command in found:
        while command.expected and not command.expected[-1].strip():
            command.expected.pop()
    return found


def matches(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether the lines are the same but for what differs from run to run."""
    if not expected:
        return not printed
    first, rest = expected[0], expected[1:]
    if first.strip() == "…":
        return any(matches(rest, printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and _pattern(first).fullmatch(printed[0]) is not None and matches(rest, printed[1:])


def _pattern(line: str) -> re.Pattern[str]:
    parts, end = [], 0
    for found in _ANY.finditer(line):
        parts.append(re.escape(line[end : found.start()]))
        place = (found.lastindex or 0) - 1
        parts.append(".*" if place == len(_VARYING) else f"(?:{_VARYING[place]})")
        end = found.end()
    return re.compile("".join(parts) + re.escape(line[end:].rstrip()) + r"\s*")


def run(commands: Sequence[Command], environment: Mapping[str, str], *, before: str = "") -> None:
    """Run the commands in one bash, at the root of the checkout; each gets its code and what it printed."""
    mark = f"@@{os.urandom(6).hex()}"
    script = [before]
    for number, command in enumerate(commands):
        script.append(f"{command.text}\nprintf '\\n{mark} {number} %s\\n' $?")
    with tempfile.TemporaryDirectory() as folder:
        # The commands start python3 hundreds of times: this one, past what elsewhere chooses between several.
        programs = Path(folder, "bin")
        programs.mkdir()
        (programs / "python3").symlink_to(Path(sys.executable).resolve())
        given = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": folder,
            "TMPDIR": folder,
            "LC_ALL": "C.UTF-8",
            **environment,
        }
        said = _said(["bash", "-o", "pipefail", "-c", "\n".join(script)], given)
    printed: list[str] = []
    for line in said.splitlines():
        if not line.startswith(mark):
            printed.append(line)
            continue
        _, number_, code = line.split()
        commands[int(number_)].code = int(code)
        while printed and not printed[-1].strip():
            printed.pop()
        commands[int(number_)].printed = printed
        printed = []


def _said(command: Sequence[str], environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return (late.output or b"").decode(errors="replace")
    return done.stdout.decode(errors="replace")


def company(url: str, name: str) -> str:
    """An API key of a new company that has the sample leads."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:

        def post(path: str, **body: Any) -> Any:
            answer = http.post(path, **body)
            answer.raise_for_status()
            return answer.json()

        form = {"company": f"Guide {name}", "name": "Ada Hill", "email": f"ada@{name}.example.com"}
        signed_in = post(
            "/v1/sign-up",
            json=form | {"password": "correct horse 42 staple", "country": "GB", "currency": "GBP"},
        )
        http.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        key: str = post("/v1/api-keys", json={"name": "guide"})["key"]
        sample = (ROOT / "docs" / "samples" / "leads.csv").read_bytes()
        begun = post("/v1/imports", data={"object": "leads"}, files={"file": ("leads.csv", sample)})
        deadline = time.monotonic() + _SECONDS
        while (state := http.get(f"/v1/imports/{begun['id']}").json()["state"]) != "completed":
            if time.monotonic() > deadline:
                raise RuntimeError(f"the import of the sample leads is {state}")
            time.sleep(0.1)
    return key


def play(path: Path, url: str) -> list[Command]:
    """Run a document's session against a development server."""
    commands = commands_of(path.read_text())
    environment = {"RAPPORT": url}
    if path.resolve().is_relative_to(ROOT / "docs" / "guide") and commands:
        environment["KEY"] = company(url, f"{path.stem.lower()}-{os.urandom(3).hex()}")
    run(commands, environment, before=". docs/samples/session.sh")
    return commands


def report(path: Path, commands: Sequence[Command]) -> list[str]:
    """What is wrong with a document's session, one text per command."""
    return [
        f"{path}:{command.line}: `{command.text}` {command.wrong}:\n" + "\n".join(command.printed[:40])
        for command in commands
        if command.wrong
    ]


def rewritten(text: str, commands: Sequence[Command]) -> str:
    """The document with what was printed, where that differs from what it says."""
    lines = text.split("\n")
    for command in reversed(commands):
        if command.expected is None or not command.wrong:
            continue
        begin = command.line + command.text.count("\n")
        lines[begin : begin + len(command.expected)] = command.printed
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run the sessions of documents against a server.")
    parser.add_argument("--write", action="store_true", help="put what was printed into the documents")
    parser.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    failures: list[str] = []
    for path in options.files:
        commands = play(path, os.environ.get("RAPPORT", "http://127.0.0.1:8000"))
        failures += report(path, commands)
        if options.write:
            path.write_text(rewritten(path.read_text(), commands))
    print("\n\n".join(failures) or "All sessions are as shown.")
    return 3 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
