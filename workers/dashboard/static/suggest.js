// What the filter of jobs offers, as a list that follows the keys: without this, a browser's own
// list leaves out all that does not hold what was typed, such as a tenant's id beside its name.
(() => {
  const line = document.getElementById("f");
  const words = document.getElementById("words");
  if (!line || !words) return;
  const offers = document.createElement("ul");
  let at = -1;
  // The line that was chosen from the list: what is offered for it need not be shown.
  let chosen = null;

  line.removeAttribute("list");
  const attributes = {
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": "offers",
    "aria-autocomplete": "list",
  };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  Object.assign(offers, { id: "offers", hidden: true, role: "listbox" });
  offers.setAttribute("aria-label", "What may come next");
  line.after(offers);

  function close() {
    offers.hidden = true;
    at = -1;
    line.setAttribute("aria-expanded", "false");
    line.removeAttribute("aria-activedescendant");
  }

  function show() {
    // What was typed since has its own answer under way.
    if (words.options.length && words.options[0].dataset.typed !== line.value.slice(-500)) return;
    const found = [...words.options].filter((each) => each.value !== line.value);
    // An answer that comes late leaves the mark where the keys have put it.
    const marked = offers.children[at]?.dataset.text;
    offers.replaceChildren(...found.map(draw));
    at = -1;
    line.removeAttribute("aria-activedescendant");
    if (!found.length || line.value === chosen || document.activeElement !== line) return close();
    offers.hidden = false;
    line.setAttribute("aria-expanded", "true");
    const kept = found.findIndex((each) => each.value === marked);
    if (kept >= 0) mark(kept);
  }

  function draw(option, place) {
    const row = document.createElement("li");
    const word = document.createElement("code");
    const meaning = document.createElement("span");
    word.textContent = option.dataset.word;
    meaning.textContent = option.label === option.value ? "" : option.label;
    Object.assign(row, { id: `offer-${place}`, role: "option" });
    row.dataset.text = option.value;
    row.append(word, meaning);
    return row;
  }

  function mark(place) {
    const rows = [...offers.children];
    at = (place + rows.length + 1) % (rows.length + 1);
    if (at === rows.length) at = -1;
    rows.forEach((row, number) => row.setAttribute("aria-selected", String(number === at)));
    if (at < 0) return line.removeAttribute("aria-activedescendant");
    line.setAttribute("aria-activedescendant", rows[at].id);
    rows[at].scrollIntoView({ block: "nearest" });
  }

  function choose(row) {
    line.value = row.dataset.text;
    // A name waits for its value; a value is the end of a word.
    chosen = /[:<>=.,]$/.test(line.value) ? null : line.value;
    close();
    line.focus();
    line.dispatchEvent(new Event("input", { bubbles: true }));
  }

  new MutationObserver(show).observe(words, { childList: true });

  line.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" && offers.hidden) {
      chosen = null;
      show();
      return event.preventDefault();
    }
    if (offers.hidden) return;
    const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? offers.children.length - 1 : at - 1 };
    if (event.key in steps) mark(steps[event.key]);
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) choose(offers.children[at]);
    else if (event.key === "Escape") {
      close();
      event.stopPropagation();
    } else return;
    event.preventDefault();
  });

  // Before the line loses its focus.
  offers.addEventListener("mousedown", (event) => {
    event.preventDefault();
    const row = event.target.closest("li");
    if (row && event.button === 0) choose(row);
  });
  line.addEventListener("blur", close);
})();
