// Holds a depth picture inside gr.HTML (js_on_load). The value is that of depth.js, or null.
const place = element.querySelector(".depth-view");
const empty = element.querySelector(".figure-empty");
let view = null;

async function show() {
  const value = props.value;
  place.hidden = !value;
  empty.hidden = Boolean(value);
  if (!value) return;
  try {
    const { DepthView } = await import(new URL("depth.js", new URL(place.dataset.assets, document.baseURI)));
    view ??= place.depthView = new DepthView(place, place.dataset.label);
    await view.update(value);
  } catch (error) {
    place.hidden = true;
    empty.hidden = false;
    empty.textContent = `The picture can't be drawn: ${error.message}.`;
  }
}

watch("value", show);
show();
