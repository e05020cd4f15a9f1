"""The SDK of today (alibabacloud-edas20170801 2.0.0) releases on a real control plane.

Each test looks at both ends: what the SDK's objects say, and what the cluster
went through, seen from outside.
"""

import itertools
import json

import pytest
from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config

from cluster import await_that
from orders import ABORTED, FAILED, FINAL, SUCCESS, WAITS_FOR_CONFIRMATION, batches, deploy, follow, info, insert, instances, pipelines, recent, stages, texts, well

pytestmark = pytest.mark.client("alibabacloud-edas20170801")


def image_of(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"]


def plateaus(moments):
    """The moments, cut before each change of the Deployment's spec."""
    parts, generation = [], None
    for moment in moments:
        if moment.deployment["metadata"]["generation"] != generation:
            generation = moment.deployment["metadata"]["generation"]
            parts.append([])
        parts[-1].append(moment)
    return parts


def never_less_than(moments, pods):
    least = min(moment.ready() for moment in moments)
    assert least >= pods, f"only {least} pods were Ready"


@pytest.mark.flow("phased, automatic")
def test_three_automatic_batches_rest_at_3_6_and_10_and_take_four_writes(sdk, cluster, namespace):
    app = insert(sdk, namespace)
    old, before, start = namespace.version(), namespace.deployment("shop-web"), namespace.start()
    written = len(cluster.writes(namespace.name, "admin"))

    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(3), change_order_desc="second version")
    end = follow(sdk, order)

    assert (end.status, end.batch_count, end.batch_type) == (SUCCESS, 3, "Automatic")
    assert [len(instances(batch)) for batch in pipelines(end)] == [3, 3, 4]
    assert all(batch.pipeline_status == SUCCESS for batch in pipelines(end))
    assert "second version" in (end.change_order_description or "") + (end.desc or "")

    moments = namespace.replay(start, "shop-web")
    new = namespace.version()
    assert new != old
    never_less_than(moments, 10)
    for moment in moments:
        assert moment.deployment["metadata"]["uid"] == before["metadata"]["uid"]
    phases = [part for part in plateaus(moments) if part[0].deployment["metadata"]["generation"] > before["metadata"]["generation"]]
    assert len(phases) == 4, "three batches and the end, one change of the spec each"
    for most, phase in zip((3, 6, 10, 10), phases, strict=True):
        assert max(len(moment.running(new)) for moment in phase) == most, "a batch had another number of new pods than planned"
        assert phase[-1].ready(new) == most, "the next batch began before this one's pods were Ready"
    assert {pod["metadata"]["name"] for pod in moments[-1].running(new)} == {pod.pod_name for batch in pipelines(end) for pod in instances(batch)}

    writes = cluster.writes(namespace.name, "admin")[written:]
    assert writes == [("patch", "sluice", 200)] * 4


@pytest.mark.flow("abort and roll back")
def test_a_manual_release_waits_goes_on_when_told_and_is_taken_back_while_it_waits(sdk, namespace):
    app = insert(sdk, namespace)
    old, start = namespace.version(), namespace.start()

    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(3, "manual"))
    waiting = follow(sdk, order, until={WAITS_FOR_CONFIRMATION})
    assert (waiting.batch_type, waiting.support_rollback) == ("Manual", True)
    assert [batch.pipeline_status for batch in pipelines(waiting)][0] == SUCCESS
    assert not stages(pipelines(waiting)[2]), "a batch that has not begun shows no stage"
    assert len(instances(pipelines(waiting)[0])) == 3
    # An order says that it waits before the Deployment is told so.
    at_rest = await_that("the Deployment is paused", lambda: (spec := namespace.deployment("shop-web")["spec"]).get("paused") and spec, 10)
    assert at_rest.get("minReadySeconds", 0) == 0

    well(sdk.continue_pipeline(models.ContinuePipelineRequest(pipeline_id=pipelines(waiting)[0].pipeline_id, confirm=True)))
    second = follow_second_wait(sdk, order)
    assert [batch.pipeline_status for batch in pipelines(second)][:2] == [SUCCESS, SUCCESS]
    new_at_rest = [pod for pod in namespace.pods().values() if pod["metadata"]["labels"]["pod-template-hash"] != old]
    assert len(new_at_rest) == 6

    rollback = well(sdk.abort_and_rollback_change_order(models.AbortAndRollbackChangeOrderRequest(change_order_id=order))).data.change_order_id
    assert rollback != order
    assert follow(sdk, rollback).status == SUCCESS
    assert info(sdk, order).status == ABORTED
    assert [one.change_order_id for one in recent(sdk, app)][:2] == [rollback, order]

    never_less_than(namespace.replay(start, "shop-web"), 10)
    assert namespace.version() == old
    assert len(namespace.pods()) == 10
    assert image_of(namespace.deployment("shop-web")) == "shop/web:1.0"
    assert not namespace.deployment("shop-web")["spec"].get("paused", False)


