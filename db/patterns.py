"""LIKE patterns of what people type. Pure."""


def literal(text: str) -> str:
    """What LIKE takes for these very characters."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def containing(text: str) -> str:
    """Matches whatever holds this text."""
    return f"%{literal(text)}%"
