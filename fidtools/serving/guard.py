"""What every request passes first: the name it was sent to, the token, and headers of every answer."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable
from ipaddress import ip_address
from typing import Any

import orjson

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
OPEN_PATHS = frozenset({"/", "/docs", "/health", "/openapi.json"})
OPEN_FOLDER = "/site/"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """An ASGI application around another one.

    `hosts` are the names that a request's Host may have, without port: a page of another site whose name was made to
    point to this machine (DNS rebinding) sends its own name. None accepts every name. With `token`, every path that
    reaches the models needs `Authorization: Bearer TOKEN`.
    """

    def __init__(self, app: Any, hosts: Collection[str] | None, token: str | None) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer or pass on one request."""

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        headers = scope["headers"]
        if self._hosts is not None and host_name(headers) not in self._hosts:
            message = f"this server answers to {', '.join(sorted(self._hosts))}; --allow-host adds a name"
            await _refuse(send_with_headers, 421, message)
            return
        scope["authorized"] = self._is_authorized(headers)
        if not scope["authorized"] and scope["path"] not in OPEN_PATHS and not scope["path"].startswith(OPEN_FOLDER):
            challenge = [(b"www-authenticate", b"Bearer")]
            await _refuse(send_with_headers, 401, "needs the header 'Authorization: Bearer TOKEN'", challenge)
            return
        await self._app(scope, receive, send_with_headers)

    def _is_authorized(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if self._token is None:
            return True
        given = _header(headers, b"authorization")
        scheme, _, credentials = given.partition(b" ")
        # compared in constant time, so that the time does not tell how much of it is right
        return hmac.compare_digest(credentials.strip(), self._token) and scheme.lower() == b"bearer"


def host_name(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The name in the header Host, in lower case and without port; "" if there is none."""
    value = _header(headers, b"host").decode("latin-1").lower()
    if value.startswith("["):
        return value[: value.find("]") + 1]
    return value.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a server on `host`, a name or an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def allowed_hosts(host: str, more: Collection[str]) -> frozenset[str] | None:
    """The names that requests may use for a server on `host`; None, for all, if others can connect to it."""
    if not is_loopback(host):
        return frozenset(name.lower() for name in more) or None
    own = f"[{host}]" if ":" in host else host
    return LOOPBACK_NAMES | {own.lower()} | {name.lower() for name in more}


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in headers if key == name), b"")


async def _refuse(send: Any, status: int, message: str, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = orjson.dumps({"error": message})
    length = str(len(body)).encode()
    start = [(b"content-type", b"application/json"), (b"content-length", length), (b"connection", b"close"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
