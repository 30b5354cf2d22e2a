"use strict";
// The table of kept rows: search, sort and pages over the JSON of the page. Text enters the
// document through textContent alone.
(() => {
  const RANK = 0, SCORE = 1, SOURCE = 2, PROMPT = 3, PROMPT_CUT = 4, RESPONSE = 5, RESPONSE_CUT = 6, ID = 7;
  const PAGE_ROWS = 20;
  const all = JSON.parse(document.getElementById("data").textContent);
  if (!all.length) return;

  const has = (column) => all.some((row) => row[column] !== "");
  const columns = [
    { name: "Rank", key: RANK, class: "number" },
    { name: "Score", key: SCORE, class: "number" },
    { name: "Prompt", key: PROMPT, cut: PROMPT_CUT },
    { name: "Response", key: RESPONSE, cut: RESPONSE_CUT },
    { name: "Source", key: SOURCE, class: "word" },
  ].filter((column) => has(column.key));
  if (!has(RESPONSE)) columns.find((column) => column.key === PROMPT).name = "Text";

  const byId = (id) => document.getElementById(id);
  const haystacks = all.map((row) => [row[SOURCE], row[PROMPT], row[RESPONSE], row[ID]].join("\n").toLowerCase());
  const state = { words: [], sort: RANK, rising: true, page: 0, rows: all };

  const made = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const scoreText = (score) => (score === null ? "–" : String(Number(score.toPrecision(4))).replace("-", "−"));

  const compare = (first, second) => {
    const [a, b] = [first[state.sort], second[state.sort]];
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return (state.rising ? order : -order) || first[RANK] - second[RANK];
  };

  const choose = () => {
    const found = all.filter((row, place) => state.words.every((word) => haystacks[place].includes(word)));
    state.rows = found.sort(compare);
    state.page = 0;
    draw();
  };

  const textCell = (row, column) => {
    const cell = made("div", "cell", row[column.key]);
    cell.dir = "auto";
    if (row[column.cut]) {
      cell.append(made("mark", "cut", `cut: ${row[column.cut].toLocaleString("en")} more characters`));
    }
    return cell;
  };

  const drawRow = (row) => {
    const line = made("tr");
    for (const column of columns) {
      const cell = made("td", column.class);
      if (column.key === RANK) {
        cell.append(`#${row[RANK].toLocaleString("en")}`, made("br"));
        const more = made("button", "more", "more");
        more.type = "button";
        more.setAttribute("aria-expanded", "false");
        more.addEventListener("click", () => {
          const open = line.classList.toggle("open");
          more.textContent = open ? "less" : "more";
          more.setAttribute("aria-expanded", String(open));
          if (open && !line.querySelector(".id")) line.querySelector(".cell").before(made("code", "id", row[ID]));
        });
        cell.append(more);
      } else if (column.key === SCORE) {
        cell.textContent = scoreText(row[SCORE]);
      } else {
        cell.append(textCell(row, column));
      }
      line.append(cell);
    }
    return line;
  };

  const draw = () => {
    const pages = Math.max(1, Math.ceil(state.rows.length / PAGE_ROWS));
    const first = state.page * PAGE_ROWS;
    byId("rows").tBodies[0].replaceChildren(...state.rows.slice(first, first + PAGE_ROWS).map(drawRow));
    byId("found").textContent = `${state.rows.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} rows`;
    byId("page").textContent = `Page ${state.page + 1} of ${pages}`;
    byId("back").disabled = state.page === 0;
    byId("next").disabled = state.page >= pages - 1;
    for (const head of byId("rows").tHead.rows[0].cells) {
      if (Number(head.dataset.key) === state.sort) head.setAttribute("aria-sort", state.rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  };

  const turn = (pages) => {
    state.page += pages;
    draw();
  };

  for (const column of columns) {
    const head = made("th", column.class);
    head.scope = "col";
    head.dataset.key = column.key;
    const button = made("button", "", column.name);
    button.type = "button";
    button.addEventListener("click", () => {
      state.rising = state.sort === column.key ? !state.rising : column.key !== SCORE;
      state.sort = column.key;
      choose();
    });
    head.append(button);
    byId("rows").tHead.rows[0].append(head);
  }
  byId("search").addEventListener("input", (event) => {
    state.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    choose();
  });
  byId("back").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("browser").hidden = false;
  choose();
})();
