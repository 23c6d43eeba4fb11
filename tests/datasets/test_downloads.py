from __future__ import annotations

import hashlib
import json
import os
import threading

import pytest

from fidtools.datasets.downloads import Downloads
from fidtools.datasets.transfer import RetryPolicy, Transfer, TransferError
from fidtools.datasets.urls import Download, source_table
from fidtools.errors import DataError, FidtoolsError

DATA = os.urandom(3_000_000)
HASH = hashlib.sha256(DATA).hexdigest()
QUICK = RetryPolicy(attempts=3, wait=0.001)


def source(site, name="big.bin", **fields) -> Download:
    return Download(name, f"{site.url}/{name}", **fields)


def store(tmp_path, **options) -> Downloads:
    return Downloads(tmp_path / "downloads", **({"retries": QUICK} | options))


def names(tmp_path) -> set[str]:
    return {path.name for path in (tmp_path / "downloads").iterdir() if path.name != ".lock"}


def test_a_file_arrives_whole_and_is_recorded(site, tmp_path):
    site.files["big.bin"] = DATA
    downloads = store(tmp_path)
    assert downloads.fetch([source(site)]) == {"big.bin"}
    assert downloads.path("big.bin").read_bytes() == DATA
    record = json.loads((tmp_path / "downloads" / "downloads.json").read_text())["big.bin"]
    assert (record["url"], record["size"], record["sha256"]) == (f"{site.url}/big.bin", len(DATA), HASH)
    assert names(tmp_path) == {"big.bin", "downloads.json"}


