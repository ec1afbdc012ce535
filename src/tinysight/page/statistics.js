// Computes sums, medians, percentiles and moments, and solves linear equations.
//
// A grid is {rows, columns, values}, row by row.

// Returns a percentile as numpy.percentile() does: between two values it interpolates.
export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

export function median(values) {
  return percentile(values, 50);
}

export function sum(values) {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

export function mean(values) {
  return sum(values) / values.length;
}

// Returns {mass, rowMoment, columnMoment} of a grid; the centre of mass is at rowMoment / mass, columnMoment / mass.
export function moments({ rows, columns, values }) {
  let [mass, rowMoment, columnMoment] = [0, 0, 0];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = values[row * columns + column];
      mass += value;
      rowMoment += value * row;
      columnMoment += value * column;
    }
  }
  return { mass, rowMoment, columnMoment };
}

// Returns x with A x = b for a small regular A, by Gauss-Jordan elimination.
export function solve(matrix, right) {
  const rows = matrix.map((row, number) => [...row, right[number]]);
  const size = rows.length;
  for (let pivot = 0; pivot < size; pivot++) {
    let best = pivot;
    for (let row = pivot; row < size; row++) if (Math.abs(rows[row][pivot]) > Math.abs(rows[best][pivot])) best = row;
    [rows[pivot], rows[best]] = [rows[best], rows[pivot]];
    for (let row = 0; row < size; row++) {
      if (row === pivot) continue;
      const factor = rows[row][pivot] / rows[pivot][pivot];
      for (let column = pivot; column <= size; column++) rows[row][column] -= factor * rows[pivot][column];
    }
  }
  return rows.map((row, i) => row[size] / row[i]);
}
