"""The viewer on drawn slides of 20,000 × 20,000 px, over HTTP as a browser asks: `python benchmarks/view.py`.

First full view in headless Chromium (extra `browser`), tiles from a warm cache for 8 clients at once, and memory over
10,000 different tiles, on this machine. What it does with features: view_features.py.
"""

import argparse
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from hlss.cohorts.phantom.reader import PhantomFile
from hlss.cohorts.phantom.spec import DRAWING, PhantomSpec
from hlss.cohorts.write.drawn import downsamples
from hlss.jobs.provenance import code_version, hardware

SIDE_PX0, TILE_PX, CLIENTS, WARM, COLD, REPEATS = 20_000, 256, 8, 400, 10_000, 5
DEEPEST, LINE = 7, -(-SIDE_PX0 // TILE_PX)
TERMS = ("first_view", "tiles", "memory")


class Server:
    """`hlss view --slides` of two drawn slides."""

    def __init__(self, folder: Path) -> None:
        for patient in range(2):
            said = PhantomFile(
                drawing=DRAWING,
                cohort=PhantomSpec(patients=2, slides=1),
                patient=patient,
                slide=0,
                width_px0=SIDE_PX0,
                height_px0=SIDE_PX0,
                mpp=0.5,
                downsamples=downsamples(SIDE_PX0),
            )
            (folder / f"slide{patient}.phantom").write_text(said.text())
        command = [sys.executable, "-c", "from hlss.cli import main; main()", "view", "--slides", str(folder)]
        self.process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.split(":")[2].partition("/")[0])
        self._cookie = f"hlss-{self.port}={self.url.partition('token=')[2]}"
        patients = json.loads(self.get(self.client(), "/api/cohort"))["patients"]
        self.images = [image["id"] for patient in patients for image in patient["images"]]

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port)

    def get(self, client: http.client.HTTPConnection, path: str) -> bytes:
        client.request("GET", path, headers={"Cookie": self._cookie})
        answer = client.getresponse()
        found = answer.read()
        assert answer.status == 200, (path, answer.status)
        return found

    @property
    def memory_mib(self) -> float:
        """Resident."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def first_view(server: Server) -> None:
    """From the address to all tiles of the view, each time by a new user of one browser; of the first, no tile was
    made before.
    """
    from playwright.sync_api import sync_playwright

    full = """() => { const all = [...document.querySelectorAll(".tissue img")];
        return all.length > 0 && all.every(one => one.classList.contains("leaflet-tile-loaded")); }"""
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        browser.new_page().goto("about:blank")
        took = []
        for _ in range(REPEATS):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            began = time.perf_counter()
            page.goto(server.url)
            page.wait_for_function(full)
            took.append(time.perf_counter() - began)
        browser.close()
    print(
        f"first full view: {took[0]:.2f} s with no tile made before; of {REPEATS}: median "
        f"{statistics.median(took):.2f} s, most {max(took):.2f} s"
    )


def tiles(server: Server) -> None:
    """Latency of tiles that are in the cache, each client on a line of its own."""
    image, took = server.images[0], []
    paths = [f"/tiles/{image}/{DEEPEST}/{n % 20}/{n // 20}.jpg" for n in range(WARM)]
    first = server.client()
    for path in paths:
        server.get(first, path)

    def pan(seed: int) -> None:
        client = server.client()
        for path in random.Random(seed).sample(paths, WARM):
            began = time.perf_counter()
            server.get(client, path)
            took.append(1000 * (time.perf_counter() - began))

    threads = [threading.Thread(target=pan, args=(seed,)) for seed in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate, (median, most) = len(took) / (time.perf_counter() - began), np.percentile(took, [50, 95])
    print(
        f"panned tiles, warm, {CLIENTS} clients: median {median:.1f} ms, 95 % below {most:.1f} ms, {rate:.0f} a second"
    )


def memory(server: Server) -> None:
    """Resident memory over different tiles, none asked for twice."""
    places = [(image, n) for image in server.images for n in range(LINE * LINE)][:COLD]
    client, began = server.client(), time.perf_counter()
    seen = [server.memory_mib]
    for done, (image, n) in enumerate(places, 1):
        server.get(client, f"/tiles/{image}/{DEEPEST}/{n % LINE}/{n // LINE}.jpg")
        if done % (COLD // 5) == 0:
            seen.append(server.memory_mib)
    said = ", ".join(f"{value:.0f}" for value in seen)
    print(f"memory over {COLD} different tiles: {said} MiB (every {COLD // 5}; {time.perf_counter() - began:.0f} s)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=TERMS, help=f"of: {', '.join(TERMS)}")
    told = parser.parse_args()
    print(f"{code_version()}, {hardware()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for name, measure in {"first_view": first_view, "tiles": tiles, "memory": memory}.items():
                if name in told.what:
                    measure(server)
        finally:
            server.process.kill()
            server.process.wait()


if __name__ == "__main__":
    main()
