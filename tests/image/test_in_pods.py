"""Sluice in pods of its image, from its chart, on the cluster that it releases on: installed by the
commands of the document on the test bed's real node, upgraded in the middle of an order, and an
application of its own. The tests are one story, told in this order."""

import json
import os
import re
import subprocess
from types import SimpleNamespace

import pytest
from conftest import ROOT, commands, eventually, run

BED = ROOT / "tests/testbed/cluster"
KUBECTL = os.environ["SLUICE_TESTBED"] + "/bin/kubectl"
REGISTRY = "registry.example.org"
# The bed's own name for the address at which its nodes answer: the program looks it up.
NODE, NODE_NAME = "10.250.0.1", "10-250-0-1.sluice.test"
RELEASED = ["shop", "sluice"]
REPLICAS = 3
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop}}
spec:
  replicas: {REPLICAS}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
        - name: web
          image: sluice.test/web:v1
          readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}
"""


def kubectl(*arguments, **more):
    return run(KUBECTL, *arguments, **more)


def kubectl_json(*arguments):
    return json.loads(kubectl("get", *arguments, "--output", "json"))


def pods():
    """Sluice's pods that are not told to end."""
    found = kubectl_json("--namespace", "sluice", "pods", "--selector", "app.kubernetes.io/component=all")["items"]
    return {it["metadata"]["name"]: it for it in found if "deletionTimestamp" not in it["metadata"]}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("database") / "postgres"
    url = run(str(BED), "inside", "env", "scripts/postgres", "start", str(folder), "--port", "--address", NODE).strip()
    try:
        yield url.replace(NODE, NODE_NAME)
    finally:
        run(str(BED), "inside", "env", "scripts/postgres", "stop", str(folder))


@pytest.fixture(scope="module")
def sluice(programs, database):
    """Sluice, installed by the commands of the document, and its command line with a key."""
    # The document's kubectl is that of the bed.
    bed = os.environ["SLUICE_TESTBED"]
    environment = {**programs, "PATH": f"{programs['PATH']}:{bed}/bin", "REGISTRY": REGISTRY, "DATABASE_URL": database}
    given = commands("docs/install.md", "## On Kubernetes")
    assert len(given) == 5
    keyring = ROOT / "keyring"
    keyring.unlink(missing_ok=True)
    said = [run("bash", "-o", "pipefail", "-c", command, env=environment) for command in given]
    keyring.unlink()
    key = dict(line.split(" ", 1) for line in said[-1].splitlines() if line.startswith("AccessKey"))
    address = kubectl_json("--namespace", "sluice", "service", "sluice")["spec"]["clusterIP"]
    client = {
        **os.environ,
        "SLUICE_ENDPOINT": f"http://{address}:80",
        "SLUICE_ACCESS_KEY_ID": key["AccessKeyId"],
        "SLUICE_ACCESS_KEY_SECRET": key["AccessKeySecret"],
    }

    def ask(*arguments, **more):
        return run(str(BED), "inside", str(ROOT / "target/image/sluice"), *arguments, env=client, **more)

    try:
        yield SimpleNamespace(ask=ask, environment=environment, client=client)
    finally:
        subprocess.run(["scripts/chart", "helm", "uninstall", "sluice", "-n", "sluice", "--wait"], cwd=ROOT, check=False)
        kubectl("delete", "namespace", *RELEASED, "--ignore-not-found")


def newest(sluice, application):
    (order, *_) = json.loads(sluice.ask("orders", application, "--output", "json"))
    return order


def upgrade(sluice, *values):
    command = ["scripts/chart", "helm", "upgrade", "sluice", "charts/sluice", "-n", "sluice", "--reuse-values", "--wait", "--timeout", "120s", *values]
    return run(*command, env=sluice.environment)