@pytest.mark.flow("phased, confirmed")
def test_a_manual_release_runs_to_its_end_as_each_batch_is_confirmed(sdk, namespace):
    app = insert(sdk, namespace, replicas=4)
    start = namespace.start()
    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(3, "manual"))
    for done in (1, 2):
        waiting = await_that(f"{done} batches done and the order waiting", lambda: (now := follow(sdk, order, until={WAITS_FOR_CONFIRMATION})) and done_batches(now) == done and now, 60)
        well(sdk.continue_pipeline(models.ContinuePipelineRequest(pipeline_id=pipelines(waiting)[done].pipeline_id, confirm=True)))
    end = follow(sdk, order)
    assert (end.status, [len(instances(batch)) for batch in pipelines(end)]) == (SUCCESS, [1, 1, 2])
    never_less_than(namespace.replay(start, "shop-web"), 4)
    assert image_of(namespace.deployment("shop-web")) == "shop/web:2.0"


def done_batches(order_info):
    return sum(batch.pipeline_status == SUCCESS for batch in pipelines(order_info))


def follow_second_wait(sdk, order):
    """The order, waiting again with two batches done."""

    def waits():
        now = info(sdk, order)
        assert now.status not in FINAL, texts(now)
        return now.status == WAITS_FOR_CONFIRMATION and len(instances(pipelines(now)[1])) == 3 and now

    return await_that("the second batch done and the order waiting", waits, 60)


@pytest.mark.flow("canary")
def test_a_canary_waits_for_a_person_though_the_batches_after_it_are_automatic(sdk, namespace):
    app = insert(sdk, namespace)
    start = namespace.start()
    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(2, gray=2))
    waiting = follow(sdk, order, until={WAITS_FOR_CONFIRMATION})
    assert len(instances(pipelines(waiting)[0])) == 2
    well(sdk.continue_pipeline(models.ContinuePipelineRequest(pipeline_id=pipelines(waiting)[1].pipeline_id, confirm=True)))
    end = follow(sdk, order)
    assert end.status == SUCCESS
    assert [len(instances(batch)) for batch in pipelines(end)] == [2, 4, 4]
    never_less_than(namespace.replay(start, "shop-web"), 10)


@pytest.mark.flow("roll back to a version")
def test_a_version_of_the_history_is_released_again(sdk, namespace):
    app = insert(sdk, namespace)
    assert follow(sdk, deploy(sdk, app, "shop/web:2.0", package_version="2.0")).status == SUCCESS
    second = set(namespace.pods())

    history = well(sdk.list_history_deploy_version(models.ListHistoryDeployVersionRequest(app_id=app))).package_version_list.package_version
    assert [(one.package_version, one.app_id) for one in history] == [("2.0", app), ("1.0", app)]
    start = namespace.start()
    request = models.RollbackApplicationRequest(app_id=app, group_id="all", history_version="1.0", batch=2)
    end = follow(sdk, well(sdk.rollback_application(request)).change_order_id)

    assert (end.status, end.batch_count) == (SUCCESS, 2)
    never_less_than(namespace.replay(start, "shop-web"), 10)
    assert image_of(namespace.deployment("shop-web")) == "shop/web:1.0"
    assert not second & set(namespace.pods())

    version = [one for one in history if one.package_version == "2.0"][0]
    again = models.DeployK8sApplicationRequest(app_id=app, package_version_id=version.id)
    assert follow(sdk, well(sdk.deploy_k8s_application(again)).change_order_id).status == SUCCESS
    assert image_of(namespace.deployment("shop-web")) == "shop/web:2.0"


