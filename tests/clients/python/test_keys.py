"""A team's key: it releases in the team's own namespace, and elsewhere is refused as EDAS refuses.

Both SDKs, so both kinds of signatures. The programs of other languages and the Maven
plugin run with such a key, too (`conftest.programs`).
"""

import uuid
from types import SimpleNamespace

import pytest
from alibabacloud_edas20170801 import models
from alibabacloud_tea_openapi.exceptions import ClientException
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkedas.request.v20170801 import DeployK8sApplicationRequest, InsertK8sApplicationRequest

from conftest import sdk_for
from orders import SUCCESS, deploy, follow, insert, recent, well
from test_old_sdk import call
from test_old_sdk import follow as follow_old

NOBODYS = str(uuid.uuid4())


@pytest.fixture
def team(server, namespace):
    """The id and secret of a key that may release what is in `namespace`."""
    return server.new_key("team-" + namespace.name, "--role", "deployer", "--namespace", namespace.name)


@pytest.fixture
def applications(sdk, namespace, new_namespace):
    """One of the team's, and one of another team."""
    elsewhere = new_namespace()
    return SimpleNamespace(own=insert(sdk, namespace), other=insert(sdk, elsewhere), elsewhere=elsewhere)


@pytest.mark.client("alibabacloud-edas20170801")
@pytest.mark.flow("refusals")
def test_the_sdk_of_today_releases_with_a_teams_key_and_sees_nothing_of_another_team(sdk, server, namespace, team, applications):
    own = sdk_for(server, team)
    assert follow(own, deploy(own, applications.own, "shop/web:2.0")).status == SUCCESS
    shown = well(own.list_application(models.ListApplicationRequest())).application_list.application
    assert [one.app_id for one in shown] == [applications.own]

    def answer(app_id):
        body = own.deploy_k8s_application(models.DeployK8sApplicationRequest(app_id=app_id, image="shop/web:2.0")).body
        return body.code, body.message.replace(app_id, "ID")

    assert answer(applications.other) == answer(NOBODYS)
    assert len(recent(sdk, applications.other)) == 1, "it was created, and nothing else"
    (container,) = applications.elsewhere.deployment("shop-web")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "shop/web:1.0"
    with pytest.raises(ClientException) as refusal:
        insert(own, namespace, name="shop-new")
    assert (refusal.value.status_code, refusal.value.code) == (403, "Forbidden.RAM")


@pytest.mark.client("aliyun-python-sdk-edas")
@pytest.mark.flow("refusals")
def test_the_sdk_before_it_does_so_too(server, namespace, team, applications):
    own = SimpleNamespace(client=AcsClient(*team, "cn-hangzhou"), endpoint=server.endpoint)
    order = call(own, DeployK8sApplicationRequest, AppId=applications.own, Image="shop/web:2.0", PackageVersion="2.0")["ChangeOrderId"]
    assert follow_old(own, order)["Status"] == SUCCESS
    with pytest.raises(ServerException) as refusal:
        call(
            own, InsertK8sApplicationRequest, AppName="shop-new", ClusterId="default", Namespace=namespace.name, PackageType="Image",
            ImageUrl="shop/web:1.0", Replicas=1,
        )  # fmt: skip
    assert (refusal.value.get_http_status(), refusal.value.get_error_code()) == (403, "Forbidden.RAM")
