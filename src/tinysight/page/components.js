// Finds the connected components of ink that make up one character.
//
// Follows Tinysight's components.py function by function, with the same names and constants, whose reasons are given
// there. tests/page/test_port.py compares both. A mask is a grid {rows, columns, values} of 0 and 1.

import { maskOf, transposed } from "./grid.js";

export const SPECK = 0.005;
export const DUST = 0.4;
export const LOOSE = 0.05;
export const CLOSE = 0.05;
export const LINE = 0.06;
export const CHARACTER_HEIGHT = 0.5;
export const CHARACTER_PIXELS = 0.25;
export const CHARACTER_GAP = 0.12;

class Component {
  // `runs` are the component's, from top to bottom, each [row, start, end].
  constructor(label, runs) {
    this.label = label;
    this.numPixels = runs.reduce((count, [, start, end]) => count + end - start, 0);
    this.top = runs[0][0];
    this.bottom = runs.at(-1)[0] + 1;
    this.left = runs.reduce((least, [, start]) => Math.min(least, start), Infinity);
    this.right = runs.reduce((most, [, , end]) => Math.max(most, end), 0);
  }

  get height() {
    return this.bottom - this.top;
  }

  get width() {
    return this.right - this.left;
  }

  get longerSide() {
    return Math.max(this.height, this.width);
  }

  isInside(other) {
    const isBetween = other.left <= this.left && this.right <= other.right;
    return isBetween && other.top <= this.top && this.bottom <= other.bottom;
  }

  gapTo(other) {
    const across = Math.max(other.left - this.right, this.left - other.right, 0);
    return Math.max(other.top - this.bottom, this.top - other.bottom, across);
  }
}

const largestOf = (components) => components.reduce((most, one) => (one.numPixels > most.numPixels ? one : most));

// Returns {mask, isSeveral}: the pixels of the character, and whether there is more than one.
export function findCharacter(given) {
  // Drop ruled lines and borders
  const mask = withoutLines(given);
  const { labels, components: all } = labelComponents(mask);
  if (!all.length) return { mask, isSeveral: false };
  const unlined = all.filter((component) => !spans(component, mask));
  const components = unlined.length ? unlined : all;
  // Take the largest component as the character; one that the edge cuts off gives way to a whole one of some size
  let largest = largestOf(components);
  const inner = components.filter((component) => !isCutOff(component, mask));
  if (isCutOff(largest, mask) && inner.length) {
    const candidate = largestOf(inner);
    if (candidate.longerSide >= Math.min(mask.rows, mask.columns) / 4) largest = candidate;
  }
  // Keep what belongs to it
  const dust = DUST * strokeWidth({ ...mask, values: labels.map((label) => label === largest.label) }) ** 2;
  const kept = components.filter((component) => belongs(component, largest, mask, dust));
  const isKept = new Uint8Array(all.length + 1);
  for (const { label } of kept) isKept[label] = 1;
  const values = new Uint8Array(labels.length);
  for (let i = 0; i < values.length; i++) values[i] = isKept[labels[i]];
  return { mask: { ...mask, values }, isSeveral: areSeveral(kept) };
}

// Takes out ruled lines, straight from edge to edge, except where a stroke crosses them.
export function withoutLines(mask) {
  const [fullRows, fullColumns] = [isFullRow(mask), isFullRow(transposed(mask))];
  const rest = maskOf(mask, (isInk, i) => {
    return isInk && !fullRows[Math.floor(i / mask.columns)] && !fullColumns[i % mask.columns];
  });
  return transposed(withoutRows(transposed(withoutRows(mask, rest)), transposed(rest)));
}

// Tells which rows are ink from edge to edge; a line may have small gaps.
function isFullRow({ rows, columns, values }) {
  return Uint8Array.from({ length: rows }, (_, row) => {
    return count(values.subarray(row * columns, (row + 1) * columns)) / columns > 0.95;
  });
}

// Takes out full rows, except where there is ink both above and below; `rest` is the ink that is of no line.
function withoutRows(mask, rest) {
  const { rows, columns, values } = mask;
  const isFull = isFullRow(mask);
  const share = count(isFull) / rows;
  if (share === 0 || share > 0.5 || reachesBothEnds(rest, isFull)) return mask;
  const result = values.slice();
  for (const [, start, end] of findRuns({ rows: 1, columns: rows, values: isFull })) {
    if (end - start > LINE * rows) continue;
    for (let column = 0; column < columns; column++) {
      const above = start ? values[(start - 1) * columns + column] : 0;
      const below = end < rows ? values[end * columns + column] : 0;
      for (let row = start; row < end; row++) result[row * columns + column] = above & below;
    }
  }
  return count(result) > 0.1 * count(values) ? { ...mask, values: result } : mask;
}

