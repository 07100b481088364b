// Asking the server, and making elements. Strings become text, never HTML.

// signal: ends the asking where nobody wants to know any more
export async function ask(path, query = {}, signal = undefined) {
  const given = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined));
  const answer = await fetch(given.size ? `${path}?${given}` : path, { signal }).catch(() => {
    throw new Error("hlss does not answer. If it was stopped: start it again and open the address that it prints.");
  });
  if (answer.status === 403) throw new Error("This page belongs to an earlier start: open the address that hlss printed.");
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer.json();
}

export function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else if (name in made && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const byId = (id) => document.getElementById(id);
export const whole = (value) => Math.round(value).toLocaleString("en-GB");
export const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} σ`;

let hiding;
export function tell(text) {
  const notice = byId("notice");
  notice.textContent = text;
  clearTimeout(hiding);
  if (text) hiding = setTimeout(() => (notice.textContent = ""), 8000);
}

// Patches as pictures that lead to their places.
export function pictures(found, caption, go) {
  return found.map((one) => {
    const text = `${one.slide}${one.label ? `, ${one.label}` : ""}`;
    return el("button", { class: "picture", title: text, onclick: () => go(one) },
      el("img", { src: `/patches/${one.row}.jpg`, alt: text, loading: "lazy" }),
      el("span", { class: "figure" }, caption(one)), el("span", { class: "quiet" }, one.slide));
  });
}
