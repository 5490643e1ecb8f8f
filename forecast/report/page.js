
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
  at("unscripted").hidden = true;

  const make = (kind, attributes, ...inside) => {
    const svg = ["svg", "path", "text"].includes(kind);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", kind) : document.createElement(kind);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...inside);
    return element;
  };

  const number = (value, digits = 4) => {
    const short = Number(value.toPrecision(digits)), size = Math.abs(short);
    if (size >= 1e9 || (size > 0 && size < 1e-4)) return short.toPrecision(3);
    return short.toLocaleString("en", { maximumSignificantDigits: digits });
  };

  // axes on which lines and bands are drawn: `count` places across, values from `low` to `high`
  const axes = ([width, height, left, right, top, bottom], count, [low, high], kind, label) => {
    const svg = make("svg", { class: kind, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    const x = (place) => left + (width - left - right) * place / (count - 1);
    const y = (value) => top + (height - top - bottom) * (high - value) / (high - low);
    const path = (first, values) => {  // a lone point is a dot where line ends are round
      let drawing = false;
      return values.map((value, i) => {
        const move = drawing ? "L" : "M";
        drawing = value !== null;
        return drawing ? `${move}${x(first + i).toFixed(1)} ${y(value).toFixed(1)}${move === "M" ? "h0" : ""}` : "";
      }).join("");
    };
    const draw = (kind, d) => svg.append(make("path", { class: kind, d }));
    return {
      svg, x, place: (at) => Math.max(0, Math.min(count - 1, Math.round((count - 1) * (at - left) / (width - left - right)))),
      rule: (kind, value) => draw(kind, `M${left} ${y(value).toFixed(1)}H${width - right}`),
      line: (kind, first, values) => draw(kind, path(first, values)),
      band: (kind, first, lower, upper) => {
        if ([...lower, ...upper].includes(null)) return;
        const back = lower.map((value, i) => `L${x(first + i).toFixed(1)} ${y(value).toFixed(1)}`).reverse().join("");
        draw(kind, `${path(first, upper)}${back}Z`);
      },
      text: (at, y, anchor, text) => svg.append(make("text", { x: Math.round(at), y, "text-anchor": anchor }, text)),
      value: (value, digits, shift = 4) => svg.append(make("text", { x: left - 6, y: (y(value) + shift).toFixed(1), "text-anchor": "end" }, number(value, digits))),
    };
  };

  const legend = (kinds) => kinds.map(([kind, text]) => {
    const svg = make("svg", { viewBox: "0 0 28 14", width: 28, height: 14, "aria-hidden": "true" });
    svg.append(make("path", { class: kind, d: kind.startsWith("band") ? "M0 2H28V12H0Z" : "M1 7H27" }));
    return make("li", {}, svg, ` ${text}`);
  });

  // charts of lines over shared places, such as the steps of the horizon
  const LINES = [640, 240, 52, 12, 10, 34];
  for (const figure of document.querySelectorAll("figure.lines")) {
    const [title, across, first, last, names, lines, targets] = JSON.parse(figure.querySelector("script").textContent);
    const values = [...lines.flat().filter((value) => value !== null), ...targets];
    const low = Math.min(0, ...values), most = Math.max(...values), high = most > low ? most : low + 1;
    const chart = axes(LINES, Math.max(...lines.map((line) => line.length)), [low, high], "chart", title);
    for (const value of [low, (low + high) / 2, high]) {
      chart.rule("grid", value);
      chart.value(value, 3);
    }
    for (const value of targets) chart.rule("target", value);
    lines.forEach((line, i) => chart.line(`line c${i}`, 0, line));
    const [width, height, left, right] = LINES, below = height - 14;
    chart.text(left, below, "start", first);
    chart.text(width - right, below, "end", last);
    chart.text((left + width - right) / 2, below, "middle", across);
    figure.append(make("ul", { class: "legend" }, ...legend(names.map((text, i) => [`line c${i}`, text]))), chart.svg);
  }

  // draws series, each a row of a gallery; what all rows share is given, and where their legend goes
  const SIZE = [360, 170, 58, 8, 8, 22], [W, H, LEFT, RIGHT, TOP, BOTTOM] = SIZE, LETTER = 7;
  const drawer = ({ levels, measure, times }, keys) => {
    const widest = levels.map((level, place) => [level, place]).sort((a, b) => b[0] - a[0]);
    const bands = widest.map(([level, place]) => [`band b${place}`, `${level} % interval`]).reverse();
    keys.append(...legend([["past", "history"], ["ahead", "forecast"], ...bands]));

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
      const before = past.length, chart = axes(SIZE, before + ahead[0].length, [low, high], "series", label);
      chart.rule("grid", low);
      chart.rule("grid", high);
      const start = past[before - 1] === null ? [] : [past[before - 1]], first = before - start.length;
      for (const [, place] of widest) {
        const [lower, upper] = [1, 2].map((side) => [...start, ...ahead[side + 2 * place]]);
        chart.band(`band b${place}`, first, lower, upper);
      }
      chart.line("past", 0, past);
      chart.line("ahead", first, [...start, ...ahead[0]]);
      chart.value(high, 4, 8);
      chart.value(low, 4, 0);
      const now = chart.x(before - 1), end = when[when.length - 1];
      if (now > LEFT + LETTER * when[0].length && now < W - RIGHT - LETTER * (end.length + 1)) chart.text(now, H - 6, "end", when[0]);
      chart.text(W - RIGHT, H - 6, "end", end);
      return chart;
    };

    // what is under the pointer: a line in the drawing, and its numbers below
    const reading = (chart, past, ahead, when) => {
      const text = make("p", { class: "under", "aria-hidden": "true" }, "\u00a0"), line = make("path", { class: "pointer", d: "" });
      const show = (event) => {
        const box = chart.svg.getBoundingClientRect(), i = chart.place(W * (event.clientX - box.left) / box.width);
        const at = i - past.length, back = -1 - at, time = at < 0 ? when[0] : when[at + 1];
        const value = at < 0 ? past[i] : ahead[0][at];
        const intervals = at < 0 ? [] : levels.filter((_, place) => ahead[1 + 2 * place][at] !== null).map((level, place) =>
          `${level} %: ${number(ahead[1 + 2 * place][at])} to ${number(ahead[2 + 2 * place][at])}`);
        const before = back > 0 ? `${back} step${back > 1 ? "s" : ""} before ` : "";
        text.textContent = [`${before}${time}: ${value === null ? "missing" : number(value)}`, ...intervals].join(", ");
        line.setAttribute("d", `M${chart.x(i).toFixed(1)} ${TOP}V${H - BOTTOM}`);
        if (!line.parentNode) chart.svg.append(line);
      };
      for (const kind of ["pointermove", "pointerdown"]) chart.svg.addEventListener(kind, show);
      chart.svg.addEventListener("pointerleave", () => { text.textContent = "\u00a0"; line.remove(); });
      return text;
    };

    const numbers = (title, ahead, when) => {
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

    return ([title, note, error, time, past, ...ahead]) => {
      const notes = [error === null ? "" : `${measure} ${number(error)}`, note].filter(Boolean).join(", ");
      const caption = make("figcaption", {}, make("h3", {}, title), make("p", { title: notes }, notes));
      const chart = drawing(`${title}: ${said(ahead, times[time])}`, past, ahead, times[time]);
      return make("figure", { class: "one" }, caption, chart.svg, reading(chart, past, ahead, times[time]), numbers(title, ahead, times[time]));
    };
  };

  for (const part of document.querySelectorAll(".sums")) {
    const [keys, place, data] = part.children, { series, ...head } = JSON.parse(data.textContent);
    place.append(...series.map(drawer(head, keys)));
  }

  if (!at("data")) return;
  const { perPage, series, ...head } = JSON.parse(at("data").textContent), figure = drawer(head, at("legend"));

  const byError = (sign) => (a, b) => (a[2] === null) - (b[2] === null) || sign * (a[2] - b[2]);
  const orders = { worst: byError(-1), best: byError(1), name: (a, b) => a[0].localeCompare(b[0], undefined, { numeric: true }) };
  const names = new Map(series.map((one) => [one, `${one[0]} ${one[1]}`.toLowerCase()]));
  let page = 0;

  const render = () => {
    const wanted = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = series.filter((one) => wanted.every((word) => names.get(one).includes(word)));
    if (orders[at("sort").value]) found.sort(orders[at("sort").value]);
    const pages = Math.max(1, Math.ceil(found.length / perPage));
    page = Math.min(Math.max(page, 0), pages - 1);
    const part = found.slice(page * perPage, (page + 1) * perPage);
    at("series").replaceChildren(...part.map(figure));
    at("previous").setAttribute("aria-disabled", page === 0);  // a button that is disabled would lose the focus
    at("next").setAttribute("aria-disabled", page >= pages - 1);
    const whole = found.length === series.length ? "" : ` that match, of ${series.length.toLocaleString("en")}`;
    const from = (page * perPage + 1).toLocaleString("en"), to = (page * perPage + part.length).toLocaleString("en");
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
