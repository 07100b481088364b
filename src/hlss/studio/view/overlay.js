// Words: choosing a characteristic or typing a sentence, and how its map is painted.
import { byId, el, pictures, signed } from "/api.js";
import { Trust } from "/trust.js";

const MOST = 60; // choices that are listed
const WEAK = "weak"; // colours of a map that cannot be believed

export class Overlay {
  // choose: a characteristic's key; search: a sentence; changed: how it is painted; go: to a patch
  constructor(cohort, paint, { choose, search, changed, go }) {
    this.cohort = cohort;
    this.paint = paint;
    this.on = { choose, search, changed, go };
    this.trust = new Trust(() => { this.draw(); changed(); });
    byId("words").hidden = !cohort.texts.length;
    byId("colours").replaceChildren(...Object.keys(cohort.colours).map((name) => el("option", { value: name }, name)));
    byId("drawn").addEventListener("change", (event) => this.set({ drawn: event.target.value === "drawn" }));
    byId("opacity").addEventListener("input", (event) => this.set({ opacity: Number(event.target.value) }));
    byId("threshold").addEventListener("input", (event) => this.set({ threshold: Number(event.target.value) }));
    byId("colours").addEventListener("change", (event) => this.set({ colours: event.target.value }));
    byId("shown").addEventListener("change", (event) => this.set({ shown: event.target.checked }));
    this.field(byId("search"));
    this.draw();
  }

  set(given) {
    Object.assign(this.paint, given);
    this.draw();
    this.on.changed();
  }

  // How the map is painted now: the true one where it is asked for and known, grey where it cannot be believed.
  get painted() {
    const { weak, drawn } = this.trust, true_ = this.paint.drawn && drawn;
    return { ...this.paint, drawn: true_, colours: weak && !true_ ? WEAK : this.paint.colours };
  }

  draw() {
    const { opacity, threshold, shown } = this.paint, { colours, drawn } = this.painted;
    const [low, high] = this.cohort.sigma;
    for (const [id, value, text] of [["opacity", opacity, `${Math.round(opacity * 100)} %`],
      ["threshold", threshold, threshold <= low ? "all" : signed(threshold)]]) {
      byId(id).value = value;
      byId(id).nextElementSibling.textContent = text;
    }
    byId("threshold").disabled = drawn;
    byId("colours").value = this.paint.colours;
    byId("shown").checked = shown;
    byId("which").hidden = !this.trust.drawn;
    byId("drawn").value = drawn ? "drawn" : "seen";
    const bar = byId("bar"), ends = drawn ? ["0", "0.5", "1"] : [signed(low), "0", signed(high)].map((end) => end.replace(".0", ""));
    bar.querySelectorAll(".ticks span").forEach((tick, place) => { tick.textContent = ends[place]; });
    bar.querySelector(".colours").style.background = `linear-gradient(to right, ${(colours === WEAK ? this.cohort.weak : this.cohort.colours[colours]).join(", ")})`;
    bar.querySelector(".below").style.width = drawn ? "0" : `${(100 * (threshold - low)) / (high - low)}%`;
    const legend = byId("legend");
    legend.hidden = !shown || !this.name || !this.tested;
    legend.replaceChildren(el("strong", {}, this.name ?? ""), ...(drawn ? [el("span", {}, "as it was drawn")]
      : [el("span", { class: "figure" }, this.trust.short), el("span", { class: "doubt" }, this.trust.doubt)]));
  }

  show(found) {
    const { text, here, matches } = found, typed = text.key.startsWith("text-");
    byId("overlay").hidden = false;
    this.name = byId("text").textContent = typed ? `“${text.name}”` : text.name;
    byId("said").textContent = typed ? "A sentence of yours" : text.level ? `${text.level} level · ${text.descriptions[0]}` : text.descriptions[0];
    byId("here").textContent = here.length ? `This slide: ${signed(here[0])} to ${signed(here[2])}, median ${signed(here[1])}` : "";
    byId("matches").replaceChildren(...pictures(matches, (one) => signed(one.score), this.on.go));
  }

  // Another image is looked at, and nothing is known of it yet.
  clear() {
    this.tested = false;
    this.trust.clear();
    this.draw();
  }

  // Of a text over an image, whose map is painted already.
  test(image, key) {
    this.tested = image.patches > 0;
    this.trust.of(image, key);
    this.draw();
  }

  field(field) {
    const choices = byId("choices");
    const close = () => { choices.hidden = true; field.setAttribute("aria-expanded", "false"); };
    const take = (one) => { close(); field.blur(); one.key ? this.on.choose(one.key) : this.on.search(one.text); };
    const list = () => {
      const text = field.value.trim(), words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const fit = this.cohort.texts.filter((one) => words.every((word) => one.name.toLowerCase().includes(word)));
      const exact = fit.find((one) => one.name.toLowerCase() === text.toLowerCase());
      this.offered = [...(exact ? [exact] : []), ...(text ? [{ text }] : []), ...fit.filter((one) => one !== exact).slice(0, MOST)];
      this.at = 0;
      choices.replaceChildren(...this.offered.map((one, place) =>
        el("button", { role: "option", class: "choice", id: `choice-${place}`, tabIndex: -1, "aria-selected": String(!place), onpointerdown: (event) => { event.preventDefault(); take(one); } },
          el("span", {}, one.key ? one.name : `Search all slides for “${one.text}”`), el("span", { class: "quiet" }, one.key ? one.level : "sentence"))));
      choices.hidden = !this.offered.length;
      field.setAttribute("aria-expanded", String(!choices.hidden));
      field.setAttribute("aria-activedescendant", "choice-0");
    };
    field.addEventListener("input", list);
    field.addEventListener("focus", list);
    field.addEventListener("blur", close);
    field.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (by && this.offered?.length) {
        event.preventDefault();
        this.at = (this.at + by + this.offered.length) % this.offered.length;
        [...choices.children].forEach((one, place) => one.setAttribute("aria-selected", String(place === this.at)));
        field.setAttribute("aria-activedescendant", `choice-${this.at}`);
        choices.children[this.at].scrollIntoView({ block: "nearest" });
      } else if (event.key === "Enter" && this.offered?.length) take(this.offered[this.at]);
      else if (event.key === "Escape") field.blur();
    });
  }
}
