"""Change orders through the new SDK, followed as its users follow them.

Takes every answer as the SDK's typed objects and asserts that it says success.
The numbers are EDAS' own.
"""

import json
import time

from alibabacloud_edas20170801 import models

READY, RUNNING, SUCCESS, FAILED, ABORTED, WAITS_FOR_CONFIRMATION, WAITS_FOR_INTERVAL, SYSTEM_FAILED = 0, 1, 2, 3, 6, 8, 9, 10
FINAL = {SUCCESS, FAILED, ABORTED, SYSTEM_FAILED}


def well(response):
    """The body of an answer that says success."""
    body = response.body
    assert response.status_code == 200
    assert (body.code, body.message) == (200, "success"), body.to_map()
    assert body.request_id
    return body


def batches(number, release_type="auto", gray=None):
    """The UpdateStrategy text for a release in batches."""
    strategy = {"type": "BatchUpdate", "batchUpdate": {"batch": number, "releaseType": release_type}}
    if release_type == "auto":
        strategy["batchUpdate"]["batchWaitTime"] = 0
    if gray:
        strategy |= {"type": "GrayBatchUpdate", "grayUpdate": {"gray": gray}}
    return json.dumps(strategy)


def insert(sdk, namespace, name="shop-web", image="shop/web:1.0", replicas=10):
    """Creates an application and waits until it runs; returns its id."""
    request = models.InsertK8sApplicationRequest(
        app_name=name, cluster_id="default", namespace=namespace.name, package_type="Image", image_url=image, replicas=replicas, package_version="1.0"
    )
    application = well(sdk.insert_k8s_application(request)).application_info
    assert application.app_name == name
    assert follow(sdk, application.change_order_id).status == SUCCESS
    return application.app_id


def deploy(sdk, app_id, image, **parameters):
    """Orders a release; returns the order's id."""
    return well(sdk.deploy_k8s_application(models.DeployK8sApplicationRequest(app_id=app_id, image=image, **parameters))).change_order_id


def info(sdk, order):
    return well(sdk.get_change_order_info(models.GetChangeOrderInfoRequest(change_order_id=order))).change_order_info


def follow(sdk, order, until=FINAL, seconds=60):
    """Polls an order until its status is one of `until`; fails at the deadline, and on an end that was not asked for."""
    deadline = time.monotonic() + seconds
    while True:
        now = info(sdk, order)
        if now.status in until:
            return now
        assert now.status not in FINAL, f"order {order} ended {now.status}: {texts(now)}"
        assert time.monotonic() < deadline, f"order {order} is still {now.status} after {seconds} s: {texts(now)}"
        time.sleep(0.05)


def recent(sdk, app_id):
    """The application's orders, newest first."""
    return well(sdk.list_recent_change_order(models.ListRecentChangeOrderRequest(app_id=app_id))).change_order_list.change_order


def pipelines(order_info):
    return order_info.pipeline_info_list.pipeline_info


def stages(pipeline):
    return pipeline.stage_list.stage_info_dto if pipeline.stage_list else []


def instances(pipeline):
    """The pods that a batch brought."""
    return [one for stage in stages(pipeline) for one in (stage.stage_result_dto.instance_dtolist.instance_dto if stage.stage_result_dto.instance_dtolist else [])]


def texts(order_info):
    """Everything an order says in words, in one text."""

    def words(value):
        if isinstance(value, dict):
            return [word for inner in value.values() for word in words(inner)]
        if isinstance(value, list):
            return [word for inner in value for word in words(inner)]
        return [value] if isinstance(value, str) else []

    return "\n".join(words(order_info.to_map()))
