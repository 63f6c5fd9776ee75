"use strict";
// Rows are made from the data when they are shown. All text goes into the page as text, never as markup.

const PAGE = 200; // rows added at a time
const state = { by: "", down: false, text: "", only: "all", shown: PAGE };
let scales = {}; // of the statements: pass_mark, and by score how it is shown and coloured
const element = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// What a line says of a statement: a score of its scale, null where the judge gave no score, undefined where nothing was judged.
const score = (row, name) => row.verdicts?.[name]?.score;
const before = (row, name) => row.before?.verdicts?.[name]?.score;

function change(row, name) {
  const [now, then] = [score(row, name), before(row, name)];
  return Number.isInteger(now) && Number.isInteger(then) ? now - then : null;
}

const changes = (row) => Object.keys(row.statements).map((name) => change(row, name)).filter((each) => each !== null);
const largest = (row) => Math.max(0, ...changes(row).map(Math.abs));
const unscored = (row) => row.verdicts !== null && Object.values(row.verdicts).some((verdict) => verdict.score === null);
const fails = (row, name) => Number.isInteger(score(row, name)) && score(row, name) < scales[name].pass_mark;
const scoredLow = (row) => Object.keys(row.statements).some((name) => fails(row, name));

const FILTERS = {
  all: ["all lines", () => true],
  failed: ["failed", (row) => row.error !== null],
  unscored: ["with a missing score", unscored],
  low: ["with a score below 4, or a fail", scoredLow],
};
const FILTERS_COMPARED = {
  changed: ["changed", (row) => largest(row) > 0],
  worse: ["with a worse score", (row) => changes(row).some((each) => each < 0)],
  better: ["with a better score", (row) => changes(row).some((each) => each > 0)],
};

// Each column: its heading, what it is sorted by, and what it shows of a row.
function columns(data) {
  const seconds = (kind) => (row) => (row.timing?.[kind] === undefined ? null : row.timing[kind]);
  const timed = data.rows.some((row) => row.timing);
  return [
    { id: "line", title: "line", value: (row) => row.line, show: lineCell },
    { id: "question", title: "question", value: (row) => row.question, show: (row) => textCell(row.question) },
    { id: "answer", title: "answer", value: (row) => row.error ?? row.answer, show: answerCell },
    ...(data.by === null ? [] : [{
      id: "by", title: data.by, value: (row) => String(row.extra?.[data.by] ?? ""),
      show: (row) => textCell(String(row.extra?.[data.by] ?? "")),
    }]),
    ...data.statements.map((name) => ({
      id: `score ${name}`, title: name, name: true,
      value: (row) => (data.compared ? change(row, name) : null) ?? score(row, name) ?? null,
      show: (row) => scoreCell(row, name, data.compared),
    })),
    ...(timed ? [["first_chunk_s", "first text"], ["total_s", "in all"]] : []).map(([kind, title]) => ({
      id: kind, title, value: seconds(kind), show: (row) => make("td", { class: "number" }, inSeconds(seconds(kind)(row))),
    })),
  ];
}

const ENDINGS = {
  cut: " (cut by the token limit)",
  filtered: " (cut by the service's filter)",
  refused: " (a refusal)",
  empty: " (empty, and not judged)",
};

const inSeconds = (value) => (value === null ? "–" : `${value.toFixed(2)} s`);
const textCell = (text) => make("td", { class: "text" }, make("span", {}, text.slice(0, 300)));

function lineCell(row) {
  const label = { type: "button", "aria-expanded": "false", "aria-label": `line ${row.line}, show all of it` };
  return make("th", { scope: "row" }, make("button", label, String(row.line)));
}

function answerCell(row) {
  if (row.error === null) return textCell(`${row.ending ? `[${row.ending}] ` : ""}${row.answer}`);
  const cell = textCell(row.error);
  cell.classList.add("error");
  return cell;
}

function scoreCell(row, name, compared) {
  const now = score(row, name);
  if (now === undefined) return make("td", { class: "score" }, "–");
  const difference = compared ? change(row, name) : null;
  const { shown, colours } = scales[name];
  const text = difference ? `${shown[before(row, name)] ?? before(row, name)} → ${shown[now]}` : shown[now] ?? "?";
  return make("td", { class: "score" }, make("b", { class: now === null ? "none" : `s${colours[now]}` }, text));
}

function section(title, ...content) {
  return [make("h3", {}, title), ...content];
}

function messages(row) {
  return make("ol", {}, ...row.chat_history.map((message, i) => {
    const dropped = i < (row.history_dropped ?? 0);
    const role = make("span", { class: "role" }, `${message.role}${dropped ? " (dropped, not sent)" : ""}: `);
    return make("li", { class: dropped && "dropped" }, make("pre", {}, role, message.content));
  }));
}

