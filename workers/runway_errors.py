"""What goes wrong with Redis, in words of our own."""


class EpochLost(Exception):
    """Redis has forgotten what was pushed to it, or another one answers at its address."""


class RunwayDown(Exception):
    """Redis does not answer, or takes nothing more."""
