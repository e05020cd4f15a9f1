"""Clients that are not installed here get through: Terraform, Jenkins and Erda.

Their ways, in polling above all, are written down as their sources have them, and go
through the SDK.
"""

import itertools
import json
import threading
import time

from alibabacloud_edas20170801 import models
from darabonba.runtime import RuntimeOptions

from cluster import await_that
from orders import ABORTED, FAILED, READY, RUNNING, SUCCESS, WAITS_FOR_CONFIRMATION, batches, deploy, follow, info, insert, instances, pipelines, recent, stages, well

TERRAFORM_PENDING, TERRAFORM_TARGET, TERRAFORM_FAIL = {READY, RUNNING}, SUCCESS, {FAILED, ABORTED, 10}


# --- Terraform: takes any other state than these for an error ---


def wait_for_state(sdk, order, seconds=90):
    """Terraform's wait: the states that were seen, in order, each once in a row. Polls without a pause, to see every one."""
    seen = []
    deadline = time.monotonic() + seconds
    while not seen or seen[-1] in TERRAFORM_PENDING:
        assert time.monotonic() < deadline, f"order {order} went {seen} in {seconds} s"
        now = info(sdk, order).status
        assert now in TERRAFORM_PENDING | {TERRAFORM_TARGET} | TERRAFORM_FAIL, f"unexpected state {now} after {seen}"
        if seen[-1:] != [now]:
            seen.append(now)
    return seen


def goes_to(seen, end):
    """0, 1, the end; the first ones may have been too short to be seen."""
    return seen[-1] == end and seen[:-1] in ([READY, RUNNING], [RUNNING], [READY], [])


def test_terraform_sees_an_order_of_one_batch_go_from_ready_to_running_to_its_end_and_nothing_else(sdk, namespace):
    request = models.InsertK8sApplicationRequest(
        app_name="shop-tf", cluster_id="default", namespace=namespace.name, package_type="Image", image_url="shop/web:1.0", replicas=3
    )
    made = well(sdk.insert_k8s_application(request)).application_info
    seen = wait_for_state(sdk, made.change_order_id)
    assert goes_to(seen, SUCCESS), seen

    application = well(sdk.get_application(models.GetApplicationRequest(app_id=made.app_id))).application
    assert application.application_type == "Image"
    seen = wait_for_state(sdk, deploy(sdk, made.app_id, "shop/web:2.0", replicas=4))
    assert goes_to(seen, SUCCESS), seen

    whole = well(sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=made.app_id))).applcation
    assert (whole.app.application_name, whole.app.instances, whole.image_info.image_url) == ("shop-tf", 4, "shop/web:2.0")

    failing = deploy(sdk, made.app_id, "shop/web:3.0--image-pull-error", replicas=4)
    seen = wait_for_state(sdk, failing)
    assert goes_to(seen, FAILED), seen
    rollback = recent(sdk, made.app_id)[0].change_order_id
    assert rollback != failing
    seen = wait_for_state(sdk, rollback)
    assert goes_to(seen, SUCCESS), seen


def test_terraform_reads_back_what_it_set_and_destroys_it(sdk, namespace):
    region = models.InsertOrUpdateRegionRequest(region_tag="cn-hangzhou:tf", region_name="tf", debug_enable=False)
    defined = well(sdk.insert_or_update_region(region)).user_define_region_entity
    request = models.InsertK8sApplicationRequest(
        app_name="shop-tf", cluster_id="default", namespace=namespace.name, logical_region_id="cn-hangzhou:tf", application_description="a shop", image_url="shop/web:1.0", replicas=1
    )
    made = well(sdk.insert_k8s_application(request)).application_info
    wait_for_state(sdk, made.change_order_id)
    body = sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=made.app_id)).body
    assert body.applcation.app.k_8s_namespace == namespace.name

    # An empty SlbId and certId stand for none.
    port = {"certId": "", "loadBalancerProtocol": "TCP", "port": 80, "targetPort": 8080}
    binding = {"app_id": made.app_id, "type": "internet", "scheduler": "rr", "specification": "", "service_port_infos": json.dumps([port])}
    wait_for_state(sdk, well(sdk.bind_k8s_slb(models.BindK8sSlbRequest(slb_id="", **binding))).change_order_id)
    (shown,) = load_balancers(sdk, made.app_id)
    mapping = {"loadBalancerProtocol": "TCP", "certId": "", "servicePort": {"protocol": "TCP", "port": 80, "targetPort": 8080}}
    assert (shown["addressType"], shown["scheduler"], shown["specification"], shown["portMappings"]) == ("internet", "rr", "", [mapping])

    # It names no cluster when it changes one, but the parameter.
    binding["service_port_infos"] = json.dumps([port | {"port": 81}])
    wait_for_state(sdk, well(sdk.update_k8s_slb(models.UpdateK8sSlbRequest(slb_name=shown["name"], cluster_id="ClusterId", **binding))).change_order_id)
    assert load_balancers(sdk, made.app_id)[0]["portMappings"][0]["servicePort"]["port"] == 81
    gone = models.UnbindK8sSlbRequest(app_id=made.app_id, type="internet", slb_name=shown["name"])
    wait_for_state(sdk, well(sdk.unbind_k8s_slb(gone)).change_order_id)
    assert load_balancers(sdk, made.app_id) == []

    in_use = sdk.delete_cluster(models.DeleteClusterRequest(cluster_id="default")).body
    assert in_use.code == 601 and "is in use" in in_use.message
    wait_for_state(sdk, well(sdk.delete_k8s_application(models.DeleteK8sApplicationRequest(app_id=made.app_id))).change_order_id)
    well(sdk.delete_user_define_region(models.DeleteUserDefineRegionRequest(id=defined.id)))


