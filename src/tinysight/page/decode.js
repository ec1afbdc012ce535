// Decodes a picture file with the browser's decoder, upright and without transparency.
//
// What follows decoding is as in Tinysight's decode.py. tests/page/test_port.py compares both.

const MAX_SIDE = 4096; // pixels; a larger picture is scaled down first, since phones refuse larger canvases

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
  const data = onBackground(context.getImageData(0, 0, width, height).data);
  return { width, height, data, isGrey: isWithoutColour(data) };
}

const luma = (red, green, blue) => (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // as Pillow's mode L

// Puts a picture with transparency on white, or on black if its visible part is light; returns red, green and blue.
export function onBackground(rgba) {
  let [visible, light, hasHoles] = [0, 0, false];
  for (let i = 0; i < rgba.length; i += 4) {
    visible += rgba[i + 3];
    light += rgba[i + 3] * luma(rgba[i], rgba[i + 1], rgba[i + 2]);
    hasHoles ||= rgba[i + 3] < 255;
  }
  const background = hasHoles && light > 127.5 * visible ? 0 : 255;
  const data = new Uint8ClampedArray((rgba.length / 4) * 3);
  for (let i = 0, j = 0; i < rgba.length; i += 4, j += 3) {
    const alpha = rgba[i + 3] / 255;
    for (let channel = 0; channel < 3; channel++) {
      data[j + channel] = rgba[i + channel] * alpha + background * (1 - alpha);
    }
  }
  return data;
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
