// Finds the background of a picture of one character, and subtracts it: what is left is ink.
//
// Follows Tinysight's background.py function by function, with the same names and constants, whose reasons are given
// there. tests/page/test_port.py compares both. A grid is {rows, columns, values}.

import { cut, edgeOf, mapped, maskOf, withMargin } from "./grid.js";
import { reduce, roundEven } from "./resize.js";
import { mean, median, solve, sum } from "./statistics.js";

export const FRAME = 0.06;
export const FRAME_SPREAD = 24;
export const FRAME_CONTRAST = 48;
export const ENCLOSED = 0.75;
export const MIN_FRAMED_SIDE = 6;
export const SURFACE_SIDE = 64;
export const MIN_SURFACE_SIDE = 32;
export const MAX_FITS = 3;
export const MAX_SPLITS = 6;
export const PENALTIES = { 1: 1, 3: 1.2, 6: 1.5 };
export const SPARSE_PENALTY = 1.2;
export const RIDGE = 1e-6;
export const ROW_POWERS = [0, 0, 1, 0, 1, 2];
export const COLUMN_POWERS = [0, 1, 0, 2, 1, 0];
export const ROUNDING = 2 ** -20;
export const HISTOGRAM_BINS = 128;
export const TIE = 1e-9;
export const MIN_NOISE_PIXELS = 32;

// Cuts off a frame of even colour along all four edges that differs from nearly all that it encloses.
export function withoutFrame(grey) {
  const shorterSide = Math.min(grey.rows, grey.columns);
  const thickest = Math.max(1, roundEven(FRAME * shorterSide));
  for (let thickness = 1; thickness <= thickest; thickness++) {
    if (shorterSide < 2 * thickness + MIN_FRAMED_SIDE) break;
    const [outer, inside] = [edgeOf(grey, thickness - 1), edgeOf(grey, thickness)];
    const level = median(outer);
    if (outer.some((value) => Math.abs(value - level) > FRAME_SPREAD)) break;
    const differs = inside.map((value) => Math.abs(value - level) > FRAME_CONTRAST);
    if (mean(differs) > ENCLOSED) return withMargin(grey, -thickness);
  }
  return grey;
}

// Returns how much each pixel differs from the background, in grey levels, above 0 for ink, lighter or darker.
export function extractInk(grey) {
  const [shorter, longer] = [Math.min(grey.rows, grey.columns), Math.max(grey.rows, grey.columns)];
  const factor = Math.max(Math.min(Math.ceil(longer / SURFACE_SIDE), Math.floor(shorter / MIN_SURFACE_SIDE)), 1);
  const small = factor === 1 ? grey : reduce(grey, factor);
  // Fit surfaces in several ways; the one that leaves the least unexplained, for its number of terms, is right
  const splits = belowDenseInk(small);
  const penalties = splits.map(({ coefficients }) => PENALTIES[coefficients.length]);
  if (Math.min(small.rows, small.columns) >= MIN_SURFACE_SIDE) {
    splits.unshift(split(small, belowSparseInk(small)));
    penalties.unshift(SPARSE_PENALTY);
  }
  const unexplained = splits.map(({ residual, isLight }, i) => penalties[i] * spread(residual, isLight));
  const least = Math.min(...unexplained) + ROUNDING;
  const { coefficients, residual, isLight } = splits[unexplained.findIndex((one) => one <= least)];
  // Decide whether light or dark pixels are ink
  const isDarkInk = isBackground(isLight);
  const background = residual.values.filter((_, i) => isLight.values[i] === Number(isDarkInk));
  const level = background.length ? median(background) : 0;
  const { values: below } = surface(coefficients, grey.rows, grey.columns);
  const sign = isDarkInk ? -1 : 1;
  return mapped(grey, (value, i) => sign * toMultiple(value - below[i] - level));
}

// Rounds to a multiple of ROUNDING; _rounded() in Python, of many values.
function toMultiple(value) {
  return roundEven(value / ROUNDING) * ROUNDING;
}

// Splits what a surface leaves of the values: {coefficients, residual, isLight}.
function split(grid, coefficients) {
  const { values: below } = surface(coefficients, grid.rows, grid.columns);
  const residual = mapped(grid, (value, i) => toMultiple(value - below[i]));
  const threshold = otsuThreshold(residual);
  return { coefficients, residual, isLight: maskOf(residual, (value) => value > threshold) };
}

