// Turns a picture of any size into the network's input.
//
// Follows Tinysight's framing.py function by function. tests/page/test_port.py compares both.

import { frameInk } from "./ink.js";
import { asChannel, asGrey } from "./decode.js";
import { edgeOf } from "./grid.js";
import { BILINEAR, BYTES, resize, roundEven } from "./resize.js";
import { mean } from "./statistics.js";

export const RECENTRED = "re-centred: its ink was not light on dark and centred as in MNIST";

// Returns {pixels, note, fault}: uint8 pixels, how they were framed, and why they cannot show a class.
export function framePicture(picture, framing) {
  const { method, height, width, channels } = framing;
  const isRight = picture.width === width && picture.height === height && picture.isGrey === (channels === 1);
  const note = isRight ? "" : `framed from ${picture.width}×${picture.height} ${picture.isGrey ? "grey" : "colour"}`;
  if (method === "ink") {
    const grey = asGrey(picture);
    const { pixels, fault } = frameInk(grey, height, width);
    const isChanged = pixels.some((level, i) => level !== grey.values[i]);
    const planes = Array(channels).fill(pixels);
    return { pixels: interleaved(planes), note: isRight && isChanged ? RECENTRED : note, fault };
  }
  const grids = channels === 1 ? [asGrey(picture)] : [0, 1, 2].map((channel) => asChannel(picture, channel));
  return { pixels: interleaved(grids.map((grid) => fitWhole(grid, height, width))), note, fault: "" };
}

function interleaved(planes) {
  const count = planes.length;
  return Uint8Array.from({ length: count * planes[0].length }, (_, i) => planes[i % count][Math.floor(i / count)]);
}

// Scales a grid to fit with its aspect kept, and fills the rest with its edge's mean.
export function fitWhole(grid, height, width) {
  if (grid.rows === height && grid.columns === width) return Uint8Array.from(grid.values);
  const scale = Math.min(width / grid.columns, height / grid.rows);
  const rows = Math.max(1, roundEven(grid.rows * scale));
  const columns = Math.max(1, roundEven(grid.columns * scale));
  const fitted = resize(grid, rows, columns, BILINEAR, BYTES);
  const framed = new Uint8Array(height * width).fill(roundEven(mean(edgeOf(fitted))));
  const top = Math.floor((height - rows) / 2);
  const left = Math.floor((width - columns) / 2);
  for (let row = 0; row < rows; row++) {
    framed.set(fitted.values.subarray(row * columns, (row + 1) * columns), (top + row) * width + left);
  }
  return framed;
}
