// Finds which pieces of ink make up one character; knows neither grey levels nor where it will be placed.
//
// Follows Tinysight's pieces.py function by function, with the same names and figures; the reasons are told there.

const SPECK = 0.005;
const LOOSE = 0.05;
const CLOSE = 0.05;
const LINE = 0.06;
const [CHARACTER_HEIGHT, CHARACTER_PIXELS] = [0.5, 0.25];
const CHARACTER_GAP = 0.12;

class Piece {
  constructor(number, places) {
    this.number = number;
    this.pixels = places.reduce((total, [, start, end]) => total + end - start, 0);
    this.top = places[0][0]; // runs are found from top to bottom
    this.bottom = places.at(-1)[0] + 1;
    this.left = places.reduce((least, [, start]) => Math.min(least, start), Infinity);
    this.right = places.reduce((most, [, , end]) => Math.max(most, end), 0);
    this.height = this.bottom - this.top;
    this.width = this.right - this.left;
    this.longerSide = Math.max(this.height, this.width);
  }

  gapTo(other) {
    const across = Math.max(other.left - this.right, this.left - other.right, 0);
    return Math.max(other.top - this.bottom, this.top - other.bottom, across);
  }
}

const firstLargest = (pieces) => pieces.reduce((most, piece) => (piece.pixels > most.pixels ? piece : most));

// Returns {mask, isSeveral}: the pixels of the character, and whether there is more than one. A mask is a grid of 0, 1.
export function findCharacter(given) {
  const mask = withoutLines(given);
  const { labels, pieces: all } = labelPieces(mask);
  if (!all.length) return { mask, isSeveral: false };
  const unlined = all.filter((piece) => !spans(piece, mask));
  const pieces = unlined.length ? unlined : all;
  const inner = pieces.filter((piece) => !isCutOff(piece, mask));
  let largest = firstLargest(pieces);
  if (isCutOff(largest, mask) && inner.length) {
    const candidate = firstLargest(inner);
    if (candidate.longerSide >= Math.min(mask.rows, mask.columns) / 4) largest = candidate;
  }
  const kept = pieces.filter((piece) => belongs(piece, largest, mask));
  const numbers = new Set(kept.map((piece) => piece.number));
  const values = Uint8Array.from(labels, (label) => numbers.has(label));
  return { mask: { ...mask, values }, isSeveral: areSeveral(kept) };
}

function withoutLines(mask) {
  return transposed(withoutRows(transposed(withoutRows(mask))));
}

function transposed({ rows, columns, values }) {
  const turned = Uint8Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
  return { rows: columns, columns: rows, values: turned };
}

function withoutRows(mask) {
  const { rows, columns, values } = mask;
  const inked = Array.from({ length: rows }, (_, row) => total(values.subarray(row * columns, (row + 1) * columns)));
  const full = Uint8Array.from(inked, (pixels) => pixels / columns > 0.95);
  const share = total(full) / rows;
  if (share === 0 || share > 0.5) return mask;
  const result = values.slice();
  for (const [start, end] of runs(full, 0, rows)) {
    if (end - start > Math.max(1, LINE * rows)) continue;
    for (let column = 0; column < columns; column++) {
      const above = start ? values[(start - 1) * columns + column] : 0;
      const below = end < rows ? values[end * columns + column] : 0;
      for (let row = start; row < end; row++) result[row * columns + column] = above & below;
    }
  }
  return total(result) > 0.1 * total(values) ? { ...mask, values: result } : mask;
}

function total(values) {
  let count = 0;
  for (const value of values) count += value;
  return count;
}

// Returns start and end (excluded) of each run of ones among `length` values from `offset` on.
function runs(values, offset, length) {
  const found = [];
  let start = -1;
  for (let i = 0; i <= length; i++) {
    const isInk = i < length && values[offset + i];
    if (isInk && start < 0) start = i;
    if (!isInk && start >= 0) {
      found.push([start, i]);
      start = -1;
    }
  }
  return found;
}

// Returns {labels, pieces}: for each pixel its piece's number, or 0, and the pieces.
function labelPieces({ rows, columns, values }) {
  const found = []; // row, start and end of each run
  const parents = [];
  let above = [];
  for (let row = 0; row < rows; row++) {
    const here = [];
    for (const [start, end] of runs(values, row * columns, columns)) {
      const run = found.push([row, start, end]) - 1;
      parents.push(run);
      here.push(run);
      for (const other of above) {
        if (found[other][1] <= end && start <= found[other][2]) unite(parents, run, other);
      }
    }
    above = here;
  }
  return piecesOf(found, parents, columns, values.length);
}

function piecesOf(found, parents, columns, size) {
  const members = new Map();
  found.forEach((place, run) => {
    const top = root(parents, run);
    if (!members.has(top)) members.set(top, []);
    members.get(top).push(place);
  });
  const labels = new Int32Array(size);
  const pieces = [...members.values()].map((places, index) => {
    for (const [row, start, end] of places) labels.fill(index + 1, row * columns + start, row * columns + end);
    return new Piece(index + 1, places);
  });
  return { labels, pieces };
}

function root(parents, run) {
  while (parents[run] !== run) {
    parents[run] = parents[parents[run]];
    run = parents[run];
  }
  return run;
}

function unite(parents, run, other) {
  const [one, two] = [root(parents, run), root(parents, other)];
  parents[Math.max(one, two)] = Math.min(one, two);
}

function spans(piece, { rows, columns }) {
  const [isWide, isHigh] = [piece.width >= 0.98 * columns, piece.height >= 0.98 * rows];
  const isLine = (isWide && piece.height <= LINE * rows) || (isHigh && piece.width <= LINE * columns);
  return isLine || (isWide && isHigh && piece.pixels < 2 * LINE * rows * columns);
}

function isCutOff(piece, { rows, columns }) {
  return !(piece.top > 0 && piece.bottom < rows && piece.left > 0 && piece.right < columns);
}

function belongs(piece, largest, mask) {
  if (piece === largest) return true;
  if (piece.gapTo(largest) <= CLOSE * largest.longerSide) return piece.pixels >= SPECK * largest.pixels;
  return piece.pixels >= LOOSE * largest.pixels && !isCutOff(piece, mask);
}

function areSeveral(pieces) {
  const tallest = Math.max(...pieces.map((piece) => piece.height));
  const most = Math.max(...pieces.map((piece) => piece.pixels));
  const isLarge = (piece) => piece.height >= CHARACTER_HEIGHT * tallest && piece.pixels >= CHARACTER_PIXELS * most;
  const [first, ...others] = pieces.filter(isLarge).sort((one, other) => one.left - other.left);
  let reached = first.right;
  for (const piece of others) {
    if (piece.left - reached >= CHARACTER_GAP * tallest) return true;
    reached = Math.max(reached, piece.right);
  }
  return false;
}
