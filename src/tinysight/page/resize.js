// Resizes grids of numbers as Pillow does.
//
// A grid is {rows, columns, values}, row by row. When shrinking, the filter is widened so that every pixel counts.
// Source: Pillow's Resample.c and Reduce.c. tests/page/test_port.py compares both.

export const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };

export const BICUBIC = {
  support: 2,
  weight: (x) => {
    const t = Math.abs(x);
    if (t < 1) return (1.5 * t - 2.5) * t * t + 1; // a = -0.5
    return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
  },
};

// Rounds halves to even, as Python's round() and NumPy's rint().
export function roundEven(value) {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

// Returns for each place of the result where its sources start, and their weights.
function sources(from, to, filter, numbers) {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const centre = (place + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - filter.support * stretch + 0.5));
    const end = Math.min(from, Math.trunc(centre + filter.support * stretch + 0.5));
    const weights = [];
    for (let i = start; i < end; i++) weights.push(filter.weight((i - centre + 0.5) / stretch));
    const sum = weights.reduce((one, other) => one + other, 0);
    return { start, weights: weights.map((weight) => numbers.weight(weight / sum)) };
  });
}

// How numbers are kept between and after the two passes, and weights before them.
export const FLOATS = { weight: (weight) => weight, store: Math.fround };
export const BYTES = {
  weight: (weight) => Math.round(weight * 2 ** 22) / 2 ** 22, // Pillow's fixed point
  store: (value) => Math.floor(Math.min(255, Math.max(0, value)) + 0.5),
};

// Resizes to `rows` × `columns`; `numbers` is FLOATS or BYTES.
export function resize(grid, rows, columns, filter, numbers) {
  const wide = new Float64Array(grid.rows * columns);
  sources(grid.columns, columns, filter, numbers).forEach(({ start, weights }, column) => {
    for (let row = 0; row < grid.rows; row++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += grid.values[row * grid.columns + start + i] * weights[i];
      wide[row * columns + column] = numbers.store(sum);
    }
  });
  const values = new Float64Array(rows * columns);
  sources(grid.rows, rows, filter, numbers).forEach(({ start, weights }, row) => {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += wide[(start + i) * columns + column] * weights[i];
      values[row * columns + column] = numbers.store(sum);
    }
  });
  return { rows, columns, values };
}

// Shrinks by a whole factor to the rounded means of squares; those at the right and lower end may be smaller.
export function reduce(grid, factor) {
  const [rows, columns] = [Math.ceil(grid.rows / factor), Math.ceil(grid.columns / factor)];
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      values[row * columns + column] = meanOf(grid, row * factor, column * factor, factor);
    }
  }
  return { rows, columns, values };
}

function meanOf(grid, top, left, factor) {
  const [bottom, right] = [Math.min(top + factor, grid.rows), Math.min(left + factor, grid.columns)];
  let sum = 0;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) sum += grid.values[row * grid.columns + column];
  }
  const pixels = (bottom - top) * (right - left);
  return Math.floor(((sum + Math.floor(pixels / 2)) * Math.floor(2 ** 24 / pixels)) / 2 ** 24); // Pillow's fixed point
}
