"""A running `sluice serve` with a private PostgreSQL, for the clients to talk to.

Started as an operator starts it: the program, its environment, nothing else.
Only the access key's id and secret, the address and the log come out of it.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("SLUICE_TEST_PROGRAM") or str(ROOT / "target/debug/sluice")


class Server:
    def __init__(self, folder, kubeconfig, **settings):
        self.folder = Path(folder)
        self.log = self.folder / "log"
        self.process = None
        url = subprocess.run([ROOT / "scripts/postgres", "start", self.folder / "postgres"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.endpoint = "127.0.0.1:%d" % free.getsockname()[1]
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")} | {
            "DATABASE_URL": url,
            "KUBECONFIG": kubeconfig,
            "SLUICE_KEYRING_FILE": str(self.folder / "keyring"),
            "SLUICE_CLUSTER": "kubernetes",
            "SLUICE_LISTEN": self.endpoint,
        } | settings
        self._run("keyring", "create", str(self.folder / "keyring"))
        self._run("migrate")
        self.secrets = []
        self.key_id, self.secret = self.new_key("tests")

    def new_key(self, name, *options):
        """Id and secret of another access key."""
        key = json.loads(self._run("key", "create", "--name", name, *options, "--output", "json"))
        self.secrets.append(key["AccessKeySecret"])
        return key["AccessKeyId"], key["AccessKeySecret"]

    def _run(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], env=self.environment, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout

    def start(self):
        """Starts the program and waits until it says that it is ready."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "serve"], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self.ready():
            assert self.process.poll() is None, f"sluice serve ended with {self.process.returncode}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"sluice serve was not ready in 30 s:\n{self.tail()}"
            time.sleep(0.05)

    def ready(self):
        try:
            with self.get("/readyz") as reply:
                return reply.status == 200
        except OSError:
            return False

    def get(self, path):
        """An unsigned request."""
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{self.endpoint}{path}", timeout=5)

    def kill(self):
        """Ends the program as a crash does."""
        self.process.kill()
        self.process.wait(timeout=10)

    def stop(self):
        """Ends the program as an operator does; returns its exit code. Fails when it takes longer than 10 s."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)

    def close(self):
        if self.process and self.process.poll() is None:
            self.kill()
        subprocess.run([ROOT / "scripts/postgres", "stop", self.folder / "postgres"], check=True)

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
