"""Which addresses notifications may be posted to: nobody reaches the inside of the environment through us.

The name is resolved once, every address is checked, and the connection goes to the checked address: a name that
resolves differently a moment later changes nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from refsys.services.common.logs import get_logger

HTTPS_PORT = 443
MAX_URL = 2000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

log = get_logger()

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class RefusedError(ValueError):
    """An address that notifications are not posted to; the message says why and what to give instead."""


@dataclass(frozen=True)
class Guard:
    """`allowed` are networks that may be reached although they are not public, at any port."""

    allowed: Sequence[Network] = ()

    def check_url(self, text: str) -> httpx.URL:
        """Return a notification endpoint's URL after all checks that need no look-up; raises `RefusedError`."""
        try:
            url = httpx.URL(text)
        except (httpx.InvalidURL, TypeError) as error:
            raise RefusedError("it is not a URL; give https://host/path") from error
        if len(text) > MAX_URL or url.scheme != "https" or not url.host or not text.isprintable():
            raise RefusedError(f"give https://host/path of at most {MAX_URL} characters: nothing is sent in the clear")
        if not 1 <= (url.port or HTTPS_PORT) <= 65_535:
            raise RefusedError(f"there is no port {url.port}")
        if url.userinfo or url.fragment:
            raise RefusedError("give user and password in NotificationEpUsername and NotificationEpPassword, no #…")
        try:
            literal = ipaddress.ip_address(url.host)
        except ValueError:
            return url
        self._check(literal, url.port or HTTPS_PORT)
        return url

    async def resolve(self, url: httpx.URL) -> str:
        """Return the one address to connect to; raises `RefusedError`, or OSError if there is no such name."""
        port = url.port or HTTPS_PORT
        found = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        for address in addresses:  # one bad address among good ones is an attempt
            self._check(address, port)
        return str(addresses[0])

    def _check(self, address: Address, port: int) -> None:
        if any(address.version == network.version and address in network for network in self.allowed):
            return
        if not _public(address):
            log.warning("notification address refused", address=str(address), port=port)
            raise RefusedError(f"{address} is not a public address; give one that the internet reaches")
        if port != HTTPS_PORT:
            raise RefusedError(f"port {port} is not allowed; notifications go to port {HTTPS_PORT}")


def _public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and (
        address.ipv4_mapped or address.sixtofour or address.teredo or address in _NAT64
    ):
        return False  # these lead to an IPv4 address that nobody checked
    return address.is_global and not address.is_multicast and not address.is_reserved
