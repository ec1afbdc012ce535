// Calls functions of the page's scripts with arguments that test_port.py has written, and writes what they return.
//
// Usage: node call_port.mjs FOLDER. The folder holds the scripts, calls.json, and the arrays' values in arrays.bin.

import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const TYPES = { Float64Array, Int32Array, Uint8Array, Uint8ClampedArray };
const { scripts, calls } = JSON.parse(readFileSync(`${folder}/calls.json`, "utf8"));
const arrays = readFileSync(`${folder}/arrays.bin`);
const exported = {};
for (const script of scripts) exported[script] = await import(pathToFileURL(`${folder}/${script}.js`));

// Puts arrays, and exported things named in a call, in the places of their descriptions.
function read(value) {
  if (value?.type) {
    const start = arrays.byteOffset + value.offset;
    const array = TYPES[value.type];
    return new array(arrays.buffer.slice(start, start + value.length * array.BYTES_PER_ELEMENT));
  }
  if (value?.script) return exported[value.script][value.name];
  if (Array.isArray(value)) return value.map(read);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, read(inner)]));
}

const chunks = [];
let numBytes = 0;

// Puts descriptions in the places of arrays.
function written(value) {
  if (ArrayBuffer.isView(value)) {
    const offset = numBytes;
    chunks.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    numBytes += value.byteLength;
    return { type: value.constructor.name, offset, length: value.length };
  }
  if (Array.isArray(value)) return value.map(written);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, written(inner)]));
}

const results = calls.map(({ script, name, given }) => written(exported[script][name](...read(given))));
const constants = {};
for (const script of scripts) {
  const own = Object.entries(exported[script]).filter(([name]) => /^[A-Z_]+$/.test(name));
  constants[script] = Object.fromEntries(own);
}
writeFileSync(`${folder}/results.bin`, Buffer.concat(chunks));
writeFileSync(`${folder}/results.json`, JSON.stringify({ results, constants }));
