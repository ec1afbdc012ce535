// Computes a dense network with ReLU between its layers and softmax at its end.

import { attribute } from "./attribution.js";

function bytes(base64) {
  return Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
}

// Decodes a layer: its weights are 8-bit integers, `outputs` rows of `inputs`, and each row has its own scale.
export function unpack({ inputs, outputs, weights, scales, biases }) {
  const whole = new Int8Array(bytes(weights).buffer);
  const scale = new Float32Array(bytes(scales).buffer);
  const values = Float32Array.from(whole, (value, place) => value * scale[Math.floor(place / inputs)]);
  return { inputs, outputs, weights: values, biases: new Float32Array(bytes(biases).buffer) };
}

export function dense(layer, input) {
  const output = new Float32Array(layer.outputs);
  for (let row = 0; row < layer.outputs; row++) {
    const start = row * layer.inputs;
    let sum = layer.biases[row];
    for (let place = 0; place < layer.inputs; place++) sum += layer.weights[start + place] * input[place];
    output[row] = sum;
  }
  return output;
}

export function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

export class Network {
  constructor(layers) {
    this.layers = layers.map(unpack);
  }

  // Returns the probability of each class for uint8 pixels, as a Float32Array.
  probabilities(pixels) {
    let values = Float32Array.from(pixels, (level) => level / 255);
    this.layers.forEach((layer, number) => {
      values = dense(layer, values);
      if (number < this.layers.length - 1) values = values.map((value) => Math.max(value, 0));
    });
    return softmax(values);
  }

  // Returns what pixels and biases contribute to the logit of class `one` minus that of `other`.
  attribution(pixels, one, other) {
    return attribute(this.layers, pixels, one, other);
  }
}
