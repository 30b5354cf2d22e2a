"use strict";
// Pointing at a mark shows its row below the map. Text enters the document through textContent alone.
(() => {
  const map = document.getElementById("map");
  const told = document.getElementById("told");
  const said = new Map();
  for (const mark of map.querySelectorAll("a")) {
    const title = mark.querySelector("title");
    said.set(mark, title.textContent);
    title.remove(); // the browser's own box would cover what is below
  }
  const show = (event) => {
    const mark = event.target.closest("a");
    if (mark) told.textContent = said.get(mark);
  };
  map.addEventListener("pointerover", show);
  map.addEventListener("focusin", show);
})();
