"""OSS' client for Python uploads packages in parts, and goes on after a break.

What the client says is asserted, and that the package is in the store. A line of JSON
on standard output tells which client this is, and one for each flow how it went; a
flow that failed is the last.

Settings: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET, PACKAGES (the folder
in which the server keeps uploaded packages). The argument is a folder to work in.
"""

import hashlib
import json
import os
import sys
import time
import traceback
from importlib import metadata
from pathlib import Path

import oss2

import credential

PART = 100 << 10
KEPT = Path(os.environ["PACKAGES"])


class Broken(Exception):
    pass


class Bucket(oss2.Bucket):
    """Notes what is sent, and breaks before a part if it is told to."""

    def __init__(self, *arguments, breaks_at=None, **more):
        super().__init__(*arguments, **more)
        self.sent, self.breaks_at = [], breaks_at

    def upload_part(self, key, upload_id, part_number, data, **more):
        if part_number == self.breaks_at:
            raise Broken(part_number)
        self.sent.append(part_number)
        return super().upload_part(key, upload_id, part_number, data, **more)


class Store:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.given = credential.get(*(os.environ[name] for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET")))

    def bucket(self, **more):
        auth = oss2.StsAuth(*(self.given[name] for name in ("STORE_KEY_ID", "STORE_KEY_SECRET", "STORE_TOKEN")))
        return Bucket(auth, self.given["STORE"], self.given["BUCKET"], **more)

    def key(self, name):
        return f"{self.given['PREFIX']}/apps/shop 1/{name}"

    def file(self, name, parts):
        file = self.folder / name
        file.write_bytes(os.urandom(parts * PART + 7))
        return file

    def upload(self, bucket, file):
        checkpoints = oss2.ResumableStore(root=str(self.folder), dir=file.name + ".checkpoints")
        return oss2.resumable_upload(
            bucket, self.key(file.name), str(file), store=checkpoints, multipart_threshold=PART, part_size=PART, num_threads=1
        )

    # --- flows ---

    def in_parts(self):
        file, bucket = self.file("whole.jar", 4), self.bucket()
        done = self.upload(bucket, file)
        assert bucket.sent == [1, 2, 3, 4, 5], bucket.sent
        assert done.etag.endswith("-5") and done.crc is not None, (done.etag, done.crc)
        is_kept(file)
        small = self.file("small.jar", 0)
        put = bucket.put_object_from_file(self.key(small.name), str(small))
        assert put.etag == hashlib.md5(small.read_bytes()).hexdigest().upper() and put.crc is not None, (put.etag, put.crc)

    def after_a_break(self):
        file, first, second = self.file("broken.jar", 4), self.bucket(breaks_at=4), self.bucket()
        try:
            self.upload(first, file)
            raise AssertionError("it did not break")
        except Broken:
            pass
        (upload,) = [one for one in oss2.MultipartUploadIterator(second, prefix=self.key(file.name))]
        there = [part.part_number for part in oss2.PartIterator(second, self.key(file.name), upload.upload_id, max_parts=2)]
        assert (first.sent, there) == ([1, 2, 3], [1, 2, 3]), (first.sent, there)
        done = self.upload(second, file)
        assert second.sent == [4, 5] and done.etag.endswith("-5"), (second.sent, done.etag)
        is_kept(file)
        assert not list(oss2.MultipartUploadIterator(second, prefix=self.given["PREFIX"]))

    def given_up(self):
        bucket, key = self.bucket(), self.key("gone.jar")
        upload = bucket.init_multipart_upload(key).upload_id
        bucket.upload_part(key, upload, 1, b"a")
        bucket.abort_multipart_upload(key, upload)
        try:
            bucket.upload_part(key, upload, 2, b"b")
            raise AssertionError("it goes on")
        except oss2.exceptions.NoSuchUpload:
            pass
        try:
            bucket.complete_multipart_upload(self.key("none.jar"), upload, [])
            raise AssertionError("it is completed")
        except oss2.exceptions.OssError as error:
            assert error.status in (400, 404), error


def is_kept(file):
    """All of the file is in the store, and after a while nothing of its parts is."""
    content, deadline = file.read_bytes(), time.monotonic() + 20
    while True:
        kept = list(filter(None, map(read, KEPT.iterdir())))
        if kept.count(content) == 1 and PART not in map(len, kept):
            return
        assert time.monotonic() < deadline, [len(one) for one in kept]
        time.sleep(0.1)


def read(path):
    """What a file holds; nothing if the server has removed it since the folder was listed."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


FLOWS = {"package in parts": Store.in_parts, "package in parts, after a break": Store.after_a_break, "package in parts, given up": Store.given_up}


def tell(**line):
    print(json.dumps(line), flush=True)


def main():
    tell(client="oss2", version=metadata.version("oss2"))
    store = Store(sys.argv[1])
    for flow, run in FLOWS.items():
        try:
            run(store)
        except Exception:  # noqa: BLE001 - whatever it is, it is the flow's failure
            tell(flow=flow, passed=False, why=traceback.format_exc())
            sys.exit(1)
        tell(flow=flow, passed=True)


main()
