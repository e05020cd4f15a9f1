"""The life of an application beside its releases, through both SDKs, on a real control plane.

Scaled, stopped, started, restarted, given other limits and deleted; and as Terraform
and Erda delete.
"""

import pytest
from alibabacloud_edas20170801 import models
from aliyunsdkedas.request.v20170801 import (
    DeleteK8sApplicationRequest,
    GetChangeOrderInfoRequest,
    RestartK8sApplicationRequest,
    ScaleK8sApplicationRequest,
    StartK8sApplicationRequest,
    StopK8sApplicationRequest,
)

import test_old_sdk as old
from cluster import await_that
from orders import RUNNING, SUCCESS, batches, deploy, follow, insert, instances, pipelines, recent, well
from test_polling import goes_to, wait_for_state


def ended_well(sdk, reply):
    end = follow(sdk, well(reply).change_order_id)
    assert end.status == SUCCESS
    return end


def running(namespace):
    return {name for name, pod in namespace.pods().items() if "deletionTimestamp" not in pod["metadata"]}


@pytest.mark.client("alibabacloud-edas20170801")
@pytest.mark.flow("operate and delete")
def test_the_new_sdk_operates_an_application_and_deletes_it(sdk, cluster, namespace):
    app = insert(sdk, namespace, replicas=3)
    written = len(cluster.writes(namespace.name, "admin"))

    end = ended_well(sdk, sdk.scale_k8s_application(models.ScaleK8sApplicationRequest(app_id=app, replicas=5)))
    assert (end.co_type, end.batch_count, end.support_rollback) == ("Application Scale Out", 1, True)
    assert len(running(namespace)) == 5 and {pod.pod_name for pod in instances(pipelines(end)[0])} <= running(namespace)
    end = ended_well(sdk, sdk.scale_k8s_application(models.ScaleK8sApplicationRequest(app_id=app, replicas=2)))
    assert (end.co_type, len(running(namespace))) == ("Application Scale In", 2)
    assert cluster.writes(namespace.name, "admin")[written:] == [("patch", "sluice", 200)] * 2

    before, start = running(namespace), namespace.start()
    end = ended_well(sdk, sdk.restart_k8s_application(models.RestartK8sApplicationRequest(app_id=app)))
    assert end.co_type == "Restart" and not before & running(namespace)
    assert min(moment.ready() for moment in namespace.replay(start, "shop-web")) >= 2

    request = models.UpdateK8sApplicationConfigRequest(app_id=app, mcpu_limit="500", memory_limit="256")
    end = ended_well(sdk, sdk.update_k8s_application_config(request))
    whole = well(sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=app))).applcation.app
    assert (end.co_type, whole.limit_cpu_m, whole.limit_mem) == ("Update Config", 500, 256)

    end = ended_well(sdk, sdk.stop_k8s_application(models.StopK8sApplicationRequest(app_id=app)))
    assert end.co_type == "Stop" and not namespace.pods(), "also those that were on their way out are gone"
    (listed,) = well(sdk.list_application(models.ListApplicationRequest(app_ids=f'["{app}"]'))).application_list.application
    assert listed.state == "STOPPED"
    refused = sdk.restart_k8s_application(models.RestartK8sApplicationRequest(app_id=app)).body
    assert refused.code == 601 and "is stopped" in refused.message
    end = ended_well(sdk, sdk.start_k8s_application(models.StartK8sApplicationRequest(app_id=app)))
    assert (end.co_type, len(running(namespace))) == ("Start", 2)
    codes = [order.co_type_code for order in recent(sdk, app)]
    assert codes == ["CoStart", "CoStop", "CoRescaleApplicationVertically", "CoRestartApplication", "CoScaleIn", "CoScaleOut", "CoCreateApp"]

    request = models.UpdateK8sApplicationBaseInfoRequest(app_id=app, description="the shop", owner="team", email="team@example.com")
    assert well(sdk.update_k8s_application_base_info(request)).result == "success"
    read = well(sdk.get_application(models.GetApplicationRequest(app_id=app))).application
    assert (read.description, read.owner, read.email) == ("the shop", "team", "team@example.com")

    end = ended_well(sdk, sdk.delete_k8s_application(models.DeleteK8sApplicationRequest(app_id=app)))
    assert end.co_type == "Delete"
    gone = sdk.get_application(models.GetApplicationRequest(app_id=app)).body
    assert gone.code == 601 and "does not exist" in gone.message
    await_that("no pod is left", lambda: not namespace.pods(), 30)
    again = insert(sdk, namespace, replicas=1)
    assert again != app and len(running(namespace)) == 1


