"""Photos and videos come in clean, once and by their content."""

import io
from pathlib import Path

import pytest
from PIL import Image

from services.scenarios.media import generate_photo, generate_video
from tests.http.server import Answer, Server
from tests.unreachable import PLACE, nobody_answers

BOUNDARY = "frontier"


def upload(server: Server, content: bytes, kind: str = "application/octet-stream", who: str = "agent") -> Answer:
    headers = {"Authorization": f"Bearer {server.token(who)}", "Content-Type": kind}
    return server.send("POST", "/v1/files", content, headers)


def form(content: bytes, name: str = "photo.jpg") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((80, 60), 50).convert("RGB").save(out, kind)
    return out.getvalue()


def kept(server: Server) -> set[Path]:
    return {file for file in (server.settings.data_dir / "files").rglob("*") if file.is_file()}


GOOD = {
    "image/jpeg": generate_photo(1),
    "image/png": picture("PNG"),
    "image/webp": picture("WEBP"),
    "video/mp4": generate_video(1),
}
BAD: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "upload_broken"),
    "a cut-off photo": (generate_photo(2)[:1500], 422, "upload_broken"),
    "a cut-off video": (generate_video(2)[:-100], 422, "upload_broken"),
    "a page in disguise": (b"<html><script>alert(1)</script></html>", 415, "upload_unsupported"),
    "a program in disguise": (b"MZ" + bytes(500), 415, "upload_unsupported"),
    "an animated drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "upload_unsupported"),
    "a photo's head on a page": (b"\xff\xd8\xff\xe0<html>", 422, "upload_broken"),
    "too large a photo": (generate_photo(3) + bytes(15 << 20), 413, "upload_too_large"),
}


@pytest.mark.parametrize("media_type", GOOD)
def test_a_file_is_stored_once_and_comes_back_clean(server: Server, media_type: str) -> None:
    """Raw or in a form, the same file has the same name, is kept once, and is given back without metadata."""
    raw = upload(server, GOOD[media_type], media_type)
    assert raw.status == 201, raw.raw
    files = kept(server)
    in_form = upload(server, form(GOOD[media_type], "x.exe"), f"multipart/form-data; boundary={BOUNDARY}")
    assert (in_form.status, in_form.body) == (201, raw.body)
    assert kept(server) == files
    assert raw.body["media_type"] == media_type
    assert raw.body["file"] == raw.body["sha256"]
    back = server.get(f"/v1/files/{raw.body['file']}", "finance")
    assert (back.status, back.headers["Content-Type"]) == (200, media_type)
    assert back.headers["X-Content-Type-Options"] == "nosniff"
    assert back.headers["Content-Security-Policy"] == "default-src 'none'"
    assert len(back.raw) == raw.body["size_bytes"]
    assert b"Exif" not in back.raw
    assert b"+30.2741" not in back.raw
    if media_type.startswith("image/"):
        assert not dict(Image.open(io.BytesIO(back.raw)).getexif())


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("in_form", [False, True])
def test_a_bad_file_is_refused_and_not_kept(server: Server, name: str, in_form: bool) -> None:
    """Broken, disguised or too large: its code, the reason in both languages, nothing stored."""
    content, status, code = BAD[name]
    files, before = kept(server), server.heads()
    answer = (
        upload(server, form(content), f"multipart/form-data; boundary={BOUNDARY}")
        if in_form
        else upload(server, content, "image/jpeg")
    )
    assert (answer.status, answer.code) == (status, code), answer.raw
    assert answer.field("file")["rule"] == code
    assert kept(server) == files
    assert server.heads() == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        (f"multipart/form-data; boundary={BOUNDARY}", b""),
        (f"multipart/form-data; boundary={BOUNDARY}", b"nothing like a form"),
        (f"multipart/form-data; boundary={BOUNDARY}", f"--{BOUNDARY}--\r\n".encode()),
        (f"multipart/form-data; boundary={'x' * 100}", b"x"),
        (f"multipart/form-data; boundary={BOUNDARY}", f"--{BOUNDARY}\r\nno header".encode()),
        (
            f"multipart/form-data; boundary={BOUNDARY}",
            f"--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n--{BOUNDARY}--\r\n".encode(),
        ),
    ],
)
def test_a_broken_form_is_refused(server: Server, kind: str, body: bytes) -> None:
    """A form that holds no file is an error of the sender, not ours."""
    files = kept(server)
    answer = upload(server, body, kind)
    assert answer.status in (400, 422), answer.raw
    assert answer.code in ("invalid", "upload_broken", "malformed")
    assert kept(server) == files


def test_who_may_upload(server: Server) -> None:
    """Those who may submit evidence."""
    for role in ("warehouse", "finance"):
        assert upload(server, GOOD["image/jpeg"], who=role).code == "forbidden"
    assert upload(server, GOOD["image/jpeg"], who="service").status == 201


def test_evidence_is_what_was_uploaded(server: Server) -> None:
    """The event carries the file's hash, and type and size as the store knows them; a film is no photo."""
    case = server.case("damaged_on_arrival")
    photo, video = (upload(server, GOOD[kind]).body["file"] for kind in ("image/jpeg", "video/mp4"))
    path = f"/v1/cases/{case}/submit-evidence"
    answer = server.command(path, {"kind": "photo", "file": photo})
    data = answer.body["events"][0]["data"]
    assert (answer.body["evidence"], data["sha256"], data["media_type"]) == ("E1", photo, "image/jpeg")
    before = server.heads()
    answer = server.command(path, {"kind": "photo", "file": video})
    assert answer.field("kind")["rule"] == "matches_file"
    assert server.heads() == before


def test_an_unknown_file(server: Server) -> None:
    """404, whatever its name looks like."""
    for name in ("0" * 64, "x", "..%2f..%2fetc%2fpasswd", "%00"):
        assert server.get(f"/v1/files/{name}").status == 404


def test_a_huge_upload_is_cut_off(server: Server) -> None:
    """More than any video may have is refused without being kept."""
    files = kept(server)
    answer = upload(server, bytes(53 << 20))
    assert (answer.status, answer.code) == (413, "upload_too_large")
    assert kept(server) == files


def test_files_that_cannot_be_reached_for_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the place of files is away, whoever sends one is told to send it again."""
    nobody_answers(monkeypatch)
    server = Server(tmp_path, media_url=PLACE)
    try:
        refused = upload(server, GOOD["image/jpeg"], "image/jpeg")
        assert (refused.status, refused.code, refused.body["retryable"]) == (503, "unavailable", True)
    finally:
        server.close()
