"use strict";
// A person scores pairs of answer and statement, one at a time. What the judge gave is shown once the person has.

const MEANINGS = ["does not apply", "hardly applies", "applies in part", "mostly applies", "applies fully"];
const pairKey = (pair) => JSON.stringify([pair.row.line, pair.name]);

// The labels given on this page, by pair, kept in the browser where it allows that: not every one does for a file.
function labelStore(run) {
  const place = `labels of ${run}`;
  let [given, kept] = [{}, true];
  try {
    given = JSON.parse(localStorage.getItem(place) ?? "{}");
  } catch {
    kept = false;
  }
  function set(key, label) {
    given[key] = label;
    try {
      localStorage.setItem(place, JSON.stringify(given));
    } catch {
      kept = false;
    }
  }
  return { get: (key) => given[key], set, all: () => Object.values(given), isKept: () => kept };
}

const pairOf = (row, name) => ({ row, name, statement: row.statements[name] });

function sampledPairs(data) {
  const rows = new Map([...data.rows, ...data.more].map((row) => [row.line, row]));
  return data.sample.pairs.map(({ line, name }) => pairOf(rows.get(line), name));
}

function pairsOfTheTable(data) {
  const rows = wanted(data, columns(data)).filter((row) => row.answer?.trim());
  return rows.flatMap((row) => Object.keys(row.statements).map((name) => pairOf(row, name)));
}

function labelFile(labels) {
  return new Blob(labels.map((label) => `${JSON.stringify(label)}\n`), { type: "application/jsonl" });
}

function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function judgeSaid({ row, name }, score) {
  const verdict = row.verdicts?.[name];
  const said = verdict ? `the judge ${verdict.score ?? "no score"}: ${verdict.explanation}` : "the judge has not judged it";
  return `Line ${row.line}, ${name}: you gave ${score}, ${said}`;
}

function startLabelling(data) {
  const sampled = sampledPairs(data);
  if (!sampled.length) return;
  const [dialog, store] = [element("labelling"), labelStore(data.sample.run)];
  const scores = MEANINGS.map((meaning, i) => make("button", { type: "button", title: meaning }, String(i + 1)));
  let [pairs, place, chosen] = [sampled, 0, "sample"];

  const labelled = () => pairs.filter((pair) => store.get(pairKey(pair))).length;

  function draw() {
    const pair = pairs[place];
    const label = pair && store.get(pairKey(pair));
    const count = labelled();
    element("progress").max = pairs.length;
    element("progress").value = count;
    element("count").textContent = pair
      ? `Pair ${place + 1} of ${pairs.length}, ${count} labelled`
      : `This was the last pair; ${count} of ${pairs.length} are labelled. Save them.`;
    element("pair").replaceChildren(...(pair ? [
      ...(pair.row.chat_history?.length ? section("History", messages(pair.row)) : []),
      ...section("Question", make("pre", {}, pair.row.question)),
      ...(pair.row.reference ? section("Reference", make("pre", {}, pair.row.reference)) : []),
      ...section("Answer", make("pre", {}, pair.row.answer)),
    ] : []));
    element("statement").textContent = pair ? `Statement: ${pair.statement}` : "";
    scores.forEach((button, i) => {
      button.disabled = !pair;
      button.setAttribute("aria-pressed", String(label?.score === i + 1));
    });
    element("skip").disabled = !pair;
    element("back").disabled = place === 0;
    element("unkept").hidden = store.isKept();
    element("open-labelling").textContent = `Label answers (${store.all().length} labelled)`;
    if (!dialog.contains(document.activeElement) || document.activeElement.disabled) element("pair").focus();
    element("pair").scrollIntoView({ block: "nearest" });
  }

  // The judge's view of a pair is shown only for one that has a label, and never before.
  function told(pair) {
    const label = pair && store.get(pairKey(pair));
    element("judge-said").textContent = label ? judgeSaid(pair, label.score) : "";
  }

  function give(score) {
    const pair = pairs[place];
    if (!pair) return;
    const former = store.get(pairKey(pair));
    store.set(pairKey(pair), {
      answer: pair.row.answer, statement: pair.statement, score, line: pair.row.line, name: pair.name,
      question: pair.row.question, reference: pair.row.reference, run: data.sample.run, chosen: former?.chosen === "sample" ? "sample" : chosen,
    });
    place += 1;
    told(pair);
    draw();
  }

  function move(by) {
    place = Math.min(Math.max(place + by, 0), pairs.length);
    told(pairs[place]);
    draw();
  }

  function open() {
    chosen = element("chosen").value;
    pairs = chosen === "sample" ? sampled : pairsOfTheTable(data);
    const first = pairs.findIndex((pair) => !store.get(pairKey(pair)));
    place = first < 0 ? pairs.length : first;
    element("free").hidden = chosen === "sample";
    dialog.showModal();
    told(null);
    draw();
  }

  const keys = { s: () => move(1), b: () => move(-1) };
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = /^[1-5]$/.test(event.key) ? () => give(Number(event.key)) : keys[event.key.toLowerCase()];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  scores.forEach((button, i) => button.addEventListener("click", () => give(i + 1)));
  element("scores").append(...scores);
  element("skip").addEventListener("click", keys.s);
  element("back").addEventListener("click", keys.b);
  element("save").addEventListener("click", () => download(labelFile(store.all()), "labels.jsonl"));
  element("close").addEventListener("click", () => dialog.close());
  element("open-labelling").addEventListener("click", open);
  element("open-labelling").textContent = `Label answers (${store.all().length} labelled)`;
  element("people").hidden = false;
}
