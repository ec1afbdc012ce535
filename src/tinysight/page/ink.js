// Finds one drawn character in a grey picture and places it as MNIST's authors did; knows nothing of files.
//
// Follows Tinysight's ink.py function by function, with the same names and figures; the reasons are told there.

import { findCharacter } from "./components.js";
import { BICUBIC, reduce, resize, roundEven } from "./resize.js";
import { centreOfMass, edgeOf, mean, median, percentile, solve, sum } from "./statistics.js";

const BOX_SHARE = 20 / 28;
const WORKING_SIDE = 400;
const MIN_CONTRAST = 12;
const MIN_PIXELS = 8;
const FAINT = 0.7;
const SOFT_EDGE = 0.1;
const NOISE_LEVELS = 4;
const [THINNEST, THICKEST] = [2.3, 3.8];
const BLANK = "no ink found: the picture is blank";
const SEVERAL = "more than one character: cut it to one";

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Returns {pixels, fault}: uint8 height × width, white ink on black, and what is wrong with the picture, or "".
export function frameInk(grey, height, width) {
  if (isFramed(grey, height, width)) return { pixels: Uint8Array.from(grey.values), fault: "" };
  const ink = extractInk(reduced(grey));
  const noise = 1.4826 * median(ink.values.map(Math.abs));
  const threshold = Math.max(otsuThreshold(ink.values.map((value) => Math.max(value, 0))), NOISE_LEVELS * noise);
  const faint = Math.max(threshold * FAINT, NOISE_LEVELS * noise);
  const { mask: pieces, isSeveral } = findCharacter(above(ink, faint));
  const mask = { ...pieces, values: pieces.values.map((isInk, i) => isInk & (ink.values[i] > threshold)) };
  const inked = ink.values.filter((_, i) => mask.values[i]);
  if (inked.length < MIN_PIXELS || mean(inked) < MIN_CONTRAST) {
    return { pixels: new Uint8Array(height * width), fault: BLANK };
  }
  const strength = strengthOf(ink, grown(pieces), threshold / 3, percentile(inked, 75));
  const boxSide = roundEven(Math.min(height, width) * BOX_SHARE);
  const box = boxAround(strength);
  const strokes = usableStrokes(cut(strength, ...box), cut(mask, ...box));
  return { pixels: centred(scaled(strokes, boxSide), height, width), fault: isSeveral ? SEVERAL : "" };
}

function above(grid, level) {
  return { ...grid, values: Uint8Array.from(grid.values, (value) => value > level) };
}

function strengthOf(ink, mask, faintest, level) {
  const span = Math.max(level - faintest, 1);
  return { ...ink, values: ink.values.map((value, i) => clip((value - faintest) / span, 0, 1) * mask.values[i]) };
}

function isFramed(grey, height, width) {
  if (grey.rows !== height || grey.columns !== width || !grey.values.some((value) => value > 0)) return false;
  const { row, column } = centreOfMass(grey);
  return mean(edgeOf(grey)) < 8 && Math.abs(row - height / 2) < 0.55 && Math.abs(column - width / 2) < 0.55;
}

function extractInk(grey) {
  const middle = median(edgeOf(grey));
  let residual = grey.values.map((value) => value - middle);
  const hasSmoothSides = Math.min(grey.rows, grey.columns) >= 32;
  for (let round = 0; round < (hasSmoothSides ? 3 : 0); round++) {
    const spread = Math.max(median(residual.map(Math.abs)) * 3, 8);
    const paper = Uint8Array.from(residual, (value) => Math.abs(value) < spread);
    if (sum(paper) < Math.floor(grey.values.length / 4)) break;
    residual = withoutSurface(grey, paper);
  }
  const cubes = residual.reduce((total, value) => total + value ** 3, 0);
  return { ...grey, values: cubes > 0 ? residual : residual.map((value) => -value) };
}

// Fits a quadratic surface to the paper and returns what departs from it.
function withoutSurface({ rows, columns, values }, paper) {
  const matrix = Array.from({ length: 6 }, () => new Float64Array(6));
  const right = new Float64Array(6);
  const terms = surfaceTerms(rows, columns);
  for (let i = 0; i < values.length; i++) {
    if (!paper[i]) continue;
    const term = terms(i);
    for (let a = 0; a < 6; a++) {
      right[a] += term[a] * values[i];
      for (let b = 0; b < 6; b++) matrix[a][b] += term[a] * term[b];
    }
  }
  const coefficients = solve(matrix, right);
  return values.map((value, i) => {
    const term = terms(i);
    let paperHere = 0;
    for (let a = 0; a < 6; a++) paperHere += coefficients[a] * term[a];
    return value - paperHere;
  });
}

