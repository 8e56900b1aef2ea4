"""The few pages that readers of mails see: no script, no cookie, nothing from elsewhere."""

import html
from pathlib import Path
from string import Template

from starlette.responses import HTMLResponse, Response

PAGE = Template(Path(__file__).with_name("mail_page.html").read_text())
# The one form field of RFC 8058, so that the button and a mail program ask for the same.
FORM = """<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button>
</form>
"""
# The address holds a token: nobody on the way keeps it, indexes it, or is sent it as a referrer.
PRIVATE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    **PRIVATE,
}


def show(title: str, text: str, *, form: str = "", status: int = 200, **headers: str) -> Response:
    page = PAGE.substitute(title=html.escape(title), text=html.escape(text), form=form)
    return HTMLResponse(page, status_code=status, headers=SAFE | headers)


def ask(category: str) -> Response:
    return show(
        "Unsubscribe?",
        f"You will get no more emails of the kind \u201c{category}\u201d at this address. "
        "Emails about your account still come.",
        form=FORM,
    )


def confirm(category: str) -> Response:
    return show(
        "You are unsubscribed",
        f"No more emails of the kind \u201c{category}\u201d will come to this address.",
    )


def deny(status: int, title: str, text: str) -> Response:
    headers = {"Retry-After": "60"} if status == 503 else {}
    return show(title, text, status=status, **headers)


def unknown() -> Response:
    return deny(
        404,
        "This link does not work",
        "It was cut off or changed on its way, or it is too old. "
        "Please open it from the email again.",
    )
