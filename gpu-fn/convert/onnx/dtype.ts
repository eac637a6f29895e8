/** Element types of ONNX tensors that our graphs use: name, TensorProto.DataType number, bytes per element. */
const TABLE = {
  float32: { code: 1, bytes: 4 },
  uint8: { code: 2, bytes: 1 },
  int8: { code: 3, bytes: 1 },
  int32: { code: 6, bytes: 4 },
  int64: { code: 7, bytes: 8 },
  bool: { code: 9, bytes: 1 },
  float16: { code: 10, bytes: 2 },
} as const;

export type Dtype = keyof typeof TABLE;

export function dtypeCode(dtype: Dtype): number {
  return TABLE[dtype].code;
}

export function bytesPerElement(dtype: Dtype): number {
  return TABLE[dtype].bytes;
}
