"""Alibaba Cloud's Maven plugin releases an application the ways its users do.

`mvn toolkit:deploy` runs for each flow, in a project of its own, offline but for
the server. What it says and how it ends is asserted first, then that the SDK says
the same of the order. A line of JSON on standard output tells which client this
is, and one for each flow how it went; a flow that failed is the last.

Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, APP_NAME,
NAMESPACE, PACKAGES (the folder in which the server keeps uploaded packages); the
server must release packages from loopback addresses for "Open JDK 8".
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.models import Config

from orders import SUCCESS, WAITS_FOR_CONFIRMATION, follow, info, insert, instances, pipelines, recent, stages, well

ENDPOINT, KEY_ID, SECRET = (os.environ[name] for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET"))
REPLICAS = 4
MAVEN_SECONDS = 120
PHASED = '{type: BatchUpdate, batchUpdate: {batch: 3, releaseType: %s%s}}'
CANARY = "{type: GrayBatchUpdate, grayUpdate: {gray: 1}, batchUpdate: {batch: 2, releaseType: auto, batchWaitTime: 0}}"


class Maven:
    """The plugin, in its project."""

    def __init__(self, project):
        self.project = Path(project)
        # It tells a statistics host of each success, by plain HTTP: no name but this one is resolved.
        (self.project / "hosts").write_text("127.0.0.1 localhost\n")
        self.more_profile = ""

    def write(self, **files):
        """Writes the configuration, in which the key is, and returns the options that name it."""
        for name, text in files.items():
            file = self.project / f"{name}.yaml"
            file.touch(mode=0o600)
            file.write_text(text, encoding="utf-8")
        return [f"-D{name}={name}.yaml" for name in files]

    def three_files(self, package, target, more=""):
        return self.write(
            toolkit_profile=f'regionId: cn-hangzhou\nendpoint: "{ENDPOINT}"\naccessKeyId: "{KEY_ID}"\naccessKeySecret: "{SECRET}"\n{self.more_profile}',
            toolkit_package=f"apiVersion: V1\nkind: AppPackage\nspec: {package}\n",
            toolkit_deploy="apiVersion: V1\nkind: AppDeployment\nspec:\n  type: kubernetes\n"
            f'  target: {target}\n  desc: "by the plugin"\n  traceInterval: 1\n  envs: [{{name: GREETING, value: "b c"}}]\n{more}',
        )

    @contextlib.contextmanager
    def deploy(self, options):
        """Runs the plugin; while the block runs, it traces its order. Fails unless it then ends well."""
        arguments = ["mvn", "--batch-mode", "--offline", "toolkit:deploy", *options]
        options = os.environ.get("MAVEN_OPTS", "")
        environment = os.environ | {"MAVEN_OPTS": f"{options} -Djdk.net.hosts.file={self.project / 'hosts'}"}
        process = subprocess.Popen(
            arguments, cwd=self.project, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stdout))
        reader.start()
        try:
            run = SimpleNamespace(traces=lambda: process.poll() is None)
            yield run
            process.wait(MAVEN_SECONDS)
        finally:
            process.kill()
            reader.join()
            run.text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(said))
            print(run.text, file=sys.stderr)
        assert process.returncode == 0 and "Deploy application successfully!" in run.text, run.text
        (run.order,) = re.findall(r"Begin to trace change order: ([0-9a-f-]+),", run.text)
        run.instances = re.findall(r"InstanceStageName:.*InstanceStageId:\S+@\d+-(\S+)", run.text)
        run.batches = list(dict.fromkeys(re.findall(r"PipelineName:.*PipelineId:(\S+)", run.text)))

class Shop:
    def __init__(self, project):
        self.maven = Maven(project)
        self.sdk = Client(Config(endpoint=ENDPOINT, protocol="http", access_key_id=KEY_ID, access_key_secret=SECRET))
        self.name = os.environ["APP_NAME"]
        self.id = insert(self.sdk, SimpleNamespace(name=os.environ["NAMESPACE"]), name=self.name, replicas=REPLICAS)
        self.version = None

    def whole(self):
        return well(self.sdk.get_k8s_application(models.GetK8sApplicationRequest(app_id=self.id, from_="deploy"))).applcation

    def newest(self):
        return recent(self.sdk, self.id)[0]

    def has_run(self, run, pods, image=None):
        """The plugin traced the newest order to its end, through all of its batches, and the SDK says the same of it."""
        self.version = re.search(r"toolkit-maven-plugin:(\S+):deploy", run.text).group(1)
        assert self.newest().change_order_id == run.order
        end = info(self.sdk, run.order)
        assert end.status == SUCCESS
        assert [len(instances(batch)) for batch in pipelines(end)] == pods
        assert sorted(run.instances) == sorted(pod.pod_name for batch in pipelines(end) for pod in instances(batch)), run.text
        assert run.batches == [batch.pipeline_id for batch in pipelines(end)], run.text
        if image:
            assert self.whole().image_info.image_url == image

    def waits(self, before, done):
        """The order after `before`, when it waits with so many batches done; its batches."""
        deadline = time.monotonic() + MAVEN_SECONDS
        while self.newest().change_order_id == before:
            assert time.monotonic() < deadline, "the plugin ordered nothing"
            time.sleep(0.2)
        order = self.newest().change_order_id
        while True:
            now = follow(self.sdk, order, until={WAITS_FOR_CONFIRMATION})
            batches = pipelines(now)
            if [batch.pipeline_status for batch in batches[:done]] == [SUCCESS] * done:
                assert not any(stages(batch) for batch in batches[done:]), "a batch that has not begun shows a stage"
                return batches
            assert time.monotonic() < deadline, f"order {order} does not wait with {done} batches done"
            time.sleep(0.2)

    def confirm(self, batch):
        well(self.sdk.continue_pipeline(models.ContinuePipelineRequest(pipeline_id=batch.pipeline_id, confirm=True)))

    # --- flows ---

    def all_at_once(self):
        options = self.maven.three_files("{packageType: Image, imageUrl: 'shop/web:2.0'}", f"{{appId: {self.id}}}")
        with self.maven.deploy(options) as run:
            pass
        self.has_run(run, [REPLICAS], "shop/web:2.0")
        given = [(one.name, one.value) for one in self.whole().app.env_list.env]
        assert given == [("GREETING", "b c")], given

    def phased_automatic(self):
        strategy = PHASED % ("auto", ", batchWaitTime: 0")
        options = self.maven.three_files("{packageType: Image, imageUrl: 'shop/web:3.0'}", f"{{appId: {self.id}}}", f"  updateStrategy: {strategy}\n")
        with self.maven.deploy(options) as run:
            pass
        self.has_run(run, [1, 1, 2], "shop/web:3.0")

    def phased_confirmed(self):
        before = self.newest().change_order_id
        strategy = PHASED % ("manual", "")
        options = self.maven.three_files("{packageType: Image, imageUrl: 'shop/web:4.0'}", f"{{appId: {self.id}}}", f"  updateStrategy: {strategy}\n")
        with self.maven.deploy(options) as run:
            for done in (1, 2):
                batches = self.waits(before, done)
                assert run.traces(), "the plugin did not wait for the person"
                self.confirm(batches[done])
        self.has_run(run, [1, 1, 2], "shop/web:4.0")

    def canary(self):
        before = self.newest().change_order_id
        options = self.maven.three_files("{packageType: Image, imageUrl: 'shop/web:5.0'}", f"{{appId: {self.id}}}", f"  updateStrategy: {CANARY}\n")
        with self.maven.deploy(options) as run:
            batches = self.waits(before, 1)
            assert len(instances(batches[0])) == 1
            assert run.traces(), "the plugin did not wait for the person"
            self.confirm(batches[0])
        self.has_run(run, [1, 1, 2], "shop/web:5.0")

    def package_by_address(self):
        with packages() as server:
            package = f"{{packageType: url, packageUrl: '{server.address}/shop-1.0.jar'}}"
            options = self.maven.three_files(package, f"{{appId: {self.id}}}", '  version: "1.0-jar"\n  jdk: Open JDK 8\n')
            with self.maven.deploy(options) as run:
                pass
            assert server.asked, "the server did not ask whether the package is there"
        self.has_run(run, [REPLICAS])
        whole = self.whole()
        assert whole.app.application_type == "FatJar", whole.app.to_map()
        assert whole.latest_version.package_version == "1.0-jar", whole.latest_version.to_map()

    def local_package(self):
        jar = b"PK\x03\x04" + os.urandom(300_000)
        (self.maven.project / "shop-2.0.jar").write_bytes(jar)
        self.maven.more_profile = "jarPath: shop-2.0.jar\n"
        options = self.maven.three_files("{packageType: FatJar}", f"{{appId: {self.id}}}", '  version: "2.0-jar"\n  jdk: Open JDK 8\n')
        self.maven.more_profile = ""
        with self.maven.deploy(options) as run:
            pass
        self.has_run(run, [REPLICAS])
        whole = self.whole()
        assert whole.app.application_type == "FatJar", whole.app.to_map()
        assert whole.latest_version.package_version == "2.0-jar", whole.latest_version.to_map()
        files = [file for file in Path(os.environ["PACKAGES"]).rglob("*") if file.is_file()]
        # The server's mark says whose the folder is.
        kept = [file.read_bytes() for file in files if file.name != "sluice-store"]
        assert kept == [jar], [len(one) for one in kept]

    def target_by_name(self):
        (listed,) = [one for one in well(self.sdk.list_application(models.ListApplicationRequest())).application_list.application if one.app_id == self.id]
        target = f"{{namespaceId: '{listed.region_id}', appName: {self.name}}}"
        with self.maven.deploy(self.maven.three_files("{packageType: Image, imageUrl: 'shop/web:6.0'}", target)) as run:
            pass
        self.has_run(run, [REPLICAS], "shop/web:6.0")

    def older_configuration(self):
        env = f'env: {{region_id: cn-hangzhou, endpoint: "{ENDPOINT}", access_key_id: "{KEY_ID}", access_key_secret: "{SECRET}"}}\n'
        app = f'app: {{app_id: {self.id}, package_version: "7.0", desc: "by the plugin", image_url: "shop/web:7.0"}}\n'
        with self.maven.deploy(self.maven.write(edas_config=env + app)) as run:
            pass
        self.has_run(run, [REPLICAS], "shop/web:7.0")


@contextlib.contextmanager
def packages():
    """A server of packages on loopback: every path is a JAR."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/java-archive")
            self.send_header("Content-Length", "4")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"PK\x03\x04")

        do_GET = do_HEAD = answer

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", asked=asked)
    finally:
        server.shutdown()
        server.server_close()


FLOWS = {
    "all at once": Shop.all_at_once,
    "phased, automatic": Shop.phased_automatic,
    "phased, confirmed": Shop.phased_confirmed,
    "canary": Shop.canary,
    "package by address": Shop.package_by_address,
    "local package": Shop.local_package,
    "target by name": Shop.target_by_name,
    "older configuration file": Shop.older_configuration,
}


def tell(**line):
    print(json.dumps(line), flush=True)


def main():
    shop = Shop(sys.argv[1])
    for flow, run in FLOWS.items():
        try:
            run(shop)
        except Exception:  # noqa: BLE001 - whatever it is, it is the flow's failure
            tell(flow=flow, passed=False, why=traceback.format_exc())
            sys.exit(1)
        tell(client="toolkit-maven-plugin", version=shop.version)
        tell(flow=flow, passed=True)


main()
