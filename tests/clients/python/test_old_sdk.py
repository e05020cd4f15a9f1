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
    GetK8sApplicationRequest,
    InsertK8sApplicationRequest,
    ListApplicationRequest,
    ListHistoryDeployVersionRequest,
    ListRecentChangeOrderRequest,
    RollbackApplicationRequest,
)

from cluster import await_that
from orders import ABORTED, FINAL, SUCCESS, WAITS_FOR_CONFIRMATION, batches

pytestmark = pytest.mark.client("aliyun-python-sdk-edas")


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


@pytest.mark.flow("insert", "phased, automatic", "roll back to a version")
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


@pytest.mark.flow("abort and roll back")
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


@pytest.mark.flow("all at once")
def test_a_release_all_at_once_replaces_every_pod(old_sdk, namespace, app):
    before = set(namespace.pods())
    info = follow(old_sdk, call(old_sdk, DeployK8sApplicationRequest, AppId=app, Image="shop/web:2.0")["ChangeOrderId"])
    assert (info["Status"], info["BatchCount"], pods_of_batches(info)) == (SUCCESS, 1, [10])
    assert not before & set(namespace.pods())


@pytest.mark.flow("phased, confirmed")
def test_a_manual_release_runs_to_its_end_as_each_batch_is_confirmed(old_sdk, namespace, app):
    order = call(old_sdk, DeployK8sApplicationRequest, AppId=app, Image="shop/web:2.0", UpdateStrategy=batches(3, "manual"))["ChangeOrderId"]
    for done in (1, 2):
        second = waits_with(old_sdk, order, done)["PipelineInfoList"]["PipelineInfo"][done]
        call(old_sdk, ContinuePipelineRequest, PipelineId=second["PipelineId"], Confirm=True)
    info = follow(old_sdk, order)
    assert (info["Status"], pods_of_batches(info)) == (SUCCESS, [3, 3, 4])


@pytest.mark.flow("canary")
def test_a_canary_waits_and_goes_on(old_sdk, namespace, app):
    order = call(old_sdk, DeployK8sApplicationRequest, AppId=app, Image="shop/web:2.0", UpdateStrategy=batches(2, gray=2))["ChangeOrderId"]
    canary = waits_with(old_sdk, order, 1)["PipelineInfoList"]["PipelineInfo"][0]
    call(old_sdk, ContinuePipelineRequest, PipelineId=canary["PipelineId"], Confirm=True)
    info = follow(old_sdk, order)
    assert (info["Status"], pods_of_batches(info)) == (SUCCESS, [2, 4, 4])


def waits_with(sdk, order, done):
    """The order, waiting for a person with so many batches done."""

    def waits():
        info = follow(sdk, order, until={WAITS_FOR_CONFIRMATION})
        return sum(batch["PipelineStatus"] == SUCCESS for batch in info["PipelineInfoList"]["PipelineInfo"]) == done and info

    return await_that(f"{done} batches done and the order waiting", waits, 60)


def pods_of_batches(info):
    """How many pods each batch brought."""
    return [
        sum(len(stage["StageResultDTO"]["InstanceDTOList"]["InstanceDTO"]) for stage in batch["StageList"]["StageInfoDTO"])
        for batch in info["PipelineInfoList"]["PipelineInfo"]
    ]


@pytest.mark.flow("read")
def test_every_read_operation_tells_the_same_about_an_application(old_sdk, app):
    reply = call(old_sdk, GetApplicationRequest, AppId=app)
    assert (reply["Application"]["ClusterType"], reply["Applcation"]["ClusterType"]) == ("5", 5)
    assert reply["Application"]["Name"] == reply["Applcation"]["Name"] == "shop-old"
    (listed,) = [one for one in call(old_sdk, ListApplicationRequest)["ApplicationList"]["Application"] if one["AppId"] == app]
    assert (listed["Name"], listed["ClusterType"], listed["Instances"]) == ("shop-old", 5, 10)
    whole = call(old_sdk, GetK8sApplicationRequest, AppId=app, From="deploy")["Applcation"]
    assert (whole["App"]["ApplicationName"], whole["App"]["Instances"], whole["ImageInfo"]["ImageUrl"]) == ("shop-old", 10, "shop/web:1.0")


@pytest.mark.flow("refusals")
def test_a_wrong_secret_is_refused_in_a_form_that_this_sdk_survives(old_sdk, server):
    old_sdk.client = AcsClient(server.key_id, "wrong", "cn-hangzhou")
    with pytest.raises(ServerException) as refusal:
        call(old_sdk, ListRecentChangeOrderRequest, AppId="any")
    assert refusal.value.get_http_status() == 400
    assert refusal.value.get_error_code() in ("SignatureDoesNotMatch", "InvalidAccessKeySecret")


@pytest.mark.flow("refusals")
def test_an_order_that_does_not_exist_is_no_exception_to_this_sdk(old_sdk):
    request = GetChangeOrderInfoRequest.GetChangeOrderInfoRequest()
    request.set_endpoint(old_sdk.endpoint)
    request.set_ChangeOrderId("00000000-0000-7000-8000-000000000000")
    reply = json.loads(old_sdk.client.do_action_with_exception(request))
    assert reply["Code"] == 601
    assert "does not exist" in reply["Message"]
