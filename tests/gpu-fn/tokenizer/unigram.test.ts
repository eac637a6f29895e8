import { describe, expect, it } from 'vitest';
import { createUnigram, type UnigramPiece } from '../../../gpu-fn/tokenizer/unigram.ts';

const piece = (text: string, score: number, type: UnigramPiece['type'] = 'normal') => ({
  piece: text,
  score,
  type,
});
const PIECES = [
  piece('<unk>', 0, 'unknown'),
  piece('</s>', 0, 'control'),
  piece('a', -2),
  piece('b', -2),
  piece('ab', -3),
  piece('aba', -9),
  piece('gone', 0, 'unused'),
];
const texts = (text: string, pieces = PIECES) =>
  createUnigram(pieces, 0)
    .segment(text)
    .map((segment) => segment.text);

describe('createUnigram()', () => {
  it('Unigram.segment() takes the path with the highest sum of scores', () => {
    expect(texts('aba')).toEqual(['ab', 'a']);
  });

  it('Unigram.segment() keeps the path that starts further left when sums are equal', () => {
    const pieces = [piece('<unk>', 0, 'unknown'), piece('a', -1), piece('aa', -2)];
    expect(texts('aaa', pieces)).toEqual(['a', 'aa']);
  });

  it('Unigram.segment() joins neighbouring unknown characters', () => {
    expect(createUnigram(PIECES, 0).segment('axyb')).toEqual([
      { id: 2, text: 'a' },
      { id: 0, text: 'xy' },
      { id: 3, text: 'b' },
    ]);
  });

  it('Unigram.segment() never matches control and unused pieces', () => {
    const ids = createUnigram(PIECES, 0)
      .segment('</s>gone')
      .map(({ id }) => id);
    expect(ids).toEqual([0]);
  });

  it('Unigram.segment() prefers a user-defined piece to a better sum', () => {
    const pieces = [...PIECES, piece('aba', 0, 'user_defined')].filter(({ score }) => score !== -9);
    expect(texts('aba', pieces)).toEqual(['aba']);
  });

  it('Unigram.segment() of nothing is empty', () => {
    expect(texts('')).toEqual([]);
  });
});
