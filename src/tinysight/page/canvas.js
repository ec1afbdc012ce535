// Paints strokes, pictures and the network's input on canvases.

import { overlay } from "./attribution.js";

export const STROKE_SHARE = 1 / 14; // of the pad's side; a digit drawn to fill it then has strokes like MNIST's
const SENT_SIDE = 280; // pixels of a drawing as it is sent: ten for each pixel of a 28×28 input

// Paints strokes with round ends and joints, smoothed through the middles between their points.
export function paintStrokes(context, side, strokes) {
  context.lineWidth = side * STROKE_SHARE;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    context.beginPath();
    const at = points.map(([x, y]) => [x * side, y * side]);
    context.moveTo(...at[0]);
    for (let i = 1; i < at.length - 1; i++) {
      context.quadraticCurveTo(...at[i], (at[i][0] + at[i + 1][0]) / 2, (at[i][1] + at[i + 1][1]) / 2);
    }
    context.lineTo(...at.at(-1)); // a single point becomes a dot
    context.stroke();
  }
}

// Paints the pad in device pixels, black on transparent; the style sheet inverts it in dark mode.
export function paintPad(canvas, strokes, picture) {
  const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  if (picture?.image) {
    const scale = Math.min(side / picture.image.width, side / picture.image.height);
    const [width, height] = [picture.image.width * scale, picture.image.height * scale];
    context.imageSmoothingEnabled = scale < 4;
    context.drawImage(picture.image, (side - width) / 2, (side - height) / 2, width, height);
  }
  paintStrokes(context, side, strokes);
}

// Returns a drawing as a PNG, black on white, the same from every screen.
export function drawingAsPng(strokes) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SENT_SIDE;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
  paintStrokes(context, SENT_SIDE, strokes);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

// Paints the network's input pixel by pixel, coloured by an attribution if there is one; without pixels it is black.
export function paintInput(canvas, framing, pixels, attribution = null) {
  canvas.width = framing.width;
  canvas.height = framing.height;
  const picture = new ImageData(framing.width, framing.height);
  const levels = attribution ? overlay(pixels, attribution.pixels, attribution.shape, framing) : pixels;
  const channels = attribution ? 3 : framing.channels;
  for (let i = 0; i < framing.width * framing.height; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const value = channels === 1 ? levels?.[i] : levels?.[3 * i + channel];
      picture.data[4 * i + channel] = value ?? 0;
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
