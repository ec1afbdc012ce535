// Changes and cuts grids of numbers.
//
// A grid is {rows, columns, values}, row by row.

// Returns a grid with each value changed; `change` is given value and index.
export function mapped(grid, change) {
  return { ...grid, values: grid.values.map(change) };
}

// Returns a grid of 0 and 1; `isInside` is given value and index.
export function maskOf(grid, isInside) {
  const values = new Uint8Array(grid.values.length);
  for (let i = 0; i < values.length; i++) values[i] = isInside(grid.values[i], i);
  return { ...grid, values };
}

// Cuts a box out of a grid; what lies outside of the grid is 0.
export function cut(grid, top, bottom, left, right) {
  const [rows, columns] = [bottom - top, right - left];
  const values = new grid.values.constructor(rows * columns);
  for (let row = Math.max(top, 0); row < Math.min(bottom, grid.rows); row++) {
    const [start, end] = [Math.max(left, 0), Math.min(right, grid.columns)];
    const part = grid.values.subarray(row * grid.columns + start, row * grid.columns + end);
    values.set(part, (row - top) * columns + start - left);
  }
  return { rows, columns, values };
}

// Adds rows and columns of 0 on each side, or takes some away.
export function withMargin(grid, margin) {
  return cut(grid, -margin, grid.rows + margin, -margin, grid.columns + margin);
}

// Turns rows into columns.
export function transposed(grid) {
  const { rows, columns, values } = grid;
  const turned = new values.constructor(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column];
  }
  return { rows: columns, columns: rows, values: turned };
}

// Returns the values along a grid's four sides, or `margin` pixels further inside, those at the corners twice.
export function edgeOf({ rows, columns, values }, margin = 0) {
  const [bottom, right] = [rows - 1 - margin, columns - 1 - margin];
  const edge = [];
  for (let column = margin; column <= right; column++) {
    edge.push(values[margin * columns + column], values[bottom * columns + column]);
  }
  for (let row = margin; row <= bottom; row++) edge.push(values[row * columns + margin], values[row * columns + right]);
  return edge;
}