// Tells whether the light pixels are the background: they have most of the edge, of the corners, and of the whole.
export function isBackground(isLight) {
  const { rows, columns, values } = isLight;
  const side = Math.max(1, roundEven(Math.min(rows, columns) / 10));
  const [height, width] = [Math.min(side, rows), Math.min(side, columns)];
  const corners = [0, rows - height].flatMap((top) =>
    [0, columns - width].map((left) => mean(cut(isLight, top, top + height, left, left + width).values)),
  );
  return mean(edgeOf(isLight)) + mean(corners) + mean(values) > 1.5 + ROUNDING;
}

// Returns the standard deviation of light and dark pixels around their own means.
export function spread(residual, isLight) {
  const parts = [0, 1].map((side) => residual.values.filter((_, i) => isLight.values[i] === side));
  const squares = parts.filter((part) => part.length).map((part) => {
    const middle = mean(part);
    return sum(part.map((value) => (value - middle) ** 2));
  });
  return Math.sqrt(sum(squares) / residual.values.length);
}

// Fits a quadratic surface to all pixels but those far from it, again and again, from the median of the edge on.
export function belowSparseInk(grid) {
  let coefficients = Float64Array.of(median(edgeOf(grid)), 0, 0, 0, 0, 0);
  for (let fits = 0; fits < MAX_FITS; fits++) {
    const { values: below } = surface(coefficients, grid.rows, grid.columns);
    const distance = grid.values.map((value, i) => Math.abs(value - below[i]));
    const farthest = Math.max(median(distance) * 3, 8) - ROUNDING;
    const isNear = maskOf({ ...grid, values: distance }, (value) => value < farthest);
    if (sum(isNear.values) < Math.floor(distance.length / 4)) break;
    coefficients = fit(grid, 6, isNear);
  }
  return coefficients;
}

// Fits surfaces of 1, 3 and 6 terms below light and dark pixels at once, that are a step apart.
export function belowDenseInk(grid) {
  const [flat, sloping] = [split(grid, new Float64Array(1)), split(grid, fit(grid, 3))];
  const starts = areEqual(flat.isLight, sloping.isLight) ? [flat] : [flat, sloping];
  const numTerms = Math.min(grid.rows, grid.columns) >= MIN_SURFACE_SIDE ? [3, 6] : [3];
  return [flat, ...numTerms.flatMap((terms) => starts.map(({ isLight }) => fitBelow(grid, isLight, terms)))];
}

function areEqual(grid, other) {
  return grid.values.every((value, i) => value === other.values[i]);
}

// Fits a surface below light and dark pixels, splits them anew, and so on until nothing changes.
export function fitBelow(grid, isLight, numTerms) {
  let [found, before] = [null, isLight];
  for (let splits = 0; splits < MAX_SPLITS; splits++) {
    found = split(grid, fit(grid, numTerms, null, before));
    if (areEqual(found.isLight, before)) break;
    before = found.isLight;
  }
  return found;
}

// Returns the coefficients of the surface in row and column that fits best (least squares).
export function fit(grid, numTerms, isNear = null, isRaised = null) {
  const [rowPowers, columnPowers] = [powers(grid.rows), powers(grid.columns)];
  const terms = ROW_POWERS.slice(0, numTerms).map((rowPower, term) => [rowPower, COLUMN_POWERS[term]]);
  // Sums of row^i * column^j, alone and times the pixel's value
  const weightOf = isNear ? (i) => isNear.values[i] : () => 1;
  const moments = powerSums(rowPowers, columnPowers, 5, weightOf);
  const products = powerSums(rowPowers, columnPowers, 3, (i) => grid.values[i] * weightOf(i));
  const matrix = terms.map(([i, j]) => terms.map(([k, l]) => moments[i + k][j + l]));
  const right = terms.map(([i, j]) => products[i][j]);
  if (isRaised) {
    // One more unknown, the step
    const sums = powerSums(rowPowers, columnPowers, 3, (i) => isRaised.values[i]);
    const raised = terms.map(([i, j]) => sums[i][j]);
    matrix.forEach((row, term) => row.push(raised[term]));
    matrix.push([...raised, sum(isRaised.values)]);
    right.push(sum(grid.values.filter((_, i) => isRaised.values[i])));
  }
  matrix.forEach((row, i) => (row[i] += RIDGE * grid.values.length));
  return Float64Array.from(solve(matrix, right)).subarray(0, numTerms);
}

