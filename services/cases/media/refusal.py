"""Why an upload is refused, in words for the person who sent it."""

from typing import Literal, Self

_MIB = 1024 * 1024


class UploadRefused(Exception):
    """An upload that cannot be evidence: too large, of a kind not accepted, or broken."""

    def __init__(
        self,
        code: Literal["upload_too_large", "upload_unsupported", "upload_broken"],
        detail_zh: str,
        detail_en: str,
    ) -> None:
        super().__init__(f"{code}: {detail_en}")
        self.code = code
        self.detail_zh = detail_zh
        self.detail_en = detail_en

    @classmethod
    def too_heavy(cls, limit_bytes: int) -> Self:
        """The file has more bytes than its kind may have."""
        limit = f"{limit_bytes / _MIB:g}"
        return cls(
            "upload_too_large",
            f"文件超过 {limit} MB 的上限。",
            f"The file is larger than the limit of {limit} MB.",
        )

    @classmethod
    def too_many_pixels(cls, limit_pixels: int) -> Self:
        """The picture would unfold to more pixels than allowed."""
        return cls(
            "upload_too_large",
            f"图片的像素超过上限（{limit_pixels / 1_000_000:g} 百万像素）。",
            f"The picture has more than {limit_pixels / 1_000_000:g} million pixels.",
        )

    @classmethod
    def too_long(cls, limit_ms: int) -> Self:
        """The video plays longer than allowed."""
        return cls(
            "upload_too_large",
            f"视频超过 {limit_ms / 1000:g} 秒的上限，请剪短后再上传。",
            f"The video is longer than {limit_ms / 1000:g} seconds; please shorten it.",
        )

    @classmethod
    def unsupported(cls) -> Self:
        """The content is of no accepted kind, whatever its name says."""
        return cls(
            "upload_unsupported",
            "不支持这种文件：只接受 JPEG、PNG、WebP 照片和 MP4、WebM 短视频（看内容，不看扩展名）。",
            "This kind of file is not accepted: send a JPEG, PNG or WebP photo or a short MP4 or WebM video "
            "(its content counts, not its name).",
        )

    @classmethod
    def broken(cls) -> Self:
        """The file is of an accepted kind, but incomplete or damaged."""
        return cls(
            "upload_broken",
            "文件已损坏或不完整，请重新拍摄或重新选择后再上传。",
            "The file is damaged or incomplete; please take or choose it again.",
        )
