"""For each operation that changes something, a request that is accepted, made anew each time.

What it is about is made first, through the API as well. One chance parameter on top of
such a request is tried in the place where it matters: behind every other check.
"""

import json
import time

CLUSTER = {"ClusterId": "default"}
PLACE = CLUSTER | {"Namespace": "default"}
REGION = "cn-test"
DATA = json.dumps([{"Key": "a", "Value": "1"}])
PORTS = json.dumps([{"protocol": "TCP", "port": 80, "targetPort": 8080}])
INGRESS = json.dumps({"rules": [{"host": "shop.example", "paths": [{"path": "/", "backend": {"serviceName": "web", "servicePort": 80}}]}]})
RULE = {
    "ScalingRuleType": "trigger",
    "ScalingRuleEnable": "false",
    "ScalingRuleTrigger": json.dumps({"minReplicas": 1, "maxReplicas": 3, "triggers": [{"type": "cpu", "metaData": {"type": "Utilization", "value": "60"}}]}),
}
ORDERS = "/pop/v5/changeorder/change_order_"
SECONDS = 10


class Right:
    def __init__(self, known):
        self.known, self.count, self.kept = known, 0, None

    def of(self, operation):
        """Its parameters; none where none are known."""
        make = getattr(self, operation, None)
        return make and make()

    def _name(self):
        self.count += 1
        return f"n{self.count}"

    def _do(self, method, path, **parameters):
        return self.known.well(method, path, **parameters)

    def _poll(self, look, wanted):
        deadline = time.monotonic() + SECONDS
        while not wanted(found := look()):
            assert time.monotonic() < deadline, f"after {SECONDS} s: {found}"
            time.sleep(0.02)
        return found

    # --- applications and their orders ---

    def _application(self, **parameters):
        """A new one that is up."""
        made = self._do("POST", "/pop/v5/k8s/acs/create_k8s_app", AppName=self._name(), ImageUrl="shop/web:1", Replicas=3, **CLUSTER, **parameters)
        self._end(made["ApplicationInfo"]["ChangeOrderId"], 2)
        return {"AppId": made["ApplicationInfo"]["AppId"]}

    def _info(self, order):
        return self._do("POST", f"{ORDERS}info", ChangeOrderId=order)["changeOrderInfo"]

    def _end(self, order, *statuses):
        return self._poll(lambda: self._info(order), lambda info: info["Status"] in statuses)

    def _waiting(self):
        """An order of three batches that waits for its second."""
        strategy = json.dumps({"type": "BatchUpdate", "batchUpdate": {"batch": 3, "releaseType": "manual"}})
        order = self._do("POST", "/pop/v5/k8s/acs/k8s_apps", Image="shop/web:2", UpdateStrategy=strategy, **self._application())["ChangeOrderId"]
        return self._end(order, 8)

    def _order(self):
        return {"ChangeOrderId": self._waiting()["ChangeOrderId"]}

    AbortChangeOrder = AbortAndRollbackChangeOrder = RollbackChangeOrder = _order

    def StepBackChangeOrder(self):
        order = self._waiting()
        pipelines = order["PipelineInfoList"]["PipelineInfo"]
        self._do("GET", "/pop/v5/changeorder/pipeline_batch_confirm", PipelineId=pipelines[1]["PipelineId"], Confirm="true")
        two_done = lambda info: info["Status"] == 8 and info["PipelineInfoList"]["PipelineInfo"][1]["PipelineStatus"] == 2  # noqa: E731
        return {"ChangeOrderId": self._poll(lambda: self._info(order["ChangeOrderId"]), two_done)["ChangeOrderId"]}

    def ContinuePipeline(self):
        return {"PipelineId": self._waiting()["PipelineInfoList"]["PipelineInfo"][1]["PipelineId"], "Confirm": "true"}

    def InsertK8sApplication(self):
        return CLUSTER | {"AppName": self._name(), "ImageUrl": "shop/web:1", "Replicas": "1"}

    DeleteK8sApplication = DeleteApplication = DeployK8sApplication = PreviewDeployment = RestartK8sApplication = _application
    StopK8sApplication = UpdateK8sApplicationBaseInfo = _application

    def ScaleK8sApplication(self):
        return self._application() | {"Replicas": "4"}

    def StartK8sApplication(self):
        app = self._application()
        self._end(self._do("POST", "/pop/v5/k8s/acs/stop_k8s_app", **app)["ChangeOrderId"], 2)
        return app

    def UpdateK8sApplicationConfig(self):
        return self._application() | {"McpuLimit": "500"}

    def UpdateK8sResource(self):
        text = self._do("GET", "/pop/v5/oam/app_deployment", **self._application())["Data"]
        return {"ClusterId": "default", "ResourceContent": text}

    def RollbackApplication(self):
        return self._application(PackageVersion="1.0") | {"GroupId": "all", "HistoryVersion": "1.0"}

    # --- what is beside them ---

    def _kept(self):
        """One that stays, for what no pod of it hears of."""
        self.kept = self.kept or self._application()
        return self.kept

    def CreateK8sService(self):
        return self._kept() | {"Name": self._name(), "Type": "ClusterIP", "ServicePorts": PORTS}

    def UpdateK8sService(self):
        service = self.CreateK8sService()
        self._do("POST", "/pop/v5/k8s/acs/k8s_service", **service)
        return service

    def DeleteK8sService(self):
        return {name: value for name, value in self.UpdateK8sService().items() if name in ("AppId", "Name")}

    def BindK8sSlb(self):
        return self._application() | {"Type": "internet", "Port": "80", "TargetPort": "8080", "SlbProtocol": "TCP"}

    def UpdateK8sSlb(self):
        slb = self.BindK8sSlb()
        self._do("POST", "/pop/v5/k8s/acs/k8s_slb_binding", **slb)
        return slb

    def UnbindK8sSlb(self):
        return {name: value for name, value in self.UpdateK8sSlb().items() if name in ("AppId", "Type")}

    def CreateK8sIngressRule(self):
        return PLACE | {"Name": self._name(), "IngressConf": INGRESS}

    def UpdateK8sIngressRule(self):
        rule = self.CreateK8sIngressRule()
        self._do("POST", "/pop/v5/k8s/acs/k8s_ingress", **rule)
        return rule

    def DeleteK8sIngressRule(self):
        return PLACE | {"Name": self.UpdateK8sIngressRule()["Name"]}

    def CreateK8sConfigMap(self):
        return PLACE | {"Name": self._name(), "Data": DATA}

    def UpdateK8sConfigMap(self):
        made = self.CreateK8sConfigMap()
        self.known.well_form("POST", "/pop/v5/k8s/acs/k8s_config_map", **made)
        return made

    def DeleteK8sConfigMap(self):
        return PLACE | {"Name": self.UpdateK8sConfigMap()["Name"]}

    def CreateK8sSecret(self):
        return PLACE | {"Name": self._name(), "Type": "Opaque", "Data": DATA}

    def UpdateK8sSecret(self):
        made = self.CreateK8sSecret()
        self.known.well_form("POST", "/pop/v5/k8s/acs/k8s_secret", **made)
        return made

    def DeleteK8sSecret(self):
        return PLACE | {"Name": self.UpdateK8sSecret()["Name"]}

    def CreateApplicationScalingRule(self):
        return self._kept() | RULE | {"ScalingRuleName": self._name()}

    def UpdateApplicationScalingRule(self):
        rule = self.CreateApplicationScalingRule()
        self._do("POST", "/pop/v1/eam/scale/application_scaling_rule", **rule)
        return rule

    def DeleteApplicationScalingRule(self):
        return {name: value for name, value in self.UpdateApplicationScalingRule().items() if name in ("AppId", "ScalingRuleName")}

    EnableApplicationScalingRule = DisableApplicationScalingRule = DeleteApplicationScalingRule

    def CreateConfigTemplate(self):
        return {"Name": self._name(), "Format": "JSON", "Content": "{}"}

    def UpdateConfigTemplate(self):
        made = self.CreateConfigTemplate()
        return made | {"Id": str(self.known.well_form("POST", "/pop/v5/config_template", **made)["Data"]["Id"])}

    def DeleteConfigTemplate(self):
        return {"Id": self.UpdateConfigTemplate()["Id"]}

    # --- namespaces and tags ---

    def InsertOrUpdateRegion(self):
        return {"RegionTag": f"{REGION}:{self._name()}", "RegionName": "shop"}

    def DeleteUserDefineRegion(self):
        made = self.InsertOrUpdateRegion()
        self._do("POST", "/pop/v5/user_region_def", **made)
        return {"RegionTag": made["RegionTag"]}

    def TagResources(self):
        ids = json.dumps([self._kept()["AppId"]])
        return {"ResourceType": "application", "ResourceRegionId": REGION, "ResourceIds": ids, "Tags": json.dumps([{"Key": "a", "Value": "b"}])}

    def ListTagResources(self):
        return {name: value for name, value in self.TagResources().items() if name != "Tags"}

    def UntagResources(self):
        return self.ListTagResources() | {"TagKeys": json.dumps(["a"])}

    # --- what holds orders off ---

    def CreateHoldRule(self):
        return {"Name": self._name(), "HeldBy": "approval", "Applications": "nobody"}

    def DeleteHoldRule(self):
        made = self.CreateHoldRule()
        self._do("POST", "/sluice/v1/holds", **made)
        return {"Name": made["Name"]}

    def _held(self, by, **more):
        """An order that a rule of its own holds off. Only its author is there, who cannot approve it."""
        app = self._application()
        rule = {"Name": f"{by}-{self._name()}", "HeldBy": by, "Applications": f"n{self.count - 1}"} | more
        self._do("POST", "/sluice/v1/holds", **rule)
        order = self._do("POST", "/pop/v5/k8s/acs/k8s_apps", Image="shop/web:2", **app)["ChangeOrderId"]
        return {"ChangeOrderId": self._poll(lambda: self._info(order), lambda info: info["HeldBy"] == by)["ChangeOrderId"]}

    def RejectChangeOrder(self):
        return self._held("approval")

    ApproveChangeOrder = RejectChangeOrder

    def LiftFreeze(self):
        return self._held("freeze", Periods="2020-01-01T00:00/2120-01-01T00:00")

    # --- who may do what ---

    def CreateAccessKey(self):
        return {"Name": self._name(), "Role": "reader"}

    def _key(self):
        made = self._do("POST", "/sluice/v1/keys", **self.CreateAccessKey())["AccessKey"]
        return {"AccessKey": made["AccessKeyId"]}

    GetAccessKey = DeleteAccessKey = DisableAccessKey = EnableAccessKey = RotateAccessKey = _key

    def CreatePrincipal(self):
        return {"Name": self._name()}

    def DeletePrincipal(self):
        made = self.CreatePrincipal()
        self._do("POST", "/sluice/v1/principals", **made)
        return {"Principal": made["Name"]}

    GetPrincipal = DeletePrincipal

    def AttachPolicy(self):
        return self.DeletePrincipal() | {"Role": "reader"}

    def DetachPolicy(self):
        granted = self.AttachPolicy()
        self._do("POST", "/sluice/v1/grants", **granted)
        return granted

    def CreatePolicy(self):
        allows = {"Effect": "Allow", "Action": "edas:ReadApplication", "Resource": "*"}
        return {"Name": self._name(), "PolicyDocument": json.dumps({"Version": "1", "Statement": [allows]})}

    def DeletePolicy(self):
        made = self.CreatePolicy()
        self._do("POST", "/sluice/v1/policies", **made)
        return {"Policy": made["Name"]}

    GetPolicy = DeletePolicy
