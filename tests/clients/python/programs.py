"""Client programs in other languages, each run once, beside the tests.

A program is a folder beside this one with an executable `client`: `client
install DIR` gets the client from its registry, `client run DIR` goes through its
flows. On standard output it tells in lines of JSON which client it is
({"client", "version"}) and how each flow went ({"flow", "passed", "why"});
everything else that it says is for people.
"""

import json
import os
import subprocess
import threading
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[1]
INSTALL_SECONDS = 900
RUN_SECONDS = 600

# Java that runs for seconds, several times, beside everything else.
SHORT_LIVED_JAVA = {"MAVEN_OPTS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


class Program:
    """One client, installed and run in a thread. Nothing of it is left when `end` has returned."""

    def __init__(self, name, settings, made, log):
        self.name, self.settings, self.made, self.log = name, SHORT_LIVED_JAVA | settings, made, log
        self.client, self.version, self.flows, self.failure = name, None, {}, None
        self._process, self._ended = None, False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self._thread.start()

    def outcome(self, flow):
        """Waits for the program's end; returns None where the flow went well, or what it said."""
        self._thread.join(INSTALL_SECONDS + RUN_SECONDS + 30)
        assert not self._thread.is_alive(), f"{self.name} did not end"
        if flow in self.flows:
            return self.flows[flow]
        return f"it was not reached: {self.failure or 'the program knows no such flow'}\n{self._tail()}"

    def end(self):
        with self._lock:
            self._ended = True
            if self._process and self._process.poll() is None:
                self._process.kill()
        self._thread.join(30)

    def _go(self):
        try:
            self.made.mkdir(parents=True, exist_ok=True)
            self._call("install", INSTALL_SECONDS)
            self._call("run", RUN_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the tests that wait for the flows tell it
            self.failure = str(error)

    def _call(self, what, seconds):
        program = CLIENTS / self.name / "client"
        with open(self.log, "ab") as log:
            with self._lock:
                assert not self._ended, "the tests have ended"
                self._process = subprocess.Popen(
                    [program, what, self.made], env=os.environ | self.settings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
                )
            watch = threading.Timer(seconds, self._process.kill)
            watch.start()
            for line in self._process.stdout:
                log.write(line.encode())
                log.flush()
                self._hear(line)
            code = self._process.wait()
            in_time = watch.is_alive()
            watch.cancel()
        assert in_time, f"{self.name}/client {what} took longer than {seconds} s"
        assert code == 0, f"{self.name}/client {what} ended with {code}"

    def _hear(self, line):
        try:
            said = json.loads(line)
        except ValueError:
            return
        if "version" in said:
            self.client, self.version = said["client"], said["version"]
        elif "flow" in said:
            self.flows[said["flow"]] = None if said["passed"] is True else said.get("why", "no reason given")

    def _tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])
