"use strict";
// Data: { layers: [name], facts: [mode and owner], origins: [where from], tree: node } with node = [name, bytes, fact, origin, layer, more];
// more is a list of nodes for a directory, a text for what leads somewhere, and absent for a file.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("map"), tip = document.getElementById("tip"), crumbs = document.getElementById("crumbs");
  const legend = document.getElementById("legend"), said = document.getElementById("said"), find = document.getElementById("find");
  const COLORS = ["#5b7db1", "#d0874a", "#5f9f6b", "#c4636c", "#4f9fa3", "#9673b1", "#b99a35", "#8c7262", "#cb7f97", "#74808f"];
  const HEAD = 17, GAP = 2, LEAST = 30, MOST = 6000;
  const KINDS = [
    ["programs", (node) => /^-..[xs]|^-.{5}[xs]|^-.{8}x/.test(data.facts[node.fact]) && !/\.so(\.|$)/.test(node.name)],
    ["libraries", (node) => /\.(so(\.[0-9.]+)?|a|ko|dll|dylib|rlib)$/.test(node.name)],
    ["scripts and byte code", (node) => /\.(py[co]?|js|mjs|cjs|ts|rb|p[lm]|lua|php|sh|class|jar|wasm|elc?)$/.test(node.name)],
    ["archives", (node) => /\.(gz|xz|bz2|zst|zip|tar|tgz|whl|deb|apk|rpm|7z)$/.test(node.name) && !/^\/usr\/share\/(doc|man|info)\//.test(node.path)],
    ["documents and translations", (node) => /^\/usr\/share\/(doc|man|info|locale|i18n|licenses)\//.test(node.path) || /\.(mo|md|html?|txt|rst|pdf)$/.test(node.name)],
    ["pictures, fonts, sounds", (node) => /\.(png|jpe?g|gif|svg|webp|ico|ttf|otf|woff2?|pf[ab]|ogg|mp[34]|wav)$/.test(node.name)],
    ["settings and data of packages", (node) => /^\/(etc|var\/lib)\//.test(node.path) || /\.(json|ya?ml|toml|xml|conf|ini|list)$/.test(node.name)],
    ["anything else", () => true],
  ];
  let by = "layer", only = null, words = "", here, marked = null;

  function grow(raw, parent) {
    const [name, bytes, fact, origin, layer, more] = raw;
    const node = { name, bytes, fact, origin, layer, parent, files: 0, path: parent ? (parent.path === "/" ? "/" : parent.path + "/") + name : "/" };
    if (Array.isArray(more)) {
      node.below = more.map((child) => grow(child, node));
      for (const child of node.below) { node.bytes += child.bytes; node.files += child.files; }
      node.below.sort((one, other) => other.bytes - one.bytes || (one.name < other.name ? -1 : 1));
    } else {
      node.leads = more;
      node.files = data.facts[fact][0] === "-" ? 1 : 0;
      node.kind = KINDS.findIndex(([, is]) => is(node));
    }
    return node;
  }
  const root = grow(data.tree, null);

  const UNITS = ["KiB", "MiB", "GiB", "TiB"];
  function size(bytes) {
    if (bytes < 1000) return bytes + " B";
    let unit = -1, value = bytes;
    do { value /= 1024; unit += 1; } while (value >= 999.95 && unit + 1 < UNITS.length);
    return value.toFixed(1) + " " + UNITS[unit];
  }
  const exact = (bytes) => String(bytes).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const part = (bytes) => root.bytes ? (100 * bytes / root.bytes).toFixed(1) + " %" : "0 %";

  function node(path) {
    let at = root;
    for (const name of path.split("/").filter(Boolean)) {
      at = at.below && at.below.find((child) => child.name === name);
      if (!at) return null;
    }
    return at;
  }
  const group = (leaf) => by === "layer" ? leaf.layer : leaf.kind;
  const color = (place) => COLORS[place % COLORS.length];
  function shade(hex, step) {
    const channel = (from) => Math.max(0, Math.min(255, Math.round(parseInt(hex.slice(from, from + 2), 16) * (1 + step))));
    return `rgb(${channel(1)}, ${channel(3)}, ${channel(5)})`;
  }
  // A directory that is drawn as one cell has the colour of most of its bytes.
  function most(at) {
    if (!at.below) return group(at);
    const sums = new Map();
    const walk = (one) => one.below ? one.below.forEach(walk) : sums.set(group(one), (sums.get(group(one)) || 0) + one.bytes);
    walk(at);
    return [...sums].sort((one, other) => other[1] - one[1])[0]?.[0] ?? at.layer;
  }
  const wanted = (leaf) => (only === null || group(leaf) === only) && (!words || leaf.path.toLowerCase().includes(words));
  const shown = (at) => at.below ? at.below.some(shown) : wanted(at);

  // Squarified treemaps (Bruls, Huizing, van Wijk 2000): rows along the shorter side, as long as that makes cells squarer.
  function squarify(nodes, x, y, width, height, total, place) {
    let start = 0;
    while (start < nodes.length && width > 0.5 && height > 0.5) {
      const side = Math.min(width, height), scale = width * height / total;
      let sum = 0, worst = Infinity, end = start;
      while (end < nodes.length) {
        const next = sum + nodes[end].bytes, thick = next * scale / side;
        const ratio = (bytes) => { const long = bytes * scale / thick; return Math.max(long / thick, thick / long); };
        const now = Math.max(ratio(nodes[start].bytes), ratio(nodes[end].bytes));
        if (end > start && now > worst) break;
        worst = now; sum = next; end += 1;
      }
      const thick = sum * scale / side;
      let at = 0;
      for (let each = start; each < end; each += 1) {
        const long = nodes[each].bytes * scale / thick;
        if (width >= height) place(nodes[each], x, y + at, thick, long); else place(nodes[each], x + at, y, long, thick);
        at += long;
      }
      if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
      total -= sum; start = end;
    }
  }

  function cell(at, x, y, width, height, kind) {
    const div = document.createElement("div");
    div.className = "cell " + kind;
    div.dataset.path = at.path;
    div.style.left = x.toFixed(1) + "px"; div.style.top = y.toFixed(1) + "px";
    div.style.width = width.toFixed(1) + "px"; div.style.height = height.toFixed(1) + "px";
    div.at = at;
    return div;
  }
  // What would be too small to see is one cell together, so that no room is left empty.
  function gather(at, area) {
    const full = at.below.filter((child) => child.bytes > 0);
    const first = full.findIndex((child) => child.bytes * area / at.bytes < LEAST);
    if (first < 0 || full.length - first < 2) return full;
    const small = full.slice(first), sum = (key) => small.reduce((total, child) => total + child[key], 0);
    const rest = { name: `${exact(small.length)} more`, path: at.path, bytes: sum("bytes"), files: sum("files"), parent: at, below: small, rest: true };
    return [...full.slice(0, first), rest];
  }
  let count = 0, drawn = 0;
  function draw(at, x, y, width, height, into) {
    if (width < 1 || height < 1 || count >= MOST) return;
    count += 1;
    const deep = at.below && !at.rest && at.bytes > 0 && width > 34 && height > HEAD + 14;
    if (deep) {
      const frame = cell(at, x, y, width - GAP, height - GAP, "dir");
      if (width > 46) {
        frame.append(at === root ? "/" : at.name);
        if (width > 130) { const bytes = document.createElement("em"); bytes.textContent = size(at.bytes); frame.append(bytes); }
      }
      into.append(frame);
      const inner = [width - 3 * GAP, height - HEAD - 2 * GAP];
      squarify(gather(at, inner[0] * inner[1]), x + GAP, y + HEAD, ...inner, at.bytes, (child, cx, cy, cw, ch) => draw(child, cx, cy, cw, ch, into));
      return;
    }
    const thin = Math.min(width, height) < 4 ? 0.4 : 1;
    const flat = cell(at, x, y, width - thin, height - thin, at.rest ? "flat rest" : at.below ? "flat" : "file");
    flat.style.backgroundColor = shade(color(most(at)), [0, -.07, .07, -.03, .04][drawn++ % 5]);
    if (width > 40 && height > 15) { flat.textContent = at.name; flat.classList.add("named"); }
    if (!shown(at)) flat.classList.add("off");
    if (marked === at) flat.classList.add("hit");
    into.append(flat);
  }
  function render() {
    const into = document.createDocumentFragment();
    count = 0; drawn = 0;
    if (here.bytes > 0) draw(here, 0, 0, map.clientWidth + GAP, map.clientHeight + GAP, into);
    else { const none = document.createElement("p"); none.textContent = "There are no bytes in it."; none.className = "cell"; into.append(none); }
    map.replaceChildren(into);
    const trail = [];
    for (let at = here; at; at = at.parent) trail.unshift(at);
    crumbs.replaceChildren(...trail.flatMap((at, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = at === root ? "/" : at.name;
      button.onclick = () => go(at);
      return place > 1 ? ["/", button] : [button];
    }));
    const sum = document.createElement("span");
    sum.textContent = `${size(here.bytes)} · ${exact(here.files)} ${here.files === 1 ? "file" : "files"}`;
    crumbs.append(" ", sum);
    tip.hidden = true;
  }
  function go(at, mark = null) {
    here = at.below ? at : at.parent;
    marked = mark;
    history.replaceState(null, "", "#" + encodeURI(here.path));
    render();
  }

  function paintLegend() {
    const names = by === "layer" ? data.layers : KINDS.map(([name]) => name);
    const sums = names.map(() => 0);
    const walk = (at) => at.below ? at.below.forEach(walk) : sums[group(at)] += at.bytes;
    walk(root);
    legend.replaceChildren(...names.flatMap((name, place) => {
      if (!sums[place]) return [];
      const item = document.createElement("li"), button = document.createElement("button");
      const dot = document.createElement("i"), text = document.createElement("span"), bytes = document.createElement("em");
      dot.className = "dot"; dot.style.background = color(place);
      text.textContent = name; bytes.textContent = size(sums[place]);
      button.type = "button"; button.setAttribute("aria-pressed", String(only === place)); button.title = name;
      button.onclick = () => { only = only === place ? null : place; paintLegend(); render(); tell(); };
      button.append(dot, text, bytes); item.append(button);
      return [item];
    }));
  }
  function tell() {
    if (!words && only === null) { said.textContent = ""; return; }
    let bytes = 0, files = 0;
    const walk = (at) => { if (at.below) at.below.forEach(walk); else if (wanted(at)) { bytes += at.bytes; files += at.files; } };
    walk(root);
    said.textContent = `${exact(files)} ${files === 1 ? "file" : "files"} with ${size(bytes)} ${words ? "match" : "are of this colour"}, ${part(bytes)} of the image`;
  }

  function show(at, event) {
    const rows = [["size", at.below || at.leads === undefined ? `${size(at.bytes)} (${exact(at.bytes)} bytes), ${part(at.bytes)}` : null],
      ["files", at.below ? exact(at.files) : null],
      ["mode", data.facts[at.fact] || null], // a rest has neither
      ["from", data.origins[at.origin] || null]];
    const path = document.createElement("div"), list = document.createElement("dl");
    path.className = "p"; path.textContent = at.rest ? `${at.path}: ${at.name}, too small to be drawn` : at.path + (at.leads || "");
    for (const [what, value] of rows) if (value) {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = what; text.textContent = value; list.append(term, text);
    }
    tip.replaceChildren(path, list);
    tip.hidden = false;
    const box = tip.getBoundingClientRect(), x = event.clientX + 16, y = event.clientY + 16;
    tip.style.left = Math.max(4, Math.min(x, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + box.height > innerHeight ? event.clientY - box.height - 12 : y) + "px";
  }
  map.addEventListener("mousemove", (event) => { const at = event.target.at; if (at) show(at, event); else tip.hidden = true; });
  map.addEventListener("mouseleave", () => { tip.hidden = true; });
  map.addEventListener("click", (event) => {
    const at = event.target.at?.rest ? event.target.at.parent : event.target.at;
    if (!at) return;
    if (at.below && at !== here) go(at);
    else if (!at.below && at.parent !== here) go(at.parent, at);
    else if (!at.below) go(at, marked === at ? null : at);
  });
  addEventListener("keydown", (event) => {
    if (event.target === find) { if (event.key === "Escape") { find.value = ""; find.dispatchEvent(new Event("input")); find.blur(); } return; }
    if ((event.key === "Escape" || event.key === "Backspace") && here.parent) { event.preventDefault(); go(here.parent); }
    if (event.key === "/") { event.preventDefault(); find.focus(); }
  });
  find.addEventListener("input", () => { words = find.value.trim().toLowerCase(); render(); tell(); });
  for (const button of document.querySelectorAll("#by button")) button.addEventListener("click", () => {
    by = button.dataset.by; only = null;
    for (const other of document.querySelectorAll("#by button")) other.setAttribute("aria-pressed", String(other === button));
    paintLegend(); render(); tell();
  });
  for (const link of document.querySelectorAll("a[data-path]")) link.addEventListener("click", (event) => {
    event.preventDefault();
    const at = node(link.dataset.path);
    if (at) { go(at, at); document.getElementById("see").scrollIntoView({ block: "start" }); }
  });
  for (const row of document.querySelectorAll("tr[data-layer]")) {
    const shade = color(Number(row.dataset.layer)), bar = row.querySelector("b");
    row.querySelector(".dot").style.background = shade;
    bar.style.background = shade; bar.style.width = bar.dataset.part + "%";
  }
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(render); });
  let first = null;
  try { first = node(decodeURI(location.hash.slice(1))); } catch { first = null; }
  here = first ? (first.below ? first : first.parent) : root;
  paintLegend();
  render();
})();
