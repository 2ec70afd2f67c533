"""cost-model.md, from plans and their simulations."""
from rank_correlation import kendall, spearman

APART = 0.01  # plans nearer than this are left to chance

HEAD = """# The cost model beside the simulator

Written by `scripts/cost-model`; figures of the version that it was built from. The planner compares groups, and at last
whole plans, by closed forms (`docs/partitioner.md`); the simulator runs every command. Here the planner makes plans in many
ways (`candidates()`: budgets from the whole scratchpad down to a sixteenth of it, the modes for skips, none and five times
the recomputation, the other objectives), the best %d that differ are simulated, and both are compared. Graphs for which
fewer are found that differ have fewer. NPU: edge-8mb where nothing else is said; int8; the zoo's batches; `resnet50` is
ResNet-50 with its normalisations folded, batch 1.

Moves are predicted exactly in every plan below (the script stops if one is not).
"""

TABLE = """
## %s

Error: predicted over simulated, less one; its mean, the mean of its size, and the largest. Rank correlations: over all
plans, and Kendall's tau over the pairs that differ by more than 1 %% as simulated, with the number of those pairs and how
many of them are predicted the wrong way round. *Spread*: of the worst plan over the best, simulated. *Loss*: how much worse
than the best plan the one is that is predicted to be best, both simulated.

| graph | plans | spread | mean error | mean size | largest | Spearman | tau-b | tau, > 1 %% | pairs | wrong | loss |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""

KINDS = """
## Where the cycles are predicted wrong

All groups of all these plans, by overlap and by the number of stages. Cycles simulated are a group's share of the critical
path. *Share*: of all simulated cycles of that graph's plans; *error*: of the graph's cycles, that this kind adds.

| graph | overlap | stages | steps | groups | share | predicted over simulated | error |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: |
"""

WHY = """
Kinds with less than 0.3 % of error are left out. What the table shows, in the order of what it costs:

- **Double buffers, several stages, long loops: too few cycles.** Between two stages of a group the rows that the next tile
  needs again (the halo of a 3x3 convolution) are copied within the scratchpad. The copies of a tile stand in the queue of
  the one DMA channel that loads, behind the next tile's loads; and where a load waits for the tile before to be done with
  its slot (the input of a residual block, which the block's last stage reads again), the copies wait with it, and the tile
  for the copies. So loads that the model hides, `max(transfers, compute)`, show. Nor are the copies hidden themselves: what
  passes from stage to stage has one slot, so a copy waits for the reader of the old window, and the maker of the new one
  for the copy. Software-pipelined groups have the slots, and are within a percent or two.
- **Short loops: too many cycles.** The model starts every group when the group before is done: its first load and its last
  store show. In truth they run beside the neighbours' compute, where addresses do not collide. A plan of many short groups
  (the layers of a classifier) looks worse than it is.
- **Weights that arrive late: a few percent either way.** Groups of one stage that are bound by DRAM share its bus with
  their neighbours; row misses are not in the price, refresh and turnarounds are as averages.

The group that is predicted worst in each graph's plans, and what its simulated cycles were spent on (*port*: copies within
the scratchpad, *DRAM*: loads and stores that nothing hid):

| graph | overlap | stages | steps | predicted | simulated | matrix | vector | DRAM | port |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
%s
Errors of the first two kinds are of different sign and differ from plan to plan by the kinds of groups it is made of; that
is what turns ranks around. The pair that is furthest apart and predicted the wrong way round, for each graph:

| graph | simulated cycles | predicted | simulated cycles | predicted | apart | groups |
| --- | ---: | ---: | ---: | ---: | ---: | --- |
"""


def percent(share, sign=False):
    return ("%+.2f %%" if sign else "%.2f %%") % (100 * share)


def number(value):
    return "-" if value is None else "%.3f" % value


def grouped(n):
    return "{:,}".format(n).replace(",", " ")


def label(run):
    graph, npu, overrides = run
    where = ([npu] if npu != "edge-8mb" else []) + [o.replace("scratchpad.size=", "") for o in overrides]
    return graph + (", " + ", ".join(where) if where else "")


def row(run, plans, unit):
    predicted = [p["predicted_" + unit] for p in plans]
    simulated = [p["simulated_" + unit] for p in plans]
    errors = [a / b - 1 for a, b in zip(predicted, simulated)]
    tau, _, _ = kendall(predicted, simulated)
    apart, pairs, wrong = kendall(predicted, simulated, APART)
    first = simulated[predicted.index(min(predicted))]
    cells = [label(run), str(len(plans)), percent(max(simulated) / min(simulated) - 1),
             percent(sum(errors) / len(errors), True), percent(sum(map(abs, errors)) / len(errors)),
             percent(max(errors, key=abs), True), number(spearman(predicted, simulated)), number(tau), number(apart),
             str(pairs), str(wrong), percent(first / min(simulated) - 1)]
    return "| " + " | ".join(cells) + " |\n"


def kind_rows(run, plans):
    kinds = {}
    for plan in plans:
        for group in plan["groups"]:
            key = (group["overlap"], "1" if group["stages"] == 1 else "more",
                   "up to 4" if group["steps"] <= 4 else "more")
            kind = kinds.setdefault(key, [0, 0, 0])
            kind[0] += 1
            kind[1] += group["predicted"]
            kind[2] += group["simulated"]
    whole = sum(kind[2] for kind in kinds.values())
    text = ""
    for key, (count, predicted, simulated) in sorted(kinds.items()):
        error = (predicted - simulated) / whole
        if abs(error) < 0.003 or simulated == 0:
            continue
        text += "| " + " | ".join([label(run), *key, grouped(count), percent(simulated / whole),
                                   "%.3f" % (predicted / simulated), percent(error, True)]) + " |\n"
    return text


def worst_group(run, plans):
    group = max((g for p in plans for g in p["groups"]), key=lambda g: abs(g["predicted"] - g["simulated"]))
    bound = group["bound"]
    cells = [label(run), group["overlap"], str(group["stages"]), grouped(group["steps"]), grouped(group["predicted"]),
             grouped(group["simulated"])] + [grouped(bound[c]) for c in ("matrix", "vector", "dram", "port")]
    return "| " + " | ".join(cells) + " |\n"


def misranked(run, plans):
    worst = None
    for a in plans:
        for b in plans:
            if a["predicted_cycles"] >= b["predicted_cycles"] or a["simulated_cycles"] <= b["simulated_cycles"]:
                continue
            apart = a["simulated_cycles"] / b["simulated_cycles"] - 1
            if worst is None or apart > worst[0]:
                worst = apart, a, b
    if worst is None:
        return "| %s | - | - | - | - | none | |\n" % label(run)
    apart, a, b = worst
    cells = [label(run), grouped(a["simulated_cycles"]), grouped(a["predicted_cycles"]), grouped(b["simulated_cycles"]),
             grouped(b["predicted_cycles"]), percent(apart), "%d, %d" % (len(a["groups"]), len(b["groups"]))]
    return "| " + " | ".join(cells) + " |\n"


def document(runs, count):
    text = HEAD % count
    for title, unit in (("Cycles", "cycles"), ("Energy", "pj")):
        text += TABLE % title
        text += "".join(row(run, plans, unit) for run, plans in runs)
    text += KINDS + "".join(kind_rows(run, plans) for run, plans in runs)
    text += WHY.replace("%s", "".join(worst_group(run, plans) for run, plans in runs)) + "".join(misranked(run, plans) for run, plans in runs)
    return text
