// Filters and sorts the ledger. Everything it shows is in the page already; without it nothing is missing.
"use strict";
(() => {
  const table = document.querySelector("table[data-board]");
  if (!table) return;
  const VERDICTS = ["supported", "contradicted", "inconclusive", "untested"];
  const bodies = [...table.tBodies].filter((body) => body.dataset.family);
  const headings = [...table.tBodies].filter((body) => !body.dataset.family);
  const rows = bodies.flatMap((body) =>
    [...body.rows].slice(1).map((row) => ({
      row, body,
      verdict: row.dataset.verdict,
      family: body.dataset.family,
      effect: row.dataset.effect === "" ? null : Number(row.dataset.effect),
      claim: row.cells[2].textContent.trim(),
      text: `${body.rows[0].textContent} ${row.textContent}`.toLowerCase(),
    })));
  rows.forEach((entry, index) => { entry.index = index; });
  const flat = document.createElement("tbody");
  const families = new Map(bodies.map((body) => [body.dataset.family, body.dataset.title]));
  const present = VERDICTS.filter((name) => rows.some((entry) => entry.verdict === name));
  const SORTS = {
    verdict: (a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict),
    interval: (a, b) => a.effect - b.effect,
    claim: (a, b) => a.claim.localeCompare(b.claim, "en"),
    notebook: (a, b) => a.index - b.index,
  };
  const NAMES = Object.keys(SORTS);

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const find = make("input", { type: "search", name: "find", autocomplete: "off" });
  const boxes = present.map((name) => make("input", { type: "checkbox", name, checked: true }));
  const family = make("select", { name: "family" }, make("option", { value: "", textContent: "all" }),
    ...[...families].map(([value, textContent]) => make("option", { value, textContent })));
  const told = make("p", { className: "told" });
  told.setAttribute("role", "status");
  const form = make("form", { className: "controls" },
    make("label", {}, "Find ", find),
    make("fieldset", {}, make("legend", { textContent: "Verdict" }),
      ...boxes.map((box) => make("label", {}, box, ` ${box.name}`))),
    ...(families.size > 1 ? [make("label", {}, "Family ", family)] : []),
    make("button", { type: "reset", textContent: "Show all" }), told);
  form.setAttribute("role", "search");
  form.setAttribute("aria-label", "Filter the ledger");
  table.before(form);
  table.classList.add("sortable");
  const heads = [...table.tHead.rows[0].cells];
  const buttons = heads.map((head, index) => {
    const button = make("button", { type: "button", textContent: head.textContent });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      state.down = state.sort === NAMES[index] ? !state.down : NAMES[index] === "interval";
      state.sort = NAMES[index];
      save();
    });
    return button;
  });

  const fresh = () => ({ find: "", verdicts: new Set(present), family: "", sort: "notebook", down: false });
  let state = fresh();

  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    state = fresh();
    if (!location.hash.includes("=")) return;
    state.find = asked.get("find") || "";
    if (asked.has("verdict")) state.verdicts = new Set(asked.get("verdict").split(",").filter((name) => present.includes(name)));
    if (families.has(asked.get("family"))) state.family = asked.get("family");
    if (NAMES.includes(asked.get("sort"))) state.sort = asked.get("sort");
    state.down = asked.get("down") === "1";
  };
  const write = () => {
    const said = new URLSearchParams();
    if (state.find) said.set("find", state.find);
    if (state.verdicts.size < present.length) said.set("verdict", [...state.verdicts].join(","));
    if (state.family) said.set("family", state.family);
    if (state.sort !== "notebook" || state.down) said.set("sort", state.sort);
    if (state.down) said.set("down", "1");
    const text = said.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };
  const show = () => {
    if (find.value.trim() !== state.find) find.value = state.find; // a space being typed stays
    family.value = state.family;
    boxes.forEach((box) => { box.checked = state.verdicts.has(box.name); });
    const words = state.find.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const entry of rows) {
      const fits = state.verdicts.has(entry.verdict) && (!state.family || entry.family === state.family)
        && words.every((word) => entry.text.includes(word));
      entry.row.hidden = !fits;
      shown += fits;
    }
    const listed = state.sort === "notebook" && !state.down;
    const way = state.down ? -1 : 1;
    const last = (entry) => state.sort === "interval" && entry.effect === null; // nothing to sort by
    const order = [...rows].sort((a, b) => last(a) - last(b) || way * SORTS[state.sort](a, b) || a.index - b.index);
    for (const entry of order) (listed ? entry.body : flat).append(entry.row);
    for (const body of bodies) body.hidden = !listed || [...body.rows].slice(1).every((row) => row.hidden);
    for (const body of headings) {
      let next = body.nextElementSibling;
      while (next && next.dataset.family && next.hidden) next = next.nextElementSibling;
      body.hidden = !listed || !next || !next.dataset.family;
    }
    if (listed) flat.remove(); else table.append(flat);
    heads.forEach((head, index) => {
      if (NAMES[index] === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    told.textContent = `${shown} of ${rows.length} claims shown.`;
  };
  const save = () => { write(); show(); };

  find.addEventListener("input", () => { state.find = find.value.trim(); save(); });
  family.addEventListener("change", () => { state.family = family.value; save(); });
  boxes.forEach((box) => box.addEventListener("change", () => {
    state.verdicts = new Set(boxes.filter((other) => other.checked).map((other) => other.name));
    save();
  }));
  form.addEventListener("reset", (event) => { event.preventDefault(); state = fresh(); save(); find.focus(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => {
    read();
    show();
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target) target.scrollIntoView();
  });
  addEventListener("keydown", (event) => document.body.classList.toggle("no-tips", event.key === "Escape"));
  table.addEventListener("pointerout", () => document.body.classList.remove("no-tips"));
  read();
  show();
})();
