// As much of a browser as the script of a report needs: prints what it draws, first as it starts, then after actions.
const fs = require("fs");
const [page, actions] = [fs.readFileSync(process.argv[2], "utf8"), JSON.parse(process.argv[3])];

class Element {
  constructor(tag) { Object.assign(this, { tag, attributes: {}, children: [], listeners: {}, dataset: {}, value: "", hidden: true, own: "" }); }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  querySelector() { return this.children[0]; }
  append(...inside) { this.children.push(...inside); }
  replaceChildren(...inside) { this.children = inside; }
  addEventListener(kind, act) { this.listeners[kind] = act; }
  set textContent(text) { this.own = text; }
  get textContent() { return this.own || this.children.map((one) => one.textContent ?? one).join(""); }
}

const ids = {};
for (const id of ["theme", "search", "sort", "previous", "next", "series", "shown", "controls", "data", "legend", "unscripted"]) ids[id] = new Element(id);
ids.sort.value = "input";
ids.data.own = page.match(/<script type="application\/json" id="data">(.*?)<\/script>/s)[1];
const figures = [...page.matchAll(/<figure class="lines">.*?<script type="application\/json">(.*?)<\/script><\/figure>/gs)].map((found) => {
  const figure = new Element("figure"), data = new Element("script");
  data.own = found[1];
  figure.append(data);
  return figure;
});
const sums = [...page.matchAll(/<div class="sums">.*?<script type="application\/json" class="data">(.*?)<\/script>\n<\/div>/gs)].map((found) => {
  const part = new Element("div"), data = new Element("script");
  data.own = found[1];
  part.append(new Element("ul"), new Element("div"), data);
  return part;
});
global.document = {
  querySelectorAll: (selector) => ({ "figure.lines": figures, ".sums": sums })[selector],
  documentElement: new Element("html"),
  getElementById: (id) => ids[id],
  createElement: (tag) => new Element(tag),
  createElementNS: (_, tag) => new Element(tag),
};
global.matchMedia = () => ({ matches: false });
global.setTimeout = (act) => act();
(0, eval)(page.match(/<script>(.*?)<\/script>/s)[1]);

const described = (figure) => ({
  title: figure.children[0].children[0].textContent,
  note: figure.children[0].children[1].textContent,
  label: figure.children[1].attributes["aria-label"],
  drawn: figure.children[1].children.map((one) => one.attributes.d ?? one.textContent),
});
const seen = () => ({
  shown: ids.shown.textContent,
  theme: ids.theme.textContent,
  unscripted: ids.unscripted.hidden,
  legend: ids.legend.children.map((one) => one.textContent.trim()),
  charts: figures.map((one) => [one.children[2].attributes["aria-label"], one.children[1].children.map((line) => line.textContent.trim())]),
  figures: ids.series.children.map(described),
  sums: sums.map((part) => part.children[1].children.map(described)),
});
const found = [seen()];
for (const [id, kind, value] of actions) {
  if (value !== undefined) ids[id].value = value;
  ids[id].listeners[kind]();
  found.push(seen());
}
console.log(JSON.stringify(found));
