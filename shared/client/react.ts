/** `pixart-edge/react`: a hook that draws what it is given, and stops when it is given something else. */
import { useCallback, useEffect, useState } from 'react';
import type { ImageRequest, PixartEdge } from './client.ts';
import type { GeneratedImage } from './generated-image.ts';

export interface ImageState {
  /** `idle` without a request, then `drawing`, then `done` or `failed`. */
  readonly status: 'idle' | 'drawing' | 'done' | 'failed';
  /** For an `<img>`: the latest preview, then the picture; undefined before the first of them. */
  readonly src: string | undefined;
  /** The picture, or pictures, once they are there. */
  readonly images: readonly GeneratedImage[];
  /** A `PixartError` in general. */
  readonly error: unknown;
}

export interface ImageHandle extends ImageState {
  /** Draws the same request again after a failure. */
  readonly retry: () => void;
}

const IDLE: ImageState = { status: 'idle', src: undefined, images: [], error: undefined };

/**
 * Draws a request and watches it. Another request, in its contents, ends the one that runs; so does leaving the page.
 *
 * @param client   one object for all components, made outside of them
 * @param request  null or undefined: nothing is drawn
 */
export function useImage(
  client: PixartEdge,
  request: ImageRequest | null | undefined,
  { previews = 3 }: { readonly previews?: number } = {},
): ImageHandle {
  const [state, setState] = useState(IDLE);
  const [round, setRound] = useState(0);
  // Its text, so that an object literal in a component is the same request each time.
  const key = request == null ? undefined : JSON.stringify(request);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round draws the same again
  useEffect(() => {
    setState(IDLE);
    if (key === undefined) return;
    const leaving = new AbortController();
    const { signal } = leaving;
    setState({ ...IDLE, status: 'drawing' });
    draw(client, JSON.parse(key) as ImageRequest, { previews, signal, onState: setState }).catch(
      (error: unknown) => {
        if (!signal.aborted) setState((last) => ({ ...last, status: 'failed', error }));
      },
    );
    return () => leaving.abort();
  }, [client, key, previews, round]);

  const retry = useCallback(() => setRound((last) => last + 1), []);
  return { ...state, retry };
}

async function draw(
  client: PixartEdge,
  request: ImageRequest,
  {
    previews,
    signal,
    onState,
  }: {
    readonly previews: number;
    readonly signal: AbortSignal;
    readonly onState: (state: ImageState) => void;
  },
): Promise<void> {
  const images: GeneratedImage[] = [];
  for await (const event of client.stream(request, { partialImages: previews, signal })) {
    const { src } = event.image;
    if (event.type === 'image') images.push(event.image);
    if (!signal.aborted) onState({ ...IDLE, status: 'drawing', src, images: [...images] });
  }
  const src = images[0]?.src;
  if (!signal.aborted) onState({ ...IDLE, status: 'done', src, images });
}
