"""Why somebody could not sign in, in words for them (zh / en) and for who reads the log."""

from typing import Final

#: How much of what a provider sent is told on.
TOLD_MAX: Final = 200


class SignInRefused(Exception):
    """A sign-in that did not come about.

    `code`: `provider_away` (it cannot be reached), `provider_wrong` (what it answers cannot be believed or used),
    `declined` (it, or the person there, said no), `stale` (the attempt is over or was another browser's: begin anew),
    `no_role`, `no_name` (the account lacks what is needed here). `status`: of the HTTP answer. `reason`: for the log.
    """

    def __init__(self, code: str, status: int, zh: str, en: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.status = status
        self.zh = zh
        self.en = en
        self.reason = reason

    def text(self, language: str) -> str:
        """What to tell the person, in `zh` or `en`."""
        return self.zh if language == "zh" else self.en


def away(reason: str) -> SignInRefused:
    """The provider does not answer."""
    return SignInRefused(
        "provider_away",
        503,
        "公司账号登录服务暂时没有回应。请过一会儿再试;一直如此请告诉管理员。",
        "Your company's sign-in service does not answer. Try again in a while; if it stays so,"
        " tell your administrator.",
        reason,
    )


def wrong(reason: str) -> SignInRefused:
    """The provider answers what cannot be believed or used."""
    return SignInRefused(
        "provider_wrong",
        502,
        f"公司账号登录服务的回答无法采信({short(reason)})。请重新登录;一直如此请把这句话告诉管理员。",
        f"What your company's sign-in service answered cannot be accepted ({short(reason)})."
        " Sign in again; if it stays so, pass this on to your administrator.",
        reason,
    )


def declined(reason: str) -> SignInRefused:
    """The provider, or the person there, said no."""
    return SignInRefused(
        "declined",
        403,
        f"公司账号登录没有完成({short(reason)})。可以再试一次。",
        f"The sign-in with your company account was not completed ({short(reason)}). You can try again.",
        reason,
    )


def stale(reason: str) -> SignInRefused:
    """An attempt that is over, or was begun in another browser."""
    return SignInRefused(
        "stale",
        400,
        "这次登录已过期,或不是在这个浏览器里开始的。请重新登录。",
        "This sign-in is out of date or was not begun in this browser. Please sign in again.",
        reason,
    )


def without_name(claims: str, found: str) -> SignInRefused:
    """The account has no name that can be used here."""
    return SignInRefused(
        "no_name",
        403,
        f"您的账号没有可用的姓名:{claims} 须有 1 到 100 个可见字符,现为{short(found) or '空'}。请联系管理员。",
        f"Your account has no name that can be used here: {claims} must have 1 to 100 visible characters and is"
        f" {short(found) or 'empty'}. Ask your administrator.",
        f"claim {claims} holds {short(found)!r}",
    )


def without_role(name: str, claim: str, found: str, usable: str) -> SignInRefused:
    """The account has no role that is known here."""
    return SignInRefused(
        "no_role",
        403,
        f"账号 {name} 在本系统没有岗位:登录服务的 {claim} 为 {short(found) or '空'},须含其中之一:{usable}。"
        "请联系管理员。",
        f"The account {name} has no role here: {claim} from the sign-in service is {short(found) or 'empty'}"
        f" and must hold one of {usable}. Ask your administrator.",
        f"{name}: claim {claim} holds {short(found)!r}",
    )


def short(text: str) -> str:
    """A text of another system, as far as it is told on."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown if len(shown) <= TOLD_MAX else f"{shown[: TOLD_MAX - 1]}…"