// Tells whether ink reaches the first and the last row, or full rows that begin there.
function reachesBothEnds({ columns, values }, isFull) {
  const [first, last] = [values.indexOf(1), values.lastIndexOf(1)].map((place) => Math.floor(place / columns));
  return first >= 0 && isFull.every((one, row) => one || (row >= first && row <= last));
}

function count(values) {
  let ones = 0;
  for (const value of values) ones += value;
  return ones;
}

// Returns [row, start, end] of each run of ones, row by row; the end is excluded.
export function findRuns({ rows, columns, values }) {
  const runs = [];
  for (let row = 0; row < rows; row++) {
    let start = -1;
    for (let column = 0; column <= columns; column++) {
      const isInk = column < columns && values[row * columns + column] === 1;
      if (isInk && start < 0) start = column;
      if (!isInk && start >= 0) {
        runs.push([row, start, column]);
        start = -1;
      }
    }
  }
  return runs;
}

// Returns {labels, components}: for each pixel its component's label, or 0, and the components in order.
export function labelComponents(mask) {
  const runs = findRuns(mask);
  const parents = runs.map((_, run) => run);
  // Unite each run with those of the row above that it touches: they follow one another
  let first = 0;
  runs.forEach(([row, start, end], run) => {
    while (runs[first][0] < row - 1 || (runs[first][0] === row - 1 && runs[first][2] < start)) first += 1;
    for (let other = first; runs[other][0] < row && runs[other][1] <= end; other++) unite(parents, run, other);
  });
  // Label components in the order of their first runs
  const members = new Map();
  runs.forEach((run, number) => {
    const top = root(parents, number);
    if (!members.has(top)) members.set(top, []);
    members.get(top).push(run);
  });
  const labels = new Int32Array(mask.values.length);
  const components = [...members.values()].map((own, index) => {
    const label = index + 1;
    for (const [row, start, end] of own) labels.fill(label, row * mask.columns + start, row * mask.columns + end);
    return new Component(label, own);
  });
  return { labels, components };
}

function root(parents, run) {
  while (parents[run] !== run) {
    parents[run] = parents[parents[run]]; // halves the way for the next look-up
    run = parents[run];
  }
  return run;
}

function unite(parents, run, other) {
  const [one, two] = [root(parents, run), root(parents, other)];
  parents[Math.max(one, two)] = Math.min(one, two);
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
  return (2 * count(values)) / ((sides * Math.PI) / 4);
}

// Tells whether a component goes from edge to edge like a line or around like a border.
function spans(component, { rows, columns }) {
  const [isWide, isHigh] = [component.width >= 0.98 * columns, component.height >= 0.98 * rows];
  const isLine = (isWide && component.height <= LINE * rows) || (isHigh && component.width <= LINE * columns);
  return isLine || (isWide && isHigh && component.numPixels < 2 * LINE * rows * columns);
}

// Tells whether a component reaches the picture's edge.
function isCutOff(component, { rows, columns }) {
  return component.top === 0 || component.bottom === rows || component.left === 0 || component.right === columns;
}

// Tells whether a component is a part of the character whose largest component is given, and not dust inside of it.
function belongs(component, largest, mask, dust) {
  if (component === largest) return true;
  if (component.isInside(largest) && component.numPixels < dust) return false;
  if (component.gapTo(largest) <= CLOSE * largest.longerSide) return component.numPixels >= SPECK * largest.numPixels;
  return component.numPixels >= LOOSE * largest.numPixels && !isCutOff(component, mask);
}

// Tells whether there are components side by side that could each be a character.
function areSeveral(components) {
  const tallest = Math.max(...components.map((component) => component.height));
  const most = Math.max(...components.map((component) => component.numPixels));
  const [minHeight, minPixels] = [CHARACTER_HEIGHT * tallest, CHARACTER_PIXELS * most];
  const isLarge = ({ height, numPixels }) => numPixels === most || (height >= minHeight && numPixels >= minPixels);
  const [first, ...others] = components.filter(isLarge).sort((one, other) => one.left - other.left);
  let reached = first.right;
  for (const component of others) {
    if (component.left - reached >= CHARACTER_GAP * tallest) return true;
    reached = Math.max(reached, component.right);
  }
  return false;
}
