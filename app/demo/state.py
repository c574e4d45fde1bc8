"""What is kept about a demo company between runs: how to sign in, and how far loading has come.

The file holds a password and a key, so only its owner can read it. It is replaced as a whole: an interrupted
run leaves the state before or after a step, never half of one.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import orjson

DEFAULT_SEED = 7


class DemoState:
    """The facts of one demo company, saved with each change."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self._path = path
        self._facts = facts

    @classmethod
    def open(cls, path: Path, *, seed: int | None = None) -> Self:
        """The saved state; a new one where there is none, it cannot be read, or it is of another seed."""
        try:
            facts = orjson.loads(path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            facts = {}
        if not facts or (seed is not None and facts["seed"] != seed):
            facts = cls._fresh(DEFAULT_SEED if seed is None else seed)
        return cls(path, facts)

    @staticmethod
    def _fresh(seed: int) -> dict[str, Any]:
        now = datetime.now(UTC).replace(microsecond=0)
        # Three words' worth of randomness that can still be typed.
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        return {"seed": seed, "now": now.isoformat(), "password": password, "done": []}

    @property
    def seed(self) -> int:
        return int(self._facts["seed"])

    @property
    def now(self) -> datetime:
        """The end of the generated history: the moment of the first run, so that a later one goes on with it."""
        return datetime.fromisoformat(self._facts["now"])

    @property
    def password(self) -> str:
        return str(self._facts["password"])

    @property
    def api_key(self) -> str:
        return str(self._facts.get("api_key", ""))

    @property
    def company(self) -> str:
        return str(self._facts.get("company", ""))

    @property
    def summary(self) -> str:
        """What was loaded, in words."""
        counts = self._facts.get("counts", {})
        return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())

    @property
    def people(self) -> dict[str, str]:
        """Role → e-mail of one person each."""
        return dict(self._facts.get("people", {}))

    def team(self, key: str) -> str:
        """The id of a team by the key that the generator gave it."""
        return str(self._facts["teams"][key])

    @property
    def keys(self) -> dict[str, str]:
        """API keys by tenant, of the large demo."""
        return dict(self._facts.get("keys", {}))

    def key_of(self, slug: str) -> str | None:
        found: str | None = self._facts.get("keys", {}).get(slug)
        return found

    def keep_key(self, slug: str, key: str) -> None:
        """Remember a tenant's API key, which is shown only once."""
        self._facts.setdefault("keys", {})[slug] = key
        self.save()

    def count(self, name: str, count: int) -> None:
        """Note how many records of a kind were loaded."""
        self.note(counts=self._facts.get("counts", {}) | {name: count})

    def done(self, step: str) -> bool:
        return step in self._facts["done"]

    def finish(self, step: str) -> None:
        """Remember that a step need not be done again."""
        if step not in self._facts["done"]:
            self._facts["done"].append(step)
            self.save()

    def note(self, **facts: Any) -> None:
        self._facts.update(facts)
        self.save()

    def forget_progress(self) -> None:
        """Start over with the same password: the database is another one than last time."""
        for name in ("api_key", "counts"):
            self._facts.pop(name, None)
        self._facts["done"] = []
        self.save()

    def save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps(self._facts, option=orjson.OPT_INDENT_2))
        new.replace(self._path)
