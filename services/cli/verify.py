"""`aftersales verify`: proof that nothing in the logs was altered, taken out or slipped in."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from services.catalogue import SERVICES
from services.cli.by_name import By, Reason
from services.cli.environment import to_answer
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.proving import Asked, Sealed, ServiceProof, proved
from services.cli.serving import named
from services.kernel.log import NoSuchRange
from services.kernel.proof import BrokenLink
from services.kernel.proof.checkpoint import CheckpointInvalid, ProgressInvalid, SignedRoot, read
from services.kernel.proof.seal import KeyUnusable, Seal
from services.kernel.settings import Settings
from services.kernel.workers import WorkerLost
from services.wording.words import Language, Words, plural

#: The private key in the data folder, where no other is named.
KEY: Final = "proof.key"
MOST_WORKERS: Final = 64


def verify(
    service: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]...", help=f"{', '.join(SERVICES)}; all unless named. 服务名。"),
    ] = None,
    order: Annotated[str, typer.Option(help="This order only, in each service. 只查一个订单。")] = "",
    first: Annotated[
        int | None, typer.Option("--from", help="Orders with events from this position on. 从此位置起有事件的订单。")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", help="Up to this position. 查到此位置为止。")] = None,
    workers: Annotated[
        int, typer.Option(min=0, max=MOST_WORKERS, help="Processes; 0: by cores and size. 并行进程数。")
    ] = 0,
    resume: Annotated[
        Path | None, typer.Option(help="Folder that keeps how far it came; go on from there. 记录进度的目录,可续查。")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Write a signed root of each log into this folder. 写签名校验点到此目录。")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Compare with an earlier checkpoint; may be repeated. 与早先的校验点比对。"),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Private key to sign with (PEM, Ed25519); made if new. 签名私钥。")
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="Public key of --against. 校验点的公钥。")] = None,
    photos: Annotated[bool, typer.Option("--photos", help="Check the evidence files too. 同时核对凭证文件。")] = False,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Walk the hash chains of all logs, one service, one order or a range; name the first altered, missing or added
    event. Ends with 1 where one was found. 校验事件日志是否被改动、缺失或加塞;发现问题时退出码为 1。
    """
    with told(json), _on_proof():
        settings, words = to_answer(data_dir, lang)
        partly = {"--order": bool(order), "--from": first is not None, "--to": last is not None}
        whole = {"--resume": resume, "--checkpoint": checkpoint, "--against": against}
        _must_fit(partly, whole)
        own = key or settings.data_dir / KEY
        signed = _checkpoints(against or (), public_key or own)
        services = _services(service or [], signed, one=first is not None or last is not None)
        if photos and ("cases" not in services or order):
            raise _not_together("--photos", "--order" if order else " ".join(services))
        asked = Asked(
            order=order,
            first=first,
            last=last,
            workers=workers,
            resume=Sealed(resume, Seal.kept_in(own)) if resume else None,
            checkpoint=Sealed(checkpoint, Seal.kept_in(own)) if checkpoint else None,
            against=signed,
            photos=photos,
            by=by,
            reason=reason,
        )
        proofs = _run(settings, services, asked, words, json)
        if not all(proof.holds for proof in proofs):
            raise typer.Exit(NOT_SO)


def _run(settings: Settings, services: Sequence[str], asked: Asked, words: Words, json: bool) -> list[ServiceProof]:
    proofs = []
    for service in services:
        proof = asyncio.run(proved(settings, service, asked, shown=not json))
        proofs.append(proof)
        if not json and (proof.records or not asked.order):
            _show(paper(), words, proof)
    if asked.order and not any(proof.records or proof.broken for proof in proofs):
        raise Failure(
            "unknown_order",
            f"{'、'.join(services)} 的日志里没有订单 {asked.order}。",
            f"There is no order {asked.order} in {', '.join(services)}.",
        )
    if json:
        show_json({"holds": all(proof.holds for proof in proofs), "services": proofs})
    return proofs


def _must_fit(partly: Mapping[str, bool], whole: Mapping[str, object]) -> None:
    """A part of a log has no root, and is soon proven; an order is no range."""
    part = [name for name, given in partly.items() if given]
    if len(part) > 1 and "--order" in part:
        raise _not_together(*part)
    for name, given in whole.items():
        if given and part and (part != ["--to"] or name == "--against"):
            raise _not_together(part[0], name)


def _services(given: Sequence[str], signed: Sequence[SignedRoot], *, one: bool) -> list[str]:
    """The services that are meant: those named, else those of the checkpoints, else all."""
    of_checkpoints = sorted({root.service for root in signed})
    services = named(given or of_checkpoints or list(SERVICES))
    if left_out := [name for name in of_checkpoints if name not in services]:
        raise _not_together("--against", left_out[0], *services)
    if one and len(services) != 1:
        raise Failure(
            "service_missing",
            "位置属于一个服务的日志:--from 和 --to 须指明一个服务,例如 aftersales verify cases --from 1。",
            "A position is one in the log of a service: --from and --to need one named, as in aftersales verify cases"
            " --from 1.",
        )
    return services


def _checkpoints(files: Sequence[Path], key: Path) -> list[SignedRoot]:
    if not files:
        return []
    seal = Seal.checked_by(key)
    return [read(file, seal) for file in files]


