"""Requests made from the OpenAPI document, right and wrong ones, against a running server.

Of every operation: no error of the server (5xx), no status and no reply that the
document does not have, and nothing left behind by a request that was refused. The
seed is fixed: a run makes the requests of the run before. What is accepted is
carried out meanwhile, on a simulated cluster.
"""

import json
import os
import time
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from acs3 import Acs3
from right import Right

# So often chance tries each operation; the examples and limits of the document come besides.
EXAMPLES = int(os.environ.get("SLUICE_FUZZ_EXAMPLES", "20"))
SEED = 20170801
DOCUMENT = os.path.join(os.path.dirname(__file__), "../../openapi/edas.json")

load_all_checks()
CHECKED = CHECKS.get_by_names(["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"])

config = SchemathesisConfig.from_dict(
    {
        "seed": SEED,
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "with-security-parameters": False, "database": "none"},
        # Other verbs are other operations (R1), and a GET that is none has no document.
        "phases": {"coverage": {"unexpected-methods": []}},
    }
)
schema = schemathesis.openapi.from_path(DOCUMENT, config=config)
OPERATIONS = json.load(open(DOCUMENT, encoding="utf-8"))["paths"]

# What only a request can change, and no executor. An order that rolls another one
# back is made by both; what ends an application is an order of a request's.
STATE = """
    SELECT (SELECT count(*) FROM application), (SELECT count(*) FROM change_order WHERE rolls_back IS NULL), (SELECT count(*) FROM access_key),
           (SELECT md5(string_agg(concat_ws('|', name, namespace, logical_region, description, owner, email, phone), '|' ORDER BY id)) FROM application),
           (SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM application_tag t),
           (SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM logical_region r),
           (SELECT md5(string_agg(c::text, '|' ORDER BY c::text)) FROM config_template c),
           (SELECT md5(string_agg(s::text, '|' ORDER BY s::text)) FROM scaling_rule s)
"""

seen = Counter()


class Known:
    """Things that exist, so that not every request is about what does not."""

    def __init__(self, server):
        self.server, self.session = server, requests.Session()
        self.session.trust_env = False
        self.auth = Acs3(server.key_id, server.secret)
        self.values = {
            "ClusterId": "default",
            "Namespace": "default",
            "LogicalRegionId": "cn-test:shop",
            "RegionTag": "cn-test:shop",
            "Image": "shop/web:2",
            "ImageUrl": "shop/web:2",
            "ResourceType": "application",
            "GroupId": "all",
            "HistoryVersion": "1.0",
        }
        deadline = time.monotonic() + 30
        while not self.call("GET", "/pop/v5/k8s/acs/k8s_namespace")["Data"]:
            assert time.monotonic() < deadline, "the cluster's namespaces are not known"
            time.sleep(0.05)
        made = self.call("POST", "/pop/v5/k8s/acs/create_k8s_app", AppName="web", ClusterId="default", ImageUrl="shop/web:1", Replicas=4, PackageVersion="1.0")
        assert made["Code"] == 200, made
        self.values |= {name: made["ApplicationInfo"][name] for name in ("AppId", "ChangeOrderId")}
        while True:
            order = self.call("POST", "/pop/v5/changeorder/change_order_info", ChangeOrderId=self.values["ChangeOrderId"])
            if order["changeOrderInfo"]["Status"] == 2:
                break
            assert time.monotonic() < deadline, order
            time.sleep(0.05)
        self.values["PipelineId"] = order["changeOrderInfo"]["PipelineInfoList"]["PipelineInfo"][0]["PipelineId"]
        self.values["ResourceIds"] = json.dumps([self.values["AppId"]])

    def end_order_of(self, reply):
        """Ends what a request began, so that the next one is not refused for it."""
        order = reply.get("ChangeOrderId") or reply.get("ApplicationInfo", {}).get("ChangeOrderId")
        if order:
            self.call("PUT", "/pop/v5/changeorder/change_order_abort", ChangeOrderId=order)

    def call(self, method, path, **parameters):
        return self.session.request(method, f"http://{self.server.endpoint}{path}", params=parameters, auth=self.auth, timeout=10).json()

    def well(self, method, path, **parameters):
        reply = self.call(method, path, **parameters)
        assert reply["Code"] == 200, f"{path}: {reply}"
        return reply

    def well_form(self, method, path, **parameters):
        reply = self.session.request(method, f"http://{self.server.endpoint}{path}", data=parameters, auth=self.auth, timeout=10).json()
        assert reply["Code"] == 200, f"{path}: {reply}"
        return reply


