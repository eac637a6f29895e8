/** A local server that speaks the hub's protocol for one folder per repository: listing, ranges, digests. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';

export interface Hub extends AsyncDisposable {
  readonly url: string;
  /** `path bytes=a-b` of every request for content, in order */
  readonly downloads: string[];
  /** Cuts the connection after so many bytes of the next file content. */
  cutAfter: number | undefined;
  /** Serves other bytes than it lists. */
  corrupt: boolean;
  /** Replaces the listing of every repository. */
  listing: unknown[] | undefined;
}

/** Larger files are listed with their SHA-256, as the hub does with LFS. */
const LFS_BYTES = 1024;

export async function startHub(repositories: Readonly<Record<string, string>>): Promise<Hub> {
  const state: Pick<Hub, 'downloads' | 'cutAfter' | 'corrupt' | 'listing'> = {
    downloads: [],
    cutAfter: undefined,
    corrupt: false,
    listing: undefined,
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://hub');
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main$/.exec(url.pathname);
    const content = /^\/([^/]+\/[^/]+)\/resolve\/main\/(.+)$/.exec(url.pathname);
    const folder = repositories[(tree ?? content)?.[1] ?? ''];
    if (folder === undefined) {
      response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end('{}');
    } else if (tree) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(state.listing ?? listFolder(folder)));
    } else {
      const path = content![2]!;
      let bytes = readFileSync(join(folder, path));
      if (state.corrupt) bytes = Buffer.from(bytes.map((byte) => byte ^ 1));
      const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
      const begin = Number(match?.[1] ?? 0);
      const end = Number(match?.[2] ?? bytes.length - 1);
      const part = bytes.subarray(begin, end + 1);
      response.writeHead(206, {
        etag: '"x"',
        'content-length': part.length,
        'content-range': `bytes ${begin}-${end}/${bytes.length}`,
      });
      if (part.length > 1) state.downloads.push(`${path} ${request.headers.range}`);
      if (state.cutAfter !== undefined && part.length > state.cutAfter) {
        const cut = state.cutAfter;
        state.cutAfter = undefined;
        response.write(part.subarray(0, cut), () => response.destroy());
      } else response.end(part);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}

function listFolder(folder: string): unknown[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const full = join(entry.parentPath, entry.name);
      const bytes = readFileSync(full);
      const { size } = statSync(full);
      const oid = createHash('sha1').update(`blob ${size}\0`).update(bytes).digest('hex');
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const lfs = size > LFS_BYTES ? { oid: sha256, size, pointerSize: 130 } : undefined;
      return { type: 'file', path: relative(folder, full), size, oid, ...(lfs && { lfs }) };
    });
}
