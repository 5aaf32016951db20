"""Runs the provider of `server.mjs`. Its packages come by npm once and are kept in the user's cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

HERE: Final = Path(__file__).parent
CLIENT_ID: Final = "console"
CLIENT_SECRET: Final = "the console's secret: 100% & more"
CALLBACK: Final = "/console/sign-in/callback"
SIGNED_OUT: Final = "/console/signed-out"
FETCH_SECONDS: Final = 300

_INSTALL: Final = ("apt-get", "install", "--yes", "--no-install-recommends", "nodejs", "npm")

#: Accounts by their `sub`: what the provider says of them. The last two cannot work here.
USERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "u-agent": {"preferred_username": "小李", "name": "李小明", "roles": ["agent"]},
    "u-lead": {"preferred_username": "王姐", "roles": ["team_lead", "agent"]},
    "u-manager": {"preferred_username": "店长", "roles": ["store_manager", "finance", "warehouse"]},
    "u-warehouse": {"preferred_username": "老仓", "roles": "warehouse something-else"},
    "u-finance": {"preferred_username": "老钱", "roles": ["finance"]},
    "u-guest": {"preferred_username": "访客", "roles": ["cook", "service"]},
    "u-nameless": {"preferred_username": "a\u202eb", "roles": ["agent"]},
}


class ProviderMissing(Exception):
    """The provider for tests cannot be run on this machine. It needs Node.js 20 or newer and npm with a registry:
    `apt-get install --yes nodejs npm`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{' '.join((self.__doc__ or '').split())} {reason}".strip())


@contextmanager
def throwaway_provider(*, claims_in_id_token: bool = False) -> Iterator[str]:
    """A running provider for the length of a block: its issuer. `claims_in_id_token`: it tells of people in the ID
    token, else only when it is asked (userinfo). Raises ProviderMissing."""
    node, modules = _program("node"), _packages()
    with tempfile.TemporaryDirectory(prefix="aftersales-oidc-") as folder:
        place = Path(folder)
        shutil.copy(HERE / "server.mjs", place)
        (place / "node_modules").symlink_to(modules)
        setup = {"clients": _clients(), "users": USERS, "claimsInIdToken": claims_in_id_token}
        log = (place / "log").open("w+b")
        process = subprocess.Popen(
            [node, "server.mjs"],
            cwd=place,
            env={"PATH": os.environ.get("PATH", ""), "SETUP": msgspec.json.encode(setup).decode()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        with log, process:  # its standard input is closed in the end, which ends it
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                process.wait()
                log.seek(0)
                raise ProviderMissing(log.read().decode(errors="replace")[-3000:])
            yield msgspec.json.decode(said)["issuer"]


def _clients() -> Sequence[Mapping[str, Any]]:
    ours = {
        "redirect_uris": [f"http://127.0.0.1{CALLBACK}"],
        "post_logout_redirect_uris": [f"http://127.0.0.1{SIGNED_OUT}"],
    }
    return (
        {**ours, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        {
            **ours,
            "client_id": "by-post",
            "client_secret": CLIENT_SECRET,
            "token_endpoint_auth_method": "client_secret_post",
        },
        {**ours, "client_id": "public", "token_endpoint_auth_method": "none"},
    )


def _packages() -> Path:
    """The folder of the provider's packages, as the lock file says; npm fetches them the first time. Safe with several
    processes at once. Raises ProviderMissing."""
    lock = HERE / "package-lock.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aftersales"
    kept = cache / f"oidc-provider-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if not kept.is_dir():
        npm = _program("npm")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".oidc-", dir=cache) as folder:
            fetched = Path(folder) / "fetched"
            fetched.mkdir()
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(HERE / name, fetched)
            _run((npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"), fetched)
            try:
                fetched.rename(kept)
            except OSError:
                if not kept.is_dir():  # else another process was quicker
                    raise
    return kept / "node_modules"


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        raise ProviderMissing(f"npm did not end in {FETCH_SECONDS} seconds.") from None
    if done.returncode:
        raise ProviderMissing((done.stdout + done.stderr)[-3000:])


def _program(name: str) -> str:
    """The path of node or npm; installs them where Debian lets us. Raises ProviderMissing."""
    if found := shutil.which(name):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise ProviderMissing(f"There is no {name}.")
    done = subprocess.run(_INSTALL, capture_output=True, text=True, check=False)
    if found := shutil.which(name):
        return found
    raise ProviderMissing(done.stderr)
