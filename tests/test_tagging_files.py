"""Where taggers are found, what is said of those that are not there, and how their files are fetched."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import graphs
import pytest

from lib_lora.core.errors import ConfigError, HostError
from lib_lora.hosts.base import HostPaths
from lib_lora.tagging import digest, download, locate, registry
from lib_lora.tagging.tagger import Around, Missing, Wanted

LARGE = "wd-vit-large-tagger-v3"


@pytest.fixture
def around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Around:
    """A host's folders and a hub's cache, all empty; the network is not there."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    return locate.around(HostPaths(tmp_path / "loras", tmp_path / "state", models=tmp_path / "models"), None, (), {"HF_HOME": str(tmp_path / "hf")})


class TestPlaces:
    @pytest.mark.parametrize(
        "place",
        [
            f"models/taggers/{LARGE}",
            f"models/TaggerOnnx/{LARGE}",
            f"models/wd14_tagger_model/SmilingWolf_{LARGE}",
            f"models/SmilingWolf_{LARGE}",
            f"models/{LARGE}",
            f"models/interrogators/models--SmilingWolf--{LARGE}/snapshots/abc",
            f"hf/hub/models--SmilingWolf--{LARGE}/snapshots/abc",
        ],
    )
    def test_a_complete_pair_is_found_without_the_network(self, around: Around, tmp_path: Path, place: str) -> None:
        folder = graphs.tagger(tmp_path / place)
        found = registry.chosen(LARGE, around)
        assert found.missing is None
        assert found.place == str(folder)
        assert found.hint == 0.2606

    def test_a_flat_pair(self, around: Around, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path / "models" / "taggers")
        (folder / "model.onnx").rename(folder / f"{LARGE}.onnx")
        (folder / "selected_tags.csv").rename(folder / f"{LARGE}.csv")
        assert registry.chosen(LARGE, around).missing is None

    def test_ours_comes_before_other_programs(self, around: Around, tmp_path: Path) -> None:
        graphs.tagger(tmp_path / "models" / "TaggerOnnx" / LARGE)
        ours = graphs.tagger(tmp_path / "models" / "taggers" / LARGE)
        assert registry.chosen(LARGE, around).place == str(ours)

    def test_the_hubs_main_version_comes_before_others(self, around: Around, tmp_path: Path) -> None:
        hub = tmp_path / "hf" / "hub" / f"models--SmilingWolf--{LARGE}"
        main = graphs.tagger(hub / "snapshots" / "bbb")
        graphs.tagger(hub / "snapshots" / "aaa")
        graphs.tagger(hub / "snapshots" / "ccc")
        (hub / "refs").mkdir()
        (hub / "refs" / "main").write_text("bbb\n", encoding="utf-8")
        assert registry.chosen(LARGE, around).place == str(main)

    @pytest.mark.parametrize("broken", ["no list", "no graph", "empty graph", "part"])
    def test_half_a_tagger_is_none(self, around: Around, tmp_path: Path, broken: str) -> None:
        folder = graphs.tagger(tmp_path / "models" / "taggers" / LARGE)
        if broken == "no list":
            (folder / "selected_tags.csv").unlink()
        elif broken == "part":
            (folder / "model.onnx").rename(folder / "model.onnx.part")
        else:
            (folder / "model.onnx").write_bytes(b"")
            if broken == "no graph":
                (folder / "model.onnx").unlink()
        assert registry.chosen(LARGE, around).missing is not None

    def test_a_graph_that_was_cut_off_is_said_to_be(self, around: Around, tmp_path: Path) -> None:
        pytest.importorskip("onnxruntime", reason="graphs need onnxruntime")
        folder = graphs.tagger(tmp_path / "models" / "taggers" / LARGE)
        (folder / "model.onnx").write_bytes(graphs.wd()[:-100])
        with pytest.raises(HostError, match="of 1260645673 bytes: it was not fetched completely"):
            registry.chosen(LARGE, around).start(True)

    def test_what_is_missing_is_named_with_its_place_and_its_addresses(self, around: Around, tmp_path: Path) -> None:
        tagger = registry.chosen("wd-v1-4-moat-tagger-v2", around)
        assert tagger.missing is not None
        assert tagger.missing.folder == tmp_path / "models" / "taggers" / "wd-v1-4-moat-tagger-v2"
        with pytest.raises(HostError) as told:
            tagger.start(True)
        for part in (
            str(tagger.missing.folder),
            "model.onnx",
            "selected_tags.csv",
            "https://huggingface.co/SmilingWolf/wd-v1-4-moat-tagger-v2/resolve/main/model.onnx",
            "https://huggingface.co/SmilingWolf/wd-v1-4-moat-tagger-v2/resolve/main/selected_tags.csv",
        ):
            assert part in str(told.value)

    def test_a_mirror_is_named_in_the_addresses(self, tmp_path: Path) -> None:
        where = locate.around(HostPaths(tmp_path, tmp_path), environ={"HF_ENDPOINT": "https://hf-mirror.example/"})
        missing = registry.chosen(LARGE, where).missing
        assert missing is not None
        assert missing.files[0].url == f"https://hf-mirror.example/SmilingWolf/{LARGE}/resolve/main/model.onnx"

    @pytest.mark.parametrize("labels", ["selected_tags.csv", "tags-selected.csv", "anything.csv"])
    def test_any_folder_with_a_graph_and_a_csv_is_a_tagger(self, around: Around, tmp_path: Path, labels: str) -> None:
        graphs.tagger(tmp_path / "models" / "taggers" / "my own", labels=labels)
        found = registry.chosen("my own", around)
        assert (found.kind, found.missing) == ("folder", None)

    def test_a_folder_with_two_graphs_is_none(self, around: Around, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path / "models" / "taggers" / "mine")
        (folder / "other.onnx").write_bytes(b"x")
        with pytest.raises(ConfigError, match="there are"):
            registry.chosen("mine", around)

    def test_a_csv_among_others_is_taken_by_its_name(self, around: Around, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path / "models" / "taggers" / "mine")
        (folder / "notes.csv").write_text("a,b\n", encoding="utf-8")
        assert registry.chosen("mine", around).missing is None

    @pytest.mark.parametrize("given", ["box/mine", "box"])
    def test_a_folder_named_for_a_run_is_a_taggers_own_or_the_one_around_it(self, tmp_path: Path, given: str) -> None:
        folder = graphs.tagger(tmp_path / "box" / "mine")
        around = locate.around(HostPaths(tmp_path, tmp_path), None, [tmp_path / given], {})
        assert registry.chosen("mine", around).place == str(folder)

    def test_a_taggers_own_folder_is_meant_whatever_it_is_called(self, tmp_path: Path) -> None:
        folder = graphs.tagger(tmp_path / "download (1)")
        around = locate.around(HostPaths(tmp_path, tmp_path), None, [folder], {})
        assert registry.chosen(LARGE, around).place == str(folder)
        assert registry.chosen("my tagger", around).place == str(folder)

    @pytest.mark.parametrize("model", ["model.onnx", "model_optimized.onnx"])
    def test_cl_tagger_by_its_mapping(self, around: Around, tmp_path: Path, model: str) -> None:
        folder = tmp_path / "models" / "taggers" / "cl_tagger" / "cl_tagger_1_02"
        folder.mkdir(parents=True)
        (folder / model).write_bytes(graphs.cl())
        (folder / "tag_mapping.json").write_text("{}", encoding="utf-8")
        found = registry.chosen("cl_tagger_1_02", around)
        assert (found.kind, found.missing, found.place) == ("cl_tagger", None, str(folder))

    def test_without_a_name_the_first_that_is_ready_is_taken(self, around: Around, tmp_path: Path) -> None:
        assert registry.chosen("", around).name == LARGE
        graphs.tagger(tmp_path / "models" / "taggers" / "wd-v1-4-vit-tagger")
        assert registry.chosen("", around).name == "wd-v1-4-vit-tagger"
        graphs.tagger(tmp_path / "models" / "taggers" / LARGE)
        assert registry.chosen("", around).name == LARGE

    def test_without_onnxruntime_none_is_ready_and_it_says_what_to_do(self, around: Around, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        graphs.tagger(tmp_path / "models" / "taggers" / "mine")
        assert registry.listed(around)["mine"].missing is None
        monkeypatch.setattr(registry, "RUNTIME", "a_package_that_nobody_has")
        found = registry.listed(around)
        assert all(tagger.missing is not None for tagger in found.values())
        missing = found["mine"].missing
        assert missing is not None and not missing.files
        assert "restart the WebUI" in missing.also[-1].text()
        # Where files are not there either, both are told.
        other = found[LARGE].missing
        assert other is not None and other.files and "onnxruntime" in other.also[-1].text()

    def test_the_ready_ones_are_listed_first(self, around: Around, tmp_path: Path) -> None:
        graphs.tagger(tmp_path / "models" / "taggers" / "wd-v1-4-vit-tagger")
        names = list(registry.listed(around))
        assert names[0] == "wd-v1-4-vit-tagger"
        assert len([name for name in names if name.startswith("wd-")]) == 12


class TestDigest:
    def test_it_is_remembered_while_the_file_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "model.onnx"
        file.write_bytes(b"one")
        first = digest.remembered(file, tmp_path / "state")
        assert first == hashlib.sha256(b"one").hexdigest()
        with monkeypatch.context() as patched:
            patched.setattr(digest, "sha256", lambda path: pytest.fail("the file was read again"))
            assert digest.remembered(file, tmp_path / "state") == first
        file.write_bytes(b"another")
        assert digest.remembered(file, tmp_path / "state") == hashlib.sha256(b"another").hexdigest()


CONTENT = bytes(range(256)) * 4000  # 1 MB
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A hub on this machine. `cut` ends each answer after so many bytes; `etag` is what the hub says the checksum is.

    `version` is the ETag of the file itself; `heeds` says whether If-Range is understood.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.cut: int | None = None
        self.ranges = True
        self.content = CONTENT
        self.etag: str | None = None
        self.version: str | None = None
        self.heeds = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that cancels hangs up
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.path, wanted))
        if request.path.startswith("/linked/"):
            request.send_response(302)
            request.send_header("Location", "/file")
            request.send_header("X-Linked-Size", str(len(CONTENT)))
            request.send_header("X-Linked-ETag", f'"{self.etag}"')
            request.end_headers()
            return
        if request.path == "/gone":
            request.send_error(404)
            return
        if self.heeds and request.headers.get("If-Range") not in (None, self.version):
            wanted = None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            request.send_error(416)
            return
        body = self.content[start:]
        request.send_response(206 if wanted and self.ranges else 200)
        request.send_header("Content-Length", str(len(body)))
        if self.version:
            request.send_header("ETag", self.version)
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        request.wfile.write(body if self.cut is None else body[: self.cut])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Server()
    yield found
    found.server.shutdown()
    found.server.server_close()


