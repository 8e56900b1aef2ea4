// Server-sent beats: at each, the page's #live region is asked for again and morphed in place, so
// that rows in use, selections and focus stay. Nothing is asked while the window is out of sight,
// frozen, or while a menu or a form in that region is open.
(() => {
  const STALE_MS = 10_000;
  const AGAIN_MS = 10_000;
  // Who listens to a page is told of it so often at most.
  const TELL_MS = 30_000;
  let source = null;
  let frozen = false;
  let heard = 0;
  // When the figures on the page were true, and whether they could not be had since.
  let fresh = Date.now();
  let refused = false;
  let asking = false;
  // Why the page rests, if it does, and what was last told of it.
  let pause = "";
  let told = { text: "", at: 0 };

  // What somebody ticked, opened or moved to stays as they left it.
  const KEPT = { checked: "input", open: "details", class: "[data-row].cur" };
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name in KEPT && node.matches(KEPT[name]));

  const beat = () => document.getElementById("beat");
  const region = () => document.getElementById("live");

  // The word is read out when it changes; the time beside it, which always does, is not.
  function say(word, detail) {
    const place = beat();
    if (!place) return;
    const [shown, time] = [place.querySelector("span"), place.querySelector("time")];
    if (shown.textContent !== word) shown.textContent = word;
    time.textContent = detail;
    place.classList.toggle("on", word === "Live");
  }

  // How old the figures are, for as long as nothing brings newer ones.
  function sayAge(word) {
    const seconds = Math.round((Date.now() - fresh) / 1000);
    const age = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
    say(word, `figures ${age} old`);
  }

  function inUse() {
    const here = region();
    if (!here) return true;
    if (here.querySelector("details.act[open], [data-hold]:focus-within, tr.cur:focus-within"))
      return true;
    // Rows with a tick stay: a fresh copy of the list has none.
    if (here.querySelector("[data-hold] input:checked")) return true;
    const focused = document.activeElement;
    return (
      here.contains(focused) && focused.matches("input:not([type=checkbox]), select, textarea")
    );
  }

  function refresh() {
    if (asking || inUse()) return;
    asking = true;
    htmx
      .ajax("GET", location.pathname + location.search, {
        target: "#live",
        select: "#live",
        swap: "morph:outerHTML",
      })
      .finally(() => (asking = false));
  }

  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.target?.id !== "live") return;
    refused = !event.detail.successful;
    if (refused) return sayAge("No answer,");
    fresh = Date.now();
    tell(region()?.dataset.say || "");
  });

  // One sentence for screen readers, where it changed, and not at each beat.
  function tell(text) {
    if (!text || text === told.text || Date.now() - told.at < TELL_MS) return;
    if (told.text) document.getElementById("said").textContent = text;
    told = { text, at: Date.now() };
  }

  // Rows that somebody points at or works in stay where they are, though their order changed.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const mine = document.querySelector("#live [data-steady]:is(:hover, :focus-within)");
    if (!mine || event.detail.target.id !== "live") return;
    const page = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
    const theirs = page.getElementById(mine.id);
    if (!theirs) return;
    const order = [...mine.children].map((row) => row.id);
    const place = (row) => (order.indexOf(row.id) + order.length + 1) % (order.length + 1);
    theirs.append(...[...theirs.children].sort((a, b) => place(a) - place(b)));
    event.detail.serverResponse = page.documentElement.outerHTML;
  });

  function badge(badges) {
    for (const place of document.querySelectorAll("[data-badge]")) {
      const found = badges[place.dataset.badge] || {};
      place.textContent = found.text || "";
      place.classList.toggle("bad", found.level === "bad");
    }
  }

  function listen() {
    if (source || frozen || document.hidden || !beat()) return;
    pause = "";
    source = new EventSource("/live");
    source.addEventListener("beat", (event) => {
      const news = JSON.parse(event.data);
      heard = Date.now();
      // The stream goes on while Postgres is away, and then proves nothing about the page.
      // Nor is it true anew while somebody works in it.
      if (refused) sayAge("No answer,");
      else if (region() && Date.now() - fresh > STALE_MS) sayAge("In use,");
      else say("Live", `${news.clock} UTC`);
      badge(news.badges);
      refresh();
    });
    source.onerror = () => {
      sayAge("No answer,");
      // A browser gives up on a refusal. The page asks by itself then, and is led to the login
      // where the session has ended.
      if (source.readyState !== EventSource.CLOSED) return;
      source = null;
      refresh();
      setTimeout(() => pause || listen(), AGAIN_MS);
    };
  }

  function rest(word) {
    if (source) source.close();
    source = null;
    if (!frozen || word === "Frozen,") pause = word;
    sayAge(pause);
  }

  function freeze() {
    frozen = !frozen;
    if (frozen) rest("Frozen,");
    else listen();
  }

  document.addEventListener("visibilitychange", () =>
    document.hidden ? rest("Resting,") : listen(),
  );
  addEventListener("blur", () => rest("Resting,"));
  addEventListener("focus", listen);
  addEventListener("pagehide", () => rest("Resting,"));
  setInterval(() => {
    if (pause) sayAge(pause);
    else if (Date.now() - Math.max(heard, fresh) > STALE_MS) sayAge("No answer,");
  }, 1000);
  addEventListener("avivro:freeze", freeze);
  listen();
})();