function surfaceTerms(rows, columns) {
  const term = new Float64Array(6).fill(1); // the same array each time
  return (i) => {
    const y = (2 * Math.floor(i / columns)) / (rows - 1) - 1;
    const x = (2 * (i % columns)) / (columns - 1) - 1;
    term[1] = x;
    term[2] = y;
    term[3] = x * x;
    term[4] = x * y;
    term[5] = y * y;
    return term;
  };
}

function reduced(grey) {
  const factor = Math.ceil(Math.max(grey.rows, grey.columns) / WORKING_SIDE);
  return factor === 1 ? grey : reduce(grey, factor);
}

function otsuThreshold(values) {
  const bins = 128;
  let low = values.reduce((least, value) => Math.min(least, value), Infinity);
  let high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const counts = new Float64Array(bins);
  for (const value of values) counts[Math.min(bins - 1, Math.floor(((value - low) / (high - low)) * bins))] += 1;
  const edge = (number) => low + ((high - low) * number) / bins;
  const total = values.length;
  const totalMass = counts.reduce((mass, count, bin) => mass + (count * (edge(bin) + edge(bin + 1))) / 2, 0);
  let [below, mass, best, bestBin] = [0, 0, 0, 0];
  counts.forEach((count, bin) => {
    below += count;
    mass += (count * (edge(bin) + edge(bin + 1))) / 2;
    if (below === 0 || below === total) return;
    const between = below * (total - below) * (mass / below - (totalMass - mass) / (total - below)) ** 2;
    if (between > best) [best, bestBin] = [between, bin];
  });
  return edge(bestBin + 1);
}

function grown({ rows, columns, values }) {
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

// Returns top, bottom, left and right of what can be seen.
function boxAround(strength) {
  let [top, bottom, left, right] = [strength.rows, 0, strength.columns, 0];
  strength.values.forEach((value, i) => {
    if (value <= SOFT_EDGE) return;
    const row = Math.floor(i / strength.columns);
    top = Math.min(top, row);
    bottom = Math.max(bottom, row + 1);
    left = Math.min(left, i % strength.columns);
    right = Math.max(right, (i % strength.columns) + 1);
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

function strokeWidth({ rows, columns, values }) {
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

function usableStrokes(strength, mask) {
  const [longerSide, width] = [Math.max(strength.rows, strength.columns), strokeWidth(mask)];
  if (width < (THINNEST / 20) * longerSide) {
    const radius = ((THINNEST / 20) * longerSide - width) / (1 - THINNEST / 20) / 2;
    return thickened(withMargin(strength, Math.ceil(radius)), radius);
  }
  const radius = Math.max(width - (THICKEST / 20) * longerSide, 0) / 2;
  const inverse = (grid) => ({ ...grid, values: grid.values.map((value) => 1 - value) });
  return withMargin(inverse(thickened(inverse(withMargin(strength, 1)), radius)), -1);
}

// Adds empty rows and columns on each side, or takes some away.
function withMargin(grid, margin) {
  return cut(grid, -margin, grid.rows + margin, -margin, grid.columns + margin);
}

function thickened(strength, radius) {
  let result = strength;
  for (let step = 0; radius > 0.05; step++, radius -= 1) {
    const before = result;
    const rows = highest(before, 1, 0);
    const most = step % 2 ? highest(rows, 0, 1) : eachHigher(rows, highest(before, 0, 1)); // an octagon in the end
    const share = Math.min(radius, 1);
    result = { ...before, values: before.values.map((value, i) => value + share * (most.values[i] - value)) };
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
  return { ...one, values: one.values.map((value, i) => Math.max(value, other.values[i])) };
}

function scaled(strength, boxSide) {
  const scale = boxSide / Math.max(strength.rows, strength.columns);
  const rows = Math.max(1, roundEven(strength.rows * scale));
  const columns = Math.max(1, roundEven(strength.columns * scale));
  const result = resize(strength, rows, columns, BICUBIC);
  const values = result.values.map((value) => Math.max(value, 0));
  const peak = Math.max(percentile(values, 97), 1e-3);
  return { rows, columns, values: values.map((value) => Math.min(value / peak, 1)) };
}

function centred(strength, height, width) {
  const { row, column } = centreOfMass(strength);
  const top = clip(roundEven(height / 2 - row), 0, height - strength.rows);
  const left = clip(roundEven(width / 2 - column), 0, width - strength.columns);
  const framed = new Uint8Array(height * width);
  for (let y = 0; y < strength.rows; y++) {
    for (let x = 0; x < strength.columns; x++) {
      framed[(top + y) * width + left + x] = roundEven(strength.values[y * strength.columns + x] * 255);
    }
  }
  return framed;
}
