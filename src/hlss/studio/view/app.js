// The page: one state, kept in the address after #, so that the address of a view leads to it.
import { ask, byId, tell } from "/api.js";
import { showPatch } from "/details.js";
import { Overlay } from "/overlay.js";
import { SlideView } from "/slide.js";
import { Tree } from "/tree.js";

const DEFAULT = { opacity: 0.6, threshold: -3, colours: "two-sided", shown: true, drawn: false };
const paint = { ...DEFAULT };
let image = null, patch = null, words = null, asked = 0, lookedFor = 0; // words: { key } of a characteristic or { key, text }
let tree, overlay;
const slide = new SlideView(byId("slide"), remember, look);
const attempt = (work) => (...given) => work(...given).catch((error) => tell(error.message));

function remember() {
  if (!image) return;
  const { x, y, z } = slide.where();
  const said = new URLSearchParams({ slide: image.id, x: Math.round(x), y: Math.round(y), z: z.toFixed(2) });
  if (words?.text) said.set("text", words.text);
  else if (words) said.set("map", words.key);
  if (words) for (const name of ["opacity", "threshold", "colours"]) said.set(name, paint[name]);
  if (words && !paint.shown) said.set("hidden", "1");
  if (words && paint.drawn) said.set("drawn", "1");
  if (patch) said.set("patch", `${patch.x},${patch.y}`);
  clearTimeout(remember.later);
  remember.later = setTimeout(() => {
    if (location.hash !== remember.last) return; // another address was opened, and is followed next
    history.replaceState(null, "", `#${said}`);
    remember.last = location.hash;
  }, 80);
}

function painted() {
  clearTimeout(painted.later);
  painted.later = setTimeout(paintNow, 40); // a slider that is dragged changes often
  remember();
}

function paintNow() {
  if (words && paint.shown && image.patches) slide.paint(words.key, overlay.painted);
  else slide.unpaint();
}

async function open(id, where) {
  if (image?.id !== id) {
    const mine = ++asked;
    const found = await ask(`/api/images/${id}`);
    if (mine !== asked) return false; // another was chosen meanwhile
    image = found;
    patch = null;
    overlay.clear();
    slide.show(image, where);
    tree.here(id);
    const facts = [image.patient, image.slide, image.label, image.site, image.mpp === null ? "" : `${+image.mpp.toFixed(4)} µm/px`];
    byId("caption").textContent = [...new Set(facts)].filter(Boolean).join(" · ");
    document.title = `${image.slide} · hlss view`;
    showPatch(null, image);
    if (words) refreshWords();
  } else if (where) slide.show(image, where);
  painted();
  return true;
}

async function look({ x, y }) {
  if (!image.patches) return;
  const here = image.id;
  const found = await ask(`/api/images/${here}/at`, { x, y });
  if (image.id !== here) return;
  patch = found;
  showPatch(patch, image, attempt(go), attempt(choose));
  byId("patch").scrollIntoView({ block: patch ? "start" : "nearest", behavior: "smooth" });
  if (patch) slide.marked(patch.x, patch.y, patch.extent);
  else slide.unmark();
  remember();
}

async function go(one) {
  if (!(await open(one.image))) return;
  await look({ x: one.x + 1, y: one.y + 1 });
  if (patch) slide.go(patch.x, patch.y, patch.extent);
}

const choose = (key) => said(`/api/texts/${encodeURIComponent(key)}`, {});
const search = (text) => said("/api/search", { text });

async function said(path, query) {
  const mine = ++lookedFor;
  const found = await ask(path, { ...query, image: image?.id });
  if (mine !== lookedFor) return; // other words were chosen meanwhile
  words = { key: found.text.key, text: query.text };
  byId("search").value = found.text.name;
  overlay.show(found);
  overlay.test(image, words.key);
  painted();
}

const refreshWords = attempt(() => (words.text ? search(words.text) : choose(words.key)));

async function follow(order) {
  remember.last = location.hash;
  const given = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (given.has(name) && Number.isFinite(Number(given.get(name))) ? Number(given.get(name)) : null);
  for (const name of ["opacity", "threshold"]) if (number(name) !== null) paint[name] = number(name);
  if (overlay.cohort.colours[given.get("colours")]) paint.colours = given.get("colours");
  paint.shown = !given.has("hidden");
  paint.drawn = given.has("drawn");
  overlay.draw();
  const [x, y, z] = ["x", "y", "z"].map(number);
  const known = order.includes(given.get("slide"));
  if (given.get("slide") && !known) tell("The link leads to a slide that this cohort does not have.");
  await open(known ? given.get("slide") : order[0], known && x !== null && y !== null && z !== null ? { x, y, z } : undefined);
  const place = (given.get("patch") ?? "").split(",").map(Number);
  if (known && place.length === 2 && place.every(Number.isFinite)) await look({ x: place[0] + 1, y: place[1] + 1 });
  if (given.get("text")) await search(given.get("text"));
  else if (given.get("map")) await choose(given.get("map"));
}

const KEYS = {
  "+": () => slide.zoom(1), "=": () => slide.zoom(1), "-": () => slide.zoom(-1), "0": () => slide.show(image) || painted(),
  ArrowLeft: () => slide.pan(-160, 0), ArrowRight: () => slide.pan(160, 0),
  ArrowUp: () => slide.pan(0, -160), ArrowDown: () => slide.pan(0, 160),
  o: () => words && overlay.set({ shown: !paint.shown }),
  j: () => attempt(open)(tree.step(image.id, 1)), k: () => attempt(open)(tree.step(image.id, -1)),
  "/": () => byId("search").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=range]):not([type=checkbox]), select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.target.matches("input[type=range]") && event.key.startsWith("Arrow")) return;
  if (!image || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

byId("share").addEventListener("click", async () => {
  await new Promise((done) => setTimeout(done, 100)); // until the address is up to date
  await navigator.clipboard.writeText(location.href);
  tell("Copied. It opens for whoever has opened the address that hlss printed.");
});

attempt(async () => {
  const cohort = await ask("/api/cohort");
  byId("title").textContent = cohort.title;
  byId("notices").replaceChildren(...cohort.notices.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
  tree = new Tree(cohort, attempt(open));
  overlay = new Overlay(cohort, paint, { choose: attempt(choose), search: attempt(search), changed: painted, go: attempt(go) });
  window.addEventListener("hashchange", () => attempt(follow)(tree.order));
  await follow(tree.order);
})();
