"""What `make demo` shows: one release in batches, and one that fails and goes back.

Drives a running server through the signed API with Alibaba Cloud's own SDK and
prints each step when it happens, with the pods of each version. Exits 1 when
anything turns out otherwise than told. It knows the server by its API alone;
the settings come from the environment (see scripts/demo).
"""

import json
import os
import sys
import time

from edas import call, client_from_environment

STATUS = {
    0: "accepted",
    1: "running",
    2: "succeeded",
    3: "FAILED",
    6: "ended by a person",
    8: "waits for a person",
    9: "waits for the next batch",
    10: "FAILED (system)",
}
FINAL = (2, 3, 6, 10)
REPLICAS, BATCHES = 10, 3
BATCHED = {"type": "BatchUpdate", "batchUpdate": {"batch": BATCHES, "releaseType": "auto", "batchWaitTime": 0}}


class Unexpected(Exception):
    """The server did something else than the story tells."""


def expect(true, what):
    if not true:
        raise Unexpected(what)


class Story:
    def __init__(self):
        self.client = client_from_environment()
        self.began = time.monotonic()
        self.patience = float(os.environ["DEMO_PATIENCE"])
        self.app = None
        self.left = REPLICAS

    def ask(self, operation, **parameters):
        body = call(self.client, operation, **parameters)
        expect(body.code == 200, f"{operation} was refused ({body.code}): {body.message}")
        return body

    def title(self, text):
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def tell(self, text):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def follow(self, order, old, new):
        """Prints each change of an order until it has ended; returns its last state."""
        shown = seen = None
        self.left = REPLICAS
        deadline = time.monotonic() + self.patience
        while True:
            info = self.ask("GetChangeOrderInfo", ChangeOrderId=order).change_order_info
            batches = info.pipeline_info_list.pipeline_info if info.pipeline_info_list else []
            line = f"{STATUS.get(info.status, info.status):<24}  {progress(batches):<12}  {self.pods(batches, old, new)}"
            # Order and pod counts come by two calls: what only one look showed
            # may be half of a change, and is told with the next look.
            if line != shown and (line == seen or info.status in FINAL):
                self.tell(line.rstrip())
                shown = line
            seen = line
            if info.status in FINAL:
                return info
            expect(time.monotonic() < deadline, f"order {order} has not ended after {self.patience:.0f} s")
            time.sleep(0.1)

    def pods(self, batches, old, new):
        """How many pods of which version are Ready, in words."""
        brought = [pod for batch in batches for pod in instances(batch)]
        ready = sum(pod.status == 2 for pod in brought)
        running = self.ask("GetApplication", AppId=self.app).application.running_instance_count or 0
        # Pods of the old version only ever go while an order runs.
        self.left = min(self.left, max(0, running - ready))
        words = [] if old is None else [f"{tag(old)}: {self.left:2} ready"]
        words.append(f"{tag(new)}: {ready:2} ready" + (f", {len(brought) - ready} not yet" if len(brought) > ready else ""))
        return "   ".join(words)

    def image(self):
        return self.ask("GetK8sApplication", AppId=self.app).applcation.image_info.image_url


def instances(batch):
    for stage in batch.stage_list.stage_info_dto if batch.stage_list else []:
        listed = stage.stage_result_dto and stage.stage_result_dto.instance_dtolist
        yield from listed.instance_dto if listed else []


def progress(batches):
    """Which batch an order is at."""
    if not batches:
        return ""
    done = sum(batch.pipeline_status == 2 for batch in batches)
    return f"batch {min(done + 1, len(batches))} of {len(batches)}"


def tag(image):
    return image.rpartition(":")[2]


def cause(info):
    """What the batch that failed says."""
    tasks = [
        task
        for batch in info.pipeline_info_list.pipeline_info
        for stage in (batch.stage_detail_list.stage_detail_dto if batch.stage_detail_list else [])
        for task in stage.task_list.task_info_dto
    ]
    return next((task.task_error_message for task in tasks if task.task_error_message), "")


def tell(story, first, second, bad):
    story.title(f"1. A new application: {REPLICAS} pods of {first}")
    made = story.ask(
        "InsertK8sApplication", AppName="shop-web", ClusterId="default", Namespace=os.environ["DEMO_NAMESPACE"],
        PackageType="Image", ImageUrl=first, Replicas=REPLICAS, PackageVersion=tag(first),
    ).application_info  # fmt: skip
    story.app = made.app_id
    expect(story.follow(made.change_order_id, None, first).status == 2, "the application was not created")

    story.title(f"2. Release {second} in {BATCHES} batches, each when the one before it serves")
    order = story.ask("DeployK8sApplication", AppId=story.app, Image=second, PackageVersion=tag(second), UpdateStrategy=json.dumps(BATCHED)).change_order_id
    expect(story.follow(order, first, second).status == 2, "the release did not succeed")
    expect(story.image() == second, f"the application does not run {second}")

    story.title(f"3. Release {bad}: this image cannot be pulled")
    order = story.ask("DeployK8sApplication", AppId=story.app, Image=bad, PackageVersion=tag(bad), UpdateStrategy=json.dumps(BATCHED)).change_order_id
    failed = story.follow(order, second, bad)
    expect(failed.status == 3, "the release of an image that cannot be pulled did not fail")
    expect(cause(failed), "the failed release does not say why")
    story.tell(f"why: {cause(failed)}")

    newest = story.ask("ListRecentChangeOrder", AppId=story.app).change_order_list.change_order[0]
    expect(newest.change_order_id != order, "no order rolls the failed one back")
    story.tell("nobody has to act: the order that rolls it back is already there")
    expect(story.follow(newest.change_order_id, bad, second).status == 2, "the failed release was not rolled back")
    expect(story.image() == second, f"the application does not run {second} again")

    story.title("What happened")
    print(f"shop-web runs {second} on {REPLICAS} pods. Its change orders, newest first:")
    for one in story.ask("ListRecentChangeOrder", AppId=story.app).change_order_list.change_order:
        print(f"  {one.create_time}  {one.change_order_id}  {one.co_type:<20} {STATUS.get(one.status, one.status)}")


def main():
    story = Story()
    try:
        tell(story, *(os.environ["DEMO_IMAGE_" + which] for which in ("V1", "V2", "BAD")))
    except Unexpected as error:
        print(f"\nThis is not what should have happened: {error}", file=sys.stderr)
        sys.exit(1)
    with open(os.environ["DEMO_APP_FILE"], "w", encoding="utf-8") as file:
        file.write(story.app)


if __name__ == "__main__":
    main()
