// The page in another language. Everything on it is written in English, by whatever script or server; what stands in
// languages/*.json is put in its place as it comes, before it is seen. A key is an English text, white space collapsed,
// with numbered gaps: "Frame {0} of about {1}". What fills a gap is translated too if it can be; a gap "{0#}" takes
// only numbers and what can be translated. Texts of several sentences, or parts with " · " between them, are put
// together from their translations. The numbers of a translated text get the language's decimal sign.

export const SKIPPED =
  "[translate=no], script, style, code, pre, textarea, .filename, .strip li > span, .js-plotly-plot svg, .api-docs";
export const ATTRIBUTES = ["aria-label", "aria-valuetext", "title", "placeholder", "alt", "data-title", "data-of"];
const DECIMAL_COMMA = ["de", "es"];
// A number that is not part of a name, a version or a date.
const NUMBER = /(?<![\p{L}\d_./-])\d+(?:,\d{3})*(?:\.\d+)?(?![\p{L}\d_]|[.-]\w)/gu;
const SIGNS = /^(?:[\s\p{P}\p{S}]|m²?|mm|cm|ms|s|h|px|[kKMG]?B|M|x|y|δ\d|AbsRel|SqRel|RMSE(?:log)?|log10|SILog)*$/u;
const MOST_REMEMBERED = 5000;

let wanted = "en";
let language = "en";
let texts = new Map(); // English -> translation
let patterns = [];
const remembered = new Map(); // what was asked for in this language -> its translation, or null
const sources = new Map(); // what this script wrote -> the English that it stands for
const written = new WeakMap(); // text node or element -> what this script wrote there
const dictionaries = {};

// ------------------------------------------------------------------------------------------------- one text