def _not_together(*names: str) -> Failure:
    return Failure(
        "not_together",
        f"{'、'.join(names)} 不能一起用。",
        f"{', '.join(names)} do not go together.",
    )


@contextmanager
def _on_proof() -> Iterator[None]:
    """What proofs have against what they are given, told with a way out."""
    try:
        yield
    except NoSuchRange as error:
        raise Failure(
            "range_invalid",
            f"--from/--to:日志的位置是 1 到 {error.head},没有 {error.first} 到 {error.last} 这一段。",
            f"--from/--to: the log has positions 1 to {error.head}, none from {error.first} to {error.last}.",
        ) from None
    except CheckpointInvalid as error:
        raise Failure(
            "checkpoint_invalid",
            f"--against:{error.file} 不是此公钥签名的校验点({error.reason})。请取原件,或用 --public-key 指明公钥。",
            f"--against: {error.file} is no checkpoint that this key signed ({error.reason})."
            " Take the original, or name its key with --public-key.",
        ) from None
    except ProgressInvalid as error:
        raise Failure(
            "progress_invalid",
            f"--resume:{error.file} 不是这次校验的进度({error.reason})。删除它即从头开始。",
            f"--resume: {error.file} is not how far this proof came ({error.reason}). Delete it to begin anew.",
        ) from None
    except KeyUnusable as error:
        kind = ("私钥", "private key") if error.needs_private else ("公钥", "public key")
        raise Failure(
            "key_unusable",
            f"{error.file} 里没有 Ed25519 {kind[0]}(PEM)。请用 --key 或 --public-key 指明密钥文件。",
            f"{error.file} holds no Ed25519 {kind[1]} (PEM). Name the file with --key or --public-key.",
        ) from None
    except WorkerLost:
        raise Failure(
            "worker_lost",
            "一个校验进程意外结束(可能内存不足)。请用较小的 --workers 重试。",
            "A process that was checking ended by itself (out of memory?). Try again with fewer --workers.",
        ) from None


def _show(console: Console, words: Words, proof: ServiceProof) -> None:
    if broken := proof.broken:
        zh, en = _place(broken)
        _mark(console, False, words.stacked(f"{proof.service} {zh}:{broken.zh}", f"{proof.service} {en}: {broken.en}"))
        _below(console, _way_out(words))
        return
    zh, en = f"{proof.records} 条事件", plural(proof.records, "event")
    if proof.streams is not None:
        zh, en = f"{proof.streams} 个流的 {zh}", f"{en} of {plural(proof.streams, 'stream')}"
    zh = f"{proof.service} 至位置 {proof.position},{zh}与写入时一致"
    en = f"{proof.service} up to position {proof.position}: {en} as written"
    _mark(console, True, words.stacked(zh, en))
    if proof.root:
        _below(console, f"{words.say('根', 'root')} {proof.root}")
    if proof.checkpoint:
        _below(console, f"{words.say('校验点', 'checkpoint')} {proof.checkpoint}")
    if photos := proof.photos:
        zh = f"凭证文件 {photos.files} 个,有误 {photos.damaged} 个"
        en = f"{plural(photos.files, 'evidence file')}, {photos.damaged} damaged"
        _mark(console, photos.holds, words.stacked(zh, en))
        for one in photos.first:
            _below(console, f"{one.case_id} {one.evidence} {one.sha256} {words.say(one.zh, one.en)}")
        if photos.away:
            _below(console, words.stacked(*_unreached(photos.away.place, photos.away.reason)))


def _unreached(place: str, reason: str) -> tuple[str, str]:
    """What to do about a place of files that cannot be reached, zh and en."""
    return (
        f"读不到存放凭证文件的 {place},其余文件未核对:{reason}。请检查 AFTERSALES_MEDIA_URL、网络和访问密钥。",
        f"{place}, where evidence files are kept, cannot be reached; the rest was not checked: {reason}."
        " Check AFTERSALES_MEDIA_URL, the network and the access keys.",
    )


def _place(broken: BrokenLink) -> tuple[str, str]:
    """Where it is, zh and en."""
    position = broken.position
    zh, en = ("", "") if position is None else (f"日志位置 {position}", f"position {position}")
    if not broken.stream:
        return zh, en
    stream = (f"流 {broken.stream} 第 {broken.version} 条", f"stream {broken.stream} version {broken.version}")
    return (f"{stream[0]}({zh})", f"{stream[1]} ({en})") if en else stream


def _way_out(words: Words) -> str:
    return words.stacked(
        "日志不能手工修补:停止写入,从备份恢复,再与保存在外的校验点比对(--against)。",
        "A log is not mended by hand: stop what writes to it, restore a backup, and compare it with a checkpoint that"
        " was kept outside (--against).",
    )


def _mark(console: Console, holds: bool, text: str) -> None:
    sign = "[green]✓[/]" if holds else "[red]✗[/]"
    console.print(f"{sign} {escape(text)}".replace("\n", "\n  "), soft_wrap=True)


def _below(console: Console, text: str) -> None:
    console.print(f"  {escape(text)}".replace("\n", "\n  "), soft_wrap=True)
