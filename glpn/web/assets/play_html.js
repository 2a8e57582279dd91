// Holds Play inside gr.HTML (js_on_load). The value is that of a 3D photo, with {saved: {key, url, name}} once a file was
// written; an event "save" carries {use, distance_m, aperture}.
const place = element.querySelector(".play");
const assets = new URL(place.dataset.assets, document.baseURI);
let game = null;
let [shown, saved] = [null, null];

async function show() {
  const { value } = props;
  if (!value) return;
  const { Play } = await import(new URL("play.js", assets));
  if (!game) game = place.play = Play.mount(place);
  if (value.depthUrl !== shown) {
    shown = value.depthUrl;
    game.update(value);
  }
  if (value.saved && value.saved.key !== saved) game.saved(value.saved);
  saved = value.saved?.key ?? null;
}

place.addEventListener("play:save", (event) => trigger("save", event.detail));
watch("value", show);
show();
