"""Small photos for tests."""

from io import BytesIO

from PIL import Image

from tests.http.server import Server


def photo(colour: str = "gold") -> bytes:
    """A small JPEG of one colour."""
    file = BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, "JPEG")
    return file.getvalue()


def photo_of(shop: Server, colour: str = "gold") -> str:
    """The id of such a photo, uploaded."""
    headers = {"Authorization": f"Bearer {shop.token('agent')}", "Content-Type": "image/jpeg"}
    answer = shop.send("POST", "/v1/files", photo(colour), headers)
    assert answer.status == 201, answer.raw
    return str(answer.body["file"])