def test_a_cut_connection_is_resumed_at_the_byte_where_it_was_cut(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut", "cut"]
    store(tmp_path).fetch([source(site)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA
    assert site.asked("big.bin") == [None, "bytes=1500000-", "bytes=2250000-"]


def test_progress_resets_the_count_of_failures(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut"] * 10
    store(tmp_path).fetch([source(site)])
    assert len(site.asked("big.bin")) == 11


def test_a_killed_run_goes_on_in_the_next(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut", "503", "503", "503"]
    with pytest.raises(FidtoolsError, match="503"):
        store(tmp_path).fetch([source(site)])
    assert names(tmp_path) == {".big.bin.partial", ".big.bin.etag"}
    store(tmp_path).fetch([source(site)])
    assert site.asked("big.bin")[-1] == "bytes=1500000-"
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_a_server_without_ranges_is_read_from_the_start_again(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut", "no ranges"]
    store(tmp_path).fetch([source(site)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_a_file_that_changed_between_two_pieces_is_not_glued(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut", "503", "503", "503"]
    with pytest.raises(FidtoolsError):
        store(tmp_path).fetch([source(site)])
    site.files["big.bin"] = DATA[::-1]
    store(tmp_path).fetch([source(site)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA[::-1]


def test_a_run_killed_when_it_learns_of_another_file_does_not_glue_either(site, tmp_path, monkeypatch):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["cut", "503", "503", "503"]
    with pytest.raises(FidtoolsError):
        store(tmp_path).fetch([source(site)])
    site.files["big.bin"] = DATA[::-1]
    keep = Transfer._keep_tag

    def killed(self, response):
        keep(self, response)
        raise TransferError("killed")

    with monkeypatch.context() as patch, pytest.raises(FidtoolsError, match="killed"):
        patch.setattr(Transfer, "_keep_tag", killed)
        store(tmp_path).fetch([source(site)])
    store(tmp_path).fetch([source(site)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA[::-1]


def test_without_tag_and_hash_nothing_is_resumed(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["no tag", "no tag"]
    partial = tmp_path / "downloads" / ".big.bin.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"of some other file")
    store(tmp_path).fetch([source(site)])
    assert site.asked("big.bin") == [None]
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_a_wrong_piece_from_before_is_noticed_by_the_hash_and_fetched_whole(site, tmp_path):
    site.files["big.bin"] = DATA
    partial = tmp_path / "downloads" / ".big.bin.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 1000)
    store(tmp_path).fetch([source(site, sha256=HASH)])
    assert site.asked("big.bin") == ["bytes=1000-", None]
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_all_bytes_there_but_not_yet_named(site, tmp_path):
    site.files["big.bin"] = DATA
    partial = tmp_path / "downloads" / ".big.bin.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA)
    store(tmp_path).fetch([source(site, sha256=HASH)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_busy_servers_are_tried_again_and_given_up_with_the_way_out(site, tmp_path):
    site.files["big.bin"], site.trouble["big.bin"] = DATA, ["503", "503", "503", "503"]
    with pytest.raises(FidtoolsError) as caught:
        store(tmp_path).fetch([source(site, size=len(DATA), sha256=HASH)])
    message = str(caught.value)
    assert f"{site.url}/big.bin: HTTP status 503 Service Unavailable (3 attempts)" in message
    assert f"put it at {tmp_path}/downloads/big.bin (3,000,000 bytes, SHA-256 {HASH}), and run this again" in message


def test_a_missing_file_is_not_asked_for_twice_and_the_others_come(site, tmp_path):
    site.files["small.bin"] = b"small"
    with pytest.raises(FidtoolsError, match="404 Not Found"):
        store(tmp_path).fetch([source(site, "gone.bin"), source(site, "small.bin")])
    assert site.asked("gone.bin") == [None]
    assert names(tmp_path) == {"small.bin", "downloads.json"}


def test_every_file_that_failed_is_named(site, tmp_path):
    with pytest.raises(FidtoolsError) as caught:
        store(tmp_path).fetch([source(site, "a"), source(site, "b")])
    assert f"{site.url}/a" in str(caught.value)
    assert f"{site.url}/b" in str(caught.value)


def test_an_optional_file_may_be_gone_and_is_named(site, tmp_path, caplog):
    site.files["small.bin"] = b"small"
    got = store(tmp_path).fetch([source(site, "gone.bin", optional=True), source(site, "small.bin")])
    assert got == {"small.bin"}
    assert "unavailable, skipped: gone.bin" in caplog.messages


def test_two_fetches_of_one_folder_take_turns(site, tmp_path):
    site.files["big.bin"] = DATA
    threads = [threading.Thread(target=store(tmp_path).fetch, args=([source(site)],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert site.asked("big.bin") == [None]
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_another_size_stops_before_the_bytes_are_fetched(site, tmp_path):
    site.files["big.bin"] = DATA
    with pytest.raises(FidtoolsError, match=r"the server has 3,000,000 bytes, expected 3,000,001"):
        store(tmp_path).fetch([source(site, size=3_000_001)])
    assert names(tmp_path) == set()


def test_another_hash_leaves_nothing_behind(site, tmp_path):
    site.files["big.bin"] = DATA
    with pytest.raises(FidtoolsError, match=f"not the expected file: 3,000,000 bytes with SHA-256 {HASH}"):
        store(tmp_path).fetch([source(site, sha256="0" * 64)])
    assert names(tmp_path) == set()
    assert site.asked("big.bin") == [None]


def test_the_hash_of_the_first_download_holds_ever_after(site, tmp_path):
    site.files["big.bin"] = DATA
    store(tmp_path).fetch([source(site)])
    (tmp_path / "downloads" / "big.bin").unlink()
    site.files["big.bin"] = DATA[:-1] + b"?"
    with pytest.raises(
        FidtoolsError, match=r"not the expected file.*\n  the first download was another file; .* its entry in"
    ):
        store(tmp_path).fetch([source(site)])


def test_a_file_that_was_damaged_on_disk_is_noticed(site, tmp_path):
    site.files["big.bin"] = DATA
    store(tmp_path).fetch([source(site)])
    (tmp_path / "downloads" / "big.bin").write_bytes(DATA[:-1])
    with pytest.raises(
        DataError, match=f"not the expected file: 2,999,999 bytes .* expected 3,000,000 bytes, SHA-256 {HASH}"
    ):
        store(tmp_path).fetch([source(site)])


def test_a_file_put_there_by_hand_is_checked_and_used_without_network(tmp_path):
    downloads = store(tmp_path)
    downloads.folder.mkdir()
    downloads.path("big.bin").write_bytes(DATA)
    nowhere = Download("big.bin", "http://127.0.0.1:9/big.bin", size=len(DATA), sha256=HASH)
    assert downloads.fetch([nowhere]) == {"big.bin"}
    assert json.loads((downloads.folder / "downloads.json").read_text())["big.bin"]["sha256"] == HASH


def test_offline_says_which_file_to_put_where(tmp_path):
    with pytest.raises(FidtoolsError, match=r"no connection: .*refused.*\n.*put it at .*/downloads/big.bin"):
        store(tmp_path).fetch([Download("big.bin", "http://127.0.0.1:9/big.bin")])


def test_files_come_at_the_same_time(site, tmp_path):
    """Four requests wait for each other: they meet only when all are under way."""
    meeting = threading.Barrier(4, timeout=10)

    class Meeting(dict):
        def __getitem__(self, name):
            meeting.wait()
            return super().__getitem__(name)

    site.files = Meeting({f"{n}.bin": b"%d" % n for n in range(4)})
    got = store(tmp_path, jobs=4).fetch([source(site, f"{n}.bin") for n in range(4)])
    assert len(got) == 4


def test_a_mirror_has_every_file_under_its_name(site, tmp_path):
    site.files["mirror/big.bin"] = DATA
    downloads = store(tmp_path, mirror=f"{site.url}/mirror/")
    downloads.fetch([Download("big.bin", "https://example.org/some/where.bin", sha256=HASH)])
    assert downloads.path("big.bin").read_bytes() == DATA


def test_proxy_variables_are_honoured(site, tmp_path, monkeypatch):
    """The server plays the proxy: a proxy is asked for the whole address."""
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    site.files["http://data.example/big.bin"] = DATA
    store(tmp_path).fetch([Download("big.bin", "http://data.example/big.bin")])
    assert site.asked("http://data.example/big.bin") == [None]


def test_a_full_disk_is_noticed_before_the_first_byte(site, tmp_path):
    site.files["big.bin"] = DATA
    with pytest.raises(FidtoolsError, match=r"1000000000.0 GB to fetch, .* free"):
        store(tmp_path).fetch([source(site, size=10**18)])
    assert site.requests == []


def test_the_table_can_be_corrected_by_a_file(tmp_path):
    corrections = tmp_path / "sources.json"
    corrections.write_text('{"squad-dev-v1.1.json": {"url": "http://elsewhere/dev.json"}}')
    changed = source_table(corrections)["squad-dev-v1.1.json"]
    assert (changed.url, changed.size) == ("http://elsewhere/dev.json", 4_854_279)
    corrections.write_text('{"squad.json": {"url": "http://elsewhere/dev.json"}}')
    with pytest.raises(DataError, match=r"sources.json: field 'squad.json': unknown file"):
        source_table(corrections)
    corrections.write_text('{"qaps.csv": {"sha": "x"}, "narrativeqa-qaps.csv": {"sha": "x"}}')
    with pytest.raises(DataError):
        source_table(corrections)


@pytest.mark.parametrize(
    "address", ["file:///etc/hostname", "data:text/plain,secret", "ftp://127.0.0.1/x", "/etc/hostname", ""]
)
def test_an_address_in_a_table_is_one_of_the_web(address, tmp_path):
    with pytest.raises(FidtoolsError, match=r"not an address of the web \(http or https\)"):
        store(tmp_path).fetch([Download("x", address)])
    assert names(tmp_path) == set()


@pytest.mark.parametrize("address", ["http://[x", "http://127.0.0.1:port/x", "http://127.0.0.1/caf\u00e9"])
def test_an_address_that_is_none_is_refused(address, tmp_path):
    with pytest.raises(FidtoolsError, match=r"not an address: |connection lost: |no connection: "):
        store(tmp_path).fetch([Download("x", address)])


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"])
def test_a_redirect_does_not_leave_the_web(address, site, tmp_path):
    site.files["x"], site.trouble["x"] = b"x", [f"to {address}"] * 9
    with pytest.raises(FidtoolsError):
        store(tmp_path).fetch([source(site, "x")])
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", "..", "", "a\nb"])
def test_a_name_in_a_table_stays_in_the_folder(name):
    with pytest.raises(DataError, match="cannot be the name of a downloaded file"):
        Download(name, "http://127.0.0.1/x")


def test_a_body_without_length_is_read_up_to_a_limit(site, tmp_path):
    site.files["big.bin"] = DATA
    site.trouble["big.bin"] = ["no length"] * 9
    with pytest.raises(FidtoolsError, match="the server sends more than 1,000,000 bytes"):
        store(tmp_path).fetch([source(site, limit=1_000_000)])
    with pytest.raises(FidtoolsError, match="the server sends more than the expected 2,000,000 bytes"):
        store(tmp_path).fetch([source(site, size=2_000_000)])
    assert names(tmp_path) == set()
    store(tmp_path).fetch([source(site, limit=3_000_000)])
    assert (tmp_path / "downloads" / "big.bin").read_bytes() == DATA


def test_a_stated_length_beyond_the_limit_is_not_fetched(site, tmp_path):
    site.files["big.bin"] = DATA
    with pytest.raises(FidtoolsError, match="the server has 3,000,000 bytes, more than 1,000,000"):
        store(tmp_path).fetch([source(site, limit=1_000_000)])


@pytest.mark.parametrize(
    ("name", "body", "coding", "problem"),
    [
        ("a.csv", b"", None, "the server sent an empty file"),
        ("a.csv", b"\x1f\x8b", "gzip", "compressed, which was not asked for (Content-Encoding: gzip)"),
        ("a.tar.gz", b"\x1f\x8b", "x-gzip", None),
        ("a.csv", b"a", "identity", None),
    ],
)
def test_what_cannot_be_the_file_is_not_recorded(site, tmp_path, name, body, coding, problem):
    site.files[name], site.coding = body, coding
    if problem is None:
        assert store(tmp_path).fetch([source(site, name)]) == {name}
        return
    with pytest.raises(FidtoolsError) as caught:
        store(tmp_path).fetch([source(site, name)])
    assert problem in str(caught.value)
    assert names(tmp_path) == set()
