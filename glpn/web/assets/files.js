// The list of downloads. A file is made when its button is pressed, and then fetched at once.
// Value: {rows: [{name, title, unit, size, note, url, file}], ready: name or null}.
const box = element.querySelector(".files-list");
const status = element.querySelector("[role=status]");
let waiting = null;

function cell(kind, text, name = "") {
  const made = document.createElement(kind);
  made.className = name;
  made.append(text);
  return made;
}

function rowOf(row) {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const act = document.createElement(row.url ? "a" : "button");
  act.append(row.title);
  if (row.url) Object.assign(act, { href: row.url, download: row.file });
  else Object.assign(act, { type: "button", disabled: waiting === row.name });
  act.className = "file-link";
  act.dataset.format = row.name;
  head.append(act);
  const note = waiting === row.name ? "being made …" : (row.note ?? row.file);
  if (note) head.append(cell("small", note));
  line.append(head, cell("td", row.unit), cell("td", row.size, "number"));
  return line;
}

function draw() {
  const value = props.value;
  box.hidden = !value;
  if (!value) return;
  box.querySelector("tbody").replaceChildren(...value.rows.map(rowOf));
}

function arrive() {
  const value = props.value;
  const row = value?.ready && value.rows.find((one) => one.name === value.ready);
  const fetchIt = row && waiting === row.name && row.url;
  waiting = null;
  draw();
  if (!row) return;
  status.textContent = row.url ? `${row.file} is ready.` : "";
  if (fetchIt) box.querySelector(`[data-format="${row.name}"]`).click();
}

box.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-format]");
  if (!button || waiting) return;
  waiting = button.dataset.format;
  status.textContent = "The file is being made.";
  draw();
  trigger("make", { format: waiting });
});
box.addEventListener("glpn:failed", () => {
  waiting = null;
  draw();
});

watch("value", arrive);
draw();
