"""budgets.svg from the runs of scripts/budget-sweep: moves above, latency below, one column per graph."""
import math

PANEL_WIDTH, PANEL_HEIGHT, GAP = 230, 210, 74
LEFT, TOP, ROW_GAP = 62, 74, 78
COLOURS = ["#1f4e8c", "#c25a00", "#3a7d44", "#7a3b8f"]  # dark enough for paper; markers and dashes tell them apart too
COMPULSORY, CAPACITY = "1.5 2.5", "7 2 1.5 2"  # dashes


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text(x, y, content, anchor="middle", extra=""):
    return '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>' % (x, y, anchor, extra, escaped(content))


def line(x1, y1, x2, y2, style):
    return '<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>' % (x1, y1, x2, y2, style)


def marker(x, y, kind, colour):
    """Round or square, by precision."""
    if kind == 0:
        return '<circle cx="%.1f" cy="%.1f" r="3.2" fill="%s"/>' % (x, y, colour)
    return '<rect x="%.1f" y="%.1f" width="6" height="6" fill="white" stroke="%s" stroke-width="1.5"/>' % (
        x - 3, y - 3, colour)


def ticks(highest):
    """Round values from 0 to past `highest`."""
    step = 10.0 ** -9
    while step * 6 < highest:
        step *= 10
    for finer in (5, 2):
        if step / finer * 6 >= highest:
            step /= finer
            break
    count = 1
    while step * count < highest:
        count += 1
    return [step * i for i in range(count + 1)]


def logarithmic_ticks(lowest, highest):
    """1, 2, 5, 10 and so on, from below `lowest` to past `highest`."""
    decades = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    values = [digit * 10.0 ** decade for decade in decades for digit in (1, 2, 5)]
    first = max(i for i, value in enumerate(values) if value <= lowest * 1.0001)
    last = min(i for i, value in enumerate(values) if value >= highest)
    return values[first:last + 1]


class Panel:
    def __init__(self, x, y, axes, values, logarithmic):
        known = [value for value in values if value is not None] or [1.0]
        self.x, self.y, self.axes, self.logarithmic = x, y, axes, logarithmic
        self.ticks = logarithmic_ticks(min(known) * 0.9, max(known)) if logarithmic else ticks(max(known))
        self.slots = len(axes["budgets"])  # budgets double from slot to slot: a logarithmic axis; the last is unlimited

    def place(self, slot, value):
        width, low, high = PANEL_WIDTH / (self.slots - 0.4), self.ticks[0], self.ticks[-1]
        share = math.log(value / low) / math.log(high / low) if self.logarithmic else value / high
        return (self.x + width * (slot + 0.3), self.y + PANEL_HEIGHT * (1 - share))

    def frame(self, title, unit):
        out = [text(self.x + PANEL_WIDTH / 2, self.y - 10, title, extra=' font-weight="bold"')]
        for tick in self.ticks:
            _, y = self.place(0, tick)
            out += [line(self.x, y, self.x + PANEL_WIDTH, y, 'stroke="#d9d9d9" stroke-width="0.7"'),
                    text(self.x - 6, y + 4, "%g" % round(tick, 9), "end")]
        for slot, kib in enumerate(self.axes["budgets"]):
            x, _ = self.place(slot, self.ticks[0])
            label = "\N{INFINITY}" if kib == self.axes["unlimited"] else ("%g" % (kib / 1024)).replace("0.5", "\u00bd")
            out += [line(x, self.y + PANEL_HEIGHT, x, self.y + PANEL_HEIGHT + 4, 'stroke="black"'),
                    text(x, self.y + PANEL_HEIGHT + 17, label)]
        out += [line(self.x, self.y + PANEL_HEIGHT, self.x + PANEL_WIDTH, self.y + PANEL_HEIGHT, 'stroke="black"'),
                line(self.x, self.y, self.x, self.y + PANEL_HEIGHT, 'stroke="black"'),
                text(self.x + PANEL_WIDTH / 2, self.y + PANEL_HEIGHT + 33, "scratchpad, MiB (doubling)"),
                text(self.x - 40, self.y + PANEL_HEIGHT / 2, unit,
                     extra=' transform="rotate(-90 %.1f %.1f)"' % (self.x - 40, self.y + PANEL_HEIGHT / 2))]
        return out

    def curve(self, values, kind, colour, dash):
        """`values` by slot; None where there is none. Without markers if `kind` is None."""
        points = [self.place(slot, value) for slot, value in enumerate(values) if value is not None]
        if not points:
            return []
        path = " ".join("%.1f,%.1f" % p for p in points)
        return ['<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"%s/>' % (
            path, colour, ' stroke-dasharray="%s"' % dash if dash else "")] + [
                marker(x, y, kind, colour) for x, y in points if kind is not None]

    def level(self, value, colour):
        _, y = self.place(0, value)
        return [line(self.x, y, self.x + PANEL_WIDTH, y,
                     'stroke="%s" stroke-width="1" stroke-dasharray="%s"' % (colour, COMPULSORY))]


