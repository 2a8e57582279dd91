// The model picker. A model that can't be run leads to the Zoo, which says why and what can be done.
element.addEventListener("click", (event) => {
  const button = event.target.closest(".picker-model");
  if (!button) return;
  if (button.dataset.model) {
    for (const other of element.querySelectorAll(".picker-model")) {
      if (other.dataset.model) other.setAttribute("aria-pressed", String(other === button));
    }
    trigger("pick", { model: button.dataset.model });
  } else {
    document
      .querySelector("#pages button[role=tab][data-tab-id=zoo], #pages #zoo-button, #pages button[aria-controls=zoo]")
      ?.click();
  }
});
