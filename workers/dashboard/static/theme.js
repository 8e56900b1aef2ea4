// Before the first paint, so that a dark page never flashes white.
(() => {
  const root = document.documentElement;
  // Buttons that only a script can serve are not shown without one.
  root.dataset.js = "";
  const asked = new URLSearchParams(location.search).get("theme");
  let theme = asked;
  try {
    theme = asked || localStorage.theme;
  } catch {}
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  addEventListener("click", (event) => {
    if (!event.target.closest("[data-switch]")) return;
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try {
      localStorage.theme = root.dataset.theme;
    } catch {}
  });
})();
