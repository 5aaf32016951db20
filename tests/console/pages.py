"""Pages as a plain client gets them, without a browser."""

import http.client
import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Final
from urllib.parse import urlencode

from tests.http.server import Answer, Server

_HIDDEN: Final = re.compile(r'<input type="hidden" name="(?P<name>[^"]*)" value="(?P<value>[^"]*)"')

Fields = Mapping[str, str] | Sequence[tuple[str, str]]


class Reader:
    """Somebody who is signed in and reads pages."""

    def __init__(self, shop: Server, role: str, name: str = "小李", language: str = "zh") -> None:
        self._connection = http.client.HTTPConnection(shop.address, timeout=30)
        self._headers = {"Accept-Language": language}
        link = shop.embedded.link(name, (role,))
        answer = self._ask("GET", link.removeprefix(f"http://{shop.address}"))
        self._headers["Cookie"] = str(answer.headers["Set-Cookie"]).partition(";")[0]

    def get(self, path: str, **headers: str) -> Answer:
        """A page."""
        return self._ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, fields: Fields) -> Answer:
        """Send a form."""
        body = urlencode(list(fields.items()) if isinstance(fields, Mapping) else fields).encode()
        return self._ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def send(self, path: str, body: bytes, **headers: str) -> Answer:
        """Send a body as it is, as scripts of pages and forms with files do."""
        return self._ask("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def marks(self, path: str) -> dict[str, str]:
        """The hidden fields of the last form of a page that has a version: its mark, key and version."""
        page = text_of(self.get(path)).partition('id="form"')[2].partition("</form>")[0]
        return {match["name"]: unescape(match["value"]) for match in _HIDDEN.finditer(page)}

    def follow(self, path: str) -> http.client.HTTPResponse:
        """An answer that does not end by itself, to be read line by line."""
        self._connection.request("GET", path, headers=self._headers)
        return self._connection.getresponse()

    def csrf(self) -> str:
        """The mark of the session, for forms that are written by hand."""
        page = text_of(self.get("/console/search"))
        return page.partition('<meta name="csrf" content="')[2].partition('"')[0]

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        self._connection.request(method, path, body, {**self._headers, **headers})
        response = self._connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def close(self) -> None:
        """Leave."""
        self._connection.close()


def text_of(answer: Answer) -> str:
    """The page's source."""
    return answer.raw.decode()
