"""What a worker does without: it serves no requests, so it imports nothing that only requests need."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json, sys
import app.worker
from app.product import build_registry

named = {name.partition(":")[0] for module in build_registry().modules for name in module.routers}
print(json.dumps([len(named), sorted((named | {"app.main", "app.kernel.routing"}) & sys.modules.keys())]))
"""


def test_a_worker_imports_no_routers():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    named, imported = json.loads(done.stdout)
    assert named > 50
    assert imported == []
