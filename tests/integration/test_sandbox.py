"""The reading children are real processes; so are the worker that dies and its children."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.errors import Permanent, Transient
from pipelines.knowledge import sandbox
from pipelines.knowledge.document import Document
from pipelines.knowledge.extract import extract
from pipelines.knowledge.sandbox import Limits, Parser
from pipelines.knowledge.sandbox_frames import Frame
from tests.unit.extract_pdfs import make_pdf, stack

PAGE = b"<html><title>Soap</title><h1>Soap</h1><p>Made of olive oil and lye.</p></html>"
SLOW_PAGE = b"<html><body>" + b"<p>The quick brown fox jumps over the lazy dog.</p>" * 60_000
DEADLINE_S = 60.0
MEGABYTE = 1_000_000


STRANGERS: set[int] = set()


@pytest.fixture(autouse=True)
def strangers() -> None:
    """Know the children that were there before the test."""
    STRANGERS.clear()
    STRANGERS.update(child.pid for child in living_children())


@pytest.fixture
def parser() -> Iterator[Parser]:
    parser = Parser()
    yield parser
    parser.close()


def read(parser: Parser, body: bytes = PAGE, name: str | None = "soap.html") -> Document:
    return parser.parse(body, content_type="text/html", name=name)


def find_children() -> list[psutil.Process]:
    """The living reading processes of this one, but for those of other tests' parsers."""
    return [child for child in living_children() if child.pid not in STRANGERS]


def living_children() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PAGE, "text/html"),
        (b"# Soap\n\n- oil\n- lye\n", "text/markdown"),
        (b"Soap is made of oil.\n\nAnd of lye.", "text/plain"),
        (make_pdf(stack("Soap is made of oil."), title="Soap"), "application/pdf"),
        (PAGE.replace(b"Soap", "石鹸".encode("cp932")), "text/html; charset=shift_jis"),
    ],
)
def test_a_document_comes_back_as_extract_makes_it(
    parser: Parser, body: bytes, content_type: str
) -> None:
    document = parser.parse(body, content_type=content_type, name="soap")

    assert document == extract(body, content_type=content_type, name="soap")


def test_a_refusal_comes_back_with_its_own_words(parser: Parser) -> None:
    with pytest.raises(Permanent, match="no readable text"):
        read(parser, b"<html><script>x()</script></html>")
    with pytest.raises(Permanent, match=r"soap\.html is empty"):
        read(parser, b"")

    assert read(parser).title == "Soap"


def test_a_child_is_used_again(parser: Parser) -> None:
    read(parser)
    (first,) = find_children()

    read(parser)

    assert [child.pid for child in find_children()] == [first.pid]


def test_a_child_of_a_large_worker_is_used_again(parser: Parser) -> None:
    """What the worker holds is no memory of its child's."""
    ballast = bytearray(300 * MEGABYTE)
    ballast[::4096] = b"x" * len(ballast[::4096])

    read(parser)
    (first,) = find_children()
    read(parser)

    assert find_children() == [first]


def test_a_child_is_retired_after_so_many_documents(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "DOCUMENTS_MAX", 2)
    read(parser)
    (first,) = find_children()

    read(parser)
    read(parser)

    assert first.pid not in [child.pid for child in find_children()]


def test_a_child_that_grew_is_retired(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "RETIRE_BYTES", 1)

    read(parser)

    assert find_children() == []


def test_a_child_that_a_refused_file_filled_is_retired(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "RETIRE_BYTES", 1)

    with pytest.raises(Permanent, match="no readable text"):
        read(parser, b"<html><script>x()</script></html>")

    assert find_children() == []


def test_what_fails_in_a_child_that_others_used_is_tried_in_a_fresh_one(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(parser)
    ask = sandbox._Child.ask
    asked: list[int] = []

    def fail_once(child: sandbox._Child, request: Frame) -> Frame:
        asked.append(child.documents)
        answer = ask(child, request)
        return Frame({"failed": "ImportError"}, b"") if len(asked) == 1 else answer

    monkeypatch.setattr(sandbox._Child, "ask", fail_once)

    assert read(parser).title == "Soap"
    assert asked == [1, 0]


def test_plain_text_needs_no_child(parser: Parser) -> None:
    parser.parse(b"Just words.", content_type="text/plain")

    assert find_children() == []


def test_threads_share_few_children() -> None:
    parser = Parser(Limits(children_max=2))
    titles: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: titles.append(read(parser).title)) for _ in range(12)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert titles == ["Soap"] * 12
    assert len(find_children()) <= 2
    parser.close()


def test_a_child_killed_between_documents_is_replaced(parser: Parser) -> None:
    read(parser)
    for child in find_children():
        os.kill(child.pid, signal.SIGKILL)

    assert read(parser).title == "Soap"