def load_balancers(sdk, app):
    text = well(sdk.get_application(models.GetApplicationRequest(app_id=app))).application.slb_info
    return json.loads(text) if text else []


# --- Jenkins: every second, without end; steps through the lists by place ---


class Tracer:
    """Jenkins' way through an order: batches, their stages, these stages' instances, by place.

    It steps on from what has status 2 and stays at everything else. Where it stays
    is in `at`: a stage or an instance, at which it gives up after 300 s, or "".
    """

    def __init__(self):
        self.batch = self.stage = self.instance = 0
        self.passed = []
        self.at = None

    def look(self, order_info):
        """Walks as far as it can; says whether the order is over."""
        all_batches = pipelines(order_info)
        while self.batch < len(all_batches):
            self.at = self._step(all_batches[self.batch])
            if self.at is not None:
                break
        return order_info.status in {SUCCESS, FAILED, ABORTED, 10}

    def _step(self, batch):
        """Where it stays in this batch; None once it is through."""
        all_stages = stages(batch)
        while self.stage < len(all_stages):
            stage = all_stages[self.stage]
            pods = stage.stage_result_dto.instance_dtolist
            pods = pods.instance_dto if pods else []
            while self.instance < len(pods):
                if any(step.status != SUCCESS for step in pods[self.instance].instance_stage_dtolist.instance_stage_dto):
                    return pods[self.instance].pod_name
                self.passed.append(pods[self.instance].pod_name)
                self.instance += 1
            if stage.status != SUCCESS:
                return stage.stage_id
            self.stage, self.instance = self.stage + 1, 0
        if batch.pipeline_status != SUCCESS:
            return ""
        self.batch, self.stage = self.batch + 1, 0
        return None


def trace(sdk, order, begun=None, seconds=90):
    """Polls every second, without back-off, until the order is over."""
    tracer = Tracer()
    begin = time.monotonic()
    for poll in itertools.count(1):
        if tracer.look(info(sdk, order)):
            return tracer
        if begun:
            begun(tracer)
        assert poll < seconds, f"order {order} is not over after {poll} polls, at {tracer.at!r}"
        time.sleep(max(0.0, begin + poll - time.monotonic()))


def jenkins_deploy(sdk, app, image, strategy):
    """What Jenkins asks for before it traces."""
    assert well(sdk.get_application(models.GetApplicationRequest(app_id=app))).application.app_id == app
    whole = well(sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=app, from_="deploy"))).applcation
    assert isinstance(whole.app.buildpack_id, int)
    version = time.strftime("%Y%m%d.%H%M%S")
    request = models.DeployK8sApplicationRequest(app_id=app, image=image, package_version=version, update_strategy=strategy)
    headers = {"X-EDAS-DEPLOY-SOURCE": "Jenkins-plugin-1.0"}
    return well(sdk.deploy_k8s_application_with_options(request, headers, RuntimeOptions())).change_order_id


def jenkins_finds(sdk, name, region):
    """The id of the application of this name, by what Jenkins compares."""
    found = well(sdk.list_application(models.ListApplicationRequest())).application_list.application
    return next((one.app_id for one in found if (one.name, one.region_id, one.cluster_type) == (name, region, 5)), "")


