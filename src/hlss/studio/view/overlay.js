// Words: choosing a characteristic or typing a sentence, and how its map is painted.
import { byId, el, pictures, signed } from "/api.js";

const MOST = 60; // choices that are listed

export class Overlay {
  // choose: a characteristic's key; search: a sentence; changed: how it is painted; go: to a patch
  constructor(cohort, paint, { choose, search, changed, go }) {
    this.cohort = cohort;
    this.paint = paint;
    this.on = { choose, search, changed, go };
    byId("words").hidden = !cohort.sayings.length;
    byId("colours").replaceChildren(...Object.keys(cohort.colours).map((name) => el("option", { value: name }, name)));
    const ticks = byId("bar").querySelectorAll(".ticks span");
    ticks[0].textContent = signed(cohort.sigma[0]).replace(".0", "");
    ticks[2].textContent = signed(cohort.sigma[1]).replace(".0", "");
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

  draw() {
    const { opacity, threshold, colours, shown } = this.paint;
    const [low, high] = this.cohort.sigma;
    for (const [id, value, text] of [["opacity", opacity, `${Math.round(opacity * 100)} %`],
      ["threshold", threshold, threshold <= low ? "all" : signed(threshold)]]) {
      byId(id).value = value;
      byId(id).nextElementSibling.textContent = text;
    }
    byId("colours").value = colours;
    byId("shown").checked = shown;
    const bar = byId("bar");
    bar.querySelector(".colours").style.background = `linear-gradient(to right, ${this.cohort.colours[colours].join(", ")})`;
    bar.querySelector(".below").style.width = `${(100 * (threshold - low)) / (high - low)}%`;
  }

  show(found) {
    byId("overlay").hidden = !found;
    if (!found) return;
    const { saying, here, matches } = found;
    byId("saying").textContent = saying.key.startsWith("text-") ? `“${saying.name}”` : saying.name;
    byId("said").textContent = saying.key.startsWith("text-") ? "A sentence of yours" : saying.level ? `${saying.level} level · ${saying.descriptions[0]}` : saying.descriptions[0];
    byId("here").textContent = here.length ? `This slide: ${signed(here[0])} to ${signed(here[2])}, median ${signed(here[1])}` : "";
    byId("matches").replaceChildren(...pictures(matches, (one) => signed(one.score), this.on.go));
  }

  field(field) {
    const choices = byId("choices");
    const close = () => { choices.hidden = true; field.setAttribute("aria-expanded", "false"); };
    const take = (one) => { close(); field.blur(); one.key ? this.on.choose(one.key) : this.on.search(one.text); };
    const list = () => {
      const text = field.value.trim(), words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const fit = this.cohort.sayings.filter((one) => words.every((word) => one.name.toLowerCase().includes(word)));
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
