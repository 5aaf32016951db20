"""Somebody who is signed in to the console of a measured server, and asks its API too."""

import gzip
import http.client
import re
import time
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.processes import Server
from services.console.signing_in.links import PAGE, OneTimeLinks
from services.kernel.shop_time import SHOP_TIME

_ASSET = re.compile(r'(?:src|href)="(/console/static/[^"]+)"')


class Visitor:
    """One connection that is kept; requests one after another, as in one browser tab."""

    def __init__(self, server: Server, data_dir: Path) -> None:
        self._connection = http.client.HTTPConnection(server.started.host, server.started.port, timeout=60)
        self._token = {"Authorization": f"Bearer {server.started.token}"}
        secret = (data_dir / "token.secret").read_text().strip()
        now = datetime.now(SHOP_TIME)
        token = OneTimeLinks(secret, now).make("小李", ("team_lead", "agent"), now, timedelta(minutes=5))
        headers, _ = self._get(f"{PAGE}?token={token}", {}, 303)
        self._cookie = {"Cookie": headers["Set-Cookie"].partition(";")[0]}

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def page(self, path: str) -> float:
        """How long a page takes, in milliseconds."""
        began = time.perf_counter()
        self._get(path, self._cookie)
        return (time.perf_counter() - began) * 1000

    def answers(self, *paths: str) -> float:
        """How long it takes to get these answers of the API, one after another, in milliseconds."""
        began = time.perf_counter()
        for path in paths:
            self._get(path, self._token)
        return (time.perf_counter() - began) * 1000

    def first_load(self, path: str) -> int:
        """Compressed bytes of a page with its scripts and styles, to a browser that has nothing yet."""
        page = self._zipped(path)
        return len(page) + sum(len(self._zipped(asset)) for asset in _ASSET.findall(gzip.decompress(page).decode()))

    def _zipped(self, path: str) -> bytes:
        headers, body = self._get(path, {**self._cookie, "Accept-Encoding": "gzip"})
        return body if headers["Content-Encoding"] == "gzip" else gzip.compress(body)

    def _get(self, path: str, headers: dict[str, str], status: int = 200) -> tuple[http.client.HTTPMessage, bytes]:
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != status:
            raise RuntimeError(f"{path}: {response.status} {body[:300].decode(errors='replace')}")
        return response.headers, body
