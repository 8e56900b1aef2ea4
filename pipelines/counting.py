"""How counts read in sentences, on pages, in the terminal and in mails."""


def noun(number: float, one: str, many: str | None = None) -> str:
    """The word for that many; `many` is by default the same with an s."""
    return one if number == 1 else many or f"{one}s"


def plural(number: float, one: str, many: str | None = None) -> str:
    """1 source, 0 sources, 1,200 sources."""
    return f"{number:,.0f} {noun(number, one, many)}"