// Returns the sums of row^i * column^j for powers below `size`, times what `weightOf` gives for each pixel's index.
function powerSums(rowPowers, columnPowers, size, weightOf) {
  const sums = emptyMatrix(size);
  const columns = columnPowers.length;
  for (let row = 0; row < rowPowers.length; row++) {
    const inRow = new Float64Array(size);
    for (let column = 0; column < columns; column++) {
      const weight = weightOf(row * columns + column);
      if (weight) for (let j = 0; j < size; j++) inRow[j] += columnPowers[column][j] * weight;
    }
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) sums[i][j] += rowPowers[row][i] * inRow[j];
  }
  return sums;
}

function emptyMatrix(size) {
  return Array.from({ length: size }, () => new Float64Array(size));
}

// Returns the powers 0 to 4 of `length` numbers from -1 to 1.
function powers(length) {
  return Array.from({ length }, (_, i) => {
    const x = length > 1 ? (2 * i) / (length - 1) - 1 : -1;
    return Float64Array.of(1, x, x ** 2, x ** 3, x ** 4);
  });
}

// Returns the surface with these coefficients.
export function surface(coefficients, rows, columns) {
  const square = emptyMatrix(3);
  coefficients.forEach((coefficient, term) => (square[ROW_POWERS[term]][COLUMN_POWERS[term]] = coefficient));
  const [rowPowers, columnPowers] = [powers(rows), powers(columns)];
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const inRow = (j) => sum(square.map((line, i) => line[j] * rowPowers[row][i]));
    const [flat, linear, quadratic] = [inRow(0), inRow(1), inRow(2)];
    for (let column = 0; column < columns; column++) {
      const [, x, xSquared] = columnPowers[column];
      values[row * columns + column] = flat + linear * x + quadratic * xSquared;
    }
  }
  return { rows, columns, values };
}

// Returns the standard deviation of the background's noise, in grey levels, if it is normally distributed.
export function noiseOf(ink, isPaper) {
  const step = 1 + Math.floor(Math.min(ink.rows, ink.columns) / 100);
  const found = new Float64Array(2 * ink.values.length);
  let count = 0;
  for (const [down, across] of [[step, 0], [0, step]]) {
    const next = down * ink.columns + across;
    for (let row = down; row < ink.rows - down; row += step) {
      for (let column = across; column < ink.columns - across; column += step) {
        const i = row * ink.columns + column;
        if (!isPaper.values[i - next] || !isPaper.values[i] || !isPaper.values[i + next]) continue;
        found[count++] = Math.abs(ink.values[i - next] - 2 * ink.values[i] + ink.values[i + next]);
      }
    }
  }
  return count < MIN_NOISE_PIXELS ? 0 : (1.4826 * median(found.subarray(0, count))) / Math.sqrt(6);
}

// Returns the level that best splits values in two groups (Otsu); of equal values none is above it.
export function otsuThreshold({ values }) {
  const [low, high] = [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
  if (high - low < ROUNDING) return high;
  // Count values in bins
  const step = (high - low) / HISTOGRAM_BINS;
  const counts = new Float64Array(HISTOGRAM_BINS);
  for (const value of values) counts[Math.floor(Math.min((value - low) / step, HISTOGRAM_BINS - 1))] += 1;
  // Find the first split with the largest variance between its two groups
  const sums = counts.map((number, bin) => number * (low + (bin + 0.5) * step));
  const total = sum(sums);
  let [below, mass] = [0, 0];
  const between = counts.subarray(0, -1).map((number, bin) => {
    below += number;
    mass += sums[bin];
    const above = values.length - below;
    return below * above * (mass / below - (total - mass) / above) ** 2;
  });
  const largest = between.reduce((a, b) => Math.max(a, b));
  return low + (between.findIndex((variance) => variance >= (1 - TIE) * largest) + 1) * step;
}
