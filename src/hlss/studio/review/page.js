// Keys, what is typed and not saved, and what to do when the server is gone. Texts of banks only pass through.
(() => {
  const KEYS = "jkarecmun/?123";
  const ALSO = { ArrowRight: "j", ArrowLeft: "k" };
  const PREFIX = "hlss-draft-";

  const closing = (dialog) => !!dialog?.querySelector("[class*='-leave-active']"); // it is fading: keys are the page's
  const typing = (target) =>
    target.matches?.("input, textarea, select, [contenteditable]") && !closing(target.closest(".q-dialog"));

  document.addEventListener("keydown", (event) => {
    const dialog = [...document.querySelectorAll(".q-dialog")].find((one) => !closing(one));
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      dialog?.querySelector(".main")?.click();
      return;
    }
    if (typing(event.target)) {
      const filter = event.target.closest(".filter");
      if (event.key === "Escape" || (event.key === "Enter" && filter)) event.target.blur(); // what follows is keys
      return;
    }
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (dialog) {
      if (/^[1-3]$/.test(event.key)) dialog.querySelector(`[data-key="${event.key}"]:not(:disabled)`)?.click();
      return;
    }
    const key = ALSO[event.key] ?? event.key.toLowerCase();
    if (key.length !== 1 || !KEYS.includes(key)) return;
    event.preventDefault();
    if (key === "/") return document.querySelector(".filter input")?.focus(); // at once: what follows is typing
    const shown = document.querySelector("[data-shown]")?.dataset.shown ?? "";
    emitEvent("review_key", { key, shown }); // a decision is about what this tab shows, whatever came meanwhile
  });

  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("[data-draft]");
    if (!form || closing(form.closest(".q-dialog"))) return;
    const { draft, kind, level, name, about } = form.dataset;
    const fields = [...form.querySelectorAll("input, textarea")].map((field) => field.value);
    localStorage.setItem(draft, JSON.stringify({ kind, level, name, about, when: Date.now(), fields }));
  });

  window.hlssDrafts = (whose) =>
    Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX) && key.startsWith(whose))
      .map((key) => localStorage.getItem(key));

  document.addEventListener("DOMContentLoaded", () => {
    const lines = [
      "hlss does not answer.",
      "Every decision that is shown is saved, and what you type here is kept in this browser. " +
        "If hlss was stopped: start it again and open the address that it prints.",
    ];
    document.querySelectorAll("#popup span").forEach((span, number) => (span.textContent = lines[number]));
  });
})();
