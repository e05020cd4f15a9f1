"""What the tests stand on: one server and one cluster for all, a namespace each.

The cluster is a real control plane that is already running (`scripts/test`
starts the test bed): SLUICE_TEST_KUBECONFIG says where, SLUICE_TEST_AUDIT where
its API server's audit log is. Without them the tests fail.

The programs of other languages that are asked for run from the beginning, beside
the tests, against a server of their own: one test kills the server of the rest.
"""

import json
import os
import sys
from contextlib import contextmanager
from importlib import metadata
from types import SimpleNamespace

import pytest
from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.client import AcsClient

import cluster as outside
from orders import well
from programs import CLIENTS, Program
from results import Results
from server import Server

# Both SDKs send plain HTTP through a proxy whatever NO_PROXY says.
for name in ("HTTP_PROXY", "http_proxy"):
    os.environ.pop(name, None)


TARGET = CLIENTS.parents[1] / "target/clients"
RESULTS = pytest.StashKey[Results]()


def pytest_configure(config):
    config.addinivalue_line("markers", "client(name): the client that this test is evidence for")
    config.addinivalue_line("markers", "flow(name, ...): the flows that it went through")
    config.stash[RESULTS] = Results()
    for sdk in ("alibabacloud-edas20170801", "aliyun-python-sdk-edas"):
        config.stash[RESULTS].package(sdk, sdk, metadata.version(sdk))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    client, flows = item.get_closest_marker("client"), item.get_closest_marker("flow")
    if client and flows and (report.when == "call" or report.failed):
        for flow in flows.args:
            item.config.stash[RESULTS].note(client.args[0], flow, report.passed)
    return report


def pytest_sessionfinish(session):
    session.config.stash[RESULTS].write()


def setting(name):
    value = os.environ.get(name)
    assert value, f"{name} is not set: run these tests with make test STEPS=clients"
    return value


@pytest.fixture(scope="session")
def cluster():
    return outside.Cluster(setting("SLUICE_TEST_KUBECONFIG"), setting("SLUICE_TEST_AUDIT"))


@contextmanager
def serving(folder, **settings):
    server = Server(folder, setting("SLUICE_TEST_KUBECONFIG"), **settings)
    try:
        server.start()
        yield server
        assert server.stop() == 0, f"SIGTERM did not end the server well:\n{server.tail()}"
        said = server.log.read_text()
        assert not any(secret in said for secret in server.secrets), "an access key's secret is in the log"
    finally:
        server.close()


def sdk_for(server, key=None):
    """The SDK of today: typed objects, ACS3 signatures. With the server's first key, which may do everything, or another one."""
    key_id, secret = key or (server.key_id, server.secret)
    return Client(Config(endpoint=server.endpoint, protocol="http", access_key_id=key_id, access_key_secret=secret))


def make_namespace(cluster, sdk):
    """Makes a namespace and waits until the server has heard of it."""

    def names():
        return [one.namespace for one in well(sdk.list_k8s_namespaces(models.ListK8sNamespacesRequest())).data]

    made = outside.Namespace(cluster)
    outside.await_that("the server knows the namespace", lambda: made.name in names(), 10)
    return made


@pytest.fixture(scope="session")
def server(cluster, tmp_path_factory):
    with serving(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def sdk(server):
    return sdk_for(server)


@pytest.fixture(scope="session")
def new_namespace(cluster, sdk):
    return lambda: make_namespace(cluster, sdk)


def packages(folder):
    """The settings with which a server releases JARs from loopback addresses, and takes uploaded ones."""
    table = folder / "runtimes.json"
    table.write_text(json.dumps([{"jdk": "Open JDK 8", "webContainer": None, "image": "shop/jre:8"}]))
    return {
        "SLUICE_PACKAGE_IMAGE": "shop/sluice:1.0",
        "SLUICE_RUNTIME_IMAGES": str(table),
        "SLUICE_PACKAGE_ALLOW_ADDRESSES": "127.0.0.0/8",
        "SLUICE_PACKAGE_STORE": str(folder / "packages"),
        "SLUICE_PACKAGE_STORE_URL": "http://sluice.example:8080",
    }


@pytest.fixture(scope="session", autouse=True)
def programs(request, cluster, tmp_path_factory):
    """The programs that the tests of this run ask about, by name, under way."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    names = dict.fromkeys(one["program"] for one in params if "program" in one)
    if not names:
        yield {}
        return
    logs = tmp_path_factory.mktemp("programs")
    with serving(tmp_path_factory.mktemp("programs-server"), **packages(logs)) as server:
        sdk = sdk_for(server)
        running = {}
        try:
            for name in names:
                namespace = make_namespace(cluster, sdk).name
                # As a team has it: a key for its own namespace, and nothing else.
                key_id, secret = server.new_key(name, "--role", "operator", "--namespace", namespace)
                settings = {
                    "ENDPOINT": server.endpoint,
                    "ACCESS_KEY_ID": key_id,
                    "ACCESS_KEY_SECRET": secret,
                    "PYTHON": sys.executable,
                    "APP_NAME": "shop-" + name,
                    "NAMESPACE": namespace,
                    "PACKAGES": str(logs / "packages"),
                }
                running[name] = Program(name, settings, TARGET / name, logs / name)
            yield running
        finally:
            for name, program in running.items():
                program.end()
                request.config.stash[RESULTS].package(name, program.client, program.version)


@pytest.fixture
def namespace(new_namespace):
    return new_namespace()


@pytest.fixture
def old_sdk(server):
    """The SDK before it: bytes, HMAC-SHA1 signatures."""
    return SimpleNamespace(client=AcsClient(server.key_id, server.secret, "cn-hangzhou"), endpoint=server.endpoint)