@pytest.mark.flow("all at once")
def test_the_same_image_again_is_a_release_with_new_pods(sdk, namespace):
    app = insert(sdk, namespace, replicas=3)
    before, start = set(namespace.pods()), namespace.start()
    assert follow(sdk, deploy(sdk, app, "shop/web:1.0")).status == SUCCESS
    assert not before & set(namespace.pods())
    never_less_than(namespace.replay(start, "shop-web"), 3)


def test_an_image_that_cannot_be_pulled_is_named_and_the_release_goes_back_by_itself(sdk, namespace):
    app = insert(sdk, namespace)
    old_pods, start = set(namespace.pods()), namespace.start()
    container = namespace.deployment("shop-web")["spec"]["template"]["spec"]["containers"][0]["name"]

    order = deploy(sdk, app, "shop/web:3.0--image-pull-error", update_strategy=batches(3))
    end = follow(sdk, order)
    assert end.status == FAILED
    rollback = recent(sdk, app)[0]
    assert rollback.change_order_id != order
    assert follow(sdk, rollback.change_order_id).status == SUCCESS

    moments = namespace.replay(start, "shop-web")
    new_pods = {name for moment in moments for name in moment.pods} - old_pods
    said = [text for text in texts(info(sdk, order)).splitlines() if any(pod in text for pod in new_pods) and container in text]
    assert any(("ErrImagePull" in text or "ImagePullBackOff" in text) and "not found" in text for text in said), texts(info(sdk, order))
    never_less_than(moments, 10)
    assert all(old_pods <= set(moment.pods) for moment in moments), "the old version lost a pod"
    assert set(namespace.pods()) == old_pods
    assert image_of(namespace.deployment("shop-web")) == "shop/web:1.0"


def test_a_server_killed_while_a_batch_runs_goes_on_when_it_is_started_again(sdk, server, namespace):
    app = insert(sdk, namespace)
    start = namespace.start()
    old = namespace.version()
    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(3))
    await_that("a pod of the new version", lambda: any(pod["metadata"]["labels"]["pod-template-hash"] != old for pod in namespace.pods().values()), 30)
    server.kill()
    server.start()
    assert follow(sdk, order).status == SUCCESS

    moments = namespace.replay(start, "shop-web")
    new = namespace.version()
    never_less_than(moments, 10)
    phases = [part for part in plateaus(moments) if any(moment.running(new) for moment in part)]
    rests = [max(len(moment.running(new)) for moment in phase) for phase in phases]
    # A write that was made and not yet recorded is made again: the same numbers, under the next token.
    assert [rest for rest, _ in itertools.groupby(rests)] == [3, 6, 10]
    assert len(rests) <= 5, "one write a batch, one at the end, and at most one of them again"


@pytest.mark.flow("insert", "read")
def test_every_read_operation_tells_the_same_about_an_application(sdk, namespace):
    app = insert(sdk, namespace, name="shop-reads", replicas=2)
    listed = well(sdk.list_application(models.ListApplicationRequest(app_name="shop-reads"))).application_list.application
    (one,) = [item for item in listed if item.app_id == app]
    assert (one.app_id, one.name, one.cluster_id, one.cluster_type, one.instances) == (app, "shop-reads", "default", 5, 2)

    read = well(sdk.get_application(models.GetApplicationRequest(app_id=app))).application
    assert (read.app_id, read.name, read.cluster_type, read.instance_count) == (app, "shop-reads", "5", 2)
    await_that("two running instances", lambda: well(sdk.get_application(models.GetApplicationRequest(app_id=app))).application.running_instance_count == 2, 10)

    whole = well(sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=app))).applcation
    assert (whole.app.application_name, whole.app.instances, whole.app.application_type) == ("shop-reads", 2, "Image")
    assert whole.image_info.image_url == "shop/web:1.0"
    assert isinstance(whole.app.buildpack_id, int)

    names = [one.namespace for one in well(sdk.list_k8s_namespaces(models.ListK8sNamespacesRequest(cluster_id="default"))).data]
    assert {"default", "kube-system"} <= set(names)
    clusters = well(sdk.get_k8s_cluster(models.GetK8sClusterRequest(region_tag=read.region_id))).cluster_page
    assert ("default", 1) in [(one.cluster_id, one.cluster_import_status) for one in clusters.cluster_list.cluster]


