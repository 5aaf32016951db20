"""Signed checkpoints: what all streams of a log were as of a position, to be kept outside and compared later.

A file is a small JSON document for people, with the same in its `signature` (a compact JWS) for machines: whoever has
the public key can check it without this program. The root is compared after walking all chains up to its position, so
it holds for every byte of every record, however far the log has grown since.
"""

from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.proof.chain import BrokenLink, Fault
from services.kernel.proof.proving import Proven, Root
from services.kernel.proof.seal import Seal, SealBroken
from services.kernel.whole_file import put

CHECKPOINT: Final = "aftersales-checkpoint"
"""Purposes of signatures (`Seal`)."""
PROGRESS: Final = "aftersales-proof"

CUT_SHORT = Fault(
    "missing",
    "日志在校验点之前就结束了:其后的记录缺失",
    "the log ends before the checkpoint: what stood behind is missing",
)
OTHER_STREAMS = Fault(
    "altered",
    "各流截至该位置的状态与校验点不符:有流被改写、删除或加入",
    "the streams as of this position are not those of the checkpoint: some were rewritten, dropped or added",
)


class SignedRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of a service's log as of a position, and the day on which it was made."""

    service: str
    day: date
    position: int
    streams: int
    root: str


class _File(SignedRoot, frozen=True, kw_only=True, forbid_unknown_fields=True):
    signature: str


class CheckpointInvalid(Exception):
    """A file (`file`) is no checkpoint, or not one that this key signed: it was altered, or it is another's."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


def write(folder: Path, service: str, day: date, root: Root, seal: Seal) -> Path:
    """Write a checkpoint `service-day-position.json` into a folder, and the public key beside it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    signed = SignedRoot(service=service, day=day, position=root.position, streams=root.streams, root=root.hash)
    document = {**msgspec.structs.asdict(signed), "signature": seal.signed(signed, CHECKPOINT)}
    file = folder / f"{service}-{day}-{root.position}.json"
    put(file, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    put(folder / "public.pem", seal.public_pem)
    return file


def read(file: Path, seal: Seal) -> SignedRoot:
    """A checkpoint as it was signed. Raises CheckpointInvalid, OSError."""
    try:
        document = msgspec.json.decode(file.read_bytes(), type=_File)
        signed = seal.opened(document.signature, CHECKPOINT, SignedRoot)
    except (msgspec.DecodeError, UnicodeDecodeError, SealBroken) as error:
        raise CheckpointInvalid(file, str(error)) from error
    if any(getattr(document, name) != getattr(signed, name) for name in SignedRoot.__struct_fields__):
        raise CheckpointInvalid(file, "what it says is not what was signed")
    return signed


def compared(signed: SignedRoot, end: int, roots: tuple[Root, ...]) -> BrokenLink | None:
    """What a checkpoint has against a log that ends at `end`, all chains up to it being whole."""
    if signed.position > end:
        return CUT_SHORT.at("", 0, end + 1)
    [root] = [root for root in roots if root.position == signed.position]
    same = (root.streams, root.hash) == (signed.streams, signed.root)
    return None if same else OTHER_STREAMS.at("", 0, signed.position)


class Progress(msgspec.Struct, frozen=True):
    """How far the proof of a log came, for a later run: which database it is, and what was proven of it."""

    database: str
    proven: Proven


class ProgressInvalid(Exception):
    """A file (`file`) does not say how far a proof of this log with these ends came, or not as it was signed here."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


def keep(file: Path, progress: Progress, seal: Seal) -> None:
    """Write down how far a proof came. Signed, so that nothing is taken for proven that was not. Raises OSError."""
    put(file, seal.signed(progress, PROGRESS).encode())


def kept(file: Path, database: str, seal: Seal) -> Proven | None:
    """How far a proof of a database came; None where none was begun. Raises ProgressInvalid, OSError."""
    if not file.exists():
        return None
    try:
        progress = seal.opened(file.read_text(encoding="utf-8"), PROGRESS, Progress)
    except (SealBroken, UnicodeDecodeError) as error:
        raise ProgressInvalid(file, str(error)) from error
    if progress.database != database:
        raise ProgressInvalid(file, f"it is about {progress.database}")
    return progress.proven
