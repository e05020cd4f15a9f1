"""OSS' clients, unmodified from their registries, upload packages in parts.

What a flow is and what it asserts is in the program's own source, in the folder of its
name beside this one. No cluster has a part in it: the server has a simulated one.
"""

import sys

import pytest

from conftest import RESULTS, TARGET, packages
from programs import Program
from server import Server

UPLOADERS = ["oss-go", "oss-java", "oss-python"]
FLOWS = ["package in parts", "package in parts, after a break", "package in parts, given up"]


@pytest.fixture(scope="module")
def uploaders(request, tmp_path_factory):
    """The programs, by name, under way beside each other; each has a server of its own, and so a folder of packages."""
    servers, running = [], {}
    try:
        for name in UPLOADERS:
            folder = tmp_path_factory.mktemp(name)
            servers.append(Server(folder, "", **packages(folder) | {"SLUICE_CLUSTER": "simulated"}))
            servers[-1].start()
            settings = {
                "ENDPOINT": servers[-1].endpoint,
                "ACCESS_KEY_ID": servers[-1].key_id,
                "ACCESS_KEY_SECRET": servers[-1].secret,
                "PYTHON": sys.executable,
                "PACKAGES": str(folder / "packages"),
            }
            running[name] = Program(name, settings, TARGET / name, folder / "client.log")
        yield running
    finally:
        for name, program in running.items():
            program.end()
            request.config.stash[RESULTS].package(name, program.client, program.version)
        for server in servers:
            server.close()


def evidence(uploader, flow):
    return pytest.param(uploader, flow, marks=[pytest.mark.client(uploader), pytest.mark.flow(flow)])


@pytest.mark.parametrize(("uploader", "flow"), [evidence(uploader, flow) for uploader in UPLOADERS for flow in FLOWS])
def test_a_client_of_the_store_uploads_a_package_in_parts(uploaders, uploader, flow):
    outcome = uploaders[uploader].outcome(flow)
    assert outcome is None, outcome
