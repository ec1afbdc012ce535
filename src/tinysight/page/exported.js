// Starts the page with answers from the network inside it; knows no service and loads nothing.

import { openPage } from "./app.js";
import { LocalClassifier } from "./local_classifier.js";

const local = new LocalClassifier(JSON.parse(document.getElementById("classifier").textContent));
window.tinysight = { classify: (picture) => local.predict(picture) };
openPage(local);
