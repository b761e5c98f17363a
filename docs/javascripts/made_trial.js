/* A made cohort of two modalities, cross-validated with logistic regressions, and what the rule says of it. */
"use strict";

(function () {
  const rule = typeof module !== "undefined" ? require("./verdict_rule.js") : window.verdictRule;
  const DRAWS = 200, FOLDS = 5, FEWEST_PATIENTS = 30, FEWEST_CLASS = 10;

  /* mulberry32: uniform numbers from a seed, the same on every machine. */
  function randoms(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* Patients: the clinic measures a, the laboratory b with noise; b is lacking in a share. log odds = a + signal b. */
  function patients(options) {
    const random = randoms(options.seed), made = [];
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    for (let k = 0; k < options.patients; k += 1) {
      const a = normal(), b = normal(), noise = normal(), here = random() >= options.lacking;
      const odds = a + options.signal * b;
      made.push({ ill: random() < 1 / (1 + Math.exp(-odds)) ? 1 : 0, a, b: b + options.noise * noise, here });
    }
    return made;
  }

  /* Logistic regression with a little ridge by Newton steps; returns the link of a patient. */
  function logistic(rows, columns) {
    const width = columns.length + 1, beta = new Array(width).fill(0);
    const of = (row) => [1, ...columns.map((name) => Number(row[name]))];
    if (!rows.length) return () => 0;
    for (let step = 0; step < 8; step += 1) {
      const left = Array.from({ length: width }, (_, i) => Array.from({ length: width }, (__, j) => (i === j && i ? 1 : 1e-6 * (i === j))));
      const right = beta.map((own, i) => (i ? -own : 0));
      for (const row of rows) {
        const x = of(row), p = 1 / (1 + Math.exp(-x.reduce((sum, own, i) => sum + own * beta[i], 0)));
        for (let i = 0; i < width; i += 1) {
          right[i] += x[i] * (row.ill - p);
          for (let j = 0; j < width; j += 1) left[i][j] += x[i] * x[j] * p * (1 - p);
        }
      }
      solve(left, right).forEach((own, i) => { beta[i] += own; });
    }
    return (row) => of(row).reduce((sum, own, i) => sum + own * beta[i], 0);
  }

  function solve(left, right) {
    const n = right.length;
    for (let i = 0; i < n; i += 1) {
      for (let k = i + 1; k < n; k += 1) {
        const share = left[k][i] / left[i][i];
        for (let j = i; j < n; j += 1) left[k][j] -= share * left[i][j];
        right[k] -= share * right[i];
      }
    }
    const found = new Array(n).fill(0);
    for (let i = n - 1; i >= 0; i -= 1) {
      found[i] = (right[i] - found.reduce((sum, own, j) => sum + (j > i ? left[i][j] * own : 0), 0)) / left[i][i];
    }
    return found;
  }

  /* AUROC of patients counted by weight, ties half; NaN without a pair. order: places by link, lowest first. */
  function auroc(links, ill, order, weights) {
    let below = 0, tied = 0, pairs = 0, positives = 0, negatives = 0, k = 0;
    while (k < order.length) {
      const link = links[order[k]];
      let own = 0, other = 0;
      for (; k < order.length && links[order[k]] === link; k += 1) {
        const weight = weights ? weights[order[k]] : 1;
        if (ill[order[k]]) own += weight; else other += weight;
      }
      below += own * negatives;
      tied += own * other;
      positives += own;
      negatives += other;
    }
    pairs = positives * negatives;
    return pairs ? (below + tied / 2) / pairs : NaN;
  }

  const scored = (rows, link) => {
    const links = rows.map(link), order = rows.map((_, k) => k).sort((i, j) => links[i] - links[j]);
    return { links, order, value: auroc(links, rows.map((row) => row.ill), order) };
  };

  /* Links of every side in one fold, learned from its training patients alone. */
  function sides(train) {
    const have = train.filter((row) => row.here), prior = logistic(train, []);
    const clinic = logistic(train, ["a"]), lab = logistic(have, ["b"]), both = logistic(have, ["a", "b"]);
    const centre = { a: rule.mean(train.map(clinic)), b: have.length ? rule.mean(have.map(lab)) : 0 };
    const beyond = { a: (row) => prior(row) + clinic(row) - centre.a, b: (row) => prior(row) + lab(row) - centre.b };
    const labFirst = have.length > 1 && scored(have, lab).value > scored(train, clinic).value;
    const single = { clinic, lab: (row) => (row.here ? lab(row) : prior(row)) };
    const pick = scored(train, single.lab).value > scored(train, clinic).value ? "lab" : "clinic";
    return {
      pick, single,
      picked: single[pick],
      best: (row) => (labFirst && row.here ? beyond.b(row) : beyond.a(row)),
      combined: (row) => (row.here ? both(row) : clinic(row)),
      presence: logistic(train, ["here"]),
    };
  }

  /* One trial: the contrasts, the word, and why. */
  function trial(options) {
    const rows = patients(options), random = randoms(options.seed + 1);
    const fold = rows.map((_, k) => k % FOLDS), names = ["picked", "best", "combined", "presence", "clinic", "lab"];
    const whole = Object.fromEntries(names.map((name) => [name, { points: [], draws: [] }]));
    const within = { best: { points: [], draws: [] }, combined: { points: [], draws: [] } };
    const picks = [], enough = [];
    for (let f = 0; f < FOLDS; f += 1) {
      const train = rows.filter((_, k) => fold[k] !== f), test = rows.filter((_, k) => fold[k] === f);
      const made = sides(train), have = train.filter((row) => row.here), ills = have.filter((row) => row.ill).length;
      picks.push(made.pick);
      enough.push({ patients: have.length, rarest: Math.min(ills, have.length - ills) });
      const drawn = Array.from({ length: DRAWS }, () => {
        const counts = new Array(test.length).fill(0);
        test.forEach(() => { counts[Math.floor(random() * test.length)] += 1; });
        return counts;
      });
      const add = (into, link, kept) => {
        const own = kept.map((k) => test[k]), { links, order, value } = scored(own, link), ill = own.map((row) => row.ill);
        into.points.push(value);
        into.draws.push(drawn.map((counts) => auroc(links, ill, order, kept.map((k) => counts[k]))));
      };
      const everybody = test.map((_, k) => k), several = everybody.filter((k) => test[k].here);
      for (const name of names) add(whole[name], made[name] || made.single[name], everybody);
      for (const name of ["best", "combined"]) add(within[name], made[name], several);
    }
    const nTest = rows.length / FOLDS, apart = (ours, theirs) => rule.contrast(ours, theirs, nTest, rows.length - nTest);
    const often = picks.filter((own) => own === "lab").length * 2 > FOLDS ? "lab" : "clinic";
    const median = (key) => enough.map((own) => own[key]).sort((i, j) => i - j)[Math.floor(FOLDS / 2)];
    const evidence = {
      total: apart(whole.combined, whole.picked), coverage: apart(whole.best, whole.picked),
      combining: apart(within.combined, within.best), beyond: apart(whole.combined, whole.presence),
      fixed: apart(whole.combined, whole[often]), leaks: false, margin: options.margin,
      tooFew: median("patients") < FEWEST_PATIENTS || median("rarest") < FEWEST_CLASS,
    };
    const [word, why] = rule.decide(evidence);
    const open = [evidence.total, evidence.combining].filter((own) => !rule.aboveZero(own));
    const asked = word === "cannot tell" && (why === "total" || why === "combining");
    const scores = Object.fromEntries(["clinic", "lab", "combined"].map((name) => [name, rule.mean(whole[name].points)]));
    return {
      ...evidence, word, why, often, scores, several: rows.filter((row) => row.here).length,
      settle: asked ? rule.patientsToSettle(open, options.margin, rows.length) : null,
    };
  }

  if (typeof module !== "undefined") module.exports = { trial };
  else window.madeTrial = trial;
})();
