/** Writes a small, valid SentencePiece unigram model: single characters, the word mark and a few words. */
import { ProtobufWriter } from '../../gpu-fn/convert/onnx/protobuf-writer.ts';

export interface PieceToWrite {
  readonly piece: string;
  readonly score: number;
  /** 1 NORMAL, 2 UNKNOWN, 3 CONTROL, 4 USER_DEFINED, 5 UNUSED, 6 BYTE */
  readonly type: number;
}

const NORMAL = 1;
const UNKNOWN = 2;
const CONTROL = 3;
const UNIGRAM = 1;

/** `<pad>` 0, `</s>` 1, `<unk>` 2, then `▁`, words and characters, as T5 orders its special pieces. */
export function smallVocabulary(words: readonly string[]): PieceToWrite[] {
  const characters = [...'abcdefghijklmnopqrstuvwxyz0123456789,.-!?\'"()&'];
  return [
    { piece: '<pad>', score: 0, type: CONTROL },
    { piece: '</s>', score: 0, type: CONTROL },
    { piece: '<unk>', score: 0, type: UNKNOWN },
    { piece: '▁', score: -3, type: NORMAL },
    ...words.map((word, i) => ({ piece: `▁${word}`, score: -4 - i / 64, type: NORMAL })),
    ...characters.map((character, i) => ({ piece: character, score: -6 - i / 64, type: NORMAL })),
  ];
}

/**
 * ModelProto with fields 1 `pieces`, 2 `trainer_spec` and 3 `normalizer_spec`.
 *
 * @param charsmap  precompiled normalisation table; empty means that text is taken as it is
 */
export function encodeSpieceModel(
  pieces: readonly PieceToWrite[],
  charsmap: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const writer = new ProtobufWriter();
  for (const { piece, score, type } of pieces) {
    writer.message(1, (entry) => entry.string(1, piece).float(2, score).integer(3, type));
  }
  writer.message(2, (trainer) => {
    trainer.integer(3, UNIGRAM).integer(4, pieces.length);
    trainer.integer(40, 2).integer(41, -1).integer(42, 1).integer(43, 0); // unk, bos (none), eos, pad ids
  });
  writer.message(3, (normalizer) => {
    normalizer.string(1, charsmap.length > 0 ? 'nmt_nfkc' : 'identity').bytes(2, charsmap);
    normalizer.integer(3, 1).integer(4, 1).integer(5, 1); // dummy prefix, extra spaces, escaped spaces
  });
  return writer.finish();
}