function patternOf(key) {
  const pieces = key.split(/(\{\d#?\})/);
  const gaps = pieces.filter((_, i) => i % 2);
  const literal = pieces.filter((_, i) => i % 2 === 0);
  const regexes = ["(.+?)", "(.+)"].map((any) => {
    const source = pieces.map((piece, i) => (i % 2 ? any : piece.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"))).join("");
    return new RegExp(`^${source}$`, "u");
  });
  return { key, gaps, literal, regexes };
}

function localized(text) {
  if (!DECIMAL_COMMA.includes(language)) return text;
  return text.replace(NUMBER, (number) => number.replace(/[.,]/g, (sign) => (sign === "." ? "," : ".")));
}

function filled({ key, gaps, literal, regexes }, text) {
  if (!literal.every((piece) => text.includes(piece))) return null;
  for (const regex of regexes) {
    const found = regex.exec(text)?.slice(1);
    const values = found?.map((part, i) => (gaps[i].endsWith("#}") ? whole(part) : (partly(part) ?? localized(part))));
    if (!values || values.includes(null)) continue;
    const by = Object.fromEntries(gaps.map((gap, i) => [gap.replace("#", ""), values[i]]));
    return texts.get(key).replace(/\{\d\}/g, (gap) => by[gap]);
  }
  return null;
}

// Translate each of several parts; null if there is one part, or one of them stays English.
function joined(text, [separator, between]) {
  const parts = text.split(separator);
  const found = parts.length > 1 ? parts.map(whole) : [null];
  return found.includes(null) ? null : found.join(between);
}

function separators() {
  return [
    [" · ", " · "],
    [/(?<=[.!?]) (?=[\p{L}\d“])/u, language === "zh" ? "" : " "],
    ["; ", language === "zh" ? "；" : "; "],
  ];
}

// The translation of all of `text`, or null.
function whole(text) {
  if (remembered.has(text)) return remembered.get(text);
  let found = texts.get(text) ?? null;
  for (const separator of separators()) found ??= joined(text, separator);
  if (found === null && SIGNS.test(text.replace(NUMBER, ""))) found = localized(text);
  for (let i = 0; found === null && i < patterns.length; i++) found = filled(patterns[i], text);
  if (remembered.size > MOST_REMEMBERED) remembered.clear();
  remembered.set(text, found);
  return found;
}

// The same, where nothing else is known with those parts that can't be translated left as they are; or null.
function partly(text) {
  const found = whole(text);
  if (found !== null) return found;
  for (const [separator, between] of separators()) {
    const parts = text.split(separator);
    if (parts.length > 1 && parts.some((part) => whole(part) !== null))
      return parts.map((part) => whole(part) ?? localized(part)).join(between);
  }
  return null;
}

function translated(text) {
  if (language === "en") return text;
  const [, before, inner, after] = /^(\s*)(.*?)(\s*)$/su.exec(text);
  const found = inner ? partly(inner.replace(/\s+/g, " ")) : null;
  return found === null ? text : before + found + after;
}

// ------------------------------------------------------------------------------------------------- the page

// Return what to write in place of `text`, which stands at `name` of `holder`: its data, or an attribute.
function rewritten(holder, name, text) {
  const own = written.get(holder) ?? {};
  const english = own[name]?.text === text ? own[name].english : (sources.get(text) ?? text);
  const made = translated(english);
  if (sources.size > MOST_REMEMBERED) sources.clear();
  if (made !== english) sources.set(made, english);
  written.set(holder, Object.assign(own, { [name]: { english, text: made } }));
  return made;
}

function show(node) {
  const made = rewritten(node, "data", node.data);
  if (made !== node.data) node.data = made;
}

function showAttributes(element) {
  for (const name of ATTRIBUTES) {
    const text = element.getAttribute(name);
    if (!text) continue;
    const made = rewritten(element, name, text);
    if (made !== text) element.setAttribute(name, made);
  }
}

function showAll(root) {
  if (root.nodeType === Node.TEXT_NODE) {
    if (root.parentElement && !root.parentElement.closest(SKIPPED)) show(root);
    return;
  }
  if (root.nodeType !== Node.ELEMENT_NODE || root.closest(SKIPPED)) return;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
    node.nodeType === Node.ELEMENT_NODE && node.matches(SKIPPED) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT,
  );
  for (let node = root; node; node = walker.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) show(node);
    else showAttributes(node);
  }
}

const observer = new MutationObserver((changes) => {
  for (const { type, target, addedNodes } of changes) {
    if (type === "childList") for (const node of addedNodes) showAll(node);
    else if (type === "characterData") showAll(target);
    else if (!target.closest(SKIPPED)) showAttributes(target);
  }
});

// A Plotly figure, whose texts no observer reaches: titles, labels and hover texts, and the decimal sign of its numbers.
function figure(given) {
  const text = (value) =>
    Array.isArray(value) ? value.map(text) : String(value).split("<br>").map(translated).join("<br>");
  for (const part of [given.layout, ...given.data].flatMap(parts)) {
    if (part.text) part.text = text(part.text);
    if (part.hovertemplate)
      part.hovertemplate = `${text(part.hovertemplate.replace("<extra></extra>", ""))}<extra></extra>`;
  }
  if (DECIMAL_COMMA.includes(language)) given.layout.separators = ",.";
  return given;
}

// An object of a figure and all those in it that hold settings, not data.
function parts(one) {
  const inner = Object.values(one)
    .flatMap((value) => (Array.isArray(value) && typeof value[0] !== "object" ? [] : value))
    .filter((value) => value && Object.getPrototypeOf(value) === Object.prototype);
  return [one, ...inner.flatMap(parts)];
}

// Show the whole page, and all that comes, in the language `name`.
export async function speak(name) {
  wanted = name;
  if (name !== "en")
    dictionaries[name] ??= await (await fetch(new URL(`languages/${name}.json`, import.meta.url))).json();
  if (wanted !== name) return; // another was chosen meanwhile
  language = name;
  remembered.clear();
  texts = new Map(Object.entries(dictionaries[name] ?? {}));
  patterns = [...texts.keys()].filter((key) => /\{\d#?\}/.test(key)).map(patternOf);
  patterns.sort((a, b) => b.literal.join("").length - a.literal.join("").length);
  document.documentElement.style.setProperty("--failed", JSON.stringify(translated("That didn't work")));
  observer.observe(document.body, {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
    attributeFilter: ATTRIBUTES,
  });
  showAll(document.body);
  window.glpnLanguage.figure = figure;
  document.dispatchEvent(new Event("glpn:language"));
}
