/** The published checkpoints of PixArt: where their parts are, and what each needs of another. */

export type PartKind = 'pipeline' | 'adapter' | 'pth';

/** Files of one repository, and where they go. */
export interface Source {
  readonly repo: string;
  /** Folders or files of the repository that are wanted; a folder ends with a slash. */
  readonly paths: readonly string[];
}

export interface CatalogueEntry {
  readonly id: string;
  readonly kind: PartKind;
  readonly license: string;
  readonly description: string;
  readonly sources: readonly Source[];
  /** Written into `pixart-edge.json` where the repository does not say it. */
  readonly edge?: Readonly<Record<string, unknown>>;
}

const LICENSE = 'CreativeML Open RAIL++-M';
const WHOLE = [
  'model_index.json',
  'scheduler/',
  'tokenizer/',
  'text_encoder/',
  'transformer/',
  'vae/',
];
const WITHOUT_TRANSFORMER = WHOLE.filter((path) => path !== 'transformer/');
const ALPHA_512 = 'PixArt-alpha/PixArt-XL-2-512x512';
const ALPHA_1024 = 'PixArt-alpha/PixArt-XL-2-1024-MS';
const SIGMA_1024 = 'PixArt-alpha/PixArt-Sigma-XL-2-1024-MS';

function pipeline(id: string, description: string): CatalogueEntry {
  const sources = [{ repo: id, paths: WHOLE }];
  return { id, kind: 'pipeline', license: LICENSE, description, sources };
}

/** A transformer on the other components of `base`. */
function transformer(id: string, base: string, description: string): CatalogueEntry {
  const sources = [
    { repo: id, paths: ['transformer/'] },
    { repo: base, paths: WITHOUT_TRANSFORMER },
  ];
  return { id, kind: 'pipeline', license: LICENSE, description, sources };
}

/** Files of the original code on the other components of `base`. */
function original(
  id: string,
  {
    repo,
    files,
    base,
    description,
  }: { repo: string; files: string[]; base: string; description: string },
): CatalogueEntry {
  const sources = [
    { repo, paths: files.filter((file) => file !== HED) },
    ...(files.includes(HED) ? [{ repo: 'PixArt-alpha/PixArt-alpha', paths: [HED] }] : []),
    { repo: base, paths: WITHOUT_TRANSFORMER },
  ];
  return { id, kind: 'pth', license: LICENSE, description, sources };
}

const HED = 'ControlNetHED.pth';

export const CATALOGUE: readonly CatalogueEntry[] = [
  pipeline(ALPHA_1024, 'PixArt-α, 1024 px, all ratios'),
  pipeline(ALPHA_512, 'PixArt-α, 512 px'),
  transformer('PixArt-alpha/PixArt-XL-2-256x256', ALPHA_512, 'PixArt-α, 256 px'),
  transformer(
    'PixArt-alpha/PixArt-XL-2-SAM-256x256',
    ALPHA_512,
    'PixArt-α after its second stage, 256 px',
  ),
  pipeline('PixArt-alpha/PixArt-LCM-XL-2-1024-MS', 'PixArt-δ, distilled to 4 steps, 1024 px'),
  pipeline('PixArt-alpha/PixArt-Alpha-DMD-XL-2-512x512', 'PixArt-α distilled to one step, 512 px'),
  {
    id: 'PixArt-alpha/PixArt-LCM-LoRA-XL-2-1024-MS',
    kind: 'adapter',
    license: LICENSE,
    description: 'Adapter: 4 steps on PixArt-XL-2-1024-MS',
    sources: [
      {
        repo: 'PixArt-alpha/PixArt-LCM-LoRA-XL-2-1024-MS',
        paths: ['adapter_config.json', 'adapter_model.safetensors'],
      },
    ],
  },
  original('PixArt-alpha/PixArt-ControlNet-1024', {
    repo: 'PixArt-alpha/PixArt-ControlNet',
    files: ['PixArt-XL-2-1024-ControlNet.pth', HED],
    base: ALPHA_1024,
    description: 'PixArt-δ with its control network, 1024 px',
  }),
  original('PixArt-alpha/PixArt-ControlNet-512', {
    repo: 'PixArt-alpha/PixArt-ControlNet',
    files: ['PixArt-XL-2-512-ControlNet.pth', HED],
    base: ALPHA_512,
    description: 'PixArt-δ with its control network, 512 px',
  }),
  pipeline(SIGMA_1024, 'PixArt-Σ, 1024 px, 300 text tokens'),
  transformer(
    'PixArt-alpha/PixArt-Sigma-XL-2-512-MS',
    SIGMA_1024,
    'PixArt-Σ, 512 px, 300 text tokens',
  ),
];

export function findEntry(id: string): CatalogueEntry | undefined {
  return CATALOGUE.find((entry) => entry.id === id);
}

/** Whether a file of a repository is wanted: weights of one precision only, no pickles beside safetensors. */
export function isWanted(path: string, { paths }: Source): boolean {
  if (!paths.some((wanted) => (wanted.endsWith('/') ? path.startsWith(wanted) : path === wanted))) {
    return false;
  }
  if (paths.includes(path)) return true;
  if (/\.(fp16|bf16|non_ema)[.-]/.test(path)) return false;
  return /\.(json|safetensors)$|\/spiece\.model$/.test(path);
}
