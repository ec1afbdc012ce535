// Computes a convolutional network: convolutions, pooling, the mean of each channel, dense layers, softmax.

import { attributeRegions } from "./attribution.js";
import { dense, softmax, unpack } from "./network.js";

// Returns how many positions a kernel has along a side, and how many pixels before the first one are padded with zeros:
// as Keras's "same".
function positions(side, size, stride) {
  const number = Math.ceil(side / stride);
  const missing = Math.max(0, (number - 1) * stride + size - side);
  return [number, Math.floor(missing / 2)];
}

// Adds to a channel of the output what one weight gives: input values, shifted, times the weight.
function addShifted(output, start, [rows, columns], input, channel, [down, right], stride, weight) {
  for (let row = 0; row < rows; row++) {
    const from = row * stride + down;
    if (from < 0 || from >= input.rows) continue;
    const first = (channel * input.rows + from) * input.columns + right;
    for (let column = 0; column < columns; column++) {
      const place = column * stride + right;
      if (place < 0 || place >= input.columns) continue;
      output[start + row * columns + column] += weight * input.values[first + column * stride];
    }
  }
}

function convolve(input, { size, stride }, { outputs, weights, biases }) {
  const [rows, above] = positions(input.rows, size, stride);
  const [columns, before] = positions(input.columns, size, stride);
  const values = new Float32Array(outputs * rows * columns);
  let next = 0; // weights stand in the order of the loops
  for (let output = 0; output < outputs; output++) {
    const start = output * rows * columns;
    values.fill(biases[output], start, start + rows * columns);
    for (let channel = 0; channel < input.channels; channel++) {
      for (let down = -above; down < size - above; down++) {
        for (let right = -before; right < size - before; right++) {
          addShifted(values, start, [rows, columns], input, channel, [down, right], stride, weights[next++]);
        }
      }
    }
  }
  return { channels: outputs, rows, columns, values };
}

function maxPool({ channels, rows, columns, values }, { size }) {
  const pooled = { channels, rows: Math.floor(rows / size), columns: Math.floor(columns / size) };
  pooled.values = new Float32Array(channels * pooled.rows * pooled.columns).fill(-Infinity);
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < pooled.rows * size; row++) {
      const to = (channel * pooled.rows + Math.floor(row / size)) * pooled.columns;
      for (let column = 0; column < pooled.columns * size; column++) {
        const place = to + Math.floor(column / size);
        const value = values[(channel * rows + row) * columns + column];
        if (value > pooled.values[place]) pooled.values[place] = value;
      }
    }
  }
  return pooled;
}

function vector(values) {
  return { channels: values.length, rows: 1, columns: 1, values };
}

function meanOfChannels({ channels, rows, columns, values }) {
  const number = rows * columns;
  const sum = (channel) => values.subarray(channel * number, (channel + 1) * number).reduce((all, one) => all + one);
  return vector(Float32Array.from({ length: channels }, (_, channel) => sum(channel) / number));
}

// By ONNX's names. Each takes {channels, rows, columns, values}, with one channel behind the other, and gives such.
const OPERATIONS = {
  Conv: convolve,
  MaxPool: maxPool,
  Relu: (input) => ({ ...input, values: input.values.map((value) => Math.max(value, 0)) }),
  GlobalAveragePool: meanOfChannels,
  Flatten: (input) => input,
  Gemm: (input, _, layer) => vector(dense(layer, input.values)),
  Softmax: (input) => vector(softmax(input.values)),
};

function hasWeights({ kind }) {
  return kind === "Conv" || kind === "Gemm";
}

export class ConvolutionalNetwork {
  // `stored` has framing, network (operations with kind, size, stride) and layers, see html_page.py.
  constructor({ framing, network, layers }) {
    this.framing = framing;
    this.network = network;
    this.layers = layers.map(unpack);
  }

  // Returns the probability of each class for uint8 pixels, as a Float32Array.
  probabilities(pixels) {
    return this.run(pixels, this.network).values;
  }

  // Returns what regions and biases contribute to the logit of class `one` minus that of `other`.
  attribution(pixels, one, other) {
    const operations = this.network.slice(0, this.network.findIndex(({ kind }) => kind === "GlobalAveragePool"));
    const denseLayers = this.layers.slice(operations.filter(hasWeights).length);
    const maps = this.run(pixels, operations);
    return { ...attributeRegions(denseLayers, maps, one, other), shape: [maps.rows, maps.columns] };
  }

  run(pixels, operations) {
    const { channels, height: rows, width: columns } = this.framing;
    const values = new Float32Array(pixels.length);
    pixels.forEach((level, place) => {
      values[(place % channels) * rows * columns + Math.floor(place / channels)] = level / 255;
    });
    let layer = 0;
    const apply = (input, operation) =>
      OPERATIONS[operation.kind](input, operation, hasWeights(operation) ? this.layers[layer++] : undefined);
    return operations.reduce(apply, { channels, rows, columns, values });
  }
}
