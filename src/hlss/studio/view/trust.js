// Whether the map that is painted can be believed: asked for while it is there already, and said beside it.
import { ask, byId, el } from "/api.js";

const TOLD = "The share of swaps of a tile that the map points to, for one that it does not, which lower the slide's score, on tiles that the map was not made from";

export class Trust {
  constructor(changed) { // called when it turns out whether the map is weak, and whether a true one is known
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.asking?.abort();
    this.weak = this.drawn = false;
    this.say({ figure: "", verdict: "" });
    this.short = "";
    byId("truth").textContent = "";
  }

  async of(image, key) {
    this.clear();
    if (!image.patches) return;
    const { signal } = (this.asking = new AbortController());
    this.say({ figure: "testing…", verdict: "" });
    this.changed();
    try {
      const found = await ask(`/api/images/${image.id}/faithfulness/${key}`, {}, signal);
      this.weak = !found.above_chance;
      this.say(found);
      this.changed();
      const drawn = await ask(`/api/images/${image.id}/truth/${key}`, {}, signal);
      if (!drawn) return;
      this.drawn = true;
      byId("truth").textContent = `Against what was ${drawn.title}: ${drawn.figures}`;
      this.changed();
    } catch (error) {
      if (signal.aborted) return; // another map is looked at
      this.weak = true;
      const why = error.status === 404 ? "the sentence was typed too long ago, type it again" : error.message;
      this.say({ figure: "", verdict: `not known: ${why}`, doubtful: true });
      this.changed();
    }
  }

  say({ figure, compared, verdict, doubtful, chance }) {
    const known = chance !== undefined && figure !== "–";
    this.short = [`faithfulness ${known || figure.endsWith("…") ? figure : "not known"}`, known ? `${chance} is chance` : ""].filter(Boolean).join("; ");
    this.doubt = doubtful ? verdict : "";
    const said = verdict && `${verdict[0].toUpperCase()}${verdict.slice(1)}`;
    byId("trust").replaceChildren(
      el("p", { title: TOLD, class: "pair" }, el("span", {}, "Faithfulness "), el("strong", { id: "faithfulness", class: "figure" }, figure)),
      ...(known ? [el("p", { class: "quiet figure" }, `${chance} is chance, 1 is best; ${compared}`)] : []),
      ...(said ? [el("p", { id: "verdict", class: doubtful ? "doubt" : "" }, said)] : []));
  }
}