def test_an_application_is_read_as_it_runs_on_the_cluster(sdk, namespace):
    app = insert(sdk, namespace, name="shop-live", replicas=2)
    pods = namespace.pods()
    listed = well(sdk.describe_app_instance_list(models.DescribeAppInstanceListRequest(app_id=app, with_node_info=True))).instance_list
    assert {json.loads(one.pod_raw)["metadata"]["name"]: json.loads(one.pod_raw)["metadata"]["uid"] for one in listed} == {
        name: pod["metadata"]["uid"] for name, pod in pods.items()
    }
    for one in listed:
        assert (one.app_id, one.group_name, one.canary, one.version) == (app, "_DEFAULT_GROUP", False, "1.0")
        assert json.loads(one.node_labels)["kubernetes.io/hostname"] == one.node_name

    status = well(sdk.query_application_status(models.QueryApplicationStatusRequest(app_id=app))).app_info
    assert (status.application.application_id, status.application.instance_count) == (app, 2)
    assert {ecc.ecc_id: (ecc.app_state, ecc.task_state, ecc.ip) for ecc in status.ecc_list.ecc} == {
        name: (7, 2, pod["status"]["podIP"]) for name, pod in pods.items()
    }
    (group,) = status.group_list.group
    assert {record.package_version_id for record in status.deploy_record_list.deploy_record} == {group.package_version_id}

    deployment = json.loads(well(sdk.get_app_deployment(models.GetAppDeploymentRequest(app_id=app))).data)
    assert deployment["metadata"]["uid"] == namespace.deployment("shop-live")["metadata"]["uid"]
    (group,) = well(sdk.list_deploy_group(models.ListDeployGroupRequest(app_id=app))).deploy_group_list.deploy_group
    assert (group.group_name, group.status, group.package_url, group.deployment_name) == ("_DEFAULT_GROUP", "2", "shop/web:1.0", "shop-live")
    assert well(sdk.get_java_start_up_config(models.GetJavaStartUpConfigRequest(app_id=app))).java_start_up_config.start_up_args == ""


def test_tags_and_namespaces_come_back_as_they_were_given(sdk, namespace):
    app = insert(sdk, namespace, name="shop-tags", replicas=1)
    of = {"resource_type": "application", "resource_region_id": "cn-hangzhou"}
    tags = json.dumps([{"key": "team", "value": "shop"}, {"key": "stage", "value": "prod"}])
    well(sdk.tag_resources(models.TagResourcesRequest(resource_ids=json.dumps([app]), tags=tags, **of)))
    # These two the SDK sends as numbered parameters.
    found = well(sdk.list_tag_resources(models.ListTagResourcesRequest(resource_ids=[app], tags=[{"key": "team", "value": "shop"}], **of)))
    assert [(one.resource_id, one.tag_key, one.tag_value) for one in found.tag_resources.tag_resource] == [(app, "stage", "prod"), (app, "team", "shop")]
    well(sdk.untag_resources(models.UntagResourcesRequest(resource_ids=json.dumps([app]), delete_all=True, **of)))
    assert not well(sdk.list_tag_resources(models.ListTagResourcesRequest(resource_ids=[app], **of))).tag_resources.tag_resource

    tag = f"cn-hangzhou:{namespace.name}"
    made = well(sdk.insert_or_update_region(models.InsertOrUpdateRegionRequest(region_tag=tag, region_name="Shop"))).user_define_region_entity
    listed = well(sdk.list_user_define_region(models.ListUserDefineRegionRequest())).user_define_region_list.user_define_region_entity
    assert (made.id, tag, "Shop") in [(one.id, one.region_id, one.region_name) for one in listed]
    gone = well(sdk.delete_user_define_region(models.DeleteUserDefineRegionRequest(id=made.id))).region_define
    assert (gone.region_id, gone.belong_region) == (tag, "cn-hangzhou")

    assert well(sdk.import_k8s_cluster(models.ImportK8sClusterRequest(cluster_id="default"))).data == "default"
    cluster = well(sdk.get_cluster(models.GetClusterRequest(cluster_id="default"))).cluster
    assert (cluster.cluster_import_status, cluster.cluster_type) == (1, 5)
    components = sdk.list_components().body
    assert (components.code, components.component_list.component) == (200, [])


