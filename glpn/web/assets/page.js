// Dark or light, and the language, as the visitor last chose; the box with the link; and names for groups of radio buttons, which Gradio
// leaves without.
const KEY = "glpn-theme";

element.querySelector("[data-theme-switch]").addEventListener("click", () => {
  const dark = document.body.classList.toggle("dark");
  try {
    localStorage.setItem(KEY, dark ? "dark" : "light");
  } catch {
    // a browser that keeps nothing still switches
  }
});

try {
  const kept = localStorage.getItem(KEY);
  if (kept) document.body.classList.toggle("dark", kept === "dark");
} catch {
  // the system's choice stays
}

// The language, which language_choice.js has chosen before this script came.
const language = element.querySelector("select");
language.value = document.documentElement.lang;
language.addEventListener("change", () => window.glpnLanguage.choose(language.value));

// The box with the link closes by its button, or by Escape wherever the focus is.
document.addEventListener("click", (event) => {
  if (event.target.closest("#link-close")) delete document.body.dataset.link;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") delete document.body.dataset.link;
});

function nameGroups() {
  for (const group of document.querySelectorAll("fieldset:not([aria-label])")) {
    const title = group.querySelector("[data-testid=block-info]");
    if (title) group.setAttribute("aria-label", title.textContent.trim());
  }
}

nameGroups();
new MutationObserver(nameGroups).observe(document.body, { childList: true, subtree: true });
