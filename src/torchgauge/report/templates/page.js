"use strict";
// Tables sort by a click on a head and filter by a word. Without script the page is the same, but for that.
(() => {
  const text = (cell) => (cell ? cell.textContent.trim() : "");
  // A cell sorts by the number that it holds or shows: "1,024", "4 MiB", "12.3 µs", "45 %", "1.5×".
  const SHOWN = /^(-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?)(?:\s?(?:%|×)|\s([pnµmkMGTP]|[KMGT]i)?(?:s|B|B\/s|FLOP\/s|item\/s|J|W))?$/;
  const SCALE = { p: 1e-12, n: 1e-9, µ: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 };
  function number(cell) {
    if (!cell) return NaN;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const found = SHOWN.exec(text(cell.querySelector("b") || cell));
    return found ? Number(found[1].replaceAll(",", "")) * (SCALE[found[2]] || 1) : NaN;
  }

  // Empty cells stay last whichever way a column is sorted.
  function compare(one, other, place, sign) {
    const a = one.cells[place], b = other.cells[place], x = number(a), y = number(b);
    if (!Number.isNaN(x) || !Number.isNaN(y)) {
      if (Number.isNaN(x)) return 1;
      if (Number.isNaN(y)) return -1;
      return sign * (x - y);
    }
    if (!text(a) || !text(b)) return !text(a) - !text(b);
    const [s, t] = [a, b].map((cell) => text(cell).replace(/(\d),(?=\d{3})/g, "$1"));
    return sign * s.localeCompare(t, undefined, { numeric: true });
  }

  function sort(table, place) {
    const heads = [...table.tHead.rows[0].cells], head = heads[place];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const body = table.tBodies[0], rows = [...body.rows];
    rows.sort((one, other) => compare(one, other, place, sign));
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table")) {
    if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, place));
      head.append(button);
    });
  }

  // One field for all tables: a row stays if it and the title of its table hold every word.
  const field = document.getElementById("filter");
  if (!field) return;
  field.closest("form").hidden = false;
  field.closest("form").addEventListener("submit", (event) => event.preventDefault());
  const shown = document.getElementById("filtered");
  const articles = [...document.querySelectorAll("main article, #answers details, details.parts, section.warm")];
  const around = [...document.querySelectorAll("#first > details")];
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const article of articles) {
      const title = article.querySelector("h2, h3, summary").textContent.toLowerCase();
      let any = false;
      for (const row of article.querySelectorAll("tbody tr")) {
        const all = title + " " + row.textContent.toLowerCase();
        row.hidden = !words.every((word) => all.includes(word));
        any ||= !row.hidden;
        left += !row.hidden;
      }
      article.hidden = !any;
      if (article.tagName === "DETAILS") {
        article.hidden = false;
        if (words.length) article.open = any;
      }
    }
    if (words.length) for (const one of around) one.open = Boolean(one.querySelector("article:not([hidden])"));
    shown.textContent = words.length ? `${left} rows` : "";
  });
})();
