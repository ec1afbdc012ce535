// Classifies pictures with the service that the page comes from, over HTTP.

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0));
}

export class ServiceClient {
  constructor() {
    this.key = ""; // in memory only: gone with the page
  }

  async describe() {
    return await (await this.send("classifier", {})).json();
  }

  // Returns {source, class_name, probability, ranking, is_rejected, note, pixels}; the pixels are a Uint8Array.
  // If it is wanted, also attribution: {class_name, other, score, bias, shape, pixels}; its pixels are a Float32Array.
  async predict(picture, top, signal, hasAttribution = false) {
    const options = { method: "POST", body: picture, signal };
    const wanted = hasAttribution ? "&attribution=true" : "";
    const response = await this.send(`predict?top=${top}&pixels=true${wanted}`, options);
    const [{ pixels, attribution, ...prediction }] = (await response.json()).predictions;
    const result = { ...prediction, pixels: bytesOf(pixels) };
    if (!attribution) return result;
    const contributions = new Float32Array(bytesOf(attribution.pixels).buffer);
    return { ...result, attribution: { ...attribution, pixels: contributions } };
  }

  async send(path, options) {
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    const response = await fetch(path, { ...options, headers }).catch((error) => {
      throw error.name === "AbortError" ? error : new Error("The service does not answer; is it still running?");
    });
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    const message = body.error || `The service answered with status ${response.status}`;
    throw Object.assign(new Error(message), { needsKey: response.status === 401 });
  }
}
