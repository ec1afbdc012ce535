// Classifies pictures with the network inside the page.

import { ConvolutionalNetwork } from "./convolution.js";
import { framePicture } from "./framing.js";
import { Network } from "./network.js";
import { readPicture } from "./decode.js";

export class LocalClassifier {
  // `stored` is what `tinysight export` wrote: class_names, framing, reject_below, has_attribution, name and layers;
  // a network with convolutions also has network, its operations.
  constructor(stored) {
    this.stored = stored;
    this.network = stored.network ? new ConvolutionalNetwork(stored) : new Network(stored.layers);
  }

  async describe() {
    return this.stored;
  }

  // Returns {source, class_name, probability, ranking, is_rejected, note, pixels}, as ServiceClient does; if it is
  // wanted, also attribution: {class_name, other, score, bias, shape, pixels}.
  async predict(file, top = 1, signal = null, hasAttribution = false) {
    const picture = await readPicture(file);
    const { pixels, note, fault } = framePicture(picture, this.stored.framing);
    const probabilities = this.network.probabilities(pixels);
    const names = this.stored.class_names;
    const ranking = names.map((class_name, index) => ({ class_name, probability: probabilities[index] }));
    ranking.sort((one, other) => other.probability - one.probability);
    const is_rejected = fault !== "" || ranking[0].probability < this.stored.reject_below;
    const source = file.name || "picture 1";
    const best = { source, ...ranking[0], ranking: ranking.slice(0, top) };
    const prediction = { ...best, is_rejected, note: fault || note, pixels };
    const isExplained = hasAttribution && this.stored.has_attribution;
    return isExplained ? { ...prediction, attribution: this.attribution(pixels, ranking) } : prediction;
  }

  attribution(pixels, [{ class_name }, { class_name: other }]) {
    const [one, second] = [class_name, other].map((name) => this.stored.class_names.indexOf(name));
    const { height, width } = this.stored.framing;
    return { class_name, other, shape: [height, width], ...this.network.attribution(pixels, one, second) };
  }
}
