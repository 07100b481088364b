// What a reader may ask of a report: where a figure is from, the values of a curve, the tile of a mark.
"use strict";
const SVG = "http://www.w3.org/2000/svg";

document.addEventListener("mouseover", (event) => {
  const figure = event.target.closest("[data-source]");
  if (!figure || figure.dataset.told) return;
  figure.dataset.told = "yes";
  const told = `${figure.dataset.value}\n${figure.dataset.source}`;
  if (figure instanceof SVGElement) {
    const title = document.createElementNS(SVG, "title");
    title.textContent = told;
    figure.append(title);
  } else figure.title = told;
});

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
const showHere = () => {
  const sections = [...links.keys()].map((id) => document.getElementById(id));
  const passed = sections.filter((one) => one.getBoundingClientRect().top < innerHeight * 0.3).pop() ?? sections[0];
  const end = scrollY > 0 && innerHeight + scrollY >= document.body.scrollHeight - 4;
  for (const link of links.values()) link.removeAttribute("aria-current");
  links.get((end ? sections.at(-1) : passed).id).setAttribute("aria-current", "true");
};
addEventListener("scroll", showHere, { passive: true });
showHere();

const put = (parent, kind, attributes, text) => {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
};
const inChart = (chart, event) => {
  const box = chart.getBoundingClientRect();
  const [, , width, height] = chart.getAttribute("viewBox").split(" ").map(Number);
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
};

for (const chart of document.querySelectorAll("svg.lines")) {
  const [low, high, left, right] = chart.dataset.x.split(" ").map(Number);
  const [top, bottom] = chart.dataset.y.split(" ").map(Number);
  const curves = [...chart.querySelectorAll("polyline")].map((curve) => ({
    name: curve.dataset.name,
    points: curve.dataset.values.split(" ").map((pair) => pair.split(",").map(Number)),
  }));
  const cursor = chart.querySelector(".cursor");
  chart.addEventListener("mousemove", (event) => {
    cursor.replaceChildren();
    const x = inChart(chart, event)[0];
    if (x < left || x > right) return;
    const asked = low + ((x - left) / (right - left)) * (high - low);
    const near = curves.map(({ name, points }) => [name, points.reduce((a, b) =>
      Math.abs(b[0] - asked) < Math.abs(a[0] - asked) ? b : a)]);
    const step = near[0][1][0];
    const at = left + ((step - low) / (high - low)) * (right - left);
    put(cursor, "line", { x1: at, x2: at, y1: top, y2: bottom });
    const said = [`step ${step}`, ...near.map(([name, [, value]]) => `${name} ${value}`)];
    const width = 14 + 6.6 * Math.max(...said.map((line) => line.length));
    const from = at > (left + right) / 2 ? at - width - 8 : at + 8;
    put(cursor, "rect", { x: from, y: top, width, height: 8 + 16 * said.length, rx: 6 });
    said.forEach((line, k) => put(cursor, "text", { x: from + 7, y: top + 16 * (k + 1) }, line));
  });
  chart.addEventListener("mouseleave", () => cursor.replaceChildren());
}

const maps = JSON.parse(document.getElementById("figures").textContent).maps ?? [];
document.querySelectorAll("svg.scatter").forEach((chart, number) => {
  const { patches } = maps[number];
  const marks = [...chart.querySelector("g").querySelectorAll("use")]
    .map((use) => [Number(use.getAttribute("x")), Number(use.getAttribute("y"))]);
  const tip = chart.closest(".map-canvas").querySelector(".tip");
  const here = chart.querySelector(".here");
  const { sheet, px, across, total } = chart.dataset;
  let shown = -1;
  const show = (k) => {
    shown = k;
    const [x, y] = marks[k];
    here.setAttribute("cx", x);
    here.setAttribute("cy", y);
    tip.replaceChildren();
    if (sheet) {
      const tile = document.createElement("i");
      const scale = 96 / px;
      tile.className = `sheet-${sheet}`;
      const rows = Math.ceil(total / across);
      tile.style.backgroundSize = `${across * px * scale}px ${rows * px * scale}px`;
      tile.style.backgroundPosition = `${-(k % across) * 96}px ${-Math.floor(k / across) * 96}px`;
      tip.append(tile);
    }
    const said = document.createElement("div");
    for (const [kind, names] of Object.entries(patches)) {
      const line = document.createElement("div");
      line.textContent = `${kind}: ${names.names[names.of[k]] || "none"}`;
      said.append(line);
    }
    tip.append(said);
    tip.hidden = false;
    const scale = chart.getBoundingClientRect().width / 620;
    const right = x > 310;
    tip.style.left = right ? "" : `${x * scale + 14}px`;
    tip.style.right = right ? `${(620 - x) * scale + 14}px` : "";
    tip.style.top = `${Math.min(y, 500) * scale}px`;
  };
  const hide = () => { tip.hidden = true; here.setAttribute("cx", -20); };
  chart.addEventListener("mousemove", (event) => {
    const [x, y] = inChart(chart, event);
    let best = -1, least = 144;
    marks.forEach(([mx, my], k) => {
      const far = (mx - x) ** 2 + (my - y) ** 2;
      if (far < least) [best, least] = [k, far];
    });
    if (best < 0) hide();
    else if (best !== shown || tip.hidden) show(best);
  });
  chart.addEventListener("mouseleave", hide);
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    show((shown + by + marks.length) % marks.length);
  });
  chart.addEventListener("blur", hide);
});
