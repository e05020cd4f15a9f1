"""What ran, written down: which client went through which flow, and how.

A test says with the marks `client(name)` and `flow(name, ...)` what it is evidence of.
When the run ends, each client gets a file target/clients/results/<name>.json, a
list of {client, version, flow, passed}, where the client is called as its
registry calls it. `make client-table` makes the table in docs/clients.md of them.
"""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "target/clients/results"


class Results:
    def __init__(self):
        self.passed = {}
        self.packages = {}

    def note(self, name, flow, passed):
        """A flow with several tests passed where all of them did."""
        flows = self.passed.setdefault(name, {})
        flows[flow] = flows.get(flow, True) and passed

    def package(self, name, client, version):
        """What the client is called in its registry, and the version that ran."""
        self.packages[name] = {"client": client, "version": version}

    def write(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, flows in self.passed.items():
            package = self.packages.get(name, {"client": name, "version": None})
            rows = [package | {"flow": flow, "passed": passed} for flow, passed in flows.items()]
            (FOLDER / f"{name}.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
