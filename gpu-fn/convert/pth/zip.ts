/**
 * The members of a zip archive as `torch.save` writes it: stored, not compressed, sizes in 64 bits where needed.
 *
 * Everything the directory says is compared with the file; compression, encryption and split archives are refused, so
 * no archive expands to more than it has.
 *
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT §4.3
 */
import type { FileHandle } from 'node:fs/promises';
import { CheckpointError } from '../../safetensors/errors.ts';

export interface ZipMember {
  readonly name: string;
  /** of the content in the file */
  readonly begin: number;
  readonly end: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const DIRECTORY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const LOCATOR_BYTES = 20;
const COMMENT_BYTES_MAX = 0xffff;
const DIRECTORY_BYTES_MAX = 64 * 2 ** 20;
const MEMBERS_MAX = 100_000;
const ZIP64_EXTRA = 1;
const UNSET_16 = 0xffff;
const UNSET_32 = 0xffff_ffff;

/** @throws {CheckpointError} when the file is no such archive */
export async function readZip(handle: FileHandle, path: string): Promise<Map<string, ZipMember>> {
  const { size } = await handle.stat();
  const { count, offset, bytes } = await findDirectory(handle, path, size);
  if (count > MEMBERS_MAX || bytes > DIRECTORY_BYTES_MAX || offset + bytes > size) {
    throw new CheckpointError(`${path}: a directory of ${count} members in ${bytes} bytes`);
  }
  const directory = await readBytes(handle, path, offset, bytes);
  const members = new Map<string, ZipMember>();
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const entry = readEntry(directory, at, path);
    at = entry.next;
    const member = await locate(handle, path, entry);
    if (member.end > offset)
      throw new CheckpointError(`${path}: ${entry.name} runs into the directory`);
    if (members.has(entry.name)) throw new CheckpointError(`${path}: ${entry.name} is there twice`);
    members.set(entry.name, member);
  }
  return members;
}

interface Directory {
  readonly count: number;
  readonly offset: number;
  readonly bytes: number;
}

async function findDirectory(handle: FileHandle, path: string, size: number): Promise<Directory> {
  const length = Math.min(size, END_BYTES + COMMENT_BYTES_MAX);
  const tail = await readBytes(handle, path, size - length, length);
  let at = length - END_BYTES;
  while (at >= 0 && tail.readUInt32LE(at) !== END_SIGNATURE) at -= 1;
  if (at < 0)
    throw new CheckpointError(`${path} is no zip archive: torch.save of 1.6 or later writes one`);
  const directory = {
    count: tail.readUInt16LE(at + 10),
    bytes: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  const needs64 =
    directory.count === UNSET_16 || directory.bytes === UNSET_32 || directory.offset === UNSET_32;
  const locator = at - LOCATOR_BYTES;
  if (locator < 0 || tail.readUInt32LE(locator) !== LOCATOR64_SIGNATURE) {
    if (needs64) throw new CheckpointError(`${path}: the zip directory is cut off`);
    return directory;
  }
  const end64 = await readBytes(handle, path, safe(tail.readBigUInt64LE(locator + 8), path), 56);
  if (end64.readUInt32LE(0) !== END64_SIGNATURE) {
    throw new CheckpointError(`${path}: the zip directory is malformed`);
  }
  return {
    count: safe(end64.readBigUInt64LE(32), path),
    bytes: safe(end64.readBigUInt64LE(40), path),
    offset: safe(end64.readBigUInt64LE(48), path),
  };
}

interface Entry {
  readonly name: string;
  readonly size: number;
  readonly localOffset: number;
  readonly next: number;
}

function readEntry(directory: Buffer, at: number, path: string): Entry {
  const malformed = () =>
    new CheckpointError(`${path}: the zip directory is malformed at byte ${at}`);
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== DIRECTORY_SIGNATURE)
    throw malformed();
  const flags = directory.readUInt16LE(at + 8);
  const method = directory.readUInt16LE(at + 10);
  const nameLength = directory.readUInt16LE(at + 28);
  const extraLength = directory.readUInt16LE(at + 30);
  const next = at + 46 + nameLength + extraLength + directory.readUInt16LE(at + 32);
  if (next > directory.length) throw malformed();
  const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
  if (method !== 0 || (flags & 1) !== 0) {
    throw new CheckpointError(
      `${path}: ${name} is compressed or encrypted; torch.save stores members as they are`,
    );
  }
  let packed = directory.readUInt32LE(at + 20);
  let size = directory.readUInt32LE(at + 24);
  let localOffset = directory.readUInt32LE(at + 42);
  const wide = extraField(
    directory.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength),
  );
  let from = 0;
  const take = () => {
    if (wide === undefined || from + 8 > wide.length) throw malformed();
    from += 8;
    return safe(wide.readBigUInt64LE(from - 8), path);
  };
  if (size === UNSET_32) size = take();
  if (packed === UNSET_32) packed = take();
  if (localOffset === UNSET_32) localOffset = take();
  if (packed !== size) throw malformed();
  return { name, size, localOffset, next };
}

/** The 64-bit sizes among the extra fields. */
function extraField(extra: Buffer): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length; ) {
    const length = extra.readUInt16LE(at + 2);
    if (extra.readUInt16LE(at) === ZIP64_EXTRA) return extra.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return undefined;
}

async function locate(handle: FileHandle, path: string, entry: Entry): Promise<ZipMember> {
  const head = await readBytes(handle, path, entry.localOffset, 30);
  if (head.readUInt32LE(0) !== LOCAL_SIGNATURE) {
    throw new CheckpointError(`${path}: ${entry.name} is not where the directory says`);
  }
  const begin = entry.localOffset + 30 + head.readUInt16LE(26) + head.readUInt16LE(28);
  return { name: entry.name, begin, end: begin + entry.size };
}

function safe(value: bigint, path: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw new CheckpointError(`${path}: a size of ${value}`);
  return Number(value);
}

/** @throws {CheckpointError} when the file ends before */
export async function readBytes(
  handle: FileHandle,
  path: string,
  begin: number,
  length: number,
): Promise<Buffer> {
  if (begin < 0 || length > DIRECTORY_BYTES_MAX) {
    throw new CheckpointError(`${path}: ${length} bytes at ${begin}`);
  }
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, begin + done);
    if (bytesRead === 0) throw new CheckpointError(`${path}: ends at byte ${begin + done}`);
    done += bytesRead;
  }
  return bytes;
}
