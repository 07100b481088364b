// The patch that was clicked: where it lies, what describes it, what it is like, which class its neighbours vote for.
import { byId, el, pictures, signed, whole } from "/api.js";

export function showPatch(patch, image, go, choose) {
  const place = byId("patch");
  if (!patch) {
    const hint = image.patches ? "Click a tile of the slide to see what it is like." : "No patch of this slide was embedded.";
    return place.replaceChildren(el("p", { class: "quiet hint" }, hint));
  }
  const um = (value) => (image.mpp === null ? "" : `, ${whole(value * image.mpp)} µm`);
  const size = image.mpp === null ? `${patch.extent} px` : `${whole(patch.extent * image.mpp)} µm`;
  place.replaceChildren(
    el("div", { class: "seen" },
      el("img", { src: `/patches/${patch.row}.jpg`, alt: "The patch", width: 96, height: 96 }),
      el("div", {},
        el("h2", {}, "Patch"),
        el("p", { class: "quiet figure" }, `x ${whole(patch.x)}, y ${whole(patch.y)} px · ${size} wide`),
        el("p", {}, el("span", { class: "quiet" }, "Label "), patch.label || "none", patch.side ? el("span", { class: "chip" }, patch.side) : null))),
    ...votes(patch), ...best(patch, choose),
    el("h3", {}, "Nearest patches"),
    el("div", { class: "patches", id: "neighbours" }, ...pictures(patch.neighbours, (one) => one.score.toFixed(2), go)));
}

function votes(patch) {
  const heading = el("h3", {}, "Predicted class");
  if (!patch.votes.length) return [heading, el("p", { class: "quiet", id: "predicted" }, "None: no patch of this run's train side has a label.")];
  const [first] = patch.votes, percent = (share) => `${Math.round(share * 100)} %`;
  const beside = !patch.label ? "this patch has no label" : first.label === patch.label ? "as its label says" : `its label is ${patch.label}`;
  return [
    heading,
    el("p", { id: "predicted" }, el("strong", {}, first.label), ` ${percent(first.share)}, ${beside}`),
    el("div", { id: "votes" }, ...patch.votes.map(({ label, share }) =>
      el("div", { class: `vote${label === patch.label ? " true" : ""}` },
        el("span", {}, label), el("span", { class: "figure quiet" }, percent(share)),
        el("div", { class: "length" }, el("div", { style: `width: ${share * 100}%` }))))),
    el("p", { class: "quiet small" }, `By the votes of its ${patch.voters}`),
  ];
}

function best(patch, choose) {
  const levels = [...new Set(patch.best.map((one) => one.level))];
  return levels.flatMap((level) => [
    el("h3", {}, level ? `Best descriptions, ${level}` : "Best descriptions"),
    el("div", { class: "best" }, ...patch.best.filter((one) => one.level === level).map((one) =>
      el("button", { class: "row", title: one.descriptions.join("\n"), onclick: () => choose(one.key) },
        el("span", {}, one.name), el("span", { class: "figure quiet" }, signed(one.sigma))))),
  ]);
}
