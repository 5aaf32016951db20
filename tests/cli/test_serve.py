"""`aftersales serve`: real processes, alone and together, and every way in which it cannot begin."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalogue import SERVICES
from services.cli import serve
from services.kernel.settings import load_settings
from tests.cli.terminal import ORDER, Server, aftersales, until


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port that something else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(folder: Path, number: signal.Signals) -> None:
    """A supervisor, and Ctrl-C, see an exit status of 0 and no traceback."""
    with Server(folder, DRAIN_SECONDS="0") as server:
        assert server.status("/readyz") == 200
        status, logged = server.stop(number)
    assert status == 0
    assert '"stopped"' in logged.splitlines()[-1]
    assert "Traceback" not in logged


def test_it_is_not_ready_before_it_stops_listening(folder: Path) -> None:
    """Whoever sends requests is told to go elsewhere before requests are refused."""
    with Server(folder, DRAIN_SECONDS="2") as server:
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.status("/readyz") == 503, "not ready")
        assert server.status("/healthz") == 200
        assert server.process.wait() == 0


def test_a_request_under_way_is_finished(folder: Path) -> None:
    """Stopping loses no command that a client has begun to send."""
    with Server(folder, DRAIN_SECONDS="0") as server:
        host, port = server.url.removeprefix("http://").split(":")
        token = str(server.told["token"])
        body = b'{"sku": "LOCK-A1", "quantity": 3}'
        head = (
            f"POST /v1/stock/LOCK-A1 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: k\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection((host, int(port))) as client:
            client.sendall(head.encode() + body[:10])
            until(lambda: server.status("/healthz") == 200, "the first half arrived")
            server.process.send_signal(signal.SIGTERM)
            until(lambda: server.status("/healthz") == 0, "it stops listening")
            client.sendall(body[10:])
            answer = client.recv(65_536).decode()
        assert answer.startswith("HTTP/1.1 200"), answer
        assert server.process.wait() == 0
    with Server(folder) as again:
        assert again.call("/v1/stock?wait=true")["items"][0]["sku"] == "LOCK-A1"


def test_the_first_start_gives_a_token_and_later_ones_do_not(folder: Path) -> None:
    """A newcomer can begin at once; a token is not printed again and again."""
    with Server(folder, DRAIN_SECONDS="0") as first:
        assert first.told["token"]
        assert first.told["services"] == list(SERVICES)
        assert first.told["docs"] == f"{first.url}/docs"
        first.stop()
    with Server(folder) as second:
        assert "token" not in second.told


def test_services_run_alone_in_processes_of_their_own(folder: Path) -> None:
    """Each service runs without the others, in any order of starting, and hears what happened while it was away."""
    with Server(folder, "--service", "refunds", "--service", "liability", DRAIN_SECONDS="0") as others:
        assert others.status("/readyz") == 200
        with Server(folder, "--service", "cases", DRAIN_SECONDS="0") as cases:
            assert cases.told["services"] == ["cases"]
            _refunded_case(cases)
            until(lambda: len(others.call("/v1/payouts?wait=true")["items"]) == 1, "refunds heard of the request")
            assert "events" not in others.call("/v1/cases", {"order_id": "TB1001", "problem": "handover"})
            others.stop()
            assert "events" in cases.call("/v1/cases/TB1001-1/assess-cause", {"cause": "lost_in_transit"})
            with Server(folder, "--service", "refunds", "--service", "liability") as back:
                confirm = {"payout": "TB1001-1:refund:F1", "status": "succeeded", "channel_ref": "WX-1"}
                assert "events" in back.call("/v1/cases/TB1001-1/confirm-payout", confirm, "finance")
                until(
                    lambda: cases.call("/v1/cases/TB1001-1")["losses"] == {"courier/YTO": 60000},
                    "cases heard of liability",
                )
                until(
                    lambda: cases.call("/v1/cases/TB1001-1")["payouts"][0]["status"] == "succeeded",
                    "cases heard of refunds",
                )


def _refunded_case(cases: Server) -> None:
    cases.call("/v1/orders/TB1001", ORDER, "service", "PUT")
    opened = {"order_id": "TB1001", "problem": "missing_product", "description": "没收到"}
    assert cases.call("/v1/cases", opened)["case_id"] == "TB1001-1"
    refund = {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}
    assert "events" in cases.call("/v1/cases/TB1001-1/request-refund", refund)


def test_no_service_is_served_twice_on_one_folder(shop: Server) -> None:
    """Two processes that keep the same files in memory would show each other's readers an old state."""
    told = aftersales("serve", "--port", "0", "--service", "cases", "--data-dir", str(shop.data_dir))
    told.must_fail(2, str(shop.process.pid), "serves cases", "cases 服务")


