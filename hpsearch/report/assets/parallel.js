// Parallel coordinates in SVG. plotly's own are drawn by WebGL, which compiles code from text (the
// page's policy forbids eval), are not printed where there is no WebGL, and cannot be brushed by
// keyboard. The data are those of plotly's `parcoords` trace.
const Parallel = (() => {
  "use strict";
  const CIVIDIS = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369",
                   "e1cc55", "fee838"].map((hex) => [0, 2, 4].map((i) => parseInt(hex.substr(i, 2), 16)));
  const TOP = 56, BOTTOM = 34, LEFT = 56, RIGHT = 96, HIT = 14;
  const plain = (text) => new DOMParser().parseFromString(text, "text/html").documentElement.textContent;

  const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";

  function colour(line, value, dark) {
    const [low, high] = [line.cmin, line.cmax];
    let at = high > low ? (value - low) / (high - low) : 0.5;
    at = Math.min(1, Math.max(0, line.reversescale ? 1 - at : at));
    at = (dark ? 0.25 + 0.75 * at : at) * (CIVIDIS.length - 1); // navy is lost on black
    const from = CIVIDIS[Math.floor(at)], to = CIVIDIS[Math.ceil(at)], part = at % 1;
    return `rgb(${from.map((c, i) => Math.round(c + (to[i] - c) * part)).join(",")})`;
  }

  function element(name, attributes, parent, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  class Chart {
    constructor(canvas, trace, height) {
      Object.assign(this, { canvas, trace, height });
      this.axes = trace.dimensions;
      this.brushes = this.axes.map(() => null); // of every axis: [low, high], 0 at its foot, 1
      this.count = this.axes.length ? this.axes[0].values.length : 0;
      canvas.setAttribute("role", "group");
      this.resize = new ResizeObserver(() => this.draw());
      this.resize.observe(canvas);
      this.draw();
    }

    share(axis, value) {
      const [low, high] = axis.range;
      return high > low ? (value - low) / (high - low) : 0.5;
    }

    y(share) { return TOP + (1 - share) * (this.height - TOP - BOTTOM); }

    x(place) {
      const gaps = Math.max(1, this.axes.length - 1);
      return LEFT + (place * (this.canvas.clientWidth - LEFT - RIGHT)) / gaps;
    }

    draw() {
      const focused = this.canvas.contains(document.activeElement)
        ? document.activeElement.dataset.axis : null;
      this.canvas.replaceChildren();
      const size = { width: "100%", height: this.height, class: "parallel" };
      this.svg = element("svg", size, this.canvas);
      const lines = element("g", { class: "lines" }, this.svg), dark = isDark();
      this.lines = Array.from({ length: this.count }, (_, n) => this.line(lines, n, dark));
      this.axes.forEach((axis, place) => this.axis(axis, place));
      this.said = element("text", { x: LEFT, y: this.height - 6, class: "said" }, this.svg);
      this.keep();
      if (focused !== null) this.svg.querySelector(`[data-axis="${focused}"]`).focus();
    }

    line(parent, n, dark) {
      const points = this.axes.map((axis, place) =>
        `${this.x(place).toFixed(1)},${this.y(this.share(axis, axis.values[n])).toFixed(1)}`);
      const stroke = colour(this.trace.line, this.trace.line.color[n], dark);
      const made = element("polyline", { points: points.join(" "), stroke }, parent);
      const named = (this.trace.customdata || [])[n];
      if (named) element("title", {}, made, plain(String(named).replaceAll("<br>", "\n")));
      return made;
    }

    axis(axis, place) {
      const x = this.x(place), name = plain(axis.label);
      const group = element("g", { class: "axis", tabindex: 0, role: "slider", "data-axis": place,
        "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100 }, this.svg);
      element("title", {}, group, `${name}: drag, or use the arrow keys, to keep the lines that`
        + " pass there; with Shift the part kept grows or shrinks; Escape keeps all");
      element("rect", { x: x - HIT, y: TOP - 8, width: 2 * HIT, height: this.y(0) - TOP + 16,
        class: "hit" }, group);
      element("line", { x1: x, x2: x, y1: this.y(1), y2: this.y(0) }, group);
      const title = { x, y: 0, transform: `translate(${x},${TOP - 16}) rotate(-14) translate(${-x},0)` };
      element("text", { ...title, class: "name" }, group, name);
      axis.tickvals.forEach((value, n) => {
        const share = this.share(axis, value);
        if (share < -0.01 || share > 1.01) return;
        element("line", { x1: x - 4, x2: x, y1: this.y(share), y2: this.y(share) }, group);
        element("text", { x: x + 6, y: this.y(share) + 4, class: "tick" }, group,
          plain(String(axis.ticktext[n])));
      });
      group.brush = element("rect", { x: x - 6, width: 12, y: 0, height: 0, class: "brush" }, group);
      this.drag(group, place);
      group.addEventListener("keydown", (event) => this.key(event, place));
    }

    drag(group, place) {
      const at = (event) => {
        const y = event.clientY - this.svg.getBoundingClientRect().top;
        return Math.min(1, Math.max(0, 1 - (y - TOP) / (this.height - TOP - BOTTOM)));
      };
      group.addEventListener("pointerdown", (event) => {
        const from = at(event);
        group.setPointerCapture(event.pointerId);
        const move = (moved) => {
          const to = at(moved);
          this.brushes[place] = Math.abs(to - from) < 0.01 ? null
            : [Math.min(from, to), Math.max(from, to)];
          this.keep();
        };
        move(event);
        group.addEventListener("pointermove", move);
        group.addEventListener("lostpointercapture",
          () => group.removeEventListener("pointermove", move), { once: true });
      });
    }

    key(event, place) {
      const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
      if (event.key !== "Escape" && step === undefined) return;
      event.preventDefault();
      const [low, high] = this.brushes[place] || [step > 0 ? -0.05 : 0.85, step > 0 ? 0.15 : 1.05];
      const wide = Math.min(1, Math.max(0.05, high - low + (event.shiftKey ? step : 0)));
      const foot = Math.min(1 - wide, Math.max(0, event.shiftKey ? low : low + step));
      this.brushes[place] = event.key === "Escape" ? null : [foot, foot + wide];
      this.keep();
    }

    keep() {
      const inside = (n) => this.brushes.every((brush, place) => {
        if (!brush) return true;
        const share = this.share(this.axes[place], this.axes[place].values[n]);
        return share >= brush[0] - 1e-9 && share <= brush[1] + 1e-9;
      });
      let kept = 0;
      this.lines.forEach((line, n) => {
        const in_ = inside(n);
        kept += in_;
        line.classList.toggle("out", !in_);
      });
      this.svg.querySelectorAll(".axis").forEach((group, place) => this.show(group, place, kept));
      this.said.textContent = this.brushes.some(Boolean) ? `${kept} of ${this.count} trials kept`
        : `${this.count} trials`;
    }

    show(group, place, kept) {
      const brush = this.brushes[place], name = plain(this.axes[place].label);
      group.brush.setAttribute("y", brush ? this.y(brush[1]) : 0);
      group.brush.setAttribute("height", brush ? this.y(brush[0]) - this.y(brush[1]) : 0);
      const [low, high] = (brush || [0, 1]).map((share) => Math.round(100 * share));
      group.setAttribute("aria-label", name);
      group.setAttribute("aria-valuenow", Math.round((low + high) / 2));
      group.setAttribute("aria-valuetext", brush
        ? `${low} to ${high} percent of the axis, ${kept} of ${this.count} trials kept` : "all");
    }

    // What `Plotly.update` would do with {"dimensions[2].constraintrange": [[low, high]]}.
    update(traces) {
      for (const [key, [range]] of Object.entries(traces)) {
        const found = /^dimensions\[(\d+)\]\.constraintrange$/.exec(key);
        if (!found) continue;
        const place = Number(found[1]), axis = this.axes[place];
        this.brushes[place] = range ? range.map((value) => this.share(axis, value)) : null;
      }
      this.keep();
    }
  }

  const drawn = (view) => view.data.length === 1 && view.data[0].type === "parcoords";
  function draw(canvas, view, height) {
    canvas.data = view.data;
    if (canvas.chart) canvas.chart.resize.disconnect();
    canvas.chart = new Chart(canvas, view.data[0], height);
  }
  return { drawn, draw };
})();
