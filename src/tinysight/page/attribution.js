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

// Returns the slopes of the score in the inputs of dense layers, what all biases contribute, and the score: the logit
// of class `one` minus that of `other`.
function explainScore(layers, inputs, one, other) {
  const values = [inputs];
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
  return { slopes, bias, score: logits[one] - logits[other] };
}

// Returns what the pixels and all biases contribute to the score, in a dense network.
export function attribute(layers, pixels, one, other) {
  const inputs = Float64Array.from(pixels, (level) => level / 255);
  const { slopes, bias, score } = explainScore(layers, inputs, one, other);
  return { pixels: slopes.map((slope, place) => slope * inputs[place]), bias, score };
}

// The same where dense layers read the mean of each channel of `maps`; `pixels` is then what the regions contribute.
export function attributeRegions(layers, { channels, rows, columns, values }, one, other) {
  const number = rows * columns;
  const ofChannel = Array.from({ length: channels }, (_, channel) =>
    values.subarray(channel * number, (channel + 1) * number),
  );
  const means = Float64Array.from(ofChannel, (some) => some.reduce((sum, value) => sum + value, 0) / number);
  const { slopes, bias, score } = explainScore(layers, means, one, other);
  const regions = new Float64Array(number).map((_, region) =>
    ofChannel.reduce((sum, some, channel) => sum + (slopes[channel] * some[region]) / number, 0),
  );
  return { pixels: regions, bias, score };
}

// Returns the colours of an image, red, green, blue, red, …, with each pixel coloured by what it, or its region,
// contributes. `shape` has the rows and columns of the contributions.
export function overlay(image, contributions, [rows, columns], { height, width, channels }) {
  const sumOf = (values, each, place) => {
    let total = 0;
    for (let part = 0; part < each; part++) total += values[each * place + part];
    return total;
  };
  const each = contributions.length / (rows * columns);
  const totals = Float64Array.from({ length: rows * columns }, (_, place) => sumOf(contributions, each, place));
  const largest = totals.reduce((most, total) => Math.max(most, Math.abs(total)), 0) || 1;
  const coloured = new Uint8ClampedArray(3 * height * width);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const row = Math.floor((Math.floor(pixel / width) * rows) / height);
    const total = totals[row * columns + Math.floor(((pixel % width) * columns) / width)];
    const strength = Math.sqrt(Math.abs(total) / largest);
    const level = sumOf(image, channels, pixel) / channels / 255;
    const [red, green, blue] = total > 0 ? FOR_COLOUR : AGAINST_COLOUR;
    const mixed = (share) => strength * share * (0.5 + 0.5 * level) + (1 - strength) * 102 * level;
    coloured.set([mixed(red), mixed(green), mixed(blue)], 3 * pixel);
  }
  return coloured;
}
