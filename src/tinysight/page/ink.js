// Finds one drawn character in a grey picture, and scales and centres it as MNIST's authors did.
//
// Follows Tinysight's ink.py function by function, with the same names and constants, whose reasons are given there.
// tests/page/test_port.py compares both. A grid is {rows, columns, values}.

import { ROUNDING, extractInk, noiseOf, otsuThreshold, withoutFrame } from "./background.js";
import { findCharacter, strokeWidth } from "./components.js";
import { cut, edgeOf, mapped, maskOf, withMargin } from "./grid.js";
import { BICUBIC, FLOATS, reduce, resize, roundEven } from "./resize.js";
import { mean, moments, percentile, sum } from "./statistics.js";

export const BOX_SHARE = 20 / 28;
export const WORKING_SIDE = 400;
export const MIN_CONTRAST = 12;
export const MIN_PIXELS = 8;
export const FRAMED_EDGE_LEVEL = 10;
export const DOT_SIDE = 0.1;
export const DOT_FILL = 0.6;
export const FAINT = 0.7;
export const SOFT_EDGE = 0.1;
export const NOISE_LEVELS = 4;
export const THINNEST = 2.3;
export const THICKEST = 3.8;
export const BLANK = "no ink found: the picture is blank";
export const NOTHING = "no drawn character found on an even background";
export const DOT = "no character found, only a dot of ink";
export const SEVERAL = "more than one character: cut it to one";

const clip = (value, low, high) => Math.min(Math.max(value, low), high);

// Returns {pixels, fault}: uint8 height × width, white ink on black, and what is wrong with the picture, or "".
export function frameInk(grey, height, width) {
  if (grey.rows === height && grey.columns === width && isFramed(grey)) {
    return { pixels: Uint8Array.from(grey.values), fault: "" };
  }
  // 1. and 2. Subtract the background, and find the components of ink that make up the character
  const { ink, threshold, faint, character, mask, isSeveral } = findInk(grey);
  const inked = ink.values.filter((_, i) => mask.values[i]);
  if (inked.length < MIN_PIXELS || mean(inked) < MIN_CONTRAST) {
    const found = inked.length && faint < threshold ? DOT : NOTHING;
    return { pixels: new Uint8Array(height * width), fault: rangeOf(grey) < MIN_CONTRAST ? BLANK : found };
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
  return { pixels: centred(drawn, height, width), fault: isSeveral ? SEVERAL : isDot(mask) ? DOT : "" };
}

// Finds the ink of one character: how strong it is, what it exceeds, and where it is.
function findInk(grey) {
  const ink = extractInk(withoutFrame(reduced(grey)));
  const { threshold, faint } = thresholds(ink);
  const { mask: character, isSeveral } = findCharacter(maskOf(ink, (value) => value > faint));
  const mask = { ...character, values: character.values.map((isInk, i) => isInk & (ink.values[i] > threshold)) };
  return { ink, threshold, faint, character, mask, isSeveral };
}

function rangeOf({ values }) {
  return values.reduce((a, b) => Math.max(a, b)) - values.reduce((a, b) => Math.min(a, b));
}

// Tells whether an image of the right size is framed already; are_framed() in Python, of many.
export function isFramed(grey) {
  const { mass, rowMoment, columnMoment } = moments(grey);
  const hasDarkEdge = mass > 0 && mean(edgeOf(grey)) < FRAMED_EDGE_LEVEL && mass < 0.5 * 255 * grey.rows * grey.columns;
  const rowDistance = Math.abs(rowMoment - (mass * grey.rows) / 2);
  const columnDistance = Math.abs(columnMoment - (mass * grey.columns) / 2);
  return hasDarkEdge && rowDistance < 0.55 * mass && columnDistance < 0.55 * mass;
}

// Shrinks a large picture by a whole factor.
export function reduced(grey) {
  const factor = Math.ceil(Math.max(grey.rows, grey.columns) / WORKING_SIDE);
  return factor === 1 ? grey : reduce(grey, factor);
}

// Returns {threshold, faint}: levels that the ink of a character exceeds, and faint ink that holds strokes together.
export function thresholds(ink) {
  const split = otsuThreshold(mapped(ink, (value) => Math.max(value, 0)));
  let noise = NOISE_LEVELS * noiseOf(ink, maskOf(ink, (value) => value < split));
  if (noise > split) {
    const first = noise;
    noise = NOISE_LEVELS * noiseOf(ink, maskOf(ink, (value) => value < first));
  }
  const threshold = Math.max(split, noise);
  return { threshold, faint: Math.max(threshold * FAINT, noise) };
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
  const least = Math.min(SOFT_EDGE, peak / 2) + ROUNDING; // half the peak, so that a faint blob has a box as well
  return boxOf(maskOf(strength, (value) => value > least));
}

function boxOf(mask) {
  let [top, bottom, left, right] = [mask.rows, 0, mask.columns, 0];
  mask.values.forEach((isInside, i) => {
    if (!isInside) return;
    const [row, column] = [Math.floor(i / mask.columns), i % mask.columns];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
  });
  return [top, bottom, left, right];
}

// Tells whether a mask is small, solid and about as wide as high.
export function isDot(mask) {
  const [top, bottom, left, right] = boxOf(mask);
  const side = Math.max(bottom - top, right - left);
  return side <= DOT_SIDE * Math.min(mask.rows, mask.columns) && sum(mask.values) > DOT_FILL * side ** 2;
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
