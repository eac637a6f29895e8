/** Puts a built graph on disk: `<name>.onnx` and, if it has weights, `<name>.data`. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type WriteOptions, type WrittenFile, writeExternalData } from './onnx/external-data.ts';
import type { GraphBuilder } from './onnx/graph-builder.ts';
import { encodeModel } from './onnx/writer.ts';

export interface WrittenGraph {
  readonly model: string;
  readonly data?: string;
  /** by file name */
  readonly files: Readonly<Record<string, WrittenFile>>;
}

export async function writeGraph(
  folder: string,
  name: string,
  graph: GraphBuilder,
  options: WriteOptions = {},
): Promise<WrittenGraph> {
  const model = `${name}.onnx`;
  const data = `${name}.data`;
  const built = graph.build(data);
  const bytes = encodeModel(built.model);
  await writeFile(join(folder, model), bytes, { flag: 'wx' });
  const files = { [model]: describe(bytes) };
  if (built.tensors.length === 0) return { model, files };
  files[data] = await writeExternalData(join(folder, data), built.tensors, options);
  return { model, data, files };
}

/**
 * Writes a graph that has the weights of another one, and refers to that one's file.
 *
 * @throws {RangeError} when the weights are not the same at the same places
 */
export async function writeSharingGraph(
  folder: string,
  name: string,
  { graph, base, data }: { graph: GraphBuilder; base: GraphBuilder; data: string | undefined },
): Promise<WrittenGraph> {
  const model = `${name}.onnx`;
  const built = graph.build(data ?? '');
  const places = ({ model: { initializers } }: typeof built) =>
    JSON.stringify(initializers.filter((each) => !(each.data instanceof Uint8Array)));
  if (places(built) !== places(base.build(data ?? ''))) {
    throw new RangeError(`the weights of ${name} are not those of the graph that it shares`);
  }
  const bytes = encodeModel(built.model);
  await writeFile(join(folder, model), bytes, { flag: 'wx' });
  return { model, ...(data !== undefined && { data }), files: { [model]: describe(bytes) } };
}

export function describe(bytes: Uint8Array): WrittenFile {
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}
