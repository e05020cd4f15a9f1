"""What the tests stand on: one server and one cluster for all, a namespace each.

The cluster is a real control plane that is already running (`scripts/test`
starts the test bed): SLUICE_TEST_KUBECONFIG says where, SLUICE_TEST_AUDIT where
its API server's audit log is. Without them the tests fail.
"""

import os
from types import SimpleNamespace

import pytest
from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.client import AcsClient

import cluster as outside
from orders import well
from server import Server

# Both SDKs send plain HTTP through a proxy whatever NO_PROXY says.
for name in ("HTTP_PROXY", "http_proxy"):
    os.environ.pop(name, None)


def setting(name):
    value = os.environ.get(name)
    assert value, f"{name} is not set: run these tests with make test STEPS=clients"
    return value


@pytest.fixture(scope="session")
def cluster():
    return outside.Cluster(setting("SLUICE_TEST_KUBECONFIG"), setting("SLUICE_TEST_AUDIT"))


@pytest.fixture(scope="session")
def server(cluster, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), setting("SLUICE_TEST_KUBECONFIG"))
    try:
        server.start()
        yield server
        assert server.stop() == 0, f"SIGTERM did not end the server well:\n{server.tail()}"
        assert server.secret not in server.log.read_text(), "the access key's secret is in the log"
    finally:
        server.close()


@pytest.fixture(scope="session")
def sdk(server):
    """The SDK of today: typed objects, ACS3 signatures."""
    return Client(Config(endpoint=server.endpoint, protocol="http", access_key_id=server.key_id, access_key_secret=server.secret))


@pytest.fixture(scope="session")
def new_namespace(cluster, sdk):
    """Makes a namespace and waits until the server has heard of it."""

    def names():
        return [one.namespace for one in well(sdk.list_k8s_namespaces(models.ListK8sNamespacesRequest())).data]

    def make():
        made = outside.Namespace(cluster)
        outside.await_that("the server knows the namespace", lambda: made.name in names(), 10)
        return made

    return make


@pytest.fixture
def namespace(new_namespace):
    return new_namespace()


@pytest.fixture
def old_sdk(server):
    """The SDK before it: bytes, HMAC-SHA1 signatures."""
    return SimpleNamespace(client=AcsClient(server.key_id, server.secret, "cn-hangzhou"), endpoint=server.endpoint)
