// Draws the plots of the page, in its theme, when they come into view; and lets buttons act.
(() => {
  "use strict";
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const canvases = [...document.querySelectorAll(".canvas")];
  const byName = Object.fromEntries(canvases.map((canvas) => [canvas.dataset.plot, canvas]));
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themes = ["system", "light", "dark"];
  const state = {}; // of every plot: the view shown, the switches that are on, whether drawn
  for (const name of Object.keys(plots)) state[name] = { view: 0, on: new Set(), drawn: false };
  let theme = "system";
  let printing = false;

  function template() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("dim"),
      tickcolor: colour("dim"), automargin: true,
    };
    return {
      layout: {
        paper_bgcolor: colour("panel"), plot_bgcolor: colour("panel"),
        font: { color: colour("ink"), family: "system-ui, sans-serif", size: 13 },
        xaxis: axis, yaxis: axis,
        hoverlabel: { bgcolor: colour("paper"), bordercolor: colour("dim"),
                      font: { color: colour("ink") } },
        legend: { orientation: "h", y: -0.2, bgcolor: "rgba(0,0,0,0)" },
      },
    };
  }

  const config = (name) => ({
    responsive: true, displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none that uploads
    toImageButtonOptions: { filename: `${document.title}-${name}`, format: "png", scale: 2 },
  });

  async function draw(name) {
    const canvas = byName[name], at = state[name], plot = plots[name];
    const view = structuredClone(plot.views[at.view]);
    const layout = { ...view.layout, template: template(), height: plot.height, autosize: true };
    layout.margin = { l: 60, r: 20, t: 20, b: 50, ...(layout.margin || {}) };
    if (printing) { layout.width = 680; layout.autosize = false; }
    at.drawn = true;
    if (Parallel.drawn(view)) Parallel.draw(canvas, view, plot.height);
    else await Plotly.react(canvas, view.data, layout, config(name));
    for (const number of at.on) await flip(name, number, true);
    canvas.dataset.drawn = "yes";
  }

  function flip(name, number, on) {
    const turned = plots[name].switches[number];
    const [traces, layout] = structuredClone(on ? turned.on : turned.off);
    if (byName[name].chart) return byName[name].chart.update(traces);
    return Plotly.update(byName[name], traces, layout, turned.traces || undefined);
  }

  function choose(name, view) {
    state[name].view = view;
    const note = document.getElementById(name).querySelector(".note");
    if (note) note.textContent = plots[name].notes[view];
    return draw(name);
  }

  const redraw = () => {
    for (const name of Object.keys(plots)) if (state[name].drawn) draw(name);
  };

  for (const select of document.querySelectorAll("select[data-plot]"))
    select.addEventListener("change", () => choose(select.dataset.plot, Number(select.value)));

  for (const button of document.querySelectorAll("button[data-switch]"))
    button.addEventListener("click", () => {
      const { plot: name, switch: number } = button.dataset;
      const on = !state[name].on.has(number);
      state[name].on[on ? "add" : "delete"](number);
      button.setAttribute("aria-pressed", String(on));
      if (state[name].drawn) flip(name, number, on);
    });

  const themed = document.getElementById("theme");
  themed.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    themed.textContent = `Theme: ${theme}`;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    redraw();
  });
  system.addEventListener("change", redraw);

  function print(now) {
    printing = now;
    document.documentElement.classList.toggle("printing", now);
    redraw();
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));

  // What is in view first; the rest when nothing else is to be done, so that all can be printed.
  const waiting = Object.keys(plots);
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting && !state[target.dataset.plot].drawn) draw(target.dataset.plot);
  }, { rootMargin: "300px" });
  for (const canvas of canvases) seen.observe(canvas);
  const idle = window.requestIdleCallback || ((then) => setTimeout(then, 50));
  idle(function rest() {
    const name = waiting.shift();
    if (name === undefined) { document.documentElement.dataset.drawn = "all"; return; }
    (state[name].drawn ? Promise.resolve() : draw(name)).finally(() => idle(rest));
  });
})();
