"""The result as a table and as plots: SVG text, without a library. A colour is a kind: ours, a peer, a limit."""

import math

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 70, 40, 190, 50
COLOURS = {"ours": "#0b6e4f", "peer": "#b3541e", "limit": "#777777"}


def escape(text):
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def ticks(least, most):
    """Powers of ten, and their doubles and fives where there are few."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    steps = (1, 2, 5) if high - low <= 3 else (1,)
    all_ticks = [step * 10.0**power for power in range(low, high + 1) for step in steps]
    return [tick for tick in all_ticks if least <= tick <= most]


def short(value):
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def plot(title, across, up, points, lines=False):
    """Both axes are logarithmic. Points are `(name, kind, x, y)`; with `lines` those of one name are joined, in their order."""
    points = [point for point in points if point[2] > 0 and point[3] > 0]
    if not points:
        return None
    spans = []
    for at in (2, 3):
        values = [point[at] for point in points]
        spans.append((min(values) / 1.25, max(values) * 1.25))

    def place(value, span, begin, end):
        low, high = (math.log10(edge) for edge in span)
        return begin + (math.log10(value) - low) / (high - low) * (end - begin)

    def x(value):
        return place(value, spans[0], LEFT, WIDTH - RIGHT)

    def y(value):
        return place(value, spans[1], HEIGHT - BOTTOM, TOP)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for tick in ticks(*spans[0]):
        out.append(f'<path d="M{x(tick):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eeeeee"/>')
        out.append(f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{short(tick)}</text>')
    for tick in ticks(*spans[1]):
        out.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#eeeeee"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    names, labels = {}, []
    for name, kind, across_it, up_it in points:
        names.setdefault((name, kind), []).append((x(across_it), y(up_it)))
    for (name, kind), places in names.items():
        colour = COLOURS[kind]
        if lines:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in places]
        labels.append([places[-1], name, colour])
    # Labels stand at the right, in the order of their points, and never on each other.
    labels.sort(key=lambda label: label[0][1])
    below = TOP
    for (a, b), name, colour in labels:
        at = max(b, below)
        below = at + 13
        edge = WIDTH - RIGHT + 12
        out.append(f'<path d="M{a:.1f} {b:.1f}L{edge - 2} {at:.1f}" stroke="{colour}" stroke-opacity="0.25"/>')
        out.append(f'<text x="{edge}" y="{at + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join(out + ["</svg>", ""])


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.3f} s"


def table(result):
    """One table for each workload: medians, the range, and the ratio of each median to ours."""
    out = []
    for title, workload in result["workloads"].items():
        rows = workload["rows"]
        ours = next((row["median"] for row in rows if row["name"] == workload["against"]), None)
        out += [f"### {title}: {workload['title']}", ""]
        out += ["| what | median | least to most | ratio to ours | output | memory |", "|---|---:|---:|---:|---:|---:|"]
        for row in rows:
            ratio = f"{row['median'] / ours:.2f}" if ours else ""
            size = f"{row['size'] / 1e6:.2f} MB" if row.get("size") else ""
            memory = f"{row['memory'] / 1024:.0f} MiB" if row.get("memory") else ""
            span = f"{seconds(row['least'])} to {seconds(row['most'])}"
            name = row["name"].replace("|", "\\|")
            out.append(f"| {name} | {seconds(row['median'])} | {span} | {ratio} | {size} | {memory} |")
        out += [""] + [f"Left out: {why}." for why in workload["left_out"]] + ([""] if workload["left_out"] else [])
    return "\n".join(out)


def plots(result):
    """The name and text of each plot."""
    found = {}
    for name, workload in result["workloads"].items():
        kind = {"ours": "ours", "limit": "limit"}
        points = [(row["name"], kind.get(row["kind"], "peer"), row["median"], row["size"] / 1e6) for row in workload["rows"] if row.get("size")]
        if name in ("W1", "W2", "W3") and points:
            found[f"{name}.svg"] = plot(f"{name}: {workload['title']}", "seconds", "MB of output", points)
    for name, growth in result.get("growth", {}).items():
        points = [("stillframe " + word, "ours", amount, second) for word, amount, second in growth["points"]]
        found[f"{name}.svg"] = plot(growth["title"], growth["unit"], "seconds", points, lines=True)
    return {name: text for name, text in found.items() if text}
