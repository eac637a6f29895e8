/**
 * Upper and lower bounds of everything a caller may send, in one place.
 *
 * Both sides of each border have a test. The bounds that depend on the model (steps, guidance, sizes)
 * come from its `ModelInfo`; the ones here hold for the whole service.
 */

/** Bytes of a request target: path and query. */
export const URL_BYTES_MAX = 4096;
/** Header fields of one request, and the bytes of all of them and of one. */
export const HEADER_FIELDS_MAX = 64;
export const HEADER_BYTES_MAX = 16_384;
export const HEADER_FIELD_BYTES_MAX = 8192;

/** JSON bodies: bytes, nesting, members of one object, items of one array. */
export const JSON_BODY_BYTES_MAX = 65_536;
export const JSON_DEPTH_MAX = 6;
export const JSON_MEMBERS_MAX = 64;
export const JSON_ITEMS_MAX = 16;
/** Bodies of routes where a picture may arrive as a data URI. */
export const PREDICTION_BODY_BYTES_MAX = 12 * 1024 * 1024;
/** Bodies with one file in a form. */
export const FILE_BODY_BYTES_MAX = 9 * 1024 * 1024;
/** How long a caller may take to send a body. */
export const BODY_READ_DEADLINE_MS = 10_000;

/** Prompts: Unicode code points, UTF-8 bytes, combining marks in a row (NFC is quadratic in these). */
export const PROMPT_CODE_POINTS_MAX = 2000;
export const PROMPT_BYTES_MAX = 8192;
export const COMBINING_MARKS_MAX = 32;

export const IMAGES_PER_REQUEST_MAX = 10;
/** Steps that any sampler of any model may take; each model narrows it. */
export const STEPS_MIN = 1;
export const STEPS_MAX = 100;
export const SIDE_MIN = 64;
export const SIDE_MAX = 2048;
export const SIDE_MULTIPLE = 16;
/** Two megapixels: 2,048 × 1,024. */
export const PIXELS_MAX = 2_097_152;
export const GUIDANCE_MAX = 20;
/** Input pictures and masks: bytes of the file, pixels, pixels of one side. */
export const INPUT_PICTURE_BYTES_MAX = 8 * 1024 * 1024;
export const INPUT_PICTURE_PIXELS_MAX = 4_194_304;
export const INPUT_PICTURE_SIDE_MAX = 4096;
/** Share of the denoising steps that redraw an input picture, when the request does not say. */
export const STRENGTH_DEFAULT = 0.8;
/** How strongly an edge map steers: 0 is not at all, 1 as it was trained. */
export const CONTROL_SCALE_MAX = 2;
/** Adapters of one request, and the largest magnitude of each one's weight. */
export const LORAS_MAX = 4;
export const LORA_WEIGHT_MAX = 2;
/** Seeds are unsigned 32-bit integers. */
export const SEED_MAX = 0xffff_ffff;
/** Previews a caller may ask for in one stream. */
export const PARTIAL_IMAGES_MAX = 3;
/** Bytes of one encoded preview picture. */
export const PREVIEW_BYTES_MAX = 16_384;

/** Time for one execution: default, and what a caller may ask for. */
export const JOB_DEADLINE_MS = 60_000;
export const JOB_DEADLINE_MS_MIN = 5000;
export const JOB_DEADLINE_MS_MAX = 300_000;
/** A comment this often while work runs, on every hop; silence of `IDLE_MS_MAX` means a dead peer. */
export const HEARTBEAT_MS = 1000;
export const IDLE_MS_MAX = 5000;
/** Time an execution goes on without followers when its caller can come back to it. */
export const RESUME_GRACE_MS = 2000;

/** A signed URL is good for so long. */
export const SIGNED_URL_TTL_SECONDS_MAX = 3600;

export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;
/** How long the answer to an idempotency key is kept, and how many of them for one API key. */
export const IDEMPOTENCY_TTL_MS = 86_400_000;
export const IDEMPOTENCY_ENTRIES_MAX = 10_000;
/** One kept answer without its pictures, and all of one API key. */
export const IDEMPOTENCY_RESPONSE_BYTES_MAX = 131_072;
export const IDEMPOTENCY_BYTES_MAX = 64 * 1024 * 1024;
/** How long a retry without an idempotency key is recognised by its body. */
export const RETRY_WINDOW_MS = 120_000;

/** Keys of one account, revoked ones that are still listed included. */
export const API_KEYS_PER_ACCOUNT_MAX = 1000;
/** Open streams of one key, and of one browser token. */
export const STREAMS_PER_KEY = 8;
export const STREAMS_PER_TOKEN = 2;
/** Browser tokens: life, and pictures that may be drawn with one. */
export const TOKEN_TTL_SECONDS_MAX = 300;
export const TOKEN_GENERATIONS_MAX = 100;
export const TOKEN_LENGTH_MAX = 2048;
/** Days of usage that are remembered. */
export const USAGE_DAYS_MAX = 92;
/** Request signatures: accepted clock difference, and how long a nonce is remembered. */
export const SIGNATURE_SKEW_MS_MAX = 60_000;
export const NONCE_TTL_MS = 120_000;
export const NONCES_MAX = 100_000;