def test_a_port_in_use(folder: Path, taken_port: int) -> None:
    """The commonest mistake is named with its way out."""
    told = aftersales("serve", "--port", str(taken_port), "--data-dir", str(folder))
    told.must_fail(2, f"127.0.0.1:{taken_port}", "is in use", "--port 0")


def test_an_address_that_is_not_ours(folder: Path) -> None:
    """An address of another machine cannot be listened on, and the option is named."""
    told = aftersales("serve", "--port", "0", "--host", "192.0.2.1", "--data-dir", str(folder))
    told.must_fail(2, "192.0.2.1", "--host")


def test_an_unwritable_data_folder(tmp_path: Path) -> None:
    """A folder that cannot be made is named with the option that names another."""
    (tmp_path / "file").touch()
    aftersales("serve", "--data-dir", str(tmp_path / "file" / "data")).must_fail(2, "--data-dir", "Not a directory")


def test_a_damaged_database(folder: Path) -> None:
    """A file that is no database stops the start with a sentence."""
    folder.mkdir()
    (folder / "cases.db").write_text("this is no database, and long enough to be looked at" * 20)
    aftersales("serve", "--port", "0", "--data-dir", str(folder)).must_fail(2, "database", "数据库")


def test_a_damaged_secret(folder: Path) -> None:
    """A secret that was cut short stops the start with a sentence."""
    folder.mkdir()
    (folder / "token.secret").write_text("short")
    aftersales("serve", "--port", "0", "--data-dir", str(folder)).must_fail(2, "token.secret")


def test_a_bad_policy_file(folder: Path, tmp_path: Path) -> None:
    """Each mistake in the policy is listed with its file and line."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("athority: {agent: 3000}\npromise: {solution_hours: soon}\n")
    told = aftersales("serve", "--port", "0", "--data-dir", str(folder), POLICY_FILE=str(policy))
    told.must_fail(2, "policy.yaml:1", "did you mean authority?", "policy.yaml:2", "promise.solution_hours")


def test_a_policy_file_that_is_not_there(folder: Path) -> None:
    """A wrong path is named."""
    told = aftersales("serve", "--port", "0", "--data-dir", str(folder), POLICY_FILE="/nowhere/policy.yaml")
    told.must_fail(2, "/nowhere/policy.yaml")


def test_a_place_of_files_that_is_none(folder: Path) -> None:
    """A wrong address of evidence files stops the start and is named, with the setting that holds it."""
    told = aftersales("serve", "--port", "0", "--data-dir", str(folder), MEDIA_URL="ftp://there")
    told.must_fail(2, "ftp://there", "AFTERSALES_MEDIA_URL")


def test_unknown_and_wrong_settings(folder: Path) -> None:
    """A misspelt variable stops the start instead of being ignored; all mistakes are listed."""
    told = aftersales("serve", "--data-dir", str(folder), PROT="1")
    told.must_fail(2, "AFTERSALES_PROT", "did you mean AFTERSALES_PORT?")
    assert not folder.exists()


def test_an_unknown_service(folder: Path) -> None:
    """The services that there are, are named."""
    told = aftersales("serve", "--service", "refund", "--data-dir", str(folder))
    told.must_fail(2, "cases, refunds, liability")
    error = aftersales("serve", "--service", "refund", "--data-dir", str(folder), "--json").json["error"]
    assert error["code"] == "unknown_service"


def test_an_option_excuses_a_wrong_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever overrides a wrong variable by an option gets the whole greeting, not a server that ends half way."""
    monkeypatch.setenv("AFTERSALES_PORT", "abc")
    settings = load_settings({}, data_dir=folder)
    assert serve._folder_option(settings) == f" --data-dir {folder}"
