/** An HTTP server that answers its requests one after the other as a test has written down, for what the real one does not do on demand. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Answer = (response: ServerResponse, request: ReceivedRequest) => void;

export interface ScriptedServer extends AsyncDisposable {
  readonly origin: string;
  readonly received: ReceivedRequest[];
  /** Connections that the other side has given up before the end of an answer. */
  abandoned: number;
}

/** @param answers  the last one is given again and again */
export async function startScriptedServer(...answers: Answer[]): Promise<ScriptedServer> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const received: ReceivedRequest = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks),
    };
    scripted.received.push(received);
    response.on('close', () => {
      if (!response.writableEnded) scripted.abandoned += 1;
    });
    const answer = answers[Math.min(scripted.received.length, answers.length) - 1]!;
    answer(response, received);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const scripted: ScriptedServer = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received: [],
    abandoned: 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return scripted;
}

export function json(
  body: unknown,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): Answer {
  return (response) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
}

/** An error as the OpenAI surface renders it. */
export function failure(
  status: number,
  code: string,
  headers: Record<string, string> = {},
): Answer {
  const body = { error: { message: `${code} it is.`, type: 'x', param: null, code }, code };
  return json(body, { status, headers: { 'X-Request-Id': 'req_scripted', ...headers } });
}

/**
 * A stream of events.
 *
 * @param end  `close`: as it should be; `cut`: the connection is destroyed; `hang`: nothing more comes
 */
export function events(list: readonly object[], end: 'close' | 'cut' | 'hang' = 'close'): Answer {
  return (response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.write(': accepted\n\n');
    const text = list.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');
    response.write(text, () => {
      if (end === 'close') response.end();
      if (end === 'cut') response.destroy();
    });
  };
}
