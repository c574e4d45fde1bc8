"""Check that the migrations form one line and are safe to run under live traffic (squawk)."""

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.script import ScriptDirectory

from app.kernel import migrate

ROOT = Path(__file__).resolve().parent.parent
SQUAWK = Path(sys.executable).parent / "squawk"


def main() -> None:
    """Exit with squawk's result."""
    history = ScriptDirectory(str(migrate.MIGRATIONS))
    heads = history.get_heads()
    if len(heads) > 1:
        sys.exit(
            f"The history has several ends: {', '.join(heads)}. Put one after the other (down_revision)."
        )
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "migrations.sql"
        script.write_text(migrate.offline_sql())
        command: list[str | Path] = [SQUAWK, "--config", ROOT / ".squawk.toml", script]
        sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
