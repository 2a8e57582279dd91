// Holds a 3D photo inside gr.HTML (js_on_load). The value is {photoUrl, depthUrl, meta} or null; an event "pivot" carries
// {x, y, depth_m}. The canvas outlives a new value, so nothing flashes.
const place = element.querySelector(".photo3d");
const assets = new URL(place.dataset.assets, document.baseURI);
const send = element.querySelector(".send");
const opener = element.querySelector(".send-open");
let view = null;

const first = place.dataset.first && !location.search ? JSON.parse(place.dataset.first) : null;
let shown = null;
let loading = null;

async function show() {
  const value = props.value || first;
  if (!value) return;
  if (value.key !== shown) loading = showPhoto(value);
  await loading;
  if (!value.marks?.length && !view.marks) return;
  const { Marks } = await import(new URL("photo3d_marks.js", assets));
  view.marks ??= new Marks(view);
  view.marks.show(value.marks ?? []);
}

async function showPhoto(value) {
  shown = value.key;
  const { Photo3D } = await import(new URL("photo3d.js", assets));
  if (view) view.update(value);
  else view = place.photo3d = Photo3D.mount(place, value);
  if (opener.hidden) view.tools.append(opener);
  opener.hidden = false;
}

opener.addEventListener("click", async () => {
  send.hidden = !send.hidden;
  opener.setAttribute("aria-expanded", String(!send.hidden));
  const { Send } = await import(new URL("send.js", assets));
  send.panel ??= Send.mount(send, view);
  send.scrollIntoView({ block: "nearest" });
});

place.addEventListener("photo3d:flat", () => send.before(opener)); // its other tools are hidden then
place.addEventListener("photo3d:pivot", (event) => trigger("pivot", event.detail));
watch("value", show);
show();
