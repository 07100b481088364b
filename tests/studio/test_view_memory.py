"""Over many tile requests the viewer holds no more than it may (10,000 of them: benchmarks/view.py)."""

from pathlib import Path

import pytest
from view_server import write_slides

from hlss.jobs.view import view_of_slides
from hlss.jobs.view_tiles import tile_cache

pytest.importorskip("nicegui", reason="the extra `studio` is not installed")
LIMIT = 100_000


def test_the_cache_stays_within_its_bound_over_hundreds_of_requests(tmp_path: Path) -> None:
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from hlss.studio.view.routes import routes_of

    cache, smallest, answered = tile_cache(LIMIT), LIMIT, 0
    client = TestClient(Starlette(routes=routes_of(view_of_slides(write_slides(tmp_path)), cache)))
    for patient in client.get("/api/cohort").json()["patients"]:
        for image in patient["images"]:
            deepest = client.get(f"/api/images/{image['id']}").json()["deepest"]
            for z in range(deepest + 1):
                for place in range(12 * 5):
                    got = client.get(f"/tiles/{image['id']}/{z}/{place % 12}/{place // 12}.jpg")
                    assert got.status_code in (200, 404)
                    if got.status_code == 200:
                        answered, smallest = answered + 1, min(smallest, len(got.content))
                    assert cache.held <= LIMIT
                    assert len(cache) <= LIMIT // smallest
    assert answered > 150
    assert 0 < len(cache) < answered  # it let some go
    assert cache.held > LIMIT / 2  # and kept others