def values_of(results, axes, series, metric, scale):
    out = []
    for budget in axes["budgets"]:
        record = results.get(series + (budget,))
        out.append(record[metric] * scale(record) if record and record["fits"] else None)
    return out


def legend(x, y, entries):
    out = []
    for kind, colour, dash, label in entries:
        style = 'stroke="%s" stroke-width="1.5"%s' % (colour, ' stroke-dasharray="%s"' % dash if dash else "")
        out += [line(x, y - 4, x + 30, y - 4, style)]
        if kind is not None:
            out += [marker(x + 15, y - 4, kind, colour)]
        out += [text(x + 36, y, label, "start")]
        x += 52 + 5.3 * len(label)
    return out


def moves_panel(results, axes, graph, x):
    series = [(graph, p, axes["npus"][0], "moves") for p in axes["precisions"]]
    curves = [values_of(results, axes, s, "moved_bytes", lambda r: 1e-9) for s in series]
    floors = [values_of(results, axes, s, "compulsory_bytes", lambda r: 1e-9) for s in series]
    panel = Panel(x, TOP, axes, sum(curves + floors, []), logarithmic=True)
    out = panel.frame(graph, "moves, GB")
    for kind, (s, curve) in enumerate(zip(series, curves)):
        if floors[kind][-1] is not None:
            out += panel.level(floors[kind][-1], COLOURS[kind])
        bound = [r["bounds"].get("capacity") if r and r["fits"] else None
                 for r in (results.get(s + (b,)) for b in axes["budgets"])]
        out += panel.curve([b and b * 1e-9 for b in bound], None, COLOURS[kind], CAPACITY)
        out += panel.curve(curve, kind, COLOURS[kind], "")
    return out


def latency_panel(results, axes, graph, x, y):
    series = [(kind, n, (graph, p, npu, "latency")) for kind, p in enumerate(axes["precisions"])
              for n, npu in enumerate(axes["npus"])]
    curves = [values_of(results, axes, s, "simulated_cycles", lambda r: 1e3 / r["clock_hz"]) for _, _, s in series]
    panel = Panel(x, y, axes, sum(curves, []), logarithmic=False)
    out = panel.frame(graph, "latency, ms")
    for (kind, n, _), curve in zip(series, curves):
        out += panel.curve(curve, kind, COLOURS[kind], "5 3" if n else "")
    return out


def figure(results, axes):
    width = max(920, LEFT + len(axes["graphs"]) * (PANEL_WIDTH + GAP) - GAP + 20)  # the legends need 920
    second = TOP + PANEL_HEIGHT + ROW_GAP + 40
    height = second + PANEL_HEIGHT + 46
    moves_legend = [(k, COLOURS[k], "", p) for k, p in enumerate(axes["precisions"])]
    moves_legend += [(None, COLOURS[k], CAPACITY, "capacity bound (no recompute), " + p)
                     for k, p in enumerate(axes["precisions"])]
    moves_legend += [(None, COLOURS[k], COMPULSORY, "compulsory, " + p) for k, p in enumerate(axes["precisions"])]
    latency_legend = [(k, COLOURS[k], "5 3" if n else "", "%s, %s" % (p, npu))
                      for n, npu in enumerate(axes["npus"]) for k, p in enumerate(axes["precisions"])]
    bold = ' font-size="14" font-weight="bold"'
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
           'font-family="Helvetica, Arial, sans-serif" font-size="11">' % (width, height, width, height),
           "<title>DRAM moves and latency by scratchpad budget</title>",
           '<rect width="%d" height="%d" fill="white"/>' % (width, height),
           text(20, 20, "All moves over the DRAM interface, objective moves, %s (logarithmic)" % axes["npus"][0],
                "start", bold)]
    out += legend(20, 41, moves_legend)
    out += [text(20, second - 54, "Simulated latency, objective latency", "start", bold)]
    out += legend(20, second - 33, latency_legend)
    for column, graph in enumerate(axes["graphs"]):
        x = LEFT + column * (PANEL_WIDTH + GAP)
        out += moves_panel(results, axes, graph, x) + latency_panel(results, axes, graph, x, second)
    return "\n".join(out + ["</svg>"]) + "\n"