@pytest.mark.client("aliyun-python-sdk-edas")
@pytest.mark.flow("operate and delete")
def test_the_old_sdk_operates_an_application_and_deletes_it(old_sdk, namespace, app):
    def ordered(module, **parameters):
        order = old.call(old_sdk, module, AppId=app, **parameters)["ChangeOrderId"]
        end = old.follow(old_sdk, order)
        assert end["Status"] == SUCCESS, end
        return end["CoType"]

    assert ordered(ScaleK8sApplicationRequest, Replicas=4) == "Application Scale In"
    assert ordered(RestartK8sApplicationRequest) == "Restart"
    assert ordered(StopK8sApplicationRequest) == "Stop"
    assert not namespace.pods()
    assert ordered(StartK8sApplicationRequest) == "Start"
    assert len(running(namespace)) == 4
    order = old.call(old_sdk, DeleteK8sApplicationRequest, AppId=app)["ChangeOrderId"]
    assert old.follow(old_sdk, order)["Status"] == SUCCESS
    assert old.call(old_sdk, GetChangeOrderInfoRequest, ChangeOrderId=order)["changeOrderInfo"]["CoType"] == "Delete"


@pytest.fixture
def app(old_sdk, namespace):
    made = old.call(
        old_sdk, old.InsertK8sApplicationRequest, AppName="shop-old", ClusterId="default", Namespace=namespace.name, PackageType="Image",
        ImageUrl="shop/web:1.0", Replicas=6, PackageVersion="1.0",
    )["ApplicationInfo"]  # fmt: skip
    assert old.follow(old_sdk, made["ChangeOrderId"])["Status"] == SUCCESS
    return made["AppId"]


def test_terraform_deletes_and_then_finds_that_it_does_not_exist(sdk, namespace):
    app = insert(sdk, namespace, name="shop-tf", replicas=2)
    order = well(sdk.delete_k8s_application(models.DeleteK8sApplicationRequest(app_id=app))).change_order_id
    seen = wait_for_state(sdk, order)
    assert goes_to(seen, SUCCESS), seen
    for body in (
        sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=app)).body,
        sdk.delete_k8s_application(models.DeleteK8sApplicationRequest(app_id=app)).body,
    ):
        assert body.code == 601 and "does not exist" in body.message


def test_erda_aborts_stops_and_deletes_looking_at_no_answer(sdk, namespace):
    app = insert(sdk, namespace, name="shop-erda", replicas=4)
    stuck = deploy(sdk, app, "shop/web:2.0--never-ready", update_strategy=batches(2))
    follow(sdk, stuck, until={RUNNING})
    newest = recent(sdk, app)[0]
    assert newest.status == RUNNING
    sdk.abort_change_order(models.AbortChangeOrderRequest(change_order_id=newest.change_order_id))
    stop = sdk.stop_k8s_application(models.StopK8sApplicationRequest(app_id=app)).body.change_order_id
    assert follow(sdk, stop).status == SUCCESS
    delete = sdk.delete_k8s_application(models.DeleteK8sApplicationRequest(app_id=app)).body.change_order_id
    assert follow(sdk, delete).status == SUCCESS
    assert not [one for one in well(sdk.list_application(models.ListApplicationRequest(app_name="shop-erda"))).application_list.application if one.app_id == app]
