
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const root = document.documentElement;
  const theme = at("theme");
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = isDark() ? "Light colours" : "Dark colours"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  theme.hidden = false;
  name();

  if (!at("data")) return;
  const { levels, measure, first, times, series } = JSON.parse(at("data").textContent);
  const [W, H, LEFT, RIGHT, TOP, BOTTOM, LETTER] = [360, 170, 58, 8, 8, 22, 7];
  const widest = levels.map((level, place) => [level, place]).sort((a, b) => b[0] - a[0]);

  const make = (kind, attributes, ...inside) => {
    const svg = ["svg", "path", "text"].includes(kind);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", kind) : document.createElement(kind);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  };

  const number = (value) => {
    const short = Number(value.toPrecision(4)), size = Math.abs(short);
    if (size >= 1e9 || (size > 0 && size < 1e-4)) return short.toPrecision(3);
    return short.toLocaleString("en", { maximumSignificantDigits: 4 });
  };

  const path = (xs, ys) => {
    let text = "", drawing = false;
    xs.forEach((x, i) => {
      if (ys[i] === null) { drawing = false; return; }
      text += (drawing ? "L" : "M") + x.toFixed(1) + " " + ys[i].toFixed(1) + (drawing ? "" : "h0");
      drawing = true;
    });
    return text;
  };

  const said = (ahead, when) => {
    if (ahead[0].includes(null)) return "history without a forecast";
    const last = ahead[0].length - 1;
    const text = `forecast ${number(ahead[0][0])} for ${when[1]}, ${number(ahead[0][last])} for ${when[last + 1]}`;
    if (!widest.length) return text;
    const [level, place] = widest[0];
    return `${text}; ${level} % interval then ${number(ahead[1 + 2 * place][last])} to ${number(ahead[2 + 2 * place][last])}`;
  };

  const drawing = (label, past, ahead, when) => {
    const every = [past, ...ahead].flat().filter((value) => value !== null);
    let low = every.length ? Math.min(...every) : 0, high = every.length ? Math.max(...every) : 1;
    if (!(high > low)) [low, high] = [low - Math.max(1, Math.abs(low) / 10), high + Math.max(1, Math.abs(high) / 10)];
    const before = past.length, count = before + ahead[0].length;
    const xs = Array.from({ length: count }, (_, i) => LEFT + (W - LEFT - RIGHT) * i / (count - 1));
    const down = (values) => values.map((value) => value === null ? null : TOP + (H - TOP - BOTTOM) * (high - value) / (high - low));
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
    const draw = (kind, d) => svg.append(make("path", { class: kind, d }));
    draw("grid", `M${LEFT} ${TOP}H${W - RIGHT}M${LEFT} ${H - BOTTOM}H${W - RIGHT}`);
    const start = past[before - 1] === null ? [] : [past[before - 1]];
    const later = xs.slice(before - start.length);
    for (const [, place] of widest) {
      const [lower, upper] = [1, 2].map((side) => down([...start, ...ahead[side + 2 * place]]));
      if (![...lower, ...upper].includes(null)) {
        draw(`band b${place}`, path([...later, ...later.slice().reverse()], [...upper, ...lower.slice().reverse()]) + "Z");
      }
    }
    draw("past", path(xs.slice(0, before), down(past)));
    draw("ahead", path(later, down([...start, ...ahead[0]])));
    const write = (x, y, text) => svg.append(make("text", { x: Math.round(x), y, "text-anchor": "end" }, text));
    write(LEFT - 5, TOP + 8, number(high));
    write(LEFT - 5, H - BOTTOM, number(low));
    const now = xs[before - 1], end = when[when.length - 1];
    if (now > LEFT + LETTER * when[0].length && now < W - RIGHT - LETTER * (end.length + 1)) write(now, H - 6, when[0]);
    write(W - RIGHT, H - 6, end);
    return svg;
  };

  // what is under the pointer: a line in the drawing, and its numbers below
  const reading = (svg, past, ahead, when) => {
    const text = make("p", { class: "under", "aria-hidden": "true" }, "\u00a0"), line = make("path", { class: "pointer", d: "" });
    const count = past.length + ahead[0].length;
    const show = (event) => {
      const box = svg.getBoundingClientRect(), x = W * (event.clientX - box.left) / box.width;
      const i = Math.max(0, Math.min(count - 1, Math.round((count - 1) * (x - LEFT) / (W - LEFT - RIGHT))));
      const at = i - past.length, back = -1 - at, time = at < 0 ? when[0] : when[at + 1];
      const value = at < 0 ? past[i] : ahead[0][at];
      const intervals = at < 0 ? [] : levels.filter((_, place) => ahead[1 + 2 * place][at] !== null).map((level, place) =>
        `${level} %: ${number(ahead[1 + 2 * place][at])} to ${number(ahead[2 + 2 * place][at])}`);
      const before = back > 0 ? `${back} step${back > 1 ? "s" : ""} before ` : "";
      text.textContent = [`${before}${time}: ${value === null ? "missing" : number(value)}`, ...intervals].join(", ");
      line.setAttribute("d", `M${(LEFT + (W - LEFT - RIGHT) * i / (count - 1)).toFixed(1)} ${TOP}V${H - BOTTOM}`);
      if (!line.parentNode) svg.append(line);
    };
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, show);
    svg.addEventListener("pointerleave", () => { text.textContent = "\u00a0"; line.remove(); });
    return text;
  };

  const numbers = (title, past, ahead, when) => {
    const details = make("details", {}, make("summary", {}, "Numbers"));
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const heads = ["time", "forecast", ...levels.flatMap((level) => [`lo ${level}`, `hi ${level}`])];
      const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
      const rows = ahead[0].map((_, i) => make("tr", {}, make("th", { scope: "row" }, when[i + 1]),
        ...ahead.map((values) => make("td", { class: "num" }, values[i] === null ? "" : number(values[i])))));
      const around = { class: "scroll", role: "group", tabindex: 0, "aria-label": `Numbers of ${title}` };
      details.append(make("div", around, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
    });
    return details;
  };

  const figure = ([title, note, error, time, past, ...ahead]) => {
    const notes = [error === null ? "" : `${measure} ${number(error)}`, note].filter(Boolean).join(", ");
    const caption = make("figcaption", {}, make("h3", {}, title), make("p", { title: notes }, notes));
    const label = `${title}: ${said(ahead, times[time])}`;
    const svg = drawing(label, past, ahead, times[time]);
    return make("figure", { class: "one" }, caption, svg, reading(svg, past, ahead, times[time]), numbers(title, past, ahead, times[time]));
  };

  const byError = (sign) => (a, b) => (a[2] === null) - (b[2] === null) || sign * (a[2] - b[2]);
  const orders = { worst: byError(-1), best: byError(1), name: (a, b) => a[0].localeCompare(b[0], undefined, { numeric: true }) };
  const names = new Map(series.map((one) => [one, `${one[0]} ${one[1]}`.toLowerCase()]));
  let page = 0;

  const render = () => {
    const wanted = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = series.filter((one) => wanted.every((word) => names.get(one).includes(word)));
    if (orders[at("sort").value]) found.sort(orders[at("sort").value]);
    const pages = Math.max(1, Math.ceil(found.length / first));
    page = Math.min(Math.max(page, 0), pages - 1);
    const part = found.slice(page * first, (page + 1) * first);
    at("series").replaceChildren(...part.map(figure));
    at("previous").setAttribute("aria-disabled", page === 0);  // a button that is disabled would lose the focus
    at("next").setAttribute("aria-disabled", page >= pages - 1);
    const whole = found.length === series.length ? "" : ` that match, of ${series.length.toLocaleString("en")}`;
    const from = (page * first + 1).toLocaleString("en"), to = (page * first + part.length).toLocaleString("en");
    at("shown").textContent = part.length ? `${from} to ${to} of ${found.length.toLocaleString("en")} series${whole}` : "no series matches";
  };

  let waiting = 0;
  at("search").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => { page = 0; render(); }, 120); });
  at("sort").addEventListener("change", () => { page = 0; render(); });
  at("previous").addEventListener("click", () => { page -= 1; render(); });
  at("next").addEventListener("click", () => { page += 1; render(); });
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  at("controls").hidden = false;
  render();
})();