class Turn:
    """Cancels after so many bytes."""

    def __init__(self, until: int | None = None) -> None:
        self.told: list[tuple[int, int]] = []
        self.until = until

    @property
    def cancelled(self) -> bool:
        return self.until is not None and self.told[-1][0] >= self.until

    def tell(self, done: int, total: int, message: object = None) -> None:
        self.told.append((done, total))


def wanted(server: Server, folder: Path, path: str = "/file", bytes: int = 0, sha256: str = "") -> Missing:
    return Missing(folder, (Wanted("model.onnx", server.address + path, bytes, sha256),))


class TestDownload:
    def test_files_are_put_in_place_whole(self, server: Server, tmp_path: Path) -> None:
        turn = Turn()
        missing = Missing(
            tmp_path / "new", (Wanted("model.onnx", f"{server.address}/file", len(CONTENT), HASH), Wanted("selected_tags.csv", f"{server.address}/file"))
        )
        assert download.fetch(missing, turn, 0)
        assert {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()} == {"model.onnx": CONTENT, "selected_tags.csv": CONTENT}
        assert turn.told[-1] == (2 * len(CONTENT), 2 * len(CONTENT))

    def test_what_is_there_is_not_fetched_again(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"mine")
        assert download.fetch(wanted(server, tmp_path), Turn(), 0)
        assert server.asked == []
        assert (tmp_path / "model.onnx").read_bytes() == b"mine"

    def test_a_connection_that_breaks_is_resumed(self, server: Server, tmp_path: Path) -> None:
        server.cut = 400_000
        assert download.fetch(wanted(server, tmp_path, sha256=HASH), Turn(), 0)
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT
        assert [start for _, start in server.asked] == [None, "bytes=400000-", "bytes=800000-"]

    def test_a_cancelled_one_is_resumed_the_next_time(self, server: Server, tmp_path: Path) -> None:
        assert not download.fetch(wanted(server, tmp_path, bytes=len(CONTENT)), Turn(until=300_000), 0)
        part = tmp_path / "model.onnx.part"
        assert 0 < part.stat().st_size < len(CONTENT)
        assert not (tmp_path / "model.onnx").exists()
        held = part.stat().st_size
        assert download.fetch(wanted(server, tmp_path, bytes=len(CONTENT), sha256=HASH), Turn(), 0)
        assert server.asked[-1] == ("/file", f"bytes={held}-")
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT
        assert not part.exists()

    def test_a_server_that_cannot_resume_sends_all_of_it(self, server: Server, tmp_path: Path) -> None:
        server.ranges = False
        (tmp_path / "model.onnx.part").write_bytes(b"something else")
        assert download.fetch(wanted(server, tmp_path, sha256=HASH), Turn(), 0)
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT

    def test_a_part_that_has_everything_needs_no_network(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "model.onnx.part").write_bytes(CONTENT)
        assert download.fetch(wanted(server, tmp_path, bytes=len(CONTENT), sha256=HASH), Turn(), 0)
        assert server.asked == []
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT

    def test_a_part_that_is_too_long_is_begun_again(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "model.onnx.part").write_bytes(CONTENT + b"x")
        assert download.fetch(wanted(server, tmp_path, bytes=len(CONTENT), sha256=HASH), Turn(), 0)
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT

    @pytest.mark.parametrize("more", [b"", b"x"])
    def test_a_part_of_a_file_of_unknown_size_that_has_everything_is_begun_again(self, server: Server, tmp_path: Path, more: bytes) -> None:
        (tmp_path / "model.onnx.part").write_bytes(CONTENT + more)
        assert download.fetch(wanted(server, tmp_path), Turn(), 0)
        assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT

    @pytest.mark.parametrize("heeds", [True, False])
    def test_parts_of_two_versions_are_never_glued(self, server: Server, tmp_path: Path, heeds: bool) -> None:
        server.version, server.heeds = '"one"', heeds
        assert not download.fetch(wanted(server, tmp_path), Turn(until=300_000), 0)
        server.version, server.content = '"two"', CONTENT[::-1]
        assert download.fetch(wanted(server, tmp_path), Turn(), 0)
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT[::-1]
        assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]

    def test_the_same_version_is_resumed(self, server: Server, tmp_path: Path) -> None:
        server.version = '"one"'
        assert not download.fetch(wanted(server, tmp_path), Turn(until=300_000), 0)
        held = (tmp_path / "model.onnx.part").stat().st_size
        assert download.fetch(wanted(server, tmp_path), Turn(), 0)
        assert server.asked[-1] == ("/file", f"bytes={held}-")
        assert (tmp_path / "model.onnx").read_bytes() == CONTENT

    def test_another_file_than_the_published_one_is_thrown_away(self, server: Server, tmp_path: Path) -> None:
        server.content = CONTENT[:-1] + b"!"
        with pytest.raises(HostError, match="not the file that was published"):
            download.fetch(wanted(server, tmp_path, bytes=len(CONTENT), sha256=HASH), Turn(), 0)
        assert list(tmp_path.iterdir()) == []

    def test_another_size_than_the_published_one_is_not_fetched(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(HostError, match="offers 1024000 bytes where 5 were published"):
            download.fetch(wanted(server, tmp_path, bytes=5), Turn(), 0)
        assert not list(tmp_path.glob("*.onnx"))

    def test_the_hubs_own_checksum_is_checked_where_we_know_none(self, server: Server, tmp_path: Path) -> None:
        server.etag = HASH
        assert download.fetch(wanted(server, tmp_path / "good", "/linked/file"), Turn(), 0)
        server.etag = "0" * 64
        with pytest.raises(HostError, match="not the file that was published"):
            download.fetch(wanted(server, tmp_path / "bad", "/linked/file"), Turn(), 0)

    def test_what_is_not_there_is_said(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(HostError, match="404"):
            download.fetch(wanted(server, tmp_path, "/gone"), Turn(), 0)
        assert len(server.asked) == 1

    def test_a_server_that_never_gets_on_is_given_up(self, server: Server, tmp_path: Path) -> None:
        server.cut = 0
        with pytest.raises(HostError, match="could not be downloaded"):
            download.fetch(wanted(server, tmp_path), Turn(), 0)
        assert len(server.asked) == download.ATTEMPTS

    def test_a_disk_that_is_full_is_noticed_before(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
        with pytest.raises(HostError, match="MB are free"):
            download.fetch(wanted(server, tmp_path), Turn(), 0)

    def test_other_addresses_than_http_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("x", encoding="utf-8")
        with pytest.raises(HostError, match="only http and https"):
            download.fetch(Missing(tmp_path / "out", (Wanted("model.onnx", (tmp_path / "secret").as_uri()),)), Turn(), 0)