def test_a_document_that_takes_too_long_is_refused_with_the_limit() -> None:
    parser = Parser(Limits(wall_s_max=0.2))

    with pytest.raises(Permanent, match=r"soap\.html .* took too long \(time limit 0\.2 s"):
        read(parser, SLOW_PAGE)

    assert find_children() == []


def test_a_document_that_takes_too_much_memory_is_refused_with_the_limit() -> None:
    parser = Parser(Limits(memory_bytes_max=160 * MEGABYTE))

    with pytest.raises(Permanent, match=r"soap\.html could not be read .*memory limit 160 MB"):
        read(parser, SLOW_PAGE * 3)

    parser.close()


def test_after_a_document_that_broke_the_limits_the_next_is_read() -> None:
    parser = Parser(Limits(cpu_s_max=0))

    with pytest.raises(Permanent, match="took too long"):
        read(parser, SLOW_PAGE * 3)

    assert read(parser).title == "Soap"
    parser.close()


def test_a_child_that_cannot_be_started_is_a_passing_failure(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(Transient, match="no process could be started"):
        read(parser)


def test_more_readers_than_places_are_a_passing_failure() -> None:
    parser = Parser(Limits(children_max=1, queue_s_max=0.05))
    slow = threading.Thread(target=lambda: read(parser, SLOW_PAGE))
    slow.start()
    wait_until(lambda: bool(find_children()))

    with pytest.raises(Transient, match="busy"):
        read(parser)

    slow.join()
    parser.close()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux' /proc")
def test_a_child_knows_no_secret_and_holds_no_file_of_the_worker(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    with (tmp_path / "open.txt").open("w"):
        read(parser)
        (child,) = find_children()
        environment = child.environ()
        files = [file.path for file in child.open_files()]

    assert "OPENAI_API_KEY" not in environment
    assert set(environment) <= {"PYTHONPATH", "LANG", "MALLOC_ARENA_MAX", "LC_CTYPE"}
    assert files == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_worker(ending: signal.Signals) -> None:
    script = (
        "from pipelines.knowledge.sandbox import Parser; import time; parser = Parser();"
        f"parser.parse({PAGE!r}, content_type='text/html'); print('ready', flush=True);"
        "time.sleep(60)"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    (child,) = psutil.Process(worker.pid).children()

    worker.send_signal(ending)
    worker.wait()
    worker.stdout.close()

    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_busy_child_ends_with_its_worker_too() -> None:
    script = (
        "from pipelines.knowledge.sandbox import Parser\n"
        "names = b' '.join(b'a%d=1' % n for n in range(200_000))\n"
        "Parser().parse(b'<html><p ' + names + b'>slow', content_type='text/html')"
    )
    worker = subprocess.Popen([sys.executable, "-c", script])
    wait_until(lambda: bool(psutil.Process(worker.pid).children()))
    (child,) = psutil.Process(worker.pid).children()
    wait_until(lambda: child.cpu_times().user > 0.5)

    worker.kill()
    worker.wait()

    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("name", "body", "content_type"),
    [
        ("text of 10 MB", b"some words that are written many times " * 260_000, "text/plain"),
        ("page of 5 MB", SLOW_PAGE * 2, "text/html"),
        (
            "PDF of 300 pages",
            make_pdf(*[stack(*(f"Line {n} of a page of text." for n in range(45)))] * 300),
            "application/pdf",
        ),
    ],
)
def test_worker_and_child_together_grow_by_less_than_200_mb(
    name: str, body: bytes, content_type: str
) -> None:
    parser = Parser()
    before = measure_all()
    peak = before

    documents: list[Document] = []
    reader = threading.Thread(
        target=lambda: documents.append(parser.parse(body, content_type=content_type, name=name))
    )
    reader.start()
    while reader.is_alive():
        peak = max(peak, measure_all())
        time.sleep(0.01)

    assert documents[0].blocks
    assert peak - before < 200 * MEGABYTE
    parser.close()


def measure_all() -> int:
    """The memory of this process and its children."""
    total: int = psutil.Process().memory_info().rss
    for child in find_children():
        try:
            total += child.memory_info().rss
        except psutil.Error:
            continue
    return total


@pytest.mark.parametrize(
    "body",
    [
        b"<div>" * 100_000 + b"deep words",
        b"<table><tr><td>" * 30_000 + b"deep words",
        b"<ul><li>x" * 20_000 + b"deep words",
        b"<dl><dt>a<dd>" * 20_000 + b"deep words",
        b"<h1><a><button>word" * 5_000 + b"<p>deep words",
        b"<p>" + b"<a href=x>link</a> " * 40_000 + b"</p><p>These are deep words.</p>",
    ],
    ids=["divs", "tables", "lists", "definitions", "buttons", "links"],
)
def test_a_hostile_page_is_read_within_the_limits(parser: Parser, body: bytes) -> None:
    assert "deep words" in read(parser, b"<html><body>" + body).text
