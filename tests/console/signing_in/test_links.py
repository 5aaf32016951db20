"""One-time links: each lets somebody in once, in time, by the server that was running when it was made."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from yarl import URL

from services.catalogue import SERVICES
from services.cli.claim import claimed, found_at
from services.console.signing_in.links import ALL_ROLES, LinkRefused, OneTimeLinks, address
from services.kernel.clock import SystemClock
from services.kernel.settings import load_settings
from services.token_secret import token_secret
from tests.cli.terminal import aftersales

SECRET = "a-secret-that-is-long-enough-for-tests"
NOW = datetime(2025, 6, 1, 9, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def refused(links: OneTimeLinks, token: str, now: datetime = NOW) -> str:
    with pytest.raises(LinkRefused) as error:
        links.take(token, now)
    return error.value.reason


def test_a_link_lets_in_once() -> None:
    """The first to open a link is who it was made for; the second is told that it was used."""
    links = OneTimeLinks(SECRET, NOW)
    token, other = (links.make("小李", ("agent", "finance"), NOW, QUARTER) for _ in range(2))
    assert links.take(token, NOW) == ("小李", ("agent", "finance"))
    assert refused(links, token) == "used"
    assert links.take(other, NOW)[0] == "小李"


def test_a_link_ends_in_time() -> None:
    """A link that lay about is of no use, whether it was used or not."""
    links = OneTimeLinks(SECRET, NOW)
    token = links.make("小李", ("agent",), NOW, QUARTER)
    assert links.take(token, NOW + QUARTER - timedelta(seconds=1))
    assert refused(links, token, NOW + QUARTER) == "expired"


def test_a_used_link_does_not_come_back_with_a_restart() -> None:
    """A server that started later cannot know what was used, so it takes only links made since."""
    before = OneTimeLinks(SECRET, NOW)
    token = before.make("小李", ("agent",), NOW, QUARTER)
    before.take(token, NOW)
    restarted_at = NOW + timedelta(microseconds=1)
    assert refused(OneTimeLinks(SECRET, restarted_at), token, restarted_at) == "earlier"


def test_only_so_many_used_links_are_remembered_as_could_come_back() -> None:
    """The memory of used links does not grow for ever."""
    links = OneTimeLinks(SECRET, NOW)
    for minutes in (0, 20, 40):
        now = NOW + timedelta(minutes=minutes)
        links.take(links.make("小李", ("agent",), now, QUARTER), now)
    assert len(links._used) == 1


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", OneTimeLinks(SECRET[::-1], NOW).make("x", ["agent"], NOW, QUARTER)]
)
def test_made_up_links_let_nobody_in(token: str) -> None:
    """Without the secret there is no way in."""
    assert refused(OneTimeLinks(SECRET, NOW), token) == "forged"


@pytest.mark.parametrize(("name", "roles"), [("", ["agent"]), ("x", []), ("x", ["service"]), ("x", ["operator"])])
def test_links_are_for_people(name: str, roles: list[str]) -> None:
    """No link is made for a system, or for nobody."""
    with pytest.raises(ValueError, match="not"):
        OneTimeLinks(SECRET, NOW).make(name, roles, NOW, QUARTER)


def test_the_command_makes_a_link_for_a_server_at_work(tmp_path: Path) -> None:
    """`aftersales link` gives who has the data folder a way into the running server's console."""
    links = OneTimeLinks(token_secret(load_settings({}, data_dir=tmp_path)), SystemClock().now())
    with claimed(tmp_path, list(SERVICES)):
        told = aftersales("link", "--data-dir", str(tmp_path), "--name", "小李", "--json", PORT="8123")
        plain = aftersales(
            "link", "--role", "finance", "--role", "agent", "--url", "https://a.example/", DATA_DIR=str(tmp_path)
        )
    assert told.status == plain.status == 0, (told.err, plain.err)
    assert told.json["link"].startswith("http://127.0.0.1:8123/console/sign-in/link?token=")
    assert links.take(URL(told.json["link"]).query["token"], SystemClock().now()) == ("小李", ALL_ROLES)
    assert plain.out.startswith("https://a.example/console/sign-in/link?token=")
    assert links.take(URL(plain.out.strip()).query["token"], SystemClock().now()) == ("newcomer", ("finance", "agent"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--role", "boss"], "store_manager"),
        (["--role", "service"], "store_manager"),
        (["--name", "a\tb"], "--name"),
        (["--minutes", "0"], "--minutes"),
        (["--minutes", "9999"], "--minutes"),
        (["--url", "shop"], "--url"),
    ],
)
def test_mistakes_name_option_and_rule(tmp_path: Path, arguments: list[str], said: str) -> None:
    """A wrong option is named with what it may be."""
    aftersales("link", *arguments, "--data-dir", str(tmp_path)).must_fail(2, said)


def test_without_a_server_there_is_nothing_to_link_to(tmp_path: Path) -> None:
    """A link made before the server starts would not be taken, so none is made."""
    aftersales("link", "--data-dir", str(tmp_path / "none")).must_fail(1, "make run")
    aftersales("link", "--data-dir", str(tmp_path)).must_fail(1, "make run")
    aftersales("link", "--data-dir", str(tmp_path), PORT="0").must_fail(2, "--url")


def test_where_the_console_is_reached_is_known(tmp_path: Path) -> None:
    """A link begins with the public address where there is one, else with the address that the server at work listens
    on, else with the one of the settings."""
    with claimed(tmp_path, list(SERVICES)):
        for environ, url in (
            ({"CONSOLE_URL": "https://shop.example"}, "https://shop.example/console/"),
            ({"HOST": "0.0.0.0"}, "http://127.0.0.1:8080/console/"),
            ({"HOST": "::1"}, "http://[::1]:8080/console/"),
        ):
            told = aftersales("link", "--data-dir", str(tmp_path), **environ)
            assert told.out.startswith(url), (told.out, told.err)
        with found_at(tmp_path, "http://127.0.0.1:8099"):
            told = aftersales("link", "--data-dir", str(tmp_path))
            assert told.out.startswith("http://127.0.0.1:8099/console/"), (told.out, told.err)


def test_an_address_is_one_word() -> None:
    """What is printed can be clicked, and copied out of a terminal."""
    made = OneTimeLinks(SECRET, NOW).make("newcomer", ALL_ROLES, NOW, QUARTER)
    assert len(address("http://127.0.0.1:8080", made)) < 280
    assert address("http://x/", "a.b-c_d") == "http://x/console/sign-in/link?token=a.b-c_d"
