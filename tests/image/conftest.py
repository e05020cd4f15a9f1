"""What the tests of the image and the chart stand on: the repository's scripts, and programs under
the names that docs/install.md calls them by."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command, **more):
    """Runs a command in the repository; what it says is part of the failure."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def commands(document, heading):
    """The commands of the first block under a heading, each as it is written there."""
    text = (ROOT / document).read_text()
    assert f"\n{heading}\n" in text, f"{document} has no heading {heading}"
    block = re.search(r"```sh\n(.*?)```", text.split(f"\n{heading}\n")[1], re.DOTALL).group(1)
    return [line for line in block.replace("\\\n", "").splitlines() if line and not line.startswith("#")]


def eventually(look, seconds=60):
    """What `look` returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {look.__doc__}"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """The environment in which the commands of the documents are run."""
    folder = tmp_path_factory.mktemp("programs")

    def program(name, *command):
        (folder / name).write_text("#!/bin/bash\nexec " + " ".join(command) + ' "$@"\n')
        (folder / name).chmod(0o755)

    program("docker", sys.executable, str(ROOT / "tests/image/docker"))
    program("sluice", str(ROOT / "target/debug/sluice"))
    program("helm", str(ROOT / "scripts/chart"), "helm")
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLUICE_IMAGE_TEST": str(tmp_path_factory.mktemp("services"))}
