"""How long a job of each queue may wait before somebody should look."""

# Of what customers wait for, a minute; of what takes long by nature, more.
TARGETS_S = {
    "default": 60.0,
    "email": 120.0,
    "knowledge": 600.0,
    "sentiment": 600.0,
    "webhooks": 60.0,
}