def test_a_second_order_is_refused_while_one_is_open(sdk, namespace):
    app = insert(sdk, namespace, replicas=4)
    order = deploy(sdk, app, "shop/web:2.0", update_strategy=batches(2, "manual"))
    follow(sdk, order, until={WAITS_FOR_CONFIRMATION})
    refused = sdk.deploy_k8s_application(models.DeployK8sApplicationRequest(app_id=app, image="shop/web:3.0")).body
    assert refused.code == 601
    assert order in refused.message
    assert not refused.change_order_id
    well(sdk.abort_change_order(models.AbortChangeOrderRequest(change_order_id=order)))
    assert follow(sdk, order).status == ABORTED


@pytest.fixture(scope="module")
def four_pods(sdk, new_namespace):
    """An application that no test changes: its namespace and its id."""
    namespace = new_namespace()
    return namespace, insert(sdk, namespace, replicas=4)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"update_strategy": batches(0)}, ("UpdateStrategy", "0")),
        ({"update_strategy": batches(5)}, ("UpdateStrategy", "5")),
        ({"update_strategy": "{"}, ("UpdateStrategy",)),
        ({"update_strategy": batches(2, gray=3)}, ("UpdateStrategy", "3")),
        ({"image": "shop/web 2"}, ("Image", "shop/web 2")),
        ({"replicas": -1}, ("Replicas", "-1")),
        ({"readiness": "nonsense"}, ("Readiness",)),
        ({"enable_ahas": True}, ("EnableAhas",)),
    ],
)
def test_a_bad_parameter_is_named_and_nothing_is_written(sdk, cluster, four_pods, parameters, named):
    namespace, app = four_pods
    written, orders = len(cluster.writes(namespace.name, "admin")), len(recent(sdk, app))
    request = models.DeployK8sApplicationRequest(**({"app_id": app, "image": "shop/web:2.0"} | parameters))
    try:
        body = sdk.deploy_k8s_application(request).body
        code, message = body.code, body.message
        assert code == 601 and not body.change_order_id
    except ClientException as error:
        message = error.message
    assert all(word in message for word in named), message
    assert len(recent(sdk, app)) == orders
    assert len(cluster.writes(namespace.name, "admin")) == written


@pytest.mark.flow("refusals")
def test_what_does_not_exist_is_said_in_the_words_that_clients_look_for(sdk):
    nothing = "00000000-0000-7000-8000-000000000000"
    for body in (
        sdk.get_application(models.GetApplicationRequest(app_id=nothing)).body,
        sdk.get_change_order_info(models.GetChangeOrderInfoRequest(change_order_id=nothing)).body,
        sdk.deploy_k8s_application(models.DeployK8sApplicationRequest(app_id=nothing, image="shop/web:2.0")).body,
    ):
        assert body.code == 601
        assert "does not exist" in body.message


@pytest.mark.flow("refusals")
def test_a_wrong_secret_is_refused(server):
    stranger = Client(Config(endpoint=server.endpoint, protocol="http", access_key_id=server.key_id, access_key_secret="wrong"))
    with pytest.raises(ClientException) as refusal:
        stranger.list_application(models.ListApplicationRequest())
    assert (refusal.value.status_code, refusal.value.code) == (400, "SignatureDoesNotMatch")


def test_an_operation_that_is_not_offered_says_so(sdk):
    body = sdk.list_slb(models.ListSlbRequest()).body
    assert body.code == 601
    assert "ListSlb is not offered" in body.message