def test_the_five_commands_end_with_pods_that_are_ready_and_locked_down(sluice):
    found = pods()
    assert len(found) == 2
    for pod in found.values():
        (status,) = pod["status"]["containerStatuses"]
        assert status["ready"] and status["restartCount"] == 0, status
    checks = sluice.ask("doctor")
    assert re.search(r"^ok +cluster +an executor is at work", checks, re.MULTILINE), checks
    # Its own container is read-only, and its user is nobody's.
    probe = subprocess.run(
        [KUBECTL, "--namespace", "sluice", "exec", "deploy/sluice", "--", "sluice", "manual", "/usr/man"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    assert probe.returncode != 0 and "Read-only file system" in probe.stderr, probe.stderr


def test_with_two_namespaces_listed_it_may_release_in_these_and_nowhere_else(sluice):
    kubectl("create", "namespace", "shop")
    # From now on only pods without any privilege are let in: those of the next tests are.
    kubectl("label", "namespace", "sluice", "pod-security.kubernetes.io/enforce=restricted")
    upgrade(sluice, "--set", f"namespaces={{{','.join(RELEASED)}}}", "--set", "drainSeconds=1")
    account = "system:serviceaccount:sluice:sluice"

    def may(verb, what, namespace):
        asked = [KUBECTL, "auth", "can-i", verb, what, "--as", account, "--namespace", namespace]
        return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    for namespace, answer in [("shop", "yes"), ("sluice", "yes"), ("default", "no"), ("kube-system", "no")]:
        assert may("patch", "deployments.apps", namespace) == answer, namespace
        assert may("get", "secrets", namespace) == answer, namespace
        assert may("list", "pods", namespace) == answer, namespace
    assert may("get", "pods/log", "shop") == "no"
    assert may("create", "rolebindings.rbac.authorization.k8s.io", "shop") == "no"


def test_an_upgrade_of_itself_in_the_middle_of_an_order_makes_no_batch_twice_and_leaves_none_out(sluice):
    kubectl("apply", "--filename", "-", input=WEB)
    kubectl("--namespace", "shop", "rollout", "status", "deployment/web", "--timeout", "60s")
    before = kubectl_json("--namespace", "shop", "deployment", "web")
    sluice.ask("adopt", "shop/web")
    run("bash", "-c", f"docker build -f docker/Dockerfile --tag {REGISTRY}/sluice:next --push .", env=sluice.environment)
    old = set(pods())
    # Each of its pods is Ready after 5 s: the order is within its first batch when the upgrade begins.
    sluice.ask("release", "shop/web", "--image", "sluice.test/web:slow", "--batches", str(REPLICAS), "--manual", "--detach")
    eventually(lambda: newest(sluice, "shop/web")["state"] == "running")
    upgrade(sluice, "--set", "image.tag=next")
    eventually(lambda: not old & {it["metadata"]["name"] for it in kubectl_json("--namespace", "sluice", "pods")["items"]})
    assert newest(sluice, "shop/web")["state"] in ("running", "waiting_confirmation")
    sluice.ask("continue", "shop/web", "--all", timeout=180)

    order = json.loads(sluice.ask("order", newest(sluice, "shop/web")["id"], "--output", "json"))
    assert order["state"] == "succeeded"
    assert [(it["state"], it["size"]) for it in order["batches"]] == [("succeeded", 1)] * REPLICAS
    after = kubectl_json("--namespace", "shop", "deployment", "web")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["status"]["readyReplicas"] == REPLICAS
    sets = kubectl_json("--namespace", "shop", "replicasets")["items"]
    new = [it for it in sets if it["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":slow")]
    assert len(sets) == 2 and len(new) == 1, "two versions, and each has one ReplicaSet"
    # Each pod of the new version was made once, by the Deployment controller's only ReplicaSet.
    events = kubectl_json("--namespace", "shop", "events", "--field-selector", f"involvedObject.name={new[0]['metadata']['name']}")["items"]
    made = [it for it in events if it["reason"] == "SuccessfulCreate"]
    assert sum(it.get("count") or 1 for it in made) == REPLICAS, made


def test_it_adopts_its_own_deployment_and_restarts_nothing(sluice):
    before = {name: pod["metadata"]["uid"] for name, pod in pods().items()}
    order = json.loads(sluice.ask("adopt", "sluice/sluice", "--output", "json"))
    assert order["state"] == "succeeded", order
    assert {name: pod["metadata"]["uid"] for name, pod in pods().items()} == before


def test_it_releases_itself_by_an_order_of_its_own(sluice):
    run("bash", "-c", f"docker build -f docker/Dockerfile --tag {REGISTRY}/sluice:third --push .", env=sluice.environment)
    old = set(pods())
    sluice.ask("release", "sluice/sluice", "--image", f"{REGISTRY}/sluice:third", "--batches", "2", "--detach")
    end = eventually(lambda: (lambda it: it if it["finished_at"] else None)(newest(sluice, "sluice/sluice")), seconds=120)
    assert end["state"] == "succeeded", end
    images = {pod["spec"]["containers"][0]["image"] for pod in pods().values()}
    assert images == {f"{REGISTRY}/sluice:third"} and not old & set(pods())


def test_pods_that_serve_and_pods_that_carry_out_orders_work_apart(sluice):
    upgrade(sluice, "--set", "roles=apart", "--set", "image.tag=third")
    deployments = {it["metadata"]["name"]: it["status"]["readyReplicas"] for it in kubectl_json("--namespace", "sluice", "deployments")["items"]}
    assert deployments == {"sluice-api": 2, "sluice-executor": 2}
    sluice.ask("restart", "shop/web", timeout=120)
    assert newest(sluice, "shop/web")["state"] == "succeeded"
    # Those that serve were given no token with which they could ask the cluster.
    (volumes,) = {json.dumps(it["spec"].get("volumes", [])) for it in kubectl_json("--namespace", "sluice", "pods", "--selector", "app.kubernetes.io/component=api")["items"]}
    assert "token" not in volumes
