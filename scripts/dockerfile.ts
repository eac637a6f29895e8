/**
 * Reads a Dockerfile and a .dockerignore: as much of their languages as ours use, anything else is an error.
 *
 * Pure; `check-dockerfile.ts` runs what is read here.
 */

export type Instruction =
  | { readonly type: 'arg'; readonly name: string; readonly value: string | undefined }
  | { readonly type: 'env'; readonly values: Readonly<Record<string, string>> }
  | { readonly type: 'run'; readonly command: string }
  | {
      readonly type: 'copy';
      /** Stage to copy from; absent: the build context. */
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly destination: string;
    }
  | { readonly type: 'workdir'; readonly path: string }
  | { readonly type: 'user'; readonly name: string }
  | { readonly type: 'healthcheck'; readonly command: readonly string[] }
  | { readonly type: 'entrypoint'; readonly command: readonly string[] }
  | { readonly type: 'cmd'; readonly command: readonly string[] }
  | { readonly type: 'note'; readonly name: string; readonly text: string };

export interface Stage {
  readonly name: string;
  /** A stage above, or an image. */
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

export interface Dockerfile {
  /** ARGs before the first FROM. */
  readonly globals: Readonly<Record<string, string>>;
  readonly stages: readonly Stage[];
}

/** Instructions that only describe the image. */
const NOTES = new Set(['EXPOSE', 'STOPSIGNAL', 'VOLUME', 'LABEL']);

/** @throws {SyntaxError} naming the line that is not understood */
export function parseDockerfile(text: string): Dockerfile {
  const globals: Record<string, string> = {};
  const stages: { name: string; from: string; instructions: Instruction[] }[] = [];
  for (const line of logicalLines(text)) {
    const [, word = '', rest = ''] = /^(\w+)\s+(.*)$/s.exec(line) ?? [];
    const current = stages.at(-1);
    if (word === 'FROM') {
      const [, image, name] = /^(\S+) AS (\S+)$/.exec(rest) ?? [];
      if (!image || !name) throw new SyntaxError(`FROM without a name: ${line}`);
      stages.push({ name, from: substitute(image, globals), instructions: [] });
    } else if (current) {
      current.instructions.push(parseInstruction(word, rest, line));
    } else if (word === 'ARG') {
      const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(rest) ?? [];
      globals[name] = value;
    } else {
      throw new SyntaxError(`before the first FROM: ${line}`);
    }
  }
  return { globals, stages };
}

/** Replaces `${NAME}`. @throws {SyntaxError} for a name that has no value */
export function substitute(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new SyntaxError(`${name} has no value`);
    return value;
  });
}

/**
 * Whether a path of the build context is sent to the engine.
 *
 * @param ignore  text of `.dockerignore`; the last pattern that fits a path or a folder above it decides
 */
export function isIncluded(path: string, ignore: string): boolean {
  let included = true;
  for (const line of ignore.split('\n')) {
    const pattern = line.trim();
    if (pattern === '' || pattern.startsWith('#')) continue;
    const negated = pattern.startsWith('!');
    if (toRegExp(negated ? pattern.slice(1) : pattern).test(path)) included = negated;
  }
  return included;
}

function toRegExp(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/[.+^$()|[\]{}]/g, '\\$&')
    .replaceAll('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '(?:.*/)?');
  return new RegExp(`^${source}(?:/.*)?$`);
}

function* logicalLines(text: string): Generator<string> {
  let pending = '';
  for (const line of text.split('\n')) {
    if (line.trimStart().startsWith('#')) continue;
    if (line.endsWith('\\')) {
      pending += line.slice(0, -1);
      continue;
    }
    const whole = (pending + line).trim();
    pending = '';
    if (whole !== '') yield whole;
  }
}

function parseInstruction(word: string, rest: string, line: string): Instruction {
  switch (word) {
    case 'ARG': {
      const [, name = '', value] = /^(\w+)(?:=(.*))?$/.exec(rest) ?? [];
      return { type: 'arg', name, value };
    }
    case 'ENV':
      return { type: 'env', values: Object.fromEntries(rest.split(/\s+/).map(splitPair)) };
    case 'RUN':
      return { type: 'run', command: rest };
    case 'COPY': {
      const words = rest.split(/\s+/);
      const from = words[0]?.startsWith('--from=') ? words.shift()?.slice(7) : undefined;
      const destination = words.pop();
      if (!destination || words.length === 0) throw new SyntaxError(line);
      return { type: 'copy', from, sources: words, destination };
    }
    case 'WORKDIR':
      return { type: 'workdir', path: rest };
    case 'USER':
      return { type: 'user', name: rest };
    case 'HEALTHCHECK': {
      const [, command] = /CMD (\[.*\])$/.exec(rest) ?? [];
      if (!command) throw new SyntaxError(line);
      return { type: 'healthcheck', command: JSON.parse(command) };
    }
    case 'ENTRYPOINT':
      return { type: 'entrypoint', command: JSON.parse(rest) };
    case 'CMD':
      return { type: 'cmd', command: JSON.parse(rest) };
    default:
      if (NOTES.has(word)) return { type: 'note', name: word, text: rest };
      throw new SyntaxError(`not understood: ${line}`);
  }
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=');
  if (at < 1) throw new SyntaxError(`ENV ${pair}`);
  return [pair.slice(0, at), pair.slice(at + 1)];
}