@pytest.fixture(scope="session")
def known(server):
    return Known(server)


@pytest.fixture(scope="session")
def right(known):
    return Right(known)


# These need what cannot be made through the API: a Deployment that somebody else wrote,
# a failed release that rests where it is, a cluster without applications.
NEVER_ACCEPTED = {"AdoptDeployment", "ApproveChangeOrder", "ConvertK8sResource", "RetryChangeOrderTask", "DeleteCluster"}

# Of so many requests of an operation one is right, with at most one chance parameter on top.
ONE_RIGHT_OF = 5


def on_top_of(right, chance, number):
    """A right request, and of the chance parameters the one whose turn it is; the first time none."""
    more = sorted(set(chance) - set(right))
    return dict(right) | ({more[number % len(more)]: chance[more[number % len(more)]]} if number and more else {})


def keep_small(query):
    """A hundred thousand pods are allowed; a cluster in this machine's memory would do nothing else any more."""
    try:
        number = int(query.get("Replicas", 0))
    except (TypeError, ValueError):
        return
    if 10 < number <= 100000:
        query["Replicas"] = number % 10 + 1


@schema.include(path_regex="^/(pop|sluice)/").parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_operation(case, known, right, database):
    name = case.operation.definition.raw["operationId"]
    seen[name] += 1
    number, turn = divmod(seen[name], ONE_RIGHT_OF)
    if turn == 1 and (parameters := right.of(name)):
        sent = "body" if isinstance(case.body, dict) else "query"
        setattr(case, sent, on_top_of(parameters, getattr(case, sent) or {}, number))
    # Two of three requests are about what exists, but for one that would end it.
    elif isinstance(case.query, dict) and seen[name] % 3 and not name.startswith("Delete"):
        case.query |= {parameter: value for parameter, value in known.values.items() if parameter in case.query}
        if name == "InsertK8sApplication" and "AppName" in case.query:
            case.query["AppName"] = f"web-{seen[name]}"
    # The order is over, so that a stream of it ends.
    if case.path_parameters and seen[name] % 3:
        case.path_parameters["id"] = known.values["ChangeOrderId"]
    if isinstance(case.query, dict):
        keep_small(case.query)
    before = database.execute(STATE).fetchone()
    response = case.call(base_url=f"http://{known.server.endpoint}", session=known.session, auth=known.auth, timeout=10)
    case.validate_response(response, checks=CHECKED)
    if response.headers["content-type"][0] == "text/event-stream":
        assert "event: done" in response.text, response.text
        seen[name, "accepted"] += 1
        return
    reply = response.json()
    # A refusal because of the signature would be one of this test's own mistakes.
    assert not str(reply["Code"]).startswith(("Signature", "IncompleteSignature", "InvalidTimeStamp", "InvalidAccessKeyId")), reply
    seen[name, "accepted" if reply["Code"] == 200 else "refused"] += 1
    if reply["Code"] == 200:
        known.end_order_of(reply)
    else:
        assert database.execute(STATE).fetchone() == before, f"something was left behind by what was refused: {reply}"


def test_every_operation_was_tried():
    """Behind the others, in the order of the file."""
    names = [it["operationId"] for path, verbs in OPERATIONS.items() if path.startswith(("/pop/", "/sluice/")) for it in verbs.values()]
    for name in names:
        print(f"{name:32} {seen[name, 'accepted']:5} accepted {seen[name, 'refused']:5} refused")
    assert len(names) > 40
    assert not [name for name in names if not seen[name]], "these operations were not tried"
    assert {name for name in names if not seen[name, "accepted"]} == NEVER_ACCEPTED
    assert sum(seen[name, "refused"] for name in names) > 500, "hardly anything was refused"
