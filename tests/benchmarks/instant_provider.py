"""An embeddings server that answers at once: what is measured is everything around it.

`python -m tests.benchmarks.instant_provider` says its port on the first line of its output. Each
text has a vector of its own, as equal ones would make an HNSW index degenerate. GET says how many
inputs and characters were sent since the last time.
"""

import base64
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

DIMENSIONS = 1536

lock = threading.Lock()
sent = {"inputs": 0, "chars": 0}


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        print(server.server_port, flush=True)
        server.serve_forever()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        with lock:
            body = json.dumps(sent)
            sent.update(inputs=0, chars=0)
        self.answer(body)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        with lock:
            sent["inputs"] += len(texts)
            sent["chars"] += sum(map(len, texts))
        as_text = asked.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": embed(text, as_text=as_text)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(map(len, texts)) // 4
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self.answer(
            json.dumps({"object": "list", "data": data, "model": asked["model"], "usage": usage})
        )

    def answer(self, body: str) -> None:
        raw = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def embed(text: str, *, as_text: bool) -> str | list[float]:
    luck = np.random.default_rng(zlib.crc32(text.encode()))
    vector = luck.standard_normal(DIMENSIONS, dtype=np.float32)
    vector /= np.linalg.norm(vector)
    return base64.b64encode(vector.tobytes()).decode() if as_text else vector.tolist()


if __name__ == "__main__":
    main()
