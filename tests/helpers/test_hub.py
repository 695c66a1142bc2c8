"""Fetching from a Hub on 127.0.0.1 that answers well, badly, or not at all."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from stub_hub import StubHub, altered, cut, short, status
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizer

from helpers.materials import hub as module
from helpers.materials.cache import sha256
from helpers.materials.hub import TRIES, HubError, fetch

REPOSITORY, REVISION = "course/tiny-bert", "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "model.safetensors"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", WEIGHTS)
ONCE = Counter(HEAD=1, GET=1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A BERT of one layer with random weights, saved with its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny-bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "great", "film"]
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def hub(tiny):
    with StubHub(REPOSITORY, REVISION, {name: (tiny / name).read_bytes() for name in FILES}) as stub:
        yield stub


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the library would have slept."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.fixture
def get(hub, tiny, waits, monkeypatch, tmp_path):
    """Fetches from the stub into an empty cache; `get.waits` are the seconds between our own tries."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    checksums = {WEIGHTS: sha256(tiny / WEIGHTS)}

    def fetched(revision=REVISION, files=FILES):
        return fetch(
            REPOSITORY, revision, files, checksums=checksums, megabytes=1, sleep=fetched.waits.append
        )

    fetched.waits = []
    return fetched


def blobs(cache):
    """What is in the cache's store of files, whole or half."""
    return [path.name for path in cache.glob("models--*/blobs/*")]


def test_good_files_come_with_one_request_each_and_compute(hub, get, tiny):
    folder = get()
    assert {name: hub.asked(name) for name in FILES} == dict.fromkeys(FILES, ONCE)
    inputs = AutoTokenizer.from_pretrained(folder)("a great film", return_tensors="pt")
    assert inputs["input_ids"].tolist() == [[2, 5, 6, 7, 3]]
    with torch.inference_mode():
        ours = AutoModel.from_pretrained(folder)(**inputs).last_hidden_state
        theirs = AutoModel.from_pretrained(tiny)(**inputs).last_hidden_state
    assert torch.equal(ours, theirs)
    assert get.waits == []


def test_a_second_fetch_asks_for_nothing(hub, get):
    folder = get()
    hub.requests.clear()
    assert get() == folder
    assert hub.requests == []


def test_a_wrong_checksum_is_fetched_once_more(hub, get, tiny):
    hub.spoil("GET", WEIGHTS, altered)
    assert sha256(get() / WEIGHTS) == sha256(tiny / WEIGHTS)
    assert hub.asked(WEIGHTS) == Counter(HEAD=2, GET=2)
    assert hub.asked("config.json") == ONCE


def test_a_wrong_checksum_twice_is_an_error_and_leaves_nothing_in_the_cache(hub, get, tiny, tmp_path):
    hub.spoil("GET", WEIGHTS, altered, times=2)
    with pytest.raises(HubError, match=f"SHA-256 .* instead of {sha256(tiny / WEIGHTS)}, twice"):
        get()
    assert hub.asked(WEIGHTS) == Counter(HEAD=2, GET=2)
    assert sha256(tiny / WEIGHTS) not in blobs(tmp_path)
    assert not list(tmp_path.glob(f"models--*/snapshots/*/{WEIGHTS}"))


def test_a_file_that_was_altered_in_the_cache_is_fetched_again(hub, get, tiny):
    weights = get() / WEIGHTS
    weights.resolve().write_bytes(b"other weights")
    hub.requests.clear()
    assert sha256(get() / WEIGHTS) == sha256(tiny / WEIGHTS)
    assert hub.requests == [("HEAD", WEIGHTS), ("GET", WEIGHTS)]


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_after_429_the_library_waits_as_long_as_it_is_told(hub, get, waits, method):
    hub.spoil(method, WEIGHTS, status(429, {"Retry-After": "7"}), times=2)
    get()
    assert hub.asked(WEIGHTS)[method] == 3
    assert max(waits) == 8.0, "the library adds a second"
    assert get.waits == []


def test_429_without_end_is_said_after_a_bounded_number_of_requests(hub, get):
    hub.spoil("GET", WEIGHTS, status(429, {"Retry-After": "7"}), times=100)
    with pytest.raises(HubError, match=r"The answer was 429, also when asked again\. Wait some minutes"):
        get()
    assert hub.asked(WEIGHTS) == Counter(HEAD=1, GET=6)


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_5xx_in_place_of_a_file_is_waited_out(hub, get, code):
    hub.spoil("GET", WEIGHTS, status(code), times=2)
    get()
    assert hub.asked(WEIGHTS)["GET"] == 3
    assert get.waits == [1.0, 2.0]


@pytest.mark.parametrize(("told", "waited"), [("20", 20.0), ("86400", 300.0), ("tomorrow", 1.0)])
def test_a_5xx_that_names_a_time_is_waited_out_so_long_but_not_for_ever(hub, get, told, waited):
    hub.spoil("GET", WEIGHTS, status(503, {"Retry-After": told}))
    get()
    assert get.waits == [waited]


def test_5xx_without_end_is_said_after_a_bounded_number_of_requests(hub, get):
    hub.spoil("GET", WEIGHTS, status(503), times=100)
    with pytest.raises(HubError, match="The answer was 503"):
        get()
    assert hub.asked(WEIGHTS)["GET"] == TRIES
    assert get.waits == [1.0, 2.0, 4.0]


def test_5xx_while_a_file_is_looked_up_is_repeated_by_the_library(hub, get, waits):
    hub.spoil("HEAD", "config.json", status(503), times=3)
    get()
    assert hub.asked("config.json") == Counter(HEAD=4, GET=1)
    hub.spoil("HEAD", "other.json", status(503), times=100)
    with pytest.raises(HubError, match="The answer was 503"):
        get(files=["other.json"])
    assert hub.asked("other.json") == Counter(HEAD=7)
    assert get.waits == []


