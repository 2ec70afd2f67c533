"""budgets.md from the runs of scripts/budget-sweep. Every sentence with a figure in it is made from the figures."""

import textwrap

TOLERANCE = 0.005  # what counts as a violation; below it plans are near ties
PAYS = 0.01  # a budget is enough when it is this close to an unlimited one
HIDDEN = 0.10  # compute hides the traffic of a budget whose latency is this close to an unlimited one's


def prose(text):
    """Wrapped as the other documents are; list items hang."""
    return textwrap.fill(" ".join(text.split()), 120, subsequent_indent="  " if text.startswith("- ") else "",
                         break_long_words=False, break_on_hyphens=False)


def grouped(value):
    return "{:,}".format(value).replace(",", " ")


def size(kib, axes):
    if kib == axes["unlimited"]:
        return "unlimited"
    return "%g MiB" % (kib / 1024)


def percent(fraction, digits=1):
    return "%.*f %%" % (digits, 100 * fraction)


def table(header, rows):
    """A Markdown table; a header that ends in ':' is right-aligned."""
    lines = ["| " + " | ".join(h.rstrip(":") for h in header) + " |",
             "| " + " | ".join("---:" if h.endswith(":") else "---" for h in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


class Runs:
    """The results by series; a series is (graph, precision, npu, objective)."""

    def __init__(self, results, axes):
        self.results, self.axes = results, axes

    def series(self):
        return [s for s in ((g, p, n, o) for g in self.axes["graphs"] for p in self.axes["precisions"]
                            for n in self.axes["npus"] for o in self.axes["objectives"])
                if s + (self.axes["budgets"][0],) in self.results]

    def of(self, series):
        """(budget, record) of every budget that the graph fits."""
        runs = [(b, self.results[series + (b,)]) for b in self.axes["budgets"]]
        return [(b, r) for b, r in runs if r["fits"]]

    def fitting(self):
        return [s for s in self.series() if self.of(s)]


def worsenings(runs, metric):
    """Places where `metric` is above its best at a smaller budget: (series, that budget, budget, share)."""
    found = []
    for series in runs.fitting():
        best_budget = best = None
        for budget, record in runs.of(series):
            value = record[metric]
            if best is not None and value > best:
                found.append((series, best_budget, budget, value / best - 1))
            if best is None or value < best:
                best_budget, best = budget, value
    return found


def refused_again(runs):
    """Series that fit a budget and not a larger one."""
    wrong = []
    for series in runs.fitting():
        fits = [runs.results[series + (b,)]["fits"] for b in runs.axes["budgets"]]
        if False in fits[fits.index(True):]:
            wrong.append(series)
    return wrong


def name_of(series):
    return "%s, %s, %s, %s" % series


def enough(runs, series, metric):
    """The smallest budget from which on every larger one is within PAYS of the last."""
    pairs = runs.of(series)
    last, answer = pairs[-1][1][metric], pairs[-1][0]
    for budget, record in reversed(pairs):
        if record[metric] > last * (1 + PAYS):
            break
        answer = budget
    return size(answer, runs.axes)


def over_unlimited(runs, series, metric):
    pairs = runs.of(series)
    return pairs[0][1][metric] / pairs[-1][1][metric]


def largest_step(runs, series):
    pairs = runs.of(series)
    steps = [(a[1]["moved_bytes"] - b[1]["moved_bytes"], a[0], b[0]) for a, b in zip(pairs, pairs[1:])]
    if not steps or max(steps)[0] <= 0:
        return "none"
    saved, start, end = max(steps, key=lambda step: step[0])
    return "%s to %s: %.1f MB" % (size(start, runs.axes), size(end, runs.axes), saved / 1e6)


def absent(runs, series):
    return "does not fit" if series in runs.series() else "left out"


def what_it_buys(runs):
    axes = runs.axes
    header = ["graph", "precision", "moves, smallest over unlimited:", "moves: enough:", "largest saving by one step:"]
    for npu in axes["npus"]:
        header += ["latency on %s, smallest over unlimited:" % npu, "enough:"]
    rows = []
    for graph in axes["graphs"]:
        for precision in axes["precisions"]:
            row = [graph, precision]
            moves = (graph, precision, axes["npus"][0], "moves")
            if moves in runs.fitting():
                row += ["%.2f x" % over_unlimited(runs, moves, "moved_bytes"), enough(runs, moves, "moved_bytes"),
                        largest_step(runs, moves)]
            else:
                row += [absent(runs, moves)] * 3
            for npu in axes["npus"]:
                latency = (graph, precision, npu, "latency")
                if latency in runs.fitting():
                    row += ["%.3f x" % over_unlimited(runs, latency, "simulated_cycles"),
                            enough(runs, latency, "simulated_cycles")]
                else:
                    row += [absent(runs, latency)] * 2
            rows.append(row)
    return table(header, rows)


def spread(values, text):
    """'1.2 x (a) to 3.4 x (b)' of (value, who) pairs."""
    low, high = min(values), max(values)
    if low[0] == high[0]:
        return "%s (%s)" % (text(low[0]), low[1])
    return "%s (%s) to %s (%s)" % (text(low[0]), low[1], text(high[0]), high[1])


def by_budget(runs):
    """Latency of every budget above that of the last."""
    rows = []
    for series in runs.fitting():
        if series[3] != "latency":
            continue
        pairs = dict(runs.of(series))
        last = list(pairs.values())[-1]["simulated_cycles"]
        rows.append(list(series[:3]) + ["%+.1f %%" % (100 * (pairs[b]["simulated_cycles"] / last - 1)) if b in pairs
                                        else "does not fit" for b in runs.axes["budgets"]])
    if not rows:
        return []
    return [prose("Simulated latency (objective `latency`) above that of the unlimited budget:"), "",
            table(["graph", "precision", "NPU"] + [size(b, runs.axes) + ":" for b in runs.axes["budgets"]], rows), ""]


def npu_sentence(runs, npu):
    """From where compute hides the traffic on one NPU, and what the budget decides below."""
    hidden_from, still, below, at_8 = [], [], [], []
    for series in runs.fitting():
        if series[2:] != (npu, "latency"):
            continue
        who, pairs = "%s %s" % series[:2], runs.of(series)
        last = pairs[-1][1]
        first = len(pairs) - 1
        while first > 0 and pairs[first - 1][1]["simulated_cycles"] <= last["simulated_cycles"] * (1 + HIDDEN):
            first -= 1
        budget, record = pairs[first]
        hidden_from.append((budget, who))
        still.append((record["moved_bytes"] / last["moved_bytes"], who))
        below.append((pairs[0][1]["simulated_cycles"] / last["simulated_cycles"] - 1,
                      "%s at %s" % (who, size(pairs[0][0], runs.axes))))
        at_8 += [(r["simulated_cycles"] / r["bound_cycles"], who) for b, r in pairs if b == 8 * 1024]
    if not hidden_from:
        return []
    text = ("- **On %s** the latency is within %s of the unlimited budget's from %s on; there the plans still move %s "
            "times the bytes of the unlimited budget's, and compute hides them. Below, the budget decides the latency, "
            "by up to %s (%s)."
            % (npu, percent(HIDDEN, 0), spread(hidden_from, lambda b: size(b, runs.axes)),
               spread(still, lambda v: "%.1f" % v), percent(max(below)[0]), max(below)[1]))
    if at_8:
        text += " At 8 MiB it is %s times its lower bound." % spread(at_8, lambda v: "%.3f" % v)
    return [text]


def fate_names(runs):
    """Those that occur, in the order in which a person thinks of them; any new ones after that."""
    known = ["hold", "hold, then spill", "spill", "recompute"]
    found = {name for r in runs.results.values() if r["fits"] for name in r["fates"]}
    return [name for name in known if name in found] + sorted(found - set(known))


def weight_sentence(runs):
    rows = []
    for series in runs.fitting():
        pairs = runs.of(series)
        once = min(record["weight_bytes"] for _, record in pairs)
        more = [(record["weight_bytes"] / once, "%s at %s" % (name_of(series), size(budget, runs.axes)))
                for budget, record in pairs]
        rows.append((max(more)[0], max(more)[1]))
    if not rows:
        return []
    again = [who for value, who in rows if value > 1 + PAYS]
    if not again:
        return ["- **Weights** are moved equally often at all budgets, within %s." % percent(PAYS, 0)]
    return ["- **Weights** are moved again where the budget is short: most in %s, %.2f times the least of that row's "
            "table; %d of %d tables have a budget with more than %s above their least."
            % (max(rows)[1], max(rows)[0], len(again), len(rows), percent(PAYS, 0))]


def fates_sentence(runs):
    made_again = [s for s in runs.fitting() if any(r["fates"].get("recompute") for _, r in runs.of(s))]
    extra = [(r["macs"] / r["useful_macs"] - 1, "%s at %s" % (name_of(s), size(b, runs.axes)))
             for s in runs.fitting() for b, r in runs.of(s)]
    text = "- **Recompute** of a tensor between groups is chosen in %d of %d tables" % (
        len(made_again), len(runs.fitting()))
    if max(extra)[0] > 0:
        text += "; the most extra multiplications, borders of tiles included, are %s, in %s" % (
            percent(max(extra)[0], 2), max(extra)[1])
    return [text + "."]


def bound_sentence(runs):
    """How far the plans for fewest moves are from what is known to be impossible."""
    rows = []
    for series in runs.fitting():
        if series[2:] == (runs.axes["npus"][0], "moves"):
            who = "%s %s at %s"
            rows += [(r["moved_bytes"] / max(r["bounds"].values()), who % (series[:2] + (size(b, runs.axes),)))
                     for b, r in runs.of(series)]
    if not rows:
        return []
    return ["- **Distance to the larger bound**, objective `moves` on %s: %s. Where it is large, the plan or the "
            "bound could be better." % (runs.axes["npus"][0], spread(rows, lambda v: "%.2f x" % v))]


def objective_sentence(runs):
    """What one objective costs in the other, and whether each is best at its own."""
    rows, wrong = [], []
    for series in runs.fitting():
        if series[3] != "latency" or series[:3] + ("moves",) not in runs.fitting():
            continue
        moves = dict(runs.of(series[:3] + ("moves",)))
        for budget, fast in runs.of(series):
            if budget not in moves:
                continue
            lean, where = moves[budget], "%s, %s, %s at %s" % (series[:3] + (size(budget, runs.axes),))
            rows.append((series[2], lean["simulated_cycles"] / fast["simulated_cycles"] - 1,
                         fast["moved_bytes"] / lean["moved_bytes"] - 1, where))
            for metric, own, other in (("moved_bytes", lean, fast), ("simulated_cycles", fast, lean)):
                if own[metric] > other[metric] * (1 + TOLERANCE):
                    wrong.append("%s: %s are %s above those of the other objective's plan" % (
                        where, "moves" if metric == "moved_bytes" else "simulated cycles",
                        percent(own[metric] / other[metric] - 1)))
    lines = []
    for npu in runs.axes["npus"]:
        of_npu = [row for row in rows if row[0] == npu]
        if of_npu:
            slow, more = max(of_npu, key=lambda r: r[1]), max(of_npu, key=lambda r: r[2])
            lines.append("- **Objective** on %s: asking for fewest moves instead of least latency costs at most %s "
                         "time (%s); asking for latency costs at most %s bytes (%s)."
                         % (npu, percent(slow[1]), slow[3], percent(more[2]), more[3]))
    return lines, wrong


def monotone_section(runs):
    lines = ["## Does more SRAM ever hurt?", "",
             "Each run is compared with the best run of its table at a smaller budget.", ""]
    rows, ties = [], 0
    checks = [("moves", "moved_bytes", "all moves"), ("latency", "predicted_cycles", "predicted cycles"),
              ("latency", "simulated_cycles", "simulated cycles")]
    for objective, metric, what in checks:
        for series, smaller, budget, share in worsenings(runs, metric):
            if series[3] != objective:
                continue
            if share <= TOLERANCE:
                ties += 1
            else:
                rows.append([series[0], series[1], series[2], what, size(smaller, runs.axes),
                             size(budget, runs.axes), "+" + percent(share, 2)])
    refused = refused_again(runs)
    if rows:
        lines += [prose("Violations above %s, %d in all (the planner minimises the predicted cycles; the simulated "
                        "ones are its plan's):" % (percent(TOLERANCE), len(rows))), "",
                  table(["graph", "precision", "NPU", "objective, as", "better at", "worse at", "by:"], rows), ""]
    else:
        lines += [prose("No: in no table does the chosen objective worsen by more than %s, in predicted or simulated "
                        "cycles or in moves." % percent(TOLERANCE)), ""]
    lines += [prose("Worsenings of up to %s, which count as near ties: %d." % (percent(TOLERANCE), ties)), ""]
    for series in refused:
        lines += ["Refused at a budget although a smaller one fits: %s." % name_of(series), ""]
    return lines


def compulsory_section(runs):
    rows, off = [], 0
    for series in runs.fitting():
        budget, record = runs.of(series)[-1]
        if series[3] == "moves" and budget == runs.axes["unlimited"]:
            difference = record["moved_bytes"] - record["compulsory_bytes"]
            off += difference != 0
            rows.append([series[0], series[1], series[2], grouped(record["moved_bytes"]),
                         grouped(record["compulsory_bytes"]), grouped(difference)])
    if not rows:
        return []
    verdict = ("Yes, to the byte, in all %d tables." % len(rows) if off == 0 else
               "Not everywhere: %d of %d tables are off." % (off, len(rows)))
    return ["## Does unlimited SRAM reach the compulsory moves?", "", "Objective `moves`. " + verdict, "",
            table(["graph", "precision", "NPU", "moves B:", "compulsory B:", "above B:"], rows), ""]


def graph_section(runs, graph):
    lines = []
    fates = fate_names(runs)
    known = next((r["bounds"] for r in runs.results.values() if r["fits"]), {})
    bounds = [name for name in known if name != "compulsory"]
    header = ["SRAM:", "activation moves B:", "weight moves B:", "all over compulsory:"]
    header += ["over %s:" % name for name in bounds]
    header += ["extra MACs:", "predicted cycles:", "simulated cycles:", "over its bound:", "groups:"]
    header += [name + ":" for name in fates]
    for series in [s for s in runs.series() if s[0] == graph]:
        if not lines:
            batch = [r["batch"] for s in runs.fitting() if s[0] == graph for _, r in runs.of(s)]
            lines += ["## %s%s" % (graph, ", batch %d" % batch[0] if batch else ""), ""]
        rows = []
        for budget in runs.axes["budgets"]:
            r = runs.results[series + (budget,)]
            if not r["fits"]:
                rows.append([size(budget, runs.axes), "does not fit; %s B would" % grouped(r["smallest_bytes"])]
                            + [""] * (len(header) - 2))
                continue
            rows.append([size(budget, runs.axes), grouped(r["activation_bytes"]), grouped(r["weight_bytes"]),
                         "%.3f x" % (r["moved_bytes"] / r["compulsory_bytes"])]
                        + ["%.3f x" % (r["moved_bytes"] / r["bounds"][name]) for name in bounds] + [
                         percent(r["macs"] / r["useful_macs"] - 1, 2), grouped(r["predicted_cycles"]),
                         grouped(r["simulated_cycles"]), "%.3f x" % (r["simulated_cycles"] / r["bound_cycles"]),
                         str(r["groups"])] + [str(r["fates"].get(name, 0)) for name in fates])
        lines += ["### %s, %s, %s, objective `%s`" % series, "", table(header, rows), ""]
    return lines


def left_out_lines(left_out):
    if not left_out:
        return []
    return [prose("Left out to save time: %s." % "; ".join(name_of(series) for series in left_out)), ""]


def document(results, axes, left_out):
    runs = Runs(results, axes)
    version = next((r["version"] for r in results.values() if r["fits"]), "unknown")
    peak = max((r["peak_scratchpad_bytes"] for p, r in results.items() if r["fits"] and p[-1] == axes["unlimited"]),
               default=0)
    objectives, wrong = objective_sentence(runs)
    lines = ["# Across scratchpad budgets", "",
             prose("What a larger scratchpad buys: the same graphs planned and simulated under %s to %s, and under one "
                   "that is unlimited in effect (%d MiB, of which no plan fills more than %.1f), at one and two bytes "
                   "per element (%s), on %s. Everything below, the sentences too, is made by `scripts/budget-sweep` "
                   "from the runs of version %s; do not edit it, run"
                   % (size(axes["budgets"][0], axes), size(axes["budgets"][-2], axes), axes["unlimited"] // 1024,
                      peak / 2**20, ", ".join(axes["precisions"]), " and ".join(axes["npus"]), version)), "",
             "    scripts/budget-sweep --spillway build/release/spillway --out docs", "",
             "A row is the plan and the simulation of", "",
             "    spillway profile GRAPH --npu NPU --precision P --objective O --sram B --set %s --no-sensitivity"
             % axes["dram"], "",
             prose("All NPUs have the same DRAM size, so that every graph fits at every precision. Moves are bytes "
                   "over the DRAM interface, predicted and simulated alike; [bounds.md](bounds.md) says what is "
                   "compulsory."), "",
             "![Moves and latency by scratchpad](budgets.svg)", ""]
    lines += left_out_lines(left_out)
    lines += ["## What an architect reads from it", "",
              prose("*Enough* is the smallest budget from which on all are within %s of the unlimited one. Moves: "
                    "objective `moves` on %s. Latency: simulated, objective `latency`."
                    % (percent(PAYS, 0), axes["npus"][0])), "",
              what_it_buys(runs), ""] + by_budget(runs)
    items = [item for npu in axes["npus"] for item in npu_sentence(runs, npu)]
    items += bound_sentence(runs) + weight_sentence(runs) + fates_sentence(runs) + objectives
    lines += [prose(item) for item in items] + [""]
    if wrong:
        lines += ["An objective's plan that is worse at its own than the other objective's, by more than %s:"
                  % percent(TOLERANCE), ""] + [prose("- " + w) for w in wrong] + [""]
    lines += monotone_section(runs) + compulsory_section(runs)
    lines += ["## Columns", "",
              prose("*All over compulsory*, *over capacity*: all moves over the two bounds of [bounds.md](bounds.md); "
                    "a plan that makes tensors again may lie below the second. *Extra MACs*: executed over useful, "
                    "less one. *Over its bound*: simulated cycles over the lower bound of the latency. The last "
                    "columns count the computed tensors of more than 16 KiB that later groups read: `hold` in the "
                    "scratchpad only; `hold, then spill`: there for the readers close by, in DRAM for others; `spill`: "
                    "in DRAM; `recompute`: dropped, and made again by those that read it."), ""]
    for graph in axes["graphs"]:
        lines += graph_section(runs, graph)
    return "\n".join(lines).rstrip() + "\n"
