// Which language the page speaks: the link's, else the one last chosen here, else the first of the browser's that there
// is. It stands in the page's head, because Gradio asks for the browser's language as soon as it starts: it is told
// "en", so that its own texts are translated and switched as all others are.
(() => {
  const KEY = "glpn-language";
  const SPOKEN = ["en", "de", "es", "zh"];
  const root = document.documentElement;
  const link = new URL(location.href);
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // a browser that keeps nothing asks its settings
  }
  const wanted = [link.searchParams.get("lang"), kept, ...(navigator.languages ?? [])];
  const known = wanted.map((name) => SPOKEN.find((one) => one === name?.toLowerCase().split("-")[0]));
  let now = known.find(Boolean) ?? "en";
  let script = null;

  async function load() {
    if (now === "en" && !script) return;
    script ??= import(new URL("glpn-assets/js/language.js", document.baseURI));
    await (await script).speak(now);
  }

  // Speak another of SPOKEN from now on; a link that named a language names this one.
  function choose(name) {
    now = root.lang = name;
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // it still switches
    }
    if (link.searchParams.has("lang")) {
      link.searchParams.set("lang", name);
      history.replaceState(history.state, "", link);
    }
    return load();
  }

  Object.defineProperty(navigator, "language", { value: "en" });
  root.lang = now;
  new MutationObserver(() => {
    if (root.lang !== now) root.lang = now; // Gradio writes its own there
  }).observe(root, { attributeFilter: ["lang"] });
  document.addEventListener("DOMContentLoaded", load);
  window.glpnLanguage = { SPOKEN, choose };
})();
