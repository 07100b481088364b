"""Slides embedded by many: however they are shared out, the files are those of one process."""

import importlib.util
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from embedding_by_many import SLIDES, TABLE, TILES, N, contents, embedded, ended, n_done, silent, started

from hlss.cli import main
from hlss.embedding_table import EmbeddingTable
from hlss.errors import UserError
from hlss.jobs import embed_process, embed_slides, tower
from hlss.jobs.embed import embed_run
from hlss.jobs.hands import Hands
from hlss.jobs.setup import open_data
from hlss.jobs.spread import spread

HAS_RAY = importlib.util.find_spec("ray") is not None


def test_the_table_is_that_of_embedding_at_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    table = EmbeddingTable.read(embed_run(run, "last", tmp_path / "once", [], say=silent))
    assert len(table) == TILES
    found = np.frombuffer(alone["features"][-table.features.nbytes :], np.float32).reshape(table.features.shape)
    np.testing.assert_allclose(found, table.features, rtol=1e-4, atol=1e-5)
    assert set(alone) == {*(f"slides/s{number}.h5" for number in range(N)), "features", "rows"}


@pytest.mark.parametrize("cores", [1, 6])
def test_two_workers_leave_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path, cores: int):
    said = embedded(run, tmp_path / "here", cores=cores, hands=Hands(workers=2))
    assert n_done("\n".join(said)) == N
    assert contents(tmp_path / "here") == alone


