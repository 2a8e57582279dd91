// The line under the figures: its "Undo" takes the visitor's scale back.
element.addEventListener("click", (event) => {
  if (event.target.closest("[data-unscale]")) trigger("unscale", {});
});
