/** A `fetch` for clients that keeps what they sent and what came back. */

export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly response: Response;
}

export interface RecordedFetch {
  readonly fetch: typeof fetch;
  readonly exchanges: Exchange[];
}

export function recordFetch(): RecordedFetch {
  const exchanges: Exchange[] = [];
  return {
    exchanges,
    fetch: async (input, init) => {
      const request = new Request(input, init);
      const [url, { method, headers }] = [request.url, request];
      const response = await fetch(request);
      exchanges.push({ method, url, headers, response });
      return response;
    },
  };
}
