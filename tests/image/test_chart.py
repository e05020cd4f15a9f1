"""The chart: its manifests, its values, and what a real API server says of them."""

import json
import os
import re
import subprocess
import uuid

import pytest
import yaml
from conftest import ROOT, run

EXAMPLES = sorted(path.name for path in (ROOT / "charts/examples").iterdir())
NEEDED = ["--set", "image.repository=registry.example.org/sluice", "--set", "database.secret=sluice-database"]
EVERYTHING = [
    *["--set", "replicas=3", "--set", "roles=apart", "--set", "tls.secret=tls", "--set", "rights.logs=true"],
    *["--set", "podLabels.team=platform", "--set", "podAnnotations.note=a", "--set", "service.annotations.note=b"],
    *["--set", "serviceAccount.annotations.note=c", "--set", "imagePullSecrets[0].name=pull", "--set", "nodeSelector.disk=ssd"],
    *["--set", "tolerations[0].operator=Exists", "--set", "priorityClassName=system-cluster-critical"],
    *["--set", "networkPolicy.from[0].namespaceSelector.matchLabels.team=shop"],
    *["--set", "networkPolicy.egress[0].ports[0].port=5432", "--set", "settings.SLUICE_LEASE=10s"],
    *["--set", "environment[0].name=AWS_REGION", "--set", "environment[0].value=eu-1"],
    *["--set", "volumes[0].name=packages", "--set", "volumes[0].emptyDir.sizeLimit=1Gi"],
    *["--set", "volumeMounts[0].name=packages", "--set", "volumeMounts[0].mountPath=/packages"],
    *["--set", "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=disk"],
    *["--set", "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists"],
]


def template(*arguments, namespace="sluice"):
    return run("scripts/chart", "helm", "template", "sluice", "charts/sluice", "--kube-version", "1.33", "--namespace", namespace, *NEEDED, *arguments)


def objects(*arguments):
    return [it for it in yaml.safe_load_all(template(*arguments)) if it]


def of_kind(found, kind):
    return {it["metadata"]["name"]: it for it in found if it["kind"] == kind}


