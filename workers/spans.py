"""How long something took or waits, in words; on pages, in findings and in messages alike."""

UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def span(seconds: float) -> str:
    """Two figures at most: 0.4 ms, 210 ms, 2.1 s, 41 min, 3.4 h, 12 d; a whole one is 1 h."""
    size = abs(seconds)
    for unit_s, name in UNITS:
        if size >= unit_s:
            value = seconds / unit_s
            is_fine = abs(value) < 9.95 and value != int(value)
            return f"{value:.1f} {name}" if is_fine else f"{value:,.0f} {name}"
    ms = seconds * 1_000
    return f"{ms:.1f} ms" if 0 < abs(ms) < 9.95 else f"{ms:.0f} ms"