function verdicts(row, compared) {
  const headings = ["statement", "score", ...(compared ? ["before"] : []), "explanation"];
  const head = make("tr", {}, ...headings.map((text) => make("th", { scope: "col" }, text)));
  const body = Object.entries(row.statements).map(([name, statement]) => {
    const verdict = row.verdicts?.[name];
    const votes = verdict?.votes ? ` (votes: ${verdict.votes.map((vote) => vote ?? "?").join(", ")})` : "";
    const earlier = row.before?.verdicts?.[name];
    return make("tr", {},
      make("th", { scope: "row" }, `${name}: ${statement}`),
      scoreCell(row, name, false),
      compared ? make("td", { class: "score" }, earlier ? scales[name].shown[earlier.score] ?? earlier.score ?? "?" : "–") : null,
      make("td", {}, make("pre", {}, (verdict?.explanation ?? "not judged") + votes),
        verdict?.raw ? make("pre", { class: "role" }, `The judge wrote: ${verdict.raw}`) : null,
        earlier ? make("pre", { class: "role" }, `Before: ${earlier.explanation ?? ""}`) : null));
  });
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

function timing({ timing, tokens, cost_usd: cost }) {
  const digits = { maximumSignificantDigits: 2 };
  const costs = cost === undefined ? "" : ` With its verdicts about $${cost.toLocaleString("en", digits)}.`;
  const speed = timing.tokens_per_s ? `, ${timing.tokens_per_s} tokens a second` : "";
  const counted = tokens.counted_by === "service" ? "counted by the service" : "counted with the model's vocabulary";
  return make("p", {},
    `First text after ${inSeconds(timing.first_chunk_s)}, ended after ${inSeconds(timing.total_s)}; before that, ` +
    `${inSeconds(timing.waited_s)} of waiting for a turn. ${timing.chunks} pieces${speed}. ` +
    `${tokens.prompt ?? "?"} tokens in, ${tokens.completion ?? "?"} out, ${counted}.${costs}`);
}

const columnsOf = (row) => Object.entries(row.extra).map(([column, value]) => `${column}: ${value ?? ""}`).join("\n");

function details(row, data, width) {
  const ending = ENDINGS[row.ending] ?? "";
  const given = [undefined, "asked"].includes(row.answered_from) ? "" : `, from ${row.answered_from}`;
  const content = make("div", {},
    ...(row.error ? section("Error", make("pre", { class: "error" }, row.error)) : []),
    ...(row.chat_history?.length ? section("History", messages(row)) : []),
    ...section("Question", make("pre", {}, row.question)),
    ...(row.reference ? section("Reference", make("pre", {}, row.reference)) : []),
    ...(row.answer === null ? [] : section(`Answer${ending}${given}`, make("pre", {}, row.answer))),
    ...(row.before?.answer && row.before.answer !== row.answer ? section("Answer before", make("pre", {}, row.before.answer)) : []),
    ...(Object.keys(row.statements).length ? section("Verdicts", verdicts(row, data.compared)) : []),
    ...(row.extra ? section("Columns", make("pre", {}, columnsOf(row))) : []),
    ...(row.timing ? section("Time and tokens", timing(row)) : []));
  return make("tr", { class: "more" }, make("td", { colspan: width }, content));
}

function wanted(data, shownColumns) {
  const needle = state.text.toLowerCase();
  const [, fits] = { ...FILTERS, ...FILTERS_COMPARED }[state.only];
  const found = data.rows.filter((row) => fits(row) && (!needle ||
    `${row.question}\n${row.answer ?? ""}\n${row.error ?? ""}`.toLowerCase().includes(needle)));
  const column = shownColumns.find((each) => each.id === state.by);
  if (!column) return found; // as they came: what most needs a look first
  const direction = state.down ? -1 : 1;
  return found.sort((a, b) => {
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null); // what has no value goes last
    return direction * (typeof x === "string" ? x.localeCompare(y) : x - y);
  });
}

function heading(column, redraw) {
  const sorted = state.by === column.id ? (state.down ? "descending" : "ascending") : null;
  const button = make("button", { type: "button", title: column.title }, column.title);
  button.addEventListener("click", () => {
    state.down = state.by === column.id && !state.down;
    state.by = column.id;
    redraw(column.id);
  });
  return make("th", { scope: "col", class: column.name ? "name" : "", "aria-sort": sorted }, button);
}

function start(data) {
  scales = data.scales;
  const shownColumns = columns(data);
  const [head, body] = [element("grid").tHead, element("grid").tBodies[0]];

  function toggle(line, row) {
    const button = line.querySelector("button");
    const open = button.getAttribute("aria-expanded") === "false";
    button.setAttribute("aria-expanded", String(open));
    if (open) line.after(details(row, data, shownColumns.length));
    else line.nextSibling.remove();
  }

  function line(row) {
    const made = make("tr", { class: "line" }, ...shownColumns.map((column) => column.show(row)));
    made.addEventListener("click", () => getSelection().isCollapsed && toggle(made, row));
    return made;
  }

  function draw(focused) {
    const found = wanted(data, shownColumns);
    head.replaceChildren(make("tr", {}, ...shownColumns.map((column) => heading(column, draw))));
    body.replaceChildren(...found.slice(0, state.shown).map(line));
    element("found").textContent = `${found.length.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} lines`;
    const rest = found.length - state.shown;
    element("more").hidden = rest <= 0;
    element("more").textContent = `Show ${Math.min(rest, PAGE)} more of ${rest}`;
    head.querySelectorAll("button")[shownColumns.findIndex((column) => column.id === focused)]?.focus();
  }

  function redraw(changed) {
    Object.assign(state, { shown: PAGE, ...changed });
    draw();
  }

  for (const [id, [label]] of Object.entries(data.compared ? { ...FILTERS, ...FILTERS_COMPARED } : FILTERS)) {
    element("only").append(make("option", { value: id }, label));
  }
  element("grid").classList.toggle("many", data.statements.length > 6);
  element("find").addEventListener("input", (event) => redraw({ text: event.target.value }));
  element("only").addEventListener("input", (event) => redraw({ only: event.target.value }));
  element("more").addEventListener("click", () => { state.shown += PAGE; draw(); });
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  element("controls").hidden = false;
  draw();
  startLabelling(data);
  document.body.dataset.ready = performance.now();
}

unpacked(element("data").textContent).then(start);
