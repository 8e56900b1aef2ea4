"""For `avivro doctor`: who judges sentiment, and whether a chat provider would."""

from workers.config import LOCAL, Config

REACH_S = 5.0


def check(found: Config) -> tuple[str, bool, str]:
    """Asks a provider what the key may do, which costs nothing; no model is asked anything."""
    model, url = found.sentiment_model, found.openrouter_base_url
    if model == LOCAL or found.openrouter_api_key is None:
        return ("sentiment judge", True, f"{LOCAL} (runs in the worker, no key needed)")
    status = ask(f"{url.rstrip('/')}/key", found.openrouter_api_key)
    match status:
        case None:
            problem = f"{url} cannot be reached: check OPENROUTER_BASE_URL"
        case 401 | 403:
            problem = f"{url} does not accept the key: check OPENROUTER_API_KEY"
        case _ if status >= 500:
            problem = f"{url} is in trouble (HTTP {status})"
        case _:
            return ("sentiment judge", True, f"{model} at {url}, else {LOCAL}")
    return ("sentiment judge", False, f"{model}: {problem}; until then {LOCAL} judges")


def ask(url: str, key: str) -> int | None:
    """The status of the answer; None where there is none. A server without this page is one."""
    import httpx2

    headers = {"Authorization": f"Bearer {key}"}
    try:
        with httpx2.stream("GET", url, headers=headers, timeout=REACH_S) as answer:
            return answer.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError):
        return None
