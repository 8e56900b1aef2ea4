"""Gives a silent embedding provider up after five seconds instead of a minute.

Python imports a module of this name at its start, so every command of a test that puts this
folder on PYTHONPATH does.
"""

import sys
from importlib import import_module

TIMEOUT_S = 5.0

if "worker-child" in sys.orig_argv:
    embedder = import_module("pipelines.gateways.openai").OpenAIEmbedder
    embedder.__init__.__kwdefaults__["timeout_s"] = TIMEOUT_S
