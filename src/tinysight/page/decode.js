// Decodes a picture file with the browser's decoder, upright and without transparency.
//
// What follows decoding is as in Tinysight's decode.py and transparency.py. tests/page/test_port.py compares both.

const MAX_SIDE = 4096; // pixels; a larger picture is scaled down first, since phones refuse larger canvases
export const MAX_SAMPLES = 256; // a side: of a larger picture, every n-th row and column tells which background fits
export const OPAQUE = 0.9; // of the picture's largest alpha: less is transparent
export const SHEET = 0.8; // of the span in each row and column: what is opaque is a sheet, not a shape
export const CONTRAST = 16; // grey levels between a sheet's edge and what is drawn on it
export const DRAWN = 0.001; // of a sheet's pixels: fewer are noise

// Returns {width, height, data, isGrey}: data is red, green and blue of each pixel, 0…255.
export async function readPicture(file) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const image = await createImageBitmap(file, options).catch(() => {
    throw new Error("This is not a picture that your browser can read");
  });
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  const width = Math.max(1, Math.round(image.width * scale));
  const height = Math.max(1, Math.round(image.height * scale));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  image.close();
  const data = onBackground(context.getImageData(0, 0, width, height).data, width);
  return { width, height, data, isGrey: isWithoutColour(data) };
}

const luma = (red, green, blue) => (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // as Pillow's mode L

// Puts a picture with transparency on a background that shows what is drawn; returns red, green and blue.
//
// Where the opaque part is a sheet with something drawn on it, that is the colour of the sheet's edge, and the sheet is
// opaque even if all of it is a little clear. Otherwise it is white, or black if what is visible is light.
export function onBackground(rgba, width) {
  const samples = sampled(rgba, width);
  const sheet = sheetColour(samples);
  const background = sheet ?? contrastingColour(samples, rgba);
  const opaque = sheet ? largestAlpha(samples) : 255;
  const data = new Uint8ClampedArray((rgba.length / 4) * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    const alpha = Math.min(1, rgba[i + 3] / opaque);
    for (let channel = 0; channel < 3; channel++) {
      data[j + channel] = rgba[i + channel] * alpha + background[channel] * (1 - alpha);
    }
  }
  return data;
}

// Returns every n-th row and column as {rows, columns, pixels}; pixels are [red, green, blue, alpha].
function sampled(rgba, width) {
  const height = rgba.length / 4 / width;
  const step = Math.ceil(Math.max(width, height) / MAX_SAMPLES);
  const pixels = [];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const i = 4 * (y * width + x);
      pixels.push([rgba[i], rgba[i + 1], rgba[i + 2], rgba[i + 3]]);
    }
  }
  return { rows: Math.ceil(height / step), columns: Math.ceil(width / step), pixels };
}

// Returns white, or black if what is visible is light.
function contrastingColour({ pixels }, rgba) {
  let [visible, light] = [0, 0];
  for (const [red, green, blue, alpha] of pixels) {
    visible += alpha;
    light += alpha * luma(red, green, blue);
  }
  let hasHoles = false;
  for (let i = 3; i < rgba.length && !hasHoles; i += 4) hasHoles = rgba[i] < 255;
  return hasHoles && light > 127.5 * visible ? [0, 0, 0] : [255, 255, 255];
}

const largestAlpha = ({ pixels }) => pixels.reduce((most, pixel) => Math.max(most, pixel[3]), 0);

// Returns the colour at the edge of a sheet that something is drawn on; null if there is no such sheet.
function sheetColour({ rows, columns, pixels }) {
  const least = Math.max(1, OPAQUE * largestAlpha({ pixels }));
  const isOpaque = (row, column) =>
    row >= 0 && row < rows && column >= 0 && column < columns && pixels[row * columns + column][3] >= least;
  const byColumn = (column, row) => isOpaque(row, column);
  if (!(spanShare(isOpaque, rows, columns) >= SHEET && spanShare(byColumn, columns, rows) >= SHEET)) return null;
  const [sheet, edge] = [[], []];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (!isOpaque(row, column)) continue;
      const pixel = pixels[row * columns + column];
      sheet.push(pixel);
      const neighbours = [[row - 1, column], [row + 1, column], [row, column - 1], [row, column + 1]];
      if (!neighbours.every(([y, x]) => isOpaque(y, x))) edge.push(pixel);
    }
  }
  const level = ([red, green, blue]) => luma(red, green, blue);
  const levels = edge.map(level);
  const [darkest, lightest] = [atShare(levels, 0.1) - CONTRAST, atShare(levels, 0.9) + CONTRAST];
  const drawn = sheet.filter((pixel) => level(pixel) < darkest || level(pixel) > lightest);
  if (drawn.length < Math.max(1, DRAWN * sheet.length)) return null;
  return [0, 1, 2].map((channel) => atShare(edge.map((pixel) => pixel[channel]), 0.5));
}

// Returns how much of each row, from its first pixel to its last, is in a mask: 0…1 of all together, NaN if none is.
function spanShare(isIn, rows, columns) {
  let [count, spans] = [0, 0];
  for (let row = 0; row < rows; row++) {
    let [first, last] = [-1, -1];
    for (let column = 0; column < columns; column++) {
      if (!isIn(row, column)) continue;
      if (first < 0) first = column;
      last = column;
      count++;
    }
    if (first >= 0) spans += last - first + 1;
  }
  return count / spans;
}

// Returns the value that this share of all values lies below.
function atShare(values, share) {
  return Float64Array.from(values).sort()[Math.floor(share * (values.length - 1))];
}

export function isWithoutColour(data) {
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

// Returns a picture's grey levels as a grid {rows, columns, values}.
export function asGrey({ width, height, data }) {
  const values = new Float64Array(width * height);
  for (let i = 0; i < values.length; i++) values[i] = luma(data[3 * i], data[3 * i + 1], data[3 * i + 2]);
  return { rows: height, columns: width, values };
}

// Returns one of a picture's three channels as a grid.
export function asChannel({ width, height, data }, channel) {
  const values = Float64Array.from({ length: width * height }, (_, i) => data[3 * i + channel]);
  return { rows: height, columns: width, values };
}