def test_a_worker_opens_the_run_once(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Asked slide after slide, each time by a work that was pickled anew, as Ray does."""
    opened: list[object] = []
    monkeypatch.setattr(embed_process, "open_data", lambda *asked: opened.append(asked) or open_data(*asked))
    works: list[object] = []

    def kept(work: object, items: list[object], *_: object, **__: object) -> object:
        works.extend([work, items])
        return spread(lambda item: pickle.loads(pickle.dumps(work))(item), items)

    monkeypatch.setattr("hlss.jobs.hands.spread", kept)
    embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert len(works[1]) == N
    assert len(opened) == 1
    assert max(len(pickle.dumps(one)) for one in (works[0], *works[1])) < 10_000


def test_shards_leave_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path):
    said = embedded(run, tmp_path / "here", shard="1/2")
    assert f"{N} slides, 4 of them in shard 1/2" in said
    assert said[-1] == "3 slides of other shards are not done yet; the table is written when they are"
    assert len(list((tmp_path / "here" / SLIDES).glob("*.h5"))) == 4
    assert not (tmp_path / "here" / TABLE).exists()
    said = embedded(run, tmp_path / "here", shard="2/2", cores=3)
    assert n_done("\n".join(said)) == 3
    assert contents(tmp_path / "here") == alone


def test_a_shard_that_waits_for_others_ends_well_and_names_the_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["embed", str(run), "--per-slide", "slides", "--shard", "8/9"])
    assert left.value.code == 0
    output = capsys.readouterr()
    assert output.out == "Output: slides\n"
    assert output.err.splitlines()[-1].startswith(f"{N} slides of other shards are not done yet")
    assert not (run / "embeddings" / "last").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_what_is_no_shard_is_one_line(run: Path, tmp_path: Path, shard: str):
    with pytest.raises(UserError, match=r"is no shard\. Write i/n"):
        embedded(run, tmp_path / "here", shard=shard)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"shard": "1/2"}, "--shard"),
        ({"hands": Hands(workers=2)}, "--workers"),
        ({"hands": Hands(ray=True)}, "--ray"),
        ({"hands": Hands(ray_address="auto"), "shard": "1/2"}, "--shard, --ray-address"),
    ],
)
def test_without_files_of_slides_nothing_is_shared_out(run: Path, asked: dict[str, object], named: str):
    with pytest.raises(UserError, match=f"^{named}: .* Add --per-slide DIR"):
        embed_run(run, "last", None, [], say=silent, **asked)


def test_two_processes_on_one_folder_do_each_slide_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    processes = [started(run, tmp_path / "here") for _ in range(2)]
    assert sum(n_done(ended(process)) for process in processes) == N
    assert contents(tmp_path / "here") == alone


@pytest.mark.slow
def test_four_processes_with_workers_do_each_slide_once(run: Path, alone: dict[str, bytes], tmp_path: Path):
    processes = [started(run, tmp_path / "here", "--workers", "2") for _ in range(4)]
    assert sum(n_done(ended(process)) for process in processes) == N
    assert contents(tmp_path / "here") == alone


def test_embedded_again_nothing_is_touched(run: Path, tmp_path: Path):
    """Not even the table: of many processes that end together, one writes it."""
    embedded(run, tmp_path / "here")
    places = (SLIDES, TABLE)
    before = {path: path.stat().st_ino for place in places for path in (tmp_path / "here" / place).glob("*.*")}
    assert len(before) == N + 3
    said = embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert f"{N} of {N} slides were embedded before" in said
    assert {path: path.stat().st_ino for path in before} == before


def test_files_of_another_embedding_are_not_taken_for_ones_own(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Two checkpoints in one folder at once: each slide has one file."""

    def other(job: object, own: object) -> dict[str, str]:
        embedded_by(job, own)
        (tmp_path / "here" / SLIDES / "s3.h5").write_bytes(
            (tmp_path / "start" / SLIDES / "s3.h5").read_bytes(),
        )
        return {}

    embedded(run, tmp_path / "start", checkpoint="start")
    embedded_by = embed_slides._embed
    monkeypatch.setattr(embed_slides, "_embed", other)
    with pytest.raises(UserError, match=r"1 slides were replaced by those of another embedding, s3\.h5 for one"):
        embedded(run, tmp_path / "here")
    assert not (tmp_path / "here" / TABLE).exists()


def test_a_worker_that_opens_something_else_stops_it(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def other(work: object, items: object, *_: object, **__: object) -> object:
        return spread(lambda item: replace(work, began=-1.0)(item), items)

    monkeypatch.setattr("hlss.jobs.hands.spread", other)
    monkeypatch.setattr(embed_process, "tower_hash", lambda _: "another")
    with pytest.raises(UserError, match="a worker found other weights or another cohort"):
        embedded(run, tmp_path / "here", hands=Hands(workers=2))
    assert not list((tmp_path / "here" / SLIDES).glob("*.h5"))


def test_norms_are_taken_once_for_all_and_views_are_the_same(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Shards on machines with other numbers of cores would sum otherwise."""
    embedded(run, tmp_path / "one", checkpoint="midway", view=2)
    (kept,) = (tmp_path / "one" / SLIDES).glob("norms-*.safetensors")
    embedded(run, tmp_path / "two", checkpoint="midway", view=2, shard="1/2")
    again = tmp_path / "two" / SLIDES / kept.name
    assert again.read_bytes() == kept.read_bytes()

    def fails(*_: object) -> None:
        raise AssertionError("norms were taken again")

    monkeypatch.setattr(tower, "renew_norms", fails)
    embedded(run, tmp_path / "two", checkpoint="midway", view=2, shard="2/2", hands=Hands(workers=2), cores=3)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert EmbeddingTable.read(tmp_path / "two" / TABLE).provenance["norms_renewed"] > 0


def test_another_view_is_another(run: Path, tmp_path: Path):
    for number in (2, 3):
        embedded(run, tmp_path / str(number), view=number)
    stored = [EmbeddingTable.read(tmp_path / number / TABLE).features for number in "23"]
    assert np.abs(stored[0] - stored[1]).max() > 1e-3


@pytest.mark.slow
@pytest.mark.skipif(not HAS_RAY, reason="the extra `cluster` is not installed (pip install 'hlss[cluster]')")
def test_ray_leaves_what_one_process_leaves(run: Path, alone: dict[str, bytes], tmp_path: Path):
    assert n_done(ended(started(run, tmp_path / "here", "--ray", "--workers", "2"))) == N
    assert contents(tmp_path / "here") == alone
