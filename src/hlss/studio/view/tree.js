// Patients and their slides.
import { byId, el, whole } from "/api.js";

export class Tree {
  constructor(cohort, go) {
    this.patients = cohort.patients.map((patient) => this.patient(patient, go));
    this.order = cohort.patients.flatMap((patient) => patient.images.map((image) => image.id));
    byId("tree").replaceChildren(...this.patients.map((patient) => patient.element));
    byId("counts").textContent = `${whole(cohort.patients.length)} patients, ${whole(this.order.length)} slides`;
    byId("filter").addEventListener("input", (event) => this.filter(event.target.value));
  }

  patient(patient, go) {
    const images = patient.images.map((image) => ({
      id: image.id, words: `${patient.name} ${image.name} ${image.label}`.toLowerCase(),
      element: el("button", { class: "leaf", "data-id": image.id, onclick: () => go(image.id) },
        el("span", { class: "name" }, image.name), el("span", { class: "quiet" }, image.label)),
    }));
    const element = el("details", { open: true }, el("summary", {}, patient.name), ...images.map((one) => one.element));
    return { element, images };
  }

  filter(text) {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const { element, images } of this.patients) {
      for (const one of images) one.element.hidden = !wanted.every((word) => one.words.includes(word));
      element.hidden = images.every((one) => one.element.hidden);
    }
  }

  here(id) {
    for (const one of document.querySelectorAll("#tree .leaf")) {
      one.setAttribute("aria-current", String(one.dataset.id === id));
      if (one.dataset.id === id) one.scrollIntoView({ block: "nearest" });
    }
  }

  // The id so many steps on among those that the filter lets through.
  step(id, by) {
    const shown = this.patients.flatMap((patient) => patient.images).filter((one) => !one.element.hidden);
    const place = shown.findIndex((one) => one.id === id);
    return shown[Math.min(Math.max(place + by, 0), shown.length - 1)]?.id;
  }
}
