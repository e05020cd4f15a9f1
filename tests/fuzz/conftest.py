"""The server that is tried, on a simulated cluster, with a PostgreSQL of its own."""

import os
import sys
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/clients/python"))

# Loopback is not for a proxy.
for name in ("HTTP_PROXY", "http_proxy"):
    os.environ.pop(name, None)

from server import Server  # noqa: E402


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    store = {"SLUICE_PACKAGE_STORE": str(tmp_path_factory.mktemp("packages")), "SLUICE_PACKAGE_STORE_URL": "http://sluice.example:8080"}
    settings = {"SLUICE_CLUSTER": "simulated", "SLUICE_SIMULATED_START_DELAY": "10ms", "SLUICE_BATCH_TIMEOUT": "60"}
    server = Server(tmp_path_factory.mktemp("server"), "", **settings, **store)
    try:
        server.start()
        yield server
        assert server.stop() == 0, f"SIGTERM did not end the server well:\n{server.tail()}"
        log = server.log.read_text()
        assert server.secret not in log, "the access key's secret is in the log"
        assert "panicked" not in log, "a request panicked:\n" + "\n".join(line for line in log.splitlines() if "panicked" in line)
    finally:
        server.close()


@pytest.fixture(scope="session")
def database(server):
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection
