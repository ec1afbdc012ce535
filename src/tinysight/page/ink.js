// Finds one drawn character in a grey picture, and scales and centres it as MNIST's authors did.
//
// Follows Tinysight's ink.py function by function, with the same names and constants, whose reasons are given there.
// tests/page/test_port.py compares both. A grid is {rows, columns, values}.

import { findCharacter } from "./components.js";
import { BICUBIC, FLOATS, reduce, resize, roundEven } from "./resize.js";
import { edgeOf, mean, median, moments, percentile, solve, sum } from "./statistics.js";

export const BOX_SHARE = 20 / 28;
export const WORKING_SIDE = 400;
export const MIN_SURFACE_SIDE = 32;
export const MAX_FITS = 3;
export const MIN_CONTRAST = 12;
export const MIN_PIXELS = 8;
export const FAINT = 0.7;
export const SOFT_EDGE = 0.1;
export const ROUNDING = 1e-6;
export const NOISE_LEVELS = 4;
export const THINNEST = 2.3;
export const THICKEST = 3.8;
export const BLANK = "no ink found: the picture is blank";
export const SEVERAL = "more than one character: cut it to one";
export const ROW_POWERS = [0, 0, 1, 0, 1, 2];
export const COLUMN_POWERS = [0, 1, 0, 2, 1, 0];

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Returns {pixels, fault}: uint8 height × width, white ink on black, and what is wrong with the picture, or "".
export function frameInk(grey, height, width) {
  if (grey.rows === height && grey.columns === width && isFramed(grey)) {
    return { pixels: Uint8Array.from(grey.values), fault: "" };
  }
  // 1. Subtract the background: what is left is ink and noise
  const ink = extractInk(reduced(grey));
  // 2. Find the components of ink that make up the character
  const noise = 1.4826 * median(ink.values.map(Math.abs));
  const threshold = Math.max(otsuThreshold(mapped(ink, (value) => Math.max(value, 0))), NOISE_LEVELS * noise);
  const faint = Math.max(threshold * FAINT, NOISE_LEVELS * noise);
  const { mask: character, isSeveral } = findCharacter(maskOf(ink, (value) => value > faint));
  const mask = { ...character, values: character.values.map((isInk, i) => isInk & (ink.values[i] > threshold)) };
  const inked = ink.values.filter((_, i) => mask.values[i]);
  if (inked.length < MIN_PIXELS || mean(inked) < MIN_CONTRAST) {
    return { pixels: new Uint8Array(height * width), fault: BLANK };
  }
  const fullStrength = percentile(inked, 75);
  const faintest = threshold / 3;
  const span = Math.max(fullStrength - faintest, 1);
  const { values: isNear } = dilated(character);
  const strength = mapped(ink, (value, i) => clip((value - faintest) / span, 0, 1) * isNear[i]);
  // 3. Bring strokes to a usual width
  const box = boundingBox(strength);
  const strokes = usableStrokes(cut(strength, ...box), cut(mask, ...box));
  // 4. Scale the character to its box
  const drawn = scaled(strokes, roundEven(Math.min(height, width) * BOX_SHARE));
  // 5. Put its centre of mass in the middle
  return { pixels: centred(drawn, height, width), fault: isSeveral ? SEVERAL : "" };
}

function mapped(grid, change) {
  return { ...grid, values: grid.values.map(change) };
}

function maskOf(grid, isInside) {
  const values = new Uint8Array(grid.values.length);
  for (let i = 0; i < values.length; i++) values[i] = isInside(grid.values[i]);
  return { ...grid, values };
}

// Tells whether an image of the right size is framed already; are_framed() in Python, of many.
export function isFramed(grey) {
  const { mass, rowMoment, columnMoment } = moments(grey);
  const hasDarkEdge = mass > 0 && mean(edgeOf(grey)) < 8;
  const rowDistance = Math.abs(rowMoment - (mass * grey.rows) / 2);
  const columnDistance = Math.abs(columnMoment - (mass * grey.columns) / 2);
  return hasDarkEdge && rowDistance < 0.55 * mass && columnDistance < 0.55 * mass;
}

// Returns how much each pixel differs from the background, in grey levels, above 0 for ink, lighter or darker.
export function extractInk(grey) {
  // Start from the median of the picture's edge
  const middle = median(edgeOf(grey));
  let residual = mapped(grey, (value) => value - middle);
  // Fit the surface to what is close to it, again and again
  const isLarge = Math.min(grey.rows, grey.columns) >= MIN_SURFACE_SIDE;
  for (let fit = 0; fit < (isLarge ? MAX_FITS : 0); fit++) {
    const spread = Math.max(median(residual.values.map(Math.abs)) * 3, 8) - ROUNDING;
    const isBackground = maskOf(residual, (value) => Math.abs(value) < spread);
    if (sum(isBackground.values) < Math.floor(grey.values.length / 4)) break;
    const surface = fitSurface(grey, isBackground);
    residual = mapped(grey, (value, i) => value - surface.values[i]);
  }
  // Ink is what departs far from the background: the third power weighs it more than any noise
  const isLighter = mean(residual.values.map((value) => value * value * value)) > ROUNDING;
  return isLighter ? residual : mapped(residual, (value) => -value);
}

// Returns the quadratic surface in row and column that fits the background's pixels best (least squares).
export function fitSurface(grey, isBackground) {
  const { rows, columns } = grey;
  const [rowPowers, columnPowers] = [powers(rows), powers(columns)];
  // Sums over the background of row^i * column^j, alone and times the pixel's value
  const [sums, products] = [emptyMatrix(5), emptyMatrix(3)];
  for (let row = 0; row < rows; row++) {
    const [rowSums, rowProducts] = [new Float64Array(5), new Float64Array(3)];
    for (let column = 0; column < columns; column++) {
      const i = row * columns + column;
      if (!isBackground.values[i]) continue;
      for (let j = 0; j < 5; j++) rowSums[j] += columnPowers[column][j];
      for (let j = 0; j < 3; j++) rowProducts[j] += columnPowers[column][j] * grey.values[i];
    }
    addOuter(sums, rowPowers[row], rowSums);
    addOuter(products, rowPowers[row], rowProducts);
  }
  // Normal equations for the coefficients of the six terms
  const terms = ROW_POWERS.map((rowPower, term) => [rowPower, COLUMN_POWERS[term]]);
  const matrix = terms.map(([i, j]) => terms.map(([k, l]) => sums[i + k][j + l]));
  const right = terms.map(([i, j]) => products[i][j]);
  const solved = solve(matrix, right);
  const coefficients = emptyMatrix(3);
  terms.forEach(([i, j], term) => (coefficients[i][j] = solved[term]));
  return surfaceOf(coefficients, rowPowers, columnPowers);
}

function emptyMatrix(size) {
  return Array.from({ length: size }, () => new Float64Array(size));
}

// Adds the product of one[i] and other[j] to matrix[i][j].
function addOuter(matrix, one, other) {
  matrix.forEach((row, i) => row.forEach((_, j) => (row[j] += one[i] * other[j])));
}

function surfaceOf(coefficients, rowPowers, columnPowers) {
  const [rows, columns] = [rowPowers.length, columnPowers.length];
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const inRow = (j) => sum(coefficients.map((line, i) => line[j] * rowPowers[row][i]));
    const [flat, linear, quadratic] = [inRow(0), inRow(1), inRow(2)];
    for (let column = 0; column < columns; column++) {
      const [, x, square] = columnPowers[column];
      values[row * columns + column] = flat + linear * x + quadratic * square;
    }
  }
  return { rows, columns, values };
}

// Returns the powers 0 to 4 of `length` numbers from -1 to 1.
function powers(length) {
  return Array.from({ length }, (_, i) => {
    const x = (2 * i) / (length - 1) - 1;
    return Float64Array.of(1, x, x ** 2, x ** 3, x ** 4);
  });
}

// Shrinks a large picture by a whole factor.
export function reduced(grey) {
  const factor = Math.ceil(Math.max(grey.rows, grey.columns) / WORKING_SIDE);
  return factor === 1 ? grey : reduce(grey, factor);
}

// Returns the level that best splits the values in two groups (Otsu).
export function otsuThreshold({ values }) {
  // Count values in bins, as numpy.histogram() does
  const bins = 128;
  let low = values.reduce((least, value) => Math.min(least, value), Infinity);
  let high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const edges = Array.from({ length: bins + 1 }, (_, bin) => (bin < bins ? low + bin * ((high - low) / bins) : high));
  const counts = new Float64Array(bins);
  for (const value of values) {
    let bin = Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins));
    if (value < edges[bin]) bin -= 1;
    else if (bin < bins - 1 && value >= edges[bin + 1]) bin += 1;
    counts[bin] += 1;
  }
  // Find the split with the largest variance between its two groups
  const masses = counts.map((number, bin) => (number * (edges[bin] + edges[bin + 1])) / 2);
  const totalMass = sum(masses);
  let [below, mass, best, bestBin] = [0, 0, 0, 0];
  counts.forEach((number, bin) => {
    below += number;
    mass += masses[bin];
    const over = values.length - below;
    const between = below * over * (mass / below - (totalMass - mass) / over) ** 2; // NaN where a group is empty
    if (between > best) [best, bestBin] = [between, bin];
  });
  return edges[bestBin + 1];
}

// Returns a mask with the pixels around it, where strokes have their soft edges.
export function dilated({ rows, columns, values }) {
  const result = new Uint8Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (values[row * columns + column]) markAround(result, rows, columns, row, column);
    }
  }
  return { rows, columns, values: result };
}

function markAround(result, rows, columns, row, column) {
  for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, rows - 1); y++) {
    for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, columns - 1); x++) result[y * columns + x] = 1;
  }
}

