/** A web page of somebody else's: one script, bundled as their tools would, served from an origin of its own. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { build } from 'esbuild';
import { ROOT } from '../../scripts/node-runtime.js';

export interface WebPage extends AsyncDisposable {
  readonly origin: string;
  /** The same page under another name of this machine: for browsers, another origin. */
  readonly otherOrigin: string;
}

/** @param script  path from the root */
export async function serveWebPage(script: string): Promise<WebPage> {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: [script],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    define: { 'process.env.NODE_ENV': '"development"' },
    logLevel: 'silent',
  });
  const code = outputFiles[0]!.text;
  const server = createServer((request, response) => {
    if (request.url === '/script.js') {
      response.setHeader('Content-Type', 'text/javascript; charset=utf-8').end(code);
    } else if (request.url === '/') {
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      response.end(
        '<!doctype html><title>A page</title><link rel="icon" href="data:,"><body><script type="module" src="/script.js"></script>',
      );
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    otherOrigin: `http://localhost:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
