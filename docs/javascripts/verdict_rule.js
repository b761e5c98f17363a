/* The rule of the verdict, as src/chiasm/evaluation/contrasts.py and verdict.py have it; a test holds both to one table
   of cases. Numbers that are not there are NaN. */
"use strict";

const PAYS = "pays", DOES_NOT_PAY = "does not pay", PREDICTS_MORE = "predicts more patients", CANNOT_TELL = "cannot tell";
const MAX_MISSING = 0.2, ROUNDING = 1e-9;
const UNKNOWN = { mean: NaN, low: NaN, high: NaN, same: false };

function mean(values) {
  return values.reduce((sum, one) => sum + one, 0) / values.length;
}

function quantile(values, share) {
  const sorted = Float64Array.from(values).sort(), at = (sorted.length - 1) * share, below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

/* log gamma by Lanczos, the incomplete beta by its continued fraction: both to about 1e-12. */
function logGamma(x) {
  const c = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  let sum = 0.99999999999980993;
  c.forEach((own, k) => { sum += own / (x + k); });
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

function incompleteBeta(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x)) / a;
  let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), found = d;
  for (let m = 1; m < 300; m += 1) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + even * d); c = 1 + even / c; found *= c * d;
    d = 1 / (1 + odd * d); c = 1 + odd / c;
    const step = c * d;
    found *= step;
    if (Math.abs(step - 1) < 1e-14) break;
  }
  return front * found;
}

/* The t value that a share of the distribution lies below; share above one half. */
function studentQuantile(share, freedom) {
  const below = (t) => 1 - 0.5 * incompleteBeta(freedom / (freedom + t * t), freedom / 2, 0.5);
  let low = 0, high = 1;
  while (below(high) < share) high *= 2;
  for (let k = 0; k < 100; k += 1) {
    const middle = (low + high) / 2;
    if (below(middle) < share) low = middle; else high = middle;
  }
  return (low + high) / 2;
}

/* mean +- t(J - 1) sqrt((1 / J + n_test / n_train) s^2), Nadeau and Bengio. */
function correctedInterval(differences, nTest, nTrain) {
  const folds = differences.length;
  if (folds < 2) return [NaN, NaN];
  const middle = mean(differences);
  const variance = differences.reduce((sum, one) => sum + (one - middle) ** 2, 0) / (folds - 1);
  const half = studentQuantile(0.975, folds - 1) * Math.sqrt((1 / folds + nTest / nTrain) * variance);
  return [middle - half, middle + half];
}

function percentileInterval(draws) {
  const there = draws.filter(Number.isFinite);
  if (!there.length || there.length < (1 - MAX_MISSING) * draws.length) return [NaN, NaN];
  return [quantile(there, 0.025), quantile(there, 0.975)];
}

function wider(corrected, bootstrap) {
  if (Number.isNaN(bootstrap[0]) || Number.isNaN(corrected[0])) return bootstrap;
  return corrected[1] - corrected[0] > bootstrap[1] - bootstrap[0] ? corrected : bootstrap;
}

/* The mean over folds in each draw, folds by draws; NaN in all where more than a fifth of the values are missing. */
function meanOverFolds(values) {
  const all = values.flat(), missing = all.filter(Number.isNaN).length;
  return values[0].map((_, r) => {
    const there = values.map((fold) => fold[r]).filter((one) => !Number.isNaN(one));
    return missing > MAX_MISSING * all.length || !there.length ? NaN : mean(there);
  });
}

/* Ours less theirs. points: a value for each fold; draws: for each fold a value for each draw. */
function contrast(ours, theirs, nTest, nTrain) {
  const points = ours.points.map((own, j) => own - theirs.points[j]);
  const draws = ours.draws.map((own, j) => own.map((value, r) => value - theirs.draws[j][r]));
  const none = (values) => {
    const known = values.filter(Number.isFinite);
    return known.length > 0 && known.every((own) => Math.abs(own) < ROUNDING);
  };
  const same = none(points) && none(draws.flat()), known = points.filter(Number.isFinite);
  if (!known.length || known.length < (1 - MAX_MISSING) * points.length) return { ...UNKNOWN, same };
  const [low, high] = wider(correctedInterval(known, nTest, nTrain), percentileInterval(meanOverFolds(draws)));
  return Number.isNaN(low) ? { ...UNKNOWN, same } : { mean: mean(known), low, high, same };
}

const bounded = (own) => [own.mean, own.low, own.high].every(Number.isFinite);
const aboveZero = (own) => bounded(own) && !own.same && own.low > 0;
const small = (own, other, margin) => {
  const asked = own.same ? other : own;
  return bounded(asked) && asked.high < margin;
};

/* The word, and the name of the rule that decided it. */
function decide(evidence) {
  const { total, coverage, combining, beyond, fixed, leaks, tooFew, margin } = evidence;
  const nextTotal = evidence.nextTotal || UNKNOWN, nextCombining = evidence.nextCombining || UNKNOWN;
  if (leaks) return [CANNOT_TELL, "leak"];
  const more = bounded(coverage) && !coverage.same && coverage.low > 0;
  if (tooFew) return [more ? PREDICTS_MORE : CANNOT_TELL, "too few"];
  if (small(total, nextTotal, margin)) return [DOES_NOT_PAY, "total"];
  const noCoverage = coverage.same || (bounded(coverage) && coverage.high < margin);
  if (small(combining, nextCombining, margin) && noCoverage) return [DOES_NOT_PAY, "parts"];
  const asked = [
    ["not estimable", Number.isFinite(total.mean)],
    ["no interval", total.same || bounded(total)],
    ["total", aboveZero(total)],
    ["combining", aboveZero(combining)],
    ["presence", aboveZero(beyond)],
    ["fixed", Number.isFinite(fixed.mean) && fixed.mean > 0],
  ];
  const obstacle = asked.find(([, holds]) => !holds);
  if (!obstacle) return [PAYS, "gain"];
  return [more ? PREDICTS_MORE : CANNOT_TELL, obstacle[0]];
}

const roundedUp = (number) => {
  const unit = Math.trunc(10 ** Math.max(0, Math.floor(Math.log10(number)) - 1));
  return Math.ceil(number / unit) * unit;
};

/* n ((z_.975 + z_.8) h / (z_.975 gain))^2: patients that would settle it, [fewest, most], or null. */
function patientsToSettle(contrasts, margin, patients) {
  const ask = (1.959963984540054 + 0.8416212335729143) / 1.959963984540054;
  let fewest = 0, most = 0;
  for (const own of contrasts) {
    if (!bounded(own) || own.same || !(margin > 0 && margin < own.high)) return null;
    const half = Math.max(own.mean - own.low, own.high - own.mean);
    fewest = Math.max(fewest, patients * (ask * half / own.high) ** 2);
    most = Math.max(most, patients * (ask * half / margin) ** 2);
  }
  if (!contrasts.length || most > 1e9) return null;
  return [roundedUp(Math.max(fewest, patients + 1)), roundedUp(Math.max(most, patients + 1))];
}

const verdictRule = { contrast, decide, patientsToSettle, aboveZero, mean };
if (typeof module !== "undefined") module.exports = verdictRule;
else window.verdictRule = verdictRule;
