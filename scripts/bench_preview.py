"""How long after a save `instructify preview --watch` shows the template again.

python scripts/bench_preview.py [SAVES]
"""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
DATASET = "world/reviews"
SAVED = "terse.jinja"
CASES = {
    "one template": ([SAVED], []),
    "a folder of templates": ([], []),
    "one template, few-shot": ([SAVED], ["--variant", "few_shot"]),
    "a folder, as a page": ([], ["--html", "page.html"]),
}
WAITS = "watching, Ctrl-C ends"
PAUSE = 0.25  # seconds between what is shown and the next save


def main() -> None:
    """Print the median and the longest time of every case."""
    saves = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "own" / DATASET
        shutil.copytree(ROOT / "templates" / DATASET, folder)
        for name, (parts, options) in CASES.items():
            seconds = measure(folder.joinpath(*parts), folder / SAVED, options, saves)
            print(
                f"{name:<24} median {median(seconds) * 1000:4.0f} ms, longest {max(seconds) * 1000:4.0f} ms"
            )


def measure(target: Path, saved: Path, options: list[str], saves: int) -> list[float]:
    """Return the seconds from each save of a template to the last line that the command says of it."""
    command = [sys.executable, "-m", "instructify", "preview", str(target), *options, "--watch"]
    before, found = saved.read_text("utf-8"), []
    with subprocess.Popen(command, cwd=saved.parent, stdout=subprocess.PIPE, encoding="utf-8") as process:
        ends: queue.Queue[float] = queue.Queue()
        threading.Thread(target=listen, args=(process, ends), daemon=True).start()
        ends.get()
        for number in range(saves):
            time.sleep(PAUSE)
            began = time.perf_counter()
            saved.write_text(before.replace("{{ text }}", f"{{{{ text }}}} {number}"), "utf-8")
            found.append(ends.get() - began)
        process.terminate()
    saved.write_text(before, "utf-8")
    return found


def listen(process: subprocess.Popen[str], ends: queue.Queue[float]) -> None:
    """Put the time of every line that says the command waits again."""
    for line in process.stdout or ():
        if WAITS in line:
            ends.put(time.perf_counter())


if __name__ == "__main__":
    main()