// Returns top, bottom, left and right of the character: the outermost strokes keep their soft edges, without a margin.
export function boundingBox(strength) {
  const peak = strength.values.reduce((most, value) => Math.max(most, value), 0);
  const least = Math.min(SOFT_EDGE, peak / 2); // half the peak, so that a faint blob has a box as well
  let [top, bottom, left, right] = [strength.rows, 0, strength.columns, 0];
  strength.values.forEach((value, i) => {
    if (value <= least) return;
    const [row, column] = [Math.floor(i / strength.columns), i % strength.columns];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
  });
  return [top, bottom, left, right];
}

// Cuts a box out of a grid; what lies outside of the grid is 0.
function cut(grid, top, bottom, left, right) {
  const [rows, columns] = [bottom - top, right - left];
  const values = new grid.values.constructor(rows * columns);
  for (let row = Math.max(top, 0); row < Math.min(bottom, grid.rows); row++) {
    const [start, end] = [Math.max(left, 0), Math.min(right, grid.columns)];
    const part = grid.values.subarray(row * grid.columns + start, row * grid.columns + end);
    values.set(part, (row - top) * columns + start - left);
  }
  return { rows, columns, values };
}

// Returns the mean width of strokes, in pixels.
export function strokeWidth({ rows, columns, values }) {
  const isInside = (row, column) => row >= 0 && row < rows && column >= 0 && column < columns;
  const at = (row, column) => (isInside(row, column) ? values[row * columns + column] : 0);
  let sides = 0;
  for (let row = 0; row <= rows; row++) {
    for (let column = 0; column <= columns; column++) {
      sides += (at(row, column) !== at(row - 1, column)) + (at(row, column) !== at(row, column - 1));
    }
  }
  return (2 * sum(values)) / ((sides * Math.PI) / 4);
}

// Thickens or thins strokes whose width would be unusual once their character fills the box.
export function usableStrokes(strength, mask) {
  const [longerSide, width] = [Math.max(strength.rows, strength.columns), strokeWidth(mask)];
  if (width < (THINNEST / 20) * longerSide) {
    const radius = ((THINNEST / 20) * longerSide - width) / (1 - THINNEST / 20) / 2;
    return thickened(withMargin(strength, Math.ceil(radius)), radius);
  }
  const radius = Math.max(width - (THICKEST / 20) * longerSide, 0) / 2;
  const inverse = (grid) => mapped(grid, (value) => 1 - value);
  return withMargin(inverse(thickened(inverse(withMargin(strength, 1)), radius)), -1);
}

// Adds rows and columns of 0 on each side, or takes some away.
function withMargin(grid, margin) {
  return cut(grid, -margin, grid.rows + margin, -margin, grid.columns + margin);
}

// Grows strokes by `radius` pixels on each side (grey dilation), a pixel or less at a time.
export function thickened(strength, radius) {
  let result = strength;
  for (let step = 0; radius > 0.05; step++, radius -= 1) {
    const before = result;
    const rows = highest(before, 1, 0);
    const most = step % 2 ? highest(rows, 0, 1) : eachHigher(rows, highest(before, 0, 1)); // in turn: an octagon
    const share = Math.min(radius, 1);
    result = mapped(before, (value, i) => value + share * (most.values[i] - value));
  }
  return result;
}

// Returns the highest of each value and its two neighbours, `down` rows or `across` columns away.
function highest({ rows, columns, values }, down, across) {
  const result = new Float64Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const one = clip(row - down, 0, rows - 1) * columns + clip(column - across, 0, columns - 1);
      const other = clip(row + down, 0, rows - 1) * columns + clip(column + across, 0, columns - 1);
      result[row * columns + column] = Math.max(values[one], values[row * columns + column], values[other]);
    }
  }
  return { rows, columns, values: result };
}

function eachHigher(one, other) {
  return mapped(one, (value, i) => Math.max(value, other.values[i]));
}

// Scales so that the longer side is `boxSide`; the peak becomes 1 again, so that a hair line stays visible.
export function scaled(strength, boxSide) {
  const scale = boxSide / Math.max(strength.rows, strength.columns);
  const rows = Math.max(1, roundEven(strength.rows * scale));
  const columns = Math.max(1, roundEven(strength.columns * scale));
  const result = mapped(resize(strength, rows, columns, BICUBIC, FLOATS), (value) => Math.max(value, 0));
  const peak = Math.max(percentile(result.values, 97), 1e-3);
  return mapped(result, (value) => Math.min(value / peak, 1));
}

// Puts the centre of mass in the middle, as far as the character then stays inside; returns uint8 height × width.
export function centred(strength, height, width) {
  const { mass, rowMoment, columnMoment } = moments(strength);
  // Rounded to 6 digits first, so that halves are rounded alike however sums were computed
  const rounded = (value) => roundEven(Math.round(value * 1e6) / 1e6);
  const top = clip(rounded(height / 2 - rowMoment / mass), 0, height - strength.rows);
  const left = clip(rounded(width / 2 - columnMoment / mass), 0, width - strength.columns);
  const framed = new Uint8Array(height * width);
  for (let y = 0; y < strength.rows; y++) {
    for (let x = 0; x < strength.columns; x++) {
      framed[(top + y) * width + left + x] = roundEven(strength.values[y * strength.columns + x] * 255);
    }
  }
  return framed;
}
