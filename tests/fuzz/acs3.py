"""Signs requests as EDAS' newer SDKs do (ACS3-HMAC-SHA256), written from the rules."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes, urlsplit

from requests.auth import AuthBase


class Acs3(AuthBase):
    """Signs what is about to be sent, whatever made it: also text that is no UTF-8."""

    def __init__(self, key_id, secret):
        self.key_id, self.secret = key_id, secret

    def __call__(self, request):
        target = urlsplit(request.url)
        digest = hashlib.sha256(request.body.encode() if isinstance(request.body, str) else request.body or b"").hexdigest()
        request.headers.update(
            {
                "host": target.netloc,
                "x-acs-content-sha256": digest,
                "x-acs-date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "x-acs-signature-nonce": secrets.token_hex(16),
                "x-acs-version": "2017-08-01",
            }
        )
        names = sorted(name.lower() for name in request.headers if name.lower() == "host" or name.lower().startswith("x-acs-"))
        headers = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
        signed = ";".join(names)
        canonical = "\n".join([request.method, target.path, _query(target.query), headers, signed, digest])
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        request.headers["authorization"] = f"ACS3-HMAC-SHA256 Credential={self.key_id},SignedHeaders={signed},Signature={signature}"
        return request


def _query(encoded):
    """Decoded as a form, sorted by name, and encoded again after RFC 3986."""
    pairs = [pair.partition("=") for pair in encoded.split("&") if pair]
    decoded = sorted((unquote_to_bytes(name.replace("+", " ")), unquote_to_bytes(value.replace("+", " "))) for name, _, value in pairs)
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in decoded)
