"""The cluster as anybody sees it who is not Sluice.

Looks at it through Kubernetes' own Python client. `replay` gives every state
that one namespace went through since a moment before: the API server is asked
for all changes after that moment's resourceVersion, so none is missed, however
short it was. `writes` reads the API server's audit log. Nothing in here knows
Sluice or EDAS.
"""

import json
import time
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from kubernetes import client, config
from kubernetes.watch import Watch


@dataclass(frozen=True)
class Moment:
    """One namespace after one write to it."""

    revision: int
    deployment: dict | None
    pods: dict

    def running(self, version):
        """Pods of a version (its pod-template-hash) that nobody has told to go."""
        return [pod for pod in self.pods.values() if hash_of(pod) == version and "deletionTimestamp" not in pod["metadata"]]

    def ready(self, version=None):
        """How many pods serve, of one version or of all."""
        return sum(is_ready(pod) and (version is None or hash_of(pod) == version) for pod in self.pods.values())


def hash_of(pod):
    return pod["metadata"]["labels"]["pod-template-hash"]


def is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


class Namespace:
    """A namespace of its own for one test, with one application in it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.name = "clients-" + uuid.uuid4().hex[:8]
        cluster.core.create_namespace({"metadata": {"name": self.name}})

    def _list(self, resource):
        answer = json.loads(self.cluster.listings[resource](self.name, _preload_content=False).data)
        return int(answer["metadata"]["resourceVersion"]), {item["metadata"]["name"]: item for item in answer["items"]}

    def deployment(self, name):
        """The Deployment as it is now."""
        return self._list("deployments")[1][name]

    def pods(self):
        """The pods as they are now, by name."""
        return self._list("pods")[1]

    def version(self):
        """The pod-template-hash of the only version that has pods."""
        (version,) = {hash_of(pod) for pod in self.pods().values()}
        return version

    def start(self):
        """What `replay` begins at: now."""
        return {resource: self._list(resource) for resource in self.cluster.listings}

    def replay(self, start, name):
        """Every moment since `start`, in order; the last is now. Fails if the changes do not add up to what is there now."""
        state = {resource: dict(items) for resource, (_, items) in start.items()}
        changes = sorted((change for resource in state for change in self._changes(resource, *start[resource])), key=lambda change: change[0])
        moments = []
        for revision, resource, kind, item in changes:
            if kind == "DELETED":
                state[resource].pop(item["metadata"]["name"])
            else:
                state[resource][item["metadata"]["name"]] = item
            moments.append(Moment(revision, state["deployments"].get(name), dict(state["pods"])))
        return moments

    def _changes(self, resource, since, items):
        """The changes since a revision, read until a second brings no more and they add up to what is there."""
        there, changes, deadline = dict(items), [], time.monotonic() + 60
        while True:
            read = len(changes)
            for event in Watch().stream(self.cluster.listings[resource], self.name, resource_version=str(since), timeout_seconds=1):
                item, kind = event["raw_object"], event["type"]
                since = int(item["metadata"]["resourceVersion"])
                changes.append((since, resource, kind, item))
                if kind == "DELETED":
                    there.pop(item["metadata"]["name"])
                else:
                    there[item["metadata"]["name"]] = item
            if len(changes) == read and revisions(there) == revisions(self._list(resource)[1]):
                return changes
            assert time.monotonic() < deadline, f"the changes of {resource} that the API server reported do not add up to what is there"


def revisions(items):
    return {name: item["metadata"]["resourceVersion"] for name, item in items.items()}


class Cluster:
    """The cluster of a kubeconfig file, and its audit log."""

    def __init__(self, kubeconfig, audit):
        api = config.new_client_from_config(config_file=kubeconfig)
        self.core = client.CoreV1Api(api)
        self.listings = {"deployments": client.AppsV1Api(api).list_namespaced_deployment, "pods": self.core.list_namespaced_pod}
        self.audit = audit

    def writes(self, namespace, user):
        """The requests by `user`, refused ones too, that were to change a Deployment: (verb, field manager, status). Dry runs are none."""
        writes = []
        with open(self.audit, encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                if entry["user"]["username"] == user and entry["objectRef"]["namespace"] == namespace:
                    query = parse_qs(urlsplit(entry["requestURI"]).query)
                    if "dryRun" in query:
                        continue
                    manager = query.get("fieldManager", [""])[0]
                    writes.append((entry["verb"], manager, entry["responseStatus"]["code"]))
        return writes


def await_that(what, condition, seconds):
    """Waits until `condition()` is true and returns what it gave; fails at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        last = condition()
        if last:
            return last
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