def container(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


def variables(deployment):
    return {it["name"]: it.get("value") for it in container(deployment)["env"]}


def test_the_chart_has_the_version_of_the_program():
    chart = yaml.safe_load((ROOT / "charts/sluice/Chart.yaml").read_text())
    (version,) = re.findall(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert f"/sluice:{version}" in (ROOT / "docs/install.md").read_text()


def test_helm_finds_nothing_to_complain_of():
    run("scripts/chart", "helm", "lint", "charts/sluice", "--strict", "--kube-version", "1.33", *NEEDED)


def test_the_rendered_manifests_are_those_of_the_chart(tmp_path):
    run("scripts/chart", "render", str(tmp_path))
    for name in EXAMPLES:
        assert (tmp_path / name).read_text() == (ROOT / "charts/rendered" / name).read_text(), f"scripts/chart render writes {name} again"
    assert sorted(path.name for path in (ROOT / "charts/rendered").iterdir()) == EXAMPLES


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("image.repository=", "repository"),
        ("database.secret=", "secret"),
        ("roles=both", "roles"),
        ("replicas=0", "replicas"),
        ("replica=3", "replica"),
        ("namespaces={Shop}", "namespaces"),
        ("settings.SLUICE_ROLE=api", "SLUICE_ROLE"),
        ("settings.DATABASE_URL=postgres://u:p@h/d", "DATABASE_URL"),
        ("drainSeconds=600", "drainSeconds"),
        ("service.port=70000", "port"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_and_named(value, told):
    command = ["scripts/chart", "helm", "template", "charts/sluice", "--kube-version", "1.33", *NEEDED, "--set", value]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and told in done.stderr, done.stderr


def test_every_pod_is_locked_down():
    for found in (objects(), objects(*EVERYTHING)):
        pods = [it["spec"]["template"]["spec"] for it in found if it["kind"] in ("Deployment", "Job")]
        assert len(pods) >= 2
        for pod in pods:
            assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for it in pod["containers"]:
                assert it["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }


def test_pods_that_only_serve_have_no_rights_and_no_token():
    found = objects("--set", "roles=apart", "--set", "namespaces={shop}")
    deployments = of_kind(found, "Deployment")
    api, executor = (deployments[f"sluice-{role}"]["spec"]["template"]["spec"] for role in ("api", "executor"))
    assert (api["automountServiceAccountToken"], executor["automountServiceAccountToken"]) == (False, True)
    bound = {it["name"] for binding in found if binding["kind"].endswith("RoleBinding") or binding["kind"] == "RoleBinding" for it in binding["subjects"]}
    assert api["serviceAccountName"] not in bound and bound == {executor["serviceAccountName"]}
    assert of_kind(found, "Service")["sluice"]["spec"]["selector"]["app.kubernetes.io/component"] == "api"


def test_where_namespaces_are_listed_nothing_but_seeing_is_allowed_elsewhere():
    found = objects("--set", "namespaces={shop,billing}", "--set", "rights.objects=false")
    assert list(of_kind(found, "ClusterRole")) == ["sluice-sluice-observe"]
    roles = [it for it in found if it["kind"] == "Role"]
    assert sorted(it["metadata"]["namespace"] for it in roles) == ["billing", "shop"]
    rules = of_kind(found, "ClusterRole")["sluice-sluice-observe"]["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    assert [(rule["resources"], rule.get("resourceNames")) for rule in rules] == [(["namespaces"], ["kube-system"]), (["nodes"], None)]
    assert all("pods" in [name for rule in role["rules"] if "watch" in rule["verbs"] for name in rule["resources"]] for role in roles)
    assert variables(of_kind(found, "Deployment")["sluice"])["SLUICE_NAMESPACES"] == "shop,billing"
    everywhere = of_kind(objects(), "ClusterRole")
    assert sorted(everywhere) == ["sluice-sluice-observe", "sluice-sluice-release"]


def test_the_admission_policies_are_for_the_account_of_the_release():
    assert not of_kind(objects(), "ValidatingAdmissionPolicy")
    found = objects("--set", "admissionPolicy=true")
    policies, bindings = of_kind(found, "ValidatingAdmissionPolicy"), of_kind(found, "ValidatingAdmissionPolicyBinding")
    assert sorted(policies) == sorted(bindings) == ["sluice-sluice-namespaces", "sluice-sluice-templates"]
    (account,) = of_kind(found, "ServiceAccount").values()
    user = f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
    for name, policy in policies.items():
        assert policy["spec"]["matchConditions"][0]["expression"] == f"request.userInfo.username == '{user}'"
        assert bindings[name]["spec"]["policyName"] == name


def test_the_rules_are_those_of_the_document():
    documents = [it for it in yaml.safe_load_all((ROOT / "docs/rights.yaml").read_text()) if it["kind"] == "ClusterRole"]
    told = {it["metadata"]["name"]: it["rules"] for it in documents}
    rendered = of_kind(objects("--set", "rights.logs=true"), "ClusterRole")
    assert rendered["sluice-sluice-observe"]["rules"] == told["sluice-observe"]
    assert rendered["sluice-sluice-release"]["rules"] == told["sluice-release"] + told["sluice-objects"] + told["sluice-logs"]


def test_migrations_are_a_hook_or_each_pods_own():
    hooked = objects()
    (job,) = of_kind(hooked, "Job").values()
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "SLUICE_MIGRATE" not in variables(of_kind(hooked, "Deployment")["sluice"])
    plain = objects("--set", "migrations.hook=false")
    assert not of_kind(plain, "Job")
    assert variables(of_kind(plain, "Deployment")["sluice"])["SLUICE_MIGRATE"] == "true"


def test_a_service_monitor_is_made_only_if_asked_for():
    assert not of_kind(objects(), "ServiceMonitor")
    (monitor,) = of_kind(objects("--set", "serviceMonitor.enabled=true", "--set", "serviceMonitor.labels.release=prometheus"), "ServiceMonitor").values()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_prometheus_may_ask_every_pod_for_its_numbers_and_for_nothing_else():
    found = objects("--set", "roles=apart", "--set", "metrics.from[0].namespaceSelector.matchLabels.name=monitoring")
    ports = {name: [it["containerPort"] for it in container(it)["ports"] if it["name"] == "metrics"] for name, it in of_kind(found, "Deployment").items()}
    assert ports == {"sluice-api": [9090], "sluice-executor": [9090]}
    policy = of_kind(found, "NetworkPolicy")["sluice-metrics"]["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "metrics"}], "from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]}]
    assert "app.kubernetes.io/component" not in policy["podSelector"]["matchLabels"]
    without = objects("--set", "metrics.enabled=false")
    assert "sluice-metrics" not in of_kind(without, "Service")
    assert "SLUICE_METRICS_LISTEN" not in variables(of_kind(without, "Deployment")["sluice"])


def test_rules_for_alerts_name_numbers_labels_and_chapters_that_there_are():
    (rule,) = of_kind(objects("--set", "prometheusRule.enabled=true"), "PrometheusRule").values()
    told = (ROOT / "docs/metrics.md").read_text()
    rules = [it for group in rule["spec"]["groups"] for it in group["rules"]]
    assert len(rules) >= 8
    for it in rules:
        for name in re.findall(r"sluice_[a-z_]+", it["expr"]):
            assert f"| `{name}` |" in told, it
        for label in re.findall(r"[{,]([a-z_]+)=", it["expr"]):
            assert f"`{label}`" in told, it
        document, _, chapter = it["annotations"]["see"].partition(": ")
        assert f"## {chapter}" in (ROOT / document).read_text(), it


def test_the_dashboard_names_numbers_and_labels_that_there_are_and_draws_each_once():
    (found,) = of_kind(objects("--set", "dashboard.enabled=true"), "ConfigMap").values()
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    dashboard = json.loads(found["data"]["sluice.json"])
    told = (ROOT / "docs/metrics.md").read_text()
    panels = [it for it in dashboard["panels"] if it["type"] != "row"]
    assert len({it["id"] for it in dashboard["panels"]}) == len(dashboard["panels"])
    drawn = set()
    for panel in panels:
        for expression in [it["expr"] for it in panel["targets"]]:
            assert expression.count("(") == expression.count(")"), expression
            for name in re.findall(r"sluice_[a-z_]+", expression):
                number = re.sub("_(bucket|sum|count)$", "", name)
                assert f"| `{number}` |" in told, expression
                drawn.add(number)
            for label in re.findall(r"[{,]([a-z_]+)=|by \(([a-z_, ]+)\)", expression):
                for word in filter(None, "".join(label).replace(" ", "").split(",")):
                    assert word in ("job", "le") or f"`{word}`" in told, expression
    # Not drawn: parts of what is, and what is deleted by its age.
    left = set(re.findall(r"^\| `(sluice_[a-z_]+)` \|", told, re.MULTILINE)) - drawn
    assert left == {"sluice_batches_ended_total", "sluice_leases_total", "sluice_forgotten_total"}, left
    taken = sorted((it["gridPos"]["y"], it["gridPos"]["x"], it["gridPos"]["w"]) for it in panels)
    for (y, x, width), (next_y, next_x, _) in zip(taken, taken[1:]):
        assert next_y > y or next_x >= x + width, "panels overlap"


@pytest.mark.parametrize("values", [[], ["--set", "migrations.hook=false"], EVERYTHING], ids=["default", "plain", "everything"])
def test_a_real_api_server_takes_all_of_it(values):
    kubectl = [str(ROOT / "target/testbed/bin/kubectl"), "--kubeconfig", os.environ["SLUICE_TEST_KUBECONFIG"]]
    name = f"chart-{uuid.uuid4().hex[:8]}"
    manifests = template(*values, "--set", f"namespaces={{{name}}}", namespace=name)
    run(*kubectl, "create", "namespace", name)
    try:
        # Every field is known, and every object is valid; nothing of it is written.
        said = run(*kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=manifests)
        assert said.count("(server dry run)") == len([it for it in yaml.safe_load_all(manifests) if it])
    finally:
        run(*kubectl, "delete", "namespace", name, "--wait=false")
