// Keys: rows are [data-row] (their link is [data-open], their box a checkbox). Single keys rest
// while somebody types, and where they were switched off.
(() => {
  const off = () => {
    try {
      return localStorage.keysOff === "1";
    } catch {
      return false;
    }
  };
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((r) => r.offsetParent);
  const current = () => document.querySelector("[data-row].cur");
  let going = false;

  function move(step) {
    const all = rows();
    if (!all.length) return;
    const place = all.indexOf(current());
    const next = all[Math.min(Math.max(place + step, 0), all.length - 1)];
    current()?.classList.remove("cur");
    next.classList.add("cur");
    next.scrollIntoView({ block: "nearest" });
  }

  const open = () => current()?.querySelector("[data-open]")?.click();
  const select = () => current()?.querySelector("input[type=checkbox]")?.click();

  // What a key means in the row, else on the page, else in the bar.
  function find(name) {
    const wanted = `[data-key="${name}"]`;
    const seen = (place) => place?.offsetParent && place;
    return (
      seen(current()?.querySelector(wanted)) ||
      seen(document.querySelector(`main ${wanted}`)) ||
      document.querySelector(`[data-else="${name}"]`)
    );
  }

  function press(name) {
    const found = find(name);
    if (!found) return false;
    if (found.matches("input:not([type=checkbox])")) found.focus();
    else found.click();
    found.closest("details.act[open]")?.querySelector("input:not([type=hidden])")?.focus();
    return true;
  }

  function go(letter) {
    const link = document.querySelector(`.nav [data-letter="${CSS.escape(letter)}"]`);
    if (link) link.click();
  }

  const menus = () => [...document.querySelectorAll("details.act[open], details.me[open]")];

  // One thing at a time: what is open, then what is typed in, then what is marked.
  function clear() {
    if (document.querySelector(":popover-open")) return;
    const open = menus();
    const typing = document.activeElement?.matches("input, select, textarea");
    for (const each of open) {
      each.open = false;
      if (each.contains(document.activeElement)) each.querySelector("summary").focus();
    }
    if (open.length) return;
    document.activeElement?.blur();
    if (typing) return;
    current()?.classList.remove("cur");
    for (const box of document.querySelectorAll("[data-hold] input:checked")) box.checked = false;
  }

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    o: open,
    Enter: open,
    x: select,
    "?": () => document.getElementById("keys")?.togglePopover(),
    ".": () => dispatchEvent(new Event("avivro:freeze")),
  };

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") return clear();
    if (event.ctrlKey || event.metaKey || event.altKey || off()) return;
    if (event.target.closest("input:not([type=checkbox]), textarea, select")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary, input")) return;
    if (going) {
      going = false;
      return go(event.key);
    }
    if (event.key === "g") {
      going = true;
      setTimeout(() => (going = false), 1500);
      return;
    }
    const act = keys[event.key];
    if (act) {
      act();
      event.preventDefault();
    } else if (/^[\/*frp]$/.test(event.key) && press(event.key)) {
      event.preventDefault();
    }
  });

  addEventListener("click", (event) => {
    for (const each of menus()) if (!each.contains(event.target)) each.open = false;
  });

  addEventListener("change", (event) => {
    if (event.target.id !== "keys-off") return;
    try {
      localStorage.keysOff = event.target.checked ? "1" : "";
    } catch {}
  });
  const box = document.getElementById("keys-off");
  if (box) box.checked = off();
})();
