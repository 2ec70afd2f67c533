"""One plan and its simulation, reduced to what the document needs; finished runs are kept in a cache."""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile

# What edge-8mb has. The 1 GiB of edge-8mb-slow do not hold the U-Net's weights at two bytes per element.
DRAM = "dram.size=8GiB"


class Trouble(Exception):
    """What the user can do something about: a problem and a help line."""

    def __init__(self, problem, help_line):
        super().__init__(problem)
        self.help_line = help_line


def folder(path, flag):
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise Trouble("%s: cannot write into %s: %s" % (flag, path, error.strerror), "choose another folder") from error


def write(file, text):
    """All of the file or nothing."""
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def record_of(planned, report):
    """What the document takes from `spillway partition` and `spillway profile`; both make the same plan."""
    if len(planned["graphs"]) != 1:
        raise Trouble("the target has %d graphs when it should be one" % len(planned["graphs"]),
                      "--graph for each: %s" % ", ".join(graph["model"] for graph in planned["graphs"]))
    plan, graph = planned["graphs"][0], report["graphs"][0]
    moves, context = graph["moves"], report["context"]
    if not plan["moved_bytes"] == moves["total"]["bytes"] == graph["predicted_moves"]["total"]["bytes"]:
        raise Trouble("%s: predicted and simulated moves differ" % graph["model"], "this is an error of spillway")
    names = [tensor["fate"] for tensor in plan.get("fates", [])]
    return {"fits": True, "version": context["tool_version"], "clock_hz": context["clock_hz"], "batch": graph["batch"],
            "activation_bytes": moves["activation"]["bytes"], "weight_bytes": moves["weight"]["bytes"],
            "moved_bytes": moves["total"]["bytes"], "compulsory_bytes": graph["compulsory_bytes"],
            "macs": graph["macs"], "useful_macs": graph["useful_macs"], "predicted_cycles": plan["predicted_cycles"],
            "simulated_cycles": graph["latency_cycles"], "bound_cycles": graph["lower_bound"]["cycles"],
            "peak_scratchpad_bytes": graph["peak_scratchpad_bytes"], "groups": len(plan["groups"]),
            "bounds": {bound["name"]: bound["moved_bytes"] for bound in plan["lower_bounds"]},
            "fates": {name: names.count(name) for name in sorted(set(names))}}


def output_of(command):
    """The JSON that the command prints, or the smallest budget if it refuses the one that it was given."""
    done = subprocess.run(command + ["--format", "json"], capture_output=True, text=True, check=False)
    smallest = re.search(r"smallest budget that would do: ([\d ]+) B", done.stderr)
    if done.returncode == 3 and smallest:
        return None, int(smallest.group(1).replace(" ", ""))
    if done.returncode != 0:
        raise Trouble("%s\n  exit code %d: %s" % (" ".join(command), done.returncode,
                                                 done.stderr.strip() or "no message"),
                      "run the command by itself; finished runs are kept")
    return json.loads(done.stdout), None


def run(spillway, point):
    """One plan, and its simulation with reports in a folder that goes away."""
    graph, precision, npu, objective, kib = point
    flags = [graph, "--npu", npu, "--precision", precision, "--objective", objective, "--sram", "%dKiB" % kib,
             "--set", DRAM]
    planned, smallest = output_of([spillway, "partition"] + flags + ["--fates"])
    if planned is None:
        return {"fits": False, "smallest_bytes": smallest}
    with tempfile.TemporaryDirectory(prefix="budget-sweep-") as scratch:
        report, _ = output_of([spillway, "profile"] + flags + ["--no-sensitivity", "--out", scratch])
    try:
        return record_of(planned, report)
    except (KeyError, TypeError) as error:
        raise Trouble("spillway's JSON is not as this script expects: %r" % error,
                      "take script and program of one version") from error


class Sweep:
    """Results by point: (graph, precision, NPU, objective, KiB)."""

    def __init__(self, spillway, cache):
        self.spillway = os.path.abspath(spillway)
        home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        self.cache = folder(pathlib.Path(cache) if cache else home / "spillway/budget-sweep", "--cache")
        # Presets and zoo are part of the program, and what is recorded is part of this file: their bytes say it all.
        files = [pathlib.Path(self.spillway), pathlib.Path(__file__)]
        self.version = hashlib.sha256(b"".join(file.read_bytes() for file in files))

    def file_of(self, point):
        key = self.version.copy()
        key.update(json.dumps(point).encode())
        return self.cache / (key.hexdigest()[:32] + ".json")

    def result(self, point):
        file = self.file_of(point)
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8"))
        record = run(self.spillway, point)
        write(file, json.dumps(record))
        return record
