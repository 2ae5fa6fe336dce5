"""As much of a browser as Keycloak's forms need, and a user who does what they ask."""

import hashlib
import hmac
import html
import re
import ssl
import struct
import time
from urllib.parse import urljoin

import httpx

FORMS = 6


class Browser:
    """Keeps cookies, follows redirects, sends the form of the page."""

    def __init__(self, ca_file: str | None = None) -> None:
        """Trust the authority of `ca_file`, if there is one."""
        trust = ssl.create_default_context(cafile=ca_file) if ca_file else True
        reads = {"Accept": "text/html"}
        self._http = httpx.Client(timeout=30, trust_env=False, follow_redirects=True, verify=trust, headers=reads)
        self._http.event_hooks = {"response": [self._on_loopback]}
        self.page = ""
        self._address = ""

    def open(self, address: str) -> None:
        """Open a page."""
        self._keep(self._http.get(address))

    def asks_for(self, field: str) -> bool:
        """Whether the page's form has such a field."""
        return f'name="{field}"' in self.page

    def send(self, **fields: str) -> None:
        """Fill in the form of the page and send it."""
        action = re.search(r'<form[^>]*action="([^"]+)"', self.page)
        assert action, self.page[:3000]
        hidden = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', self.page)
        values = {name: html.unescape(value) for name, value in hidden}
        address = urljoin(self._address, html.unescape(action[1]))
        self._keep(self._http.post(address, data={**values, **fields}))

    def _on_loopback(self, answer: httpx.Response) -> None:
        # Browsers take loopback for secure without TLS, and send it its cookies.
        if answer.url.host == "127.0.0.1":
            for cookie in self._http.cookies.jar:
                cookie.secure = False

    def _keep(self, answer: httpx.Response) -> None:
        self.page, self._address = answer.text, str(answer.url)


def one_time_password(secret: str, moment: float | None = None) -> str:
    """The code of a secret (RFC 6238)."""
    counter = struct.pack(">Q", int(moment or time.time()) // 30)
    digest = hmac.digest(secret.encode(), counter, hashlib.sha1)
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def first_login(browser: Browser, user: str, first: str, new: str) -> str:
    """Log in with the first password and do all that is asked; return the secret of the second factor, if any."""
    browser.send(username=user, password=first)
    secret = ""
    for _ in range(FORMS):
        if browser.asks_for("password-new"):
            browser.send(**{"password-new": new, "password-confirm": new})
        elif browser.asks_for("totpSecret"):
            found = re.search(r'name="totpSecret"[^>]*value="([^"]+)"', browser.page)
            assert found, browser.page[:3000]
            secret = html.unescape(found[1])
            browser.send(totp=one_time_password(secret), totpSecret=secret, userLabel="tests")
        elif browser.asks_for("accept"):
            browser.send(accept="Yes")
    return secret
