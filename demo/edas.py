"""Any EDAS operation from a shell, through Alibaba Cloud's own Python SDK.

    edas OPERATION [PARAMETER=VALUE]...     edas GetApplication AppId=...

Prints the reply as JSON; fails when the reply's Code is not 200. Where to send
it and with which key comes from the environment: SLUICE_ENDPOINT (host:port),
SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET.
"""

import json
import os
import re
import signal
import sys

from alibabacloud_edas20170801 import models
from alibabacloud_edas20170801.client import Client
from alibabacloud_tea_openapi.models import Config
from darabonba.exceptions import DaraException


def client_from_environment():
    """The SDK's client, unchanged, pointed at the server."""
    # The SDK sends plain HTTP through a proxy whatever NO_PROXY says.
    for name in ("HTTP_PROXY", "http_proxy"):
        os.environ.pop(name, None)
    return Client(
        Config(
            endpoint=os.environ["SLUICE_ENDPOINT"],
            protocol="http",
            access_key_id=os.environ["SLUICE_ACCESS_KEY_ID"],
            access_key_secret=os.environ["SLUICE_ACCESS_KEY_SECRET"],
        )
    )


def call(client, operation, **parameters):
    """Sends one operation and returns the SDK's object for the reply's body."""
    request = getattr(models, operation + "Request", None)
    if request is None:
        raise SystemExit(f"EDAS has no operation {operation}")
    method = getattr(client, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
    return method(request().from_map(parameters)).body


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "edas ... | head" is no failure
    if len(sys.argv) < 2 or not all("=" in word for word in sys.argv[2:]):
        raise SystemExit(__doc__)
    missing = [name for name in ("ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET") if not os.environ.get("SLUICE_" + name)]
    if missing:
        raise SystemExit("not set: " + ", ".join("SLUICE_" + name for name in missing))
    parameters = dict(word.split("=", 1) for word in sys.argv[2:])
    try:
        body = call(client_from_environment(), sys.argv[1], **parameters)
    except DaraException as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(body.to_map(), indent=2, ensure_ascii=False))
    sys.exit(0 if body.code == 200 else 1)


if __name__ == "__main__":
    main()
