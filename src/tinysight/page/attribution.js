// Tells which pixels decided: gradient times input, as attribution.py explains.

export const FOR_COLOUR = [255, 166, 48]; // of pixels that speak for a class
export const AGAINST_COLOUR = [64, 132, 255]; // and of those that speak against it

// Returns the sums of weights times inputs plus biases.
function outputsOf({ inputs, outputs, weights, biases }, values) {
  const sums = Float64Array.from(biases);
  for (let row = 0; row < outputs; row++) {
    for (let place = 0; place < inputs; place++) sums[row] += weights[row * inputs + place] * values[place];
  }
  return sums;
}

// Returns the slopes in a layer's inputs of what has these slopes in its outputs.
function slopesBehind({ inputs, outputs, weights }, slopes) {
  const behind = new Float64Array(inputs);
  for (let row = 0; row < outputs; row++) {
    if (slopes[row] === 0) continue;
    for (let place = 0; place < inputs; place++) behind[place] += weights[row * inputs + place] * slopes[row];
  }
  return behind;
}

// Returns what the pixels and all biases contribute to the score: the logit of class `one` minus that of `other`.
export function attribute(layers, pixels, one, other) {
  const values = [Float64Array.from(pixels, (level) => level / 255)];
  for (const layer of layers.slice(0, -1)) {
    values.push(outputsOf(layer, values.at(-1)).map((sum) => Math.max(sum, 0)));
  }
  const logits = outputsOf(layers.at(-1), values.at(-1));
  let slopes = new Float64Array(logits.length);
  slopes[one] += 1;
  slopes[other] -= 1;
  let bias = 0;
  for (let number = layers.length - 1; number >= 0; number--) {
    for (let row = 0; row < slopes.length; row++) bias += slopes[row] * layers[number].biases[row];
    slopes = slopesBehind(layers[number], slopes);
    if (number > 0) slopes = slopes.map((slope, unit) => (values[number][unit] > 0 ? slope : 0));
  }
  return { pixels: slopes.map((slope, place) => slope * values[0][place]), bias, score: logits[one] - logits[other] };
}

// Returns the colours of an image, red, green, blue, red, …, with each pixel coloured by what it contributes.
export function overlay(image, contributions, channels) {
  const number = image.length / channels;
  const sum = (values, pixel) => {
    let total = 0;
    for (let channel = 0; channel < channels; channel++) total += values[channels * pixel + channel];
    return total;
  };
  const totals = Array.from({ length: number }, (_, pixel) => sum(contributions, pixel));
  const largest = totals.reduce((most, total) => Math.max(most, Math.abs(total)), 0) || 1;
  const coloured = new Uint8ClampedArray(3 * number);
  totals.forEach((total, pixel) => {
    const strength = Math.sqrt(Math.abs(total) / largest);
    const ground = (0.4 * sum(image, pixel)) / channels;
    const colour = total > 0 ? FOR_COLOUR : AGAINST_COLOUR;
    colour.forEach((level, part) => (coloured[3 * pixel + part] = strength * level + (1 - strength) * ground));
  });
  return coloured;
}
