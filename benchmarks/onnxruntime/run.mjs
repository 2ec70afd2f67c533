// ONNX Runtime's side of scripts/compare-onnxruntime: loads a model once, and runs it whenever a line arrives on
// standard input.
//
//   node run.mjs MODEL.onnx FOLDER THREADS
//
// FOLDER has the inputs as NAME.npy; those that are missing are generated and written there. "run" answers
// {"seconds":, "cpu_seconds":, "peak_kb":}, "save" writes the outputs as ort_NAME.npy.
import * as ort from 'onnxruntime-node';
import fs from 'node:fs';
import readline from 'node:readline';

const [model, folder, threads] = process.argv.slice(2);
const kinds = {
  '<f4': ['float32', Float32Array],
  '<i8': ['int64', BigInt64Array],
  '<i4': ['int32', Int32Array],
};

function readNpy(path) {
  const bytes = fs.readFileSync(path);
  const wide = bytes[6] !== 1;
  const start = (wide ? 12 : 10) + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8));
  const header = bytes.subarray(10, start).toString('latin1');
  const [type, array] = kinds[/'descr': '([^']+)'/.exec(header)[1]];
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(',').map((s) => s.trim()).filter(Boolean).map(Number);
  const body = bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length);
  return new ort.Tensor(type, new array(body), shape);
}

function writeNpy(path, shape, data) {
  const descr = Object.keys(kinds).find((key) => data instanceof kinds[key][1]);
  const dims = shape.join(', ') + (shape.length === 1 ? ',' : '');
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`.padEnd(117) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY', 'latin1');
  head[6] = 1;
  head.writeUInt16LE(header.length, 8);
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  fs.writeFileSync(path, Buffer.concat([head, Buffer.from(header, 'latin1'), body]));
}

/// About normal floats, small integers: the same in every run.
function generate(type, shape, seed) {
  const count = shape.reduce((a, b) => a * b, 1);
  let state = seed;
  const next = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
  if (type === 'float32') return Float32Array.from({length: count}, () => (next() + next() + next() + next() - 2) * 1.7);
  if (type === 'int64') return BigInt64Array.from({length: count}, () => BigInt(Math.floor(next() * 999)));
  return Int32Array.from({length: count}, () => Math.floor(next() * 999));
}

const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);
const loading = performance.now();
const session = await ort.InferenceSession.create(model, {
  intraOpNumThreads: Number(threads),
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
});
const feeds = {};
for (const [i, name] of session.inputNames.entries()) {
  const path = `${folder}/${name}.npy`;
  const {type, shape} = session.inputMetadata[i];
  if (!fs.existsSync(path)) writeNpy(path, shape, generate(type, shape, 12345 + i));
  feeds[name] = readNpy(path);
}
console.log(JSON.stringify({ready: (performance.now() - loading) / 1e3, peak_kb: peak()}));
let outputs = {};
for await (const line of readline.createInterface({input: process.stdin})) {
  if (line === 'save') {
    for (const [name, tensor] of Object.entries(outputs)) {
      if (tensor.type === 'float32') writeNpy(`${folder}/ort_${name}.npy`, tensor.dims, tensor.data);
    }
    console.log('{}');
    continue;
  }
  const cpu = process.cpuUsage();
  const start = performance.now();
  outputs = await session.run(feeds);
  const seconds = (performance.now() - start) / 1e3;
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({seconds, cpu_seconds: (used.user + used.system) / 1e6, peak_kb: peak()}));
}
