"""A credential for uploading packages, for programs that speak to the store alone.

`python -m credential` asks for one as the plugins do (GetPackageStorageCredential and
QueryRegionConfig) and prints it as settings, a line each: STORE (an address), BUCKET,
PREFIX, STORE_KEY_ID, STORE_KEY_SECRET and STORE_TOKEN. What it needs is in its own
environment: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET.
"""

import json
import os

from aliyunsdkcore.client import AcsClient
from aliyunsdkedas.request.v20170801.GetPackageStorageCredentialRequest import GetPackageStorageCredentialRequest
from aliyunsdkedas.request.v20170801.QueryRegionConfigRequest import QueryRegionConfigRequest


def get(endpoint, key_id, secret):
    sdk = AcsClient(key_id, secret, "cn-hangzhou")

    def ask(request):
        request.set_endpoint(endpoint)
        reply = json.loads(sdk.do_action_with_exception(request))
        assert reply["Code"] == 200, reply
        return reply

    one = ask(GetPackageStorageCredentialRequest())["Credential"]
    region = ask(QueryRegionConfigRequest())["RegionConfig"]
    return {
        # Not every program finds names below localhost: with an address the bucket goes into the path.
        "STORE": "http://" + region["FileServerConfig"]["PublicUrl"].replace("localhost:", "127.0.0.1:"),
        "BUCKET": one["Bucket"],
        "PREFIX": one["KeyPrefix"],
        "STORE_KEY_ID": one["AccessKeyId"],
        "STORE_KEY_SECRET": one["AccessKeySecret"],
        "STORE_TOKEN": one["SecurityToken"],
    }


if __name__ == "__main__":
    for name, value in get(*(os.environ[name] for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET"))).items():
        print(f"{name}={value}")
