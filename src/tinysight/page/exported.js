// Starts an exported page: the network inside it classifies.

import { startApp } from "./app.js";
import { LocalClassifier } from "./local_classifier.js";

const local = new LocalClassifier(JSON.parse(document.getElementById("classifier").textContent));
window.tinysight = {
  classify: (picture, { attribution = false } = {}) => local.predict(picture, 1, null, attribution),
};
startApp(local);