def test_jenkins_creates_an_application_only_where_the_name_is_free_in_the_edas_namespace(sdk, namespace):
    region = "cn-hangzhou:jenkins"
    cluster = well(sdk.get_cluster(models.GetClusterRequest(cluster_id="default"))).cluster
    assert cluster.region_id.split(":")[0] == region.split(":")[0]
    assert jenkins_finds(sdk, "shop-jenkins", region) == ""
    request = models.InsertK8sApplicationRequest(
        app_name="shop-jenkins", cluster_id="default", namespace=namespace.name, logical_region_id=region, package_type="Image", image_url="shop/web:1.0", replicas=2
    )
    made = well(sdk.insert_k8s_application(request)).application_info
    trace(sdk, made.change_order_id)
    assert info(sdk, made.change_order_id).status == SUCCESS
    assert jenkins_finds(sdk, "shop-jenkins", region) == made.app_id


def test_jenkins_traces_every_instance_of_an_automatic_release_each_second(sdk, namespace):
    app = insert(sdk, namespace, name="shop-jenkins", replicas=6)
    order = jenkins_deploy(sdk, app, "shop/web:2.0", batches(3))
    tracer = trace(sdk, order)
    end = info(sdk, order)
    assert (end.status, tracer.batch) == (SUCCESS, 3)
    assert tracer.passed == [pod.pod_name for batch in pipelines(end) for pod in instances(batch)]
    assert sorted(tracer.passed) == sorted(namespace.pods())


def test_jenkins_polls_on_while_a_person_decides_and_its_time_does_not_run(sdk, namespace):
    app = insert(sdk, namespace, name="shop-jenkins", replicas=4)
    order = jenkins_deploy(sdk, app, "shop/web:2.0", batches(2, "manual"))
    while_waiting = []

    def decide(tracer):
        now = info(sdk, order)
        if now.status != WAITS_FOR_CONFIRMATION:
            return
        while_waiting.append((tracer.batch, tracer.at))
        if len(while_waiting) == 4:
            well(sdk.continue_pipeline(models.ContinuePipelineRequest(pipeline_id=pipelines(now)[1].pipeline_id, confirm=True)))

    tracer = trace(sdk, order, decide)
    # The first look may come a moment before the batch that is done is seen to be.
    assert len(while_waiting) >= 4 and set(while_waiting[1:4]) == {(1, "")}, while_waiting
    assert info(sdk, order).status == SUCCESS
    assert sorted(tracer.passed) == sorted(namespace.pods())


def test_ten_jobs_of_jenkins_poll_at_once(sdk, namespace):
    app = insert(sdk, namespace, name="shop-jenkins", replicas=4)
    order = jenkins_deploy(sdk, app, "shop/web:2.0", batches(2))
    tracers = []
    jobs = [threading.Thread(target=lambda: tracers.append(trace(sdk, order))) for _ in range(10)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
    assert [tracer.batch for tracer in tracers] == [2] * 10
    assert {tuple(sorted(tracer.passed)) for tracer in tracers} == {tuple(sorted(namespace.pods()))}


# --- Erda: aborts what runs and deploys in the next call, looking at no answer ---


def erda_update(sdk, app, image, replicas):
    newest = recent(sdk, app)[0]
    if newest.status == RUNNING:
        sdk.abort_change_order(models.AbortChangeOrderRequest(change_order_id=newest.change_order_id))
    request = models.DeployK8sApplicationRequest(
        app_id=app, image=image, image_tag=image.rpartition(":")[2], replicas=replicas, args='[{"argument":"--port"},{"argument":"8080"}]', batch_wait_time=1
    )
    return newest.change_order_id, sdk.deploy_k8s_application(request).body.change_order_id


def test_erda_aborts_a_running_order_and_its_deploy_in_the_next_call_is_taken(sdk, namespace):
    app = insert(sdk, namespace, name="shop-erda", replicas=4)
    old, start = namespace.version(), namespace.start()
    # Pods that never become Ready: the order is still running when Erda comes.
    stuck = deploy(sdk, app, "shop/web:2.0--never-ready", update_strategy=batches(2))
    await_that("a pod of the stuck version", lambda: len({pod["metadata"]["labels"]["pod-template-hash"] for pod in namespace.pods().values()}) > 1, 30)
    assert follow(sdk, stuck, until={RUNNING}).status == RUNNING

    aborted, order = erda_update(sdk, app, "shop/web:3.0", 4)
    assert aborted == stuck and order, "Erda takes no ChangeOrderId for success and waits for nothing"
    seen = wait_for_state(sdk, order)
    assert goes_to(seen, SUCCESS), seen

    assert info(sdk, stuck).status == ABORTED
    newest = recent(sdk, app)
    assert [one.change_order_id for one in newest][:2] == [order, stuck]
    assert newest[0].create_time >= newest[1].create_time
    assert min(moment.ready() for moment in namespace.replay(start, "shop-erda")) >= 4
    (container,) = namespace.deployment("shop-erda")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["args"]) == ("shop/web:3.0", ["--port", "8080"])
    assert old != namespace.version()
