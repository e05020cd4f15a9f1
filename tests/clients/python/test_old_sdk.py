"""The SDK before it (aliyun-python-sdk-edas 3.26.9, HMAC-SHA1) drives the same path.

It hands the reply's bytes to the caller, sends no nonce and polls within the
same second: two polls are the same bytes and both must be served.
"""

import json
import time

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkedas.request.v20170801 import (
    AbortAndRollbackChangeOrderRequest,
    ContinuePipelineRequest,
    DeployK8sApplicationRequest,
    GetApplicationRequest,
    GetChangeOrderInfoRequest,
    InsertK8sApplicationRequest,
    ListHistoryDeployVersionRequest,
    ListRecentChangeOrderRequest,
    RollbackApplicationRequest,
)

from orders import ABORTED, FINAL, SUCCESS, WAITS_FOR_CONFIRMATION, batches


def call(sdk, module, **parameters):
    """Sends one operation; returns the reply as parsed JSON, asserted to say success."""
    request = getattr(module, module.__name__.rpartition(".")[2])()
    request.set_endpoint(sdk.endpoint)
    for name, value in parameters.items():
        getattr(request, "set_" + name)(value)
    reply = json.loads(sdk.client.do_action_with_exception(request))
    assert reply["Code"] == 200, reply
    return reply


def follow(sdk, order, until=FINAL, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        info = call(sdk, GetChangeOrderInfoRequest, ChangeOrderId=order)["changeOrderInfo"]
        assert isinstance(info["Status"], int)
        if info["Status"] in until:
            return info
        assert info["Status"] not in FINAL and time.monotonic() < deadline, info
        time.sleep(0.05)


@pytest.fixture
def app(old_sdk, namespace):
    made = call(
        old_sdk, InsertK8sApplicationRequest, AppName="shop-old", ClusterId="default", Namespace=namespace.name, PackageType="Image",
        ImageUrl="shop/web:1.0", Replicas=10, PackageVersion="1.0",
    )["ApplicationInfo"]  # fmt: skip
    assert follow(old_sdk, made["ChangeOrderId"])["Status"] == SUCCESS
    return made["AppId"]


def test_a_phased_release_runs_to_its_end_and_the_history_takes_it_back(old_sdk, namespace, app):
    order = call(old_sdk, DeployK8sApplicationRequest, AppId=app, Image="shop/web:2.0", PackageVersion="2.0", UpdateStrategy=batches(3))["ChangeOrderId"]
    info = follow(old_sdk, order)
    assert (info["Status"], info["BatchCount"], info["BatchType"]) == (SUCCESS, 3, "Automatic")
    assert [batch["PipelineStatus"] for batch in info["PipelineInfoList"]["PipelineInfo"]] == [SUCCESS] * 3

    history = call(old_sdk, ListHistoryDeployVersionRequest, AppId=app)["PackageVersionList"]["PackageVersion"]
    assert [one["PackageVersion"] for one in history] == ["2.0", "1.0"]
    start = namespace.start()
    back = call(old_sdk, RollbackApplicationRequest, AppId=app, GroupId="all", HistoryVersion="1.0")["ChangeOrderId"]
    assert follow(old_sdk, back)["Status"] == SUCCESS
    assert min(moment.ready() for moment in namespace.replay(start, "shop-old")) >= 10
    (container,) = namespace.deployment("shop-old")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop/web:1.0"


def test_a_waiting_release_goes_on_and_is_taken_back(old_sdk, namespace, app):
    old = namespace.version()
    order = call(old_sdk, DeployK8sApplicationRequest, AppId=app, Image="shop/web:2.0", UpdateStrategy=batches(3, "manual"))["ChangeOrderId"]
    waiting = follow(old_sdk, order, until={WAITS_FOR_CONFIRMATION})
    second = waiting["PipelineInfoList"]["PipelineInfo"][1]
    call(old_sdk, ContinuePipelineRequest, PipelineId=second["PipelineId"], Confirm=True)
    rollback = call(old_sdk, AbortAndRollbackChangeOrderRequest, ChangeOrderId=order)["Data"]["ChangeOrderId"]
    assert follow(old_sdk, rollback)["Status"] == SUCCESS
    assert follow(old_sdk, order)["Status"] == ABORTED
    assert namespace.version() == old
    orders = call(old_sdk, ListRecentChangeOrderRequest, AppId=app)["ChangeOrderList"]["ChangeOrder"]
    assert [one["ChangeOrderId"] for one in orders][:2] == [rollback, order]


def test_the_twins_of_an_application_differ_in_type_alone(old_sdk, app):
    reply = call(old_sdk, GetApplicationRequest, AppId=app)
    assert (reply["Application"]["ClusterType"], reply["Applcation"]["ClusterType"]) == ("5", 5)
    assert reply["Application"]["Name"] == reply["Applcation"]["Name"] == "shop-old"


def test_a_wrong_secret_is_refused_in_a_form_that_this_sdk_survives(old_sdk, server):
    old_sdk.client = AcsClient(server.key_id, "wrong", "cn-hangzhou")
    with pytest.raises(ServerException) as refusal:
        call(old_sdk, ListRecentChangeOrderRequest, AppId="any")
    assert refusal.value.get_http_status() == 400
    assert refusal.value.get_error_code() in ("SignatureDoesNotMatch", "InvalidAccessKeySecret")
