// The table of measurements: remove one, enter its true length, copy all.
element.addEventListener("click", async (event) => {
  const remove = event.target.closest("[data-remove]");
  if (remove) trigger("remove", { number: Number(remove.dataset.remove) });
  const copy = event.target.closest("[data-copy]");
  if (!copy) return;
  const title = copy.textContent;
  try {
    await navigator.clipboard.writeText(copy.dataset.copy);
    copy.textContent = "Copied";
  } catch {
    showText(copy.dataset.copy); // the page may not use the clipboard
  }
  setTimeout(() => (copy.textContent = title), 2000);
});

function showText(text) {
  const box = element.querySelector("textarea") ?? document.createElement("textarea");
  box.value = text;
  box.readOnly = true;
  box.setAttribute("aria-label", "Measurements, to be copied by hand");
  element.querySelector(".measures").append(box);
  box.select();
}

element.addEventListener("change", (event) => {
  if (event.target.name !== "preset" || !event.target.value) return;
  const metres = event.target.form.elements.metres;
  metres.value = event.target.value;
  metres.focus();
});

element.addEventListener("submit", (event) => {
  event.preventDefault();
  trigger("known", { number: Number(event.target.dataset.known), metres: event.target.elements.metres.valueAsNumber });
});
