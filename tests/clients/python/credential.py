"""A credential for uploading packages, for programs that speak to the store alone.

`python -m credential` asks for one as the plugins do (GetPackageStorageCredential and
QueryRegionConfig) and prints it as settings, a line each: STORE (an address), BUCKET,
PREFIX, STORE_KEY_ID, STORE_KEY_SECRET and STORE_TOKEN. What it needs is in its own
environment: ENDPOINT (host:port), ACCESS_KEY_ID, ACCESS_KEY_SECRET.
"""

import os

from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.models import Config


def get(endpoint, key_id, secret):
    sdk = Client(Config(endpoint=endpoint, protocol="http", access_key_id=key_id, access_key_secret=secret))
    given = sdk.get_package_storage_credential(models.GetPackageStorageCredentialRequest()).body
    region = sdk.query_region_config().body
    assert (given.code, region.code) == (200, 200), (given.to_map(), region.to_map())
    one = given.credential
    return {
        "STORE": "http://" + region.region_config.file_server_config.public_url,
        "BUCKET": one.bucket,
        "PREFIX": one.key_prefix,
        "STORE_KEY_ID": one.access_key_id,
        "STORE_KEY_SECRET": one.access_key_secret,
        "STORE_TOKEN": one.security_token,
    }


if __name__ == "__main__":
    for name, value in get(*(os.environ[name] for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET"))).items():
        print(f"{name}={value}")