def test_a_cut_download_goes_on_where_it_broke_off(hub, get, tiny):
    hub.spoil("GET", WEIGHTS, cut(after=2_500))
    assert sha256(get() / WEIGHTS) == sha256(tiny / WEIGHTS)
    assert hub.ranges == ["bytes=2000-"]
    assert hub.asked(WEIGHTS) == Counter(HEAD=1, GET=2)


@pytest.mark.parametrize("fault", [cut(after=2_500, reset=True), short], ids=["reset", "short"])
def test_a_reset_connection_and_a_file_that_ends_early_are_fetched_again(hub, get, tiny, fault):
    hub.spoil("GET", WEIGHTS, fault)
    assert sha256(get() / WEIGHTS) == sha256(tiny / WEIGHTS)
    assert hub.asked(WEIGHTS)["GET"] == 2


@pytest.mark.parametrize("fault", [cut(after=0), cut(after=2_500, reset=True), short])
def test_a_connection_that_always_breaks_is_said_and_half_a_file_is_not_kept(hub, get, tmp_path, fault):
    hub.spoil("GET", WEIGHTS, fault, times=100)
    with pytest.raises(HubError, match=r"Error: .*Check the connection"):
        get()
    assert TRIES <= hub.asked(WEIGHTS)["GET"] <= 6 * TRIES
    assert get.waits == [1.0, 2.0, 4.0]
    assert len(blobs(tmp_path)) == len(FILES) - 1
    with pytest.raises(HubError):
        get()


def test_an_unknown_revision_is_final_and_named(hub, get):
    with pytest.raises(HubError, match=r"at revision f{40} .*404: no such repository, revision or file"):
        get(revision="f" * 40)
    assert hub.requests == [("HEAD", "config.json")]


def test_a_file_that_the_repository_lacks_is_final(hub, get):
    with pytest.raises(HubError, match=r"vocab\.txt.*404"):
        get(files=["vocab.txt"])
    assert hub.requests == [("HEAD", "vocab.txt")]


def test_a_refusal_is_final_and_speaks_of_the_token(hub, get):
    hub.spoil("HEAD", "config.json", status(401), times=100)
    with pytest.raises(HubError, match=r"401: no entry\. A saved token may have expired: unset HF_TOKEN"):
        get()
    assert hub.requests == [("HEAD", "config.json")]


def test_an_unreachable_hub_is_said_with_what_was_wanted_and_every_remedy(get, waits, monkeypatch, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", nowhere)
    with pytest.raises(HubError) as caught:
        get()
    message = str(caught.value)
    for part in (REPOSITORY, REVISION, *FILES, "about 1 MB", nowhere, "ConnectError", "Check the connection"):
        assert part in message
    assert "COURSE_WEIGHTS=packaged" in message
    assert f"copy models--course--tiny-bert from the cache of a machine that has it to {tmp_path}" in message
    assert get.waits == [], "the library has waited already"
    assert sum(waits) < 30


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RecursionError("too many breaks")])
def test_what_another_try_cannot_mend_is_not_repeated(get, monkeypatch, error):
    def fails(*arguments, **options):
        raise error

    monkeypatch.setattr(module, "hf_hub_download", fails)
    with pytest.raises(HubError, match=re.escape(f"{type(error).__name__}: {error}")):
        get()
    assert get.waits == []


class TestAProcessOfItsOwn:
    """With the library's settings read from the environment, as in a notebook."""

    @pytest.fixture
    def start(self, hub, tiny, tmp_path):
        def started(**settings):
            checksums = {WEIGHTS: sha256(tiny / WEIGHTS)}
            script = (
                "from helpers.materials.hub import fetch\n"
                f"print(fetch({REPOSITORY!r}, {REVISION!r}, {FILES}, checksums={checksums}, megabytes=1))"
            )
            environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": hub.url, **settings}
            environment.pop("HF_HUB_CACHE", None)
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            return subprocess.Popen([sys.executable, "-c", script], env=environment, **pipes)

        return started

    def test_a_filled_cache_works_offline_and_an_empty_one_says_what_to_unset(self, hub, start):
        out, error = (empty := start(HF_HUB_OFFLINE="1")).communicate()
        assert empty.returncode != 0
        assert "HF_HUB_OFFLINE is set" in error
        assert "Unset HF_HUB_OFFLINE to download." in error
        out, _ = start().communicate()
        requests = len(hub.requests)
        again, _ = start(HF_HUB_OFFLINE="1").communicate()
        assert Path(again.strip()).is_dir()
        assert again == out
        assert len(hub.requests) == requests
        assert {name: hub.asked(name) for name in FILES} == dict.fromkeys(FILES, ONCE)

    def test_a_fetch_that_was_killed_half_way_starts_again_and_ends_whole(self, hub, start, tiny, tmp_path):
        half_sent, dead = threading.Event(), threading.Event()

        def stall(handler, body):
            cut(after=2_500)(handler, body)
            half_sent.set()
            dead.wait(20)

        hub.spoil("GET", WEIGHTS, stall)
        process = start()
        assert half_sent.wait(20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        dead.set()
        assert not list(tmp_path.glob(f"hub/models--*/snapshots/*/{WEIGHTS}"))
        again, error = start().communicate()
        assert sha256(Path(again.strip()) / WEIGHTS) == sha256(tiny / WEIGHTS), error
        assert hub.asked("config.json") == ONCE, "what was whole is not fetched again"
