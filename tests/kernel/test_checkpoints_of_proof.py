"""Signed checkpoints and signed progress: what is kept outside can be checked, and nothing else passes for it."""

import stat
from datetime import date
from pathlib import Path

import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

from services.kernel.proof import Proven, Root
from services.kernel.proof.checkpoint import (
    CheckpointInvalid,
    Progress,
    ProgressInvalid,
    SignedRoot,
    compared,
    keep,
    kept,
    read,
    write,
)
from services.kernel.proof.seal import KeyUnusable, Seal

ROOT = Root(28, 7, "ab" * 32)
DAY = date(2026, 10, 5)


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    return Seal.kept_in(tmp_path / "keys" / "proof.key")


def test_it_is_checked_with_the_public_key_alone(tmp_path: Path, seal: Seal) -> None:
    """An auditor needs the file and the public key that lies beside it, and no program of ours."""
    file = write(tmp_path / "out", "cases", DAY, ROOT, seal)
    assert file.name == "cases-2026-10-05-28.json"
    auditor = Seal.checked_by(tmp_path / "out" / "public.pem")
    assert read(file, auditor) == SignedRoot(service="cases", day=DAY, position=28, streams=7, root=ROOT.hash)
    key = OKPKey.import_key((tmp_path / "out" / "public.pem").read_bytes())
    document = msgspec.json.decode(file.read_bytes())
    payload = jws.deserialize_compact(document.pop("signature"), key, algorithms=["Ed25519"]).payload
    assert msgspec.json.decode(payload) == document
    with pytest.raises(KeyUnusable):
        Seal.kept_in(tmp_path / "out" / "public.pem")


def test_the_key_is_its_owners(tmp_path: Path, seal: Seal) -> None:
    """It is drawn once, and nobody else can read it."""
    file = tmp_path / "keys" / "proof.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Seal.kept_in(file).public_pem == seal.public_pem
    assert [one.name for one in file.parent.iterdir()] == ["proof.key"]


@pytest.mark.parametrize("content", [b"", b"no key", ECKey.generate_key("P-256").as_pem(private=True)])
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes) -> None:
    """The file is named; it is not overwritten."""
    file = tmp_path / "proof.key"
    file.write_bytes(content)
    with pytest.raises(KeyUnusable) as caught:
        Seal.kept_in(file)
    assert caught.value.file == file
    assert file.read_bytes() == content


@pytest.mark.parametrize("field", ["service", "day", "position", "streams", "root"])
def test_what_was_altered_is_refused(tmp_path: Path, seal: Seal, field: str) -> None:
    """What people read in the file must be what was signed."""
    file = write(tmp_path, "cases", DAY, ROOT, seal)
    document = msgspec.json.decode(file.read_bytes())
    document[field] = {"service": "refunds", "day": "2026-10-06", "root": "cd" * 32}.get(field, 5)
    file.write_bytes(msgspec.json.encode(document))
    with pytest.raises(CheckpointInvalid) as caught:
        read(file, seal)
    assert caught.value.file == file


def test_what_another_signed_is_refused(tmp_path: Path, seal: Seal) -> None:
    """Another key, another purpose, or no signature at all."""
    other = Seal.kept_in(tmp_path / "other.key")
    file = write(tmp_path, "cases", DAY, ROOT, other)
    with pytest.raises(CheckpointInvalid):
        read(file, seal)
    document = msgspec.json.decode(file.read_bytes())
    document["signature"] = seal.signed(msgspec.json.decode(file.read_bytes(), type=dict), "something-else")
    for content in (msgspec.json.encode(document), b"{}", b"\xff", b"[" * 5000):
        file.write_bytes(content)
        with pytest.raises(CheckpointInvalid):
            read(file, seal)


def test_comparing() -> None:
    """A log that is shorter than the checkpoint, or other streams, or fewer, are told apart from one that only grew."""
    signed = SignedRoot(service="cases", day=DAY, position=28, streams=7, root=ROOT.hash)
    assert compared(signed, 40, (ROOT, Root(40, 9, "ef" * 32))) is None
    for root in (Root(28, 7, "cd" * 32), Root(28, 6, ROOT.hash)):
        broken = compared(signed, 28, (root,))
        assert broken is not None
        assert (broken.kind, broken.position) == ("altered", 28)
    short = compared(signed, 20, ())
    assert short is not None
    assert (short.kind, short.position) == ("missing", 21)


def test_progress_is_believed_as_signed(tmp_path: Path, seal: Seal) -> None:
    """How far a proof came is taken up by whoever signed it, for that database, and by nobody else's word."""
    file = tmp_path / "cases.proof"
    proven = Proven.nothing(14, 28)
    proven.trees[0].add(bytes(96))
    assert kept(file, "cases.db", seal) is None
    keep(file, Progress("cases.db", proven), seal)
    assert kept(file, "cases.db", seal) == proven
    for database, checking in (("other.db", seal), ("cases.db", Seal.kept_in(tmp_path / "other.key"))):
        with pytest.raises(ProgressInvalid):
            kept(file, database, checking)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ProgressInvalid):
        kept(file, "cases.db", seal)
