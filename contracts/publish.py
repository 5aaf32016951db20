"""Publishes the contract: `python -m contracts.publish [--check | --release]`.

Without an option it writes `schemas/` and `asyncapi.json` from the structs and drafts an example for each
event that has none. `--check` writes nothing and fails with a list of what is stale, altered or
incompatible. `--release` freezes the present schemas and examples: `released/SHA256SUMS` names them, and
none of them changes any more (`cd contracts && sha256sum -c released/SHA256SUMS`).
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contracts import asyncapi, registry
from contracts.compatibility import Declaration, Finding, Release, Schema, audit, plain
from contracts.draft import draft
from contracts.json_schema import document

ROOT = Path(__file__).parent
_AGAIN = "python -m contracts.publish"
_RELEASE = re.compile(r"v(?P<version>[1-9]\d*)(?:\.r[1-9]\d*)?")
_VERSIONED = re.compile(r"(?P<type>.+)\.v(?P<version>[1-9]\d*)(?:\.[a-z0-9-]+)?")


def publish(root: Path = ROOT) -> list[Path]:
    """Write what is generated and draft missing examples; returns the files written or removed."""
    changed = [_write(path, text) for path, text in _missing_examples(root)]
    expected = dict(_generated(root))
    changed += [_write(path, text) for path, text in expected.items() if _read(path) != text]
    for path in _stray_schemas(root, expected):
        path.unlink()
        changed.append(path)
    return changed


def check(root: Path = ROOT) -> list[str]:
    """Why the contract may not be merged, each in zh and en; empty when it may."""
    return [*_altered(root), *map(str, incompatibilities(root)), *_stale(root)]


def incompatibilities(root: Path = ROOT) -> list[Finding]:
    """Where the structs and any released schema do not read each other, or an upcaster is missing."""
    present = {name: Declaration(event.schema_version, document(event)) for name, event in registry.EVENT_TYPES.items()}
    return audit(present, released(root), registry.UPCASTERS.keys())


def release(root: Path = ROOT) -> list[Path]:
    """Freeze the present schemas and all examples, once `check` passes; returns the new files."""
    known = released(root)
    frozen = []
    for name, event in sorted(registry.EVENT_TYPES.items()):
        schema, version = document(event), event.schema_version
        same_version = [known_release for known_release in known.get(name, ()) if known_release.version == version]
        if not any(plain(known_release.schema) == plain(schema) for known_release in same_version):
            revision = f".r{len(same_version) + 1}" if same_version else ""
            frozen.append(_write(root / "released" / name / f"v{version}{revision}.json", _json(schema)))
    sums = {path.relative_to(root).as_posix(): _sha256(path) for path in _freezable(root)} | _sums(root)
    _write(_sums_file(root), "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(sums.items())))
    return frozen


def released(root: Path = ROOT) -> dict[str, list[Release]]:
    """Every schema that was ever released, by event type, oldest first."""
    found: dict[str, list[Release]] = {}
    for path in _in_order((root / "released").glob("*/*.json")):
        version = _RELEASE.fullmatch(path.stem)
        if version is None:
            raise ValueError(f"{path}: a released schema is named v<version>.json or v<version>.r<revision>.json")
        found.setdefault(path.parent.name, []).append(Release(path.stem, int(version["version"]), _load(path)))
    return found


def examples(root: Path = ROOT) -> list[tuple[str, int, Path]]:
    """The golden payloads: event type, schema version and file (`<type>.v<version>[.<label>].json`)."""
    found = []
    for path in _in_order((root / "examples").glob("*.json")):
        name = _VERSIONED.fullmatch(path.stem)
        if name is None:
            raise ValueError(f"{path}: an example is named <type>.v<version>.json or <type>.v<version>.<label>.json")
        found.append((name["type"], int(name["version"]), path))
    return found


def _generated(root: Path) -> Iterator[tuple[Path, str]]:
    older = released(root)
    for name, event in sorted(registry.EVENT_TYPES.items()):
        for known in older.get(name, ()):
            if known.version < event.schema_version:  # its data is still in logs
                yield _schema_file(root, name, known.version), _json(known.schema)
        yield _schema_file(root, name, event.schema_version), _json(document(event))
    yield root / "asyncapi.json", _json(asyncapi.document(_present_examples(root)))


def _present_examples(root: Path) -> dict[str, list[Any]]:
    bodies: dict[str, list[Any]] = {}
    for name, version, path in examples(root):
        if name in registry.EVENT_TYPES and version == registry.EVENT_TYPES[name].schema_version:
            bodies.setdefault(name, []).append(_load(path))
    return bodies


def _missing_examples(root: Path) -> Iterator[tuple[Path, str]]:
    there = {(name, version) for name, version, _ in examples(root)}
    for name, event in sorted(registry.EVENT_TYPES.items()):
        if (name, event.schema_version) not in there:
            body = draft(document(event))
            registry.decode(name, event.schema_version, json.dumps(body).encode())
            yield root / "examples" / f"{name}.v{event.schema_version}.json", _json(body)


def _stale(root: Path) -> Iterator[str]:
    expected = dict(_generated(root))
    for path, text in expected.items():
        if _read(path) != text:
            yield f"{path.relative_to(root)} stale: 与现有定义不符 / is not what the structs give ({_AGAIN})"
    for path in _stray_schemas(root, expected):
        yield f"{path.relative_to(root)} stray: 没有对应的事件版本 / no event has this version ({_AGAIN})"
    for path, _ in _missing_examples(root):
        yield f"{path.relative_to(root)} missing: 缺少示例 / there is no example ({_AGAIN})"


def _altered(root: Path) -> Iterator[str]:
    sums = _sums(root)
    for name, sha256 in sums.items():
        if not (root / name).exists():
            yield f"{name} removed: 已发布的文件被删除 / a released file was removed"
        elif _sha256(root / name) != sha256:
            yield f"{name} altered: 已发布的文件被改动 / a released file was altered"
    for path in _in_order((root / "released").glob("*/*.json")):
        if path.relative_to(root).as_posix() not in sums:
            yield f"{path.relative_to(root)} unlisted: 未登记在 SHA256SUMS / is not listed in SHA256SUMS"


def _stray_schemas(root: Path, expected: dict[Path, str]) -> list[Path]:
    return [path for path in _in_order((root / "schemas").glob("*.json")) if path not in expected]


def _freezable(root: Path) -> list[Path]:
    return [*(root / "released").glob("*/*.json"), *(path for _, _, path in examples(root))]


def _sums_file(root: Path) -> Path:
    return root / "released" / "SHA256SUMS"


def _sums(root: Path) -> dict[str, str]:
    lines = (_read(_sums_file(root)) or "").splitlines()
    return {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}


def _schema_file(root: Path, name: str, version: int) -> Path:
    return root / "schemas" / f"{name}.v{version}.json"


def _in_order(paths: Iterator[Path]) -> list[Path]:
    """By name, numbers by their value: `v1.r10` comes after `v1.r9`."""
    return sorted(
        paths,
        key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", str(path))],
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json(value: Schema) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; the exit status is 1 when the contract may not be merged or released."""
    parser = argparse.ArgumentParser(prog="python -m contracts.publish", description="Publish the event contract.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="change nothing; exit 1 with a list of what is wrong")
    choice.add_argument("--release", action="store_true", help="freeze the present schemas and examples")
    options = parser.parse_args(arguments)
    if options.check or options.release:
        wrong = check(root)
        print(*wrong, sep="\n", end="\n" if wrong else "")
        if wrong:
            return 1
    changed = [] if options.check else release(root) if options.release else publish(root)
    print(*(path.relative_to(root) for path in changed), sep="\n", end="\n" if changed else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
