/** What a bundle's manifest says about the model, from the checkpoint's configurations. */
import { type Capability, modelInfo } from '#shared/schemas/model.ts';
import { STYLE_NAMES } from '#shared/styles.ts';
import {
  BUNDLE_FORMAT,
  type BundlePrecision,
  type BundleTarget,
  type Manifest,
  withRevision,
} from '../runtime/manifest.ts';
import { CheckpointError } from '../safetensors/errors.ts';
import type { Checkpoint } from './checkpoint.ts';
import { defaultSequenceLength } from './configs.ts';

export interface DescribeOptions {
  readonly id: string;
  readonly license: string;
  readonly target: BundleTarget;
  readonly precision: BundlePrecision;
}

type Samplers = Manifest['info']['samplers'];
type Written = Pick<Manifest, 'files' | 'graphs' | 'tokenizer'>;

const UNSET = '0'.repeat(64);

/** A diffusion model can be sampled in every way; the numbers of steps are those of PixArt's demos and pipelines. */
const DIFFUSION_SAMPLERS: Samplers = {
  'dpm-solver++': sampler({ min: 1, low: 10, usual: 20, high: 40 }),
  'sa-solver': sampler({ min: 1, low: 15, usual: 25, high: 40 }),
  ddim: sampler({ min: 1, low: 20, usual: 50, high: 100 }),
  ddpm: sampler({ min: 1, low: 50, usual: 100, high: 100 }),
};
/** Only with a learned variance, which it samples from. */
const LEARNED_VARIANCE_SAMPLERS: Samplers = {
  iddpm: sampler({ min: 2, low: 50, usual: 100, high: 100 }),
};
const DIFFUSION_GUIDANCE = { min: 0, max: 20, default: 4.5 } as const;

/** The default sampler by the scheduler class of the checkpoint; `pixart-edge.json` can say otherwise. */
const SCHEDULER_CLASSES: Readonly<Record<string, string>> = {
  LCMScheduler: 'lcm',
  DPMSolverMultistepScheduler: 'dpm-solver++',
  SASolverScheduler: 'sa-solver',
  DDIMScheduler: 'ddim',
  DDPMScheduler: 'ddpm',
};

function sampler(steps: { min: number; low: number; usual: number; high: number }) {
  const { min, low, usual, high } = steps;
  return { steps: { min, max: 100, default: usual }, quality: { low, medium: usual, high } };
}

/** Latent sides of the published models, which come with a table of aspect-ratio bins. */
const BINNED_SAMPLE_SIZES: readonly number[] = [32, 64, 128];

/** @throws {CheckpointError} when the configurations describe a model that cannot be served */
export function describeModel(
  checkpoint: Checkpoint,
  written: Written,
  { id, license, target, precision }: DescribeOptions,
): Manifest {
  const { edge } = checkpoint;
  const { config: text } = checkpoint.textEncoder;
  const { config: transformer } = checkpoint.transformer;
  const { config: vae } = checkpoint.vae;
  const scaleFactor = 2 ** (vae.block_out_channels.length - 1);
  const numericClass = `${target}-${precision}`;
  const maxSequenceLength =
    edge.max_sequence_length ?? defaultSequenceLength(checkpoint.modelIndex);
  const cleanCaption = edge.clean_caption ?? true;

  const info = modelInfo.safeParse({
    id,
    revision: UNSET,
    numeric_class: numericClass,
    license,
    max_sequence_length: maxSequenceLength,
    alpha: edge.alpha ?? vae.out_channels === 4,
    clean_caption: cleanCaption,
    ...sizes(checkpoint, scaleFactor),
    ...samplers(checkpoint),
    ...abilities(checkpoint, written),
    vocabulary: edge.vocabulary,
  });
  if (!info.success) {
    const issues = info.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new CheckpointError(`the model cannot be described: ${issues.join('; ')}`);
  }
  const manifest: Manifest = {
    format: BUNDLE_FORMAT,
    id,
    revision: UNSET,
    target,
    precision,
    numeric_class: numericClass,
    license,
    ...written,
    text: {
      max_sequence_length: maxSequenceLength,
      channels: text.d_model,
      vocab_size: text.vocab_size,
      clean_caption: cleanCaption,
    },
    transformer: {
      latent_channels: transformer.in_channels,
      out_channels: transformer.out_channels,
      width: transformer.width,
      num_layers: transformer.num_layers,
      patch_size: transformer.patch_size,
      sample_size: transformer.sample_size,
      interpolation_scale: transformer.interpolation_scale,
      use_additional_conditions: transformer.use_additional_conditions,
    },
    vae: {
      channels: vae.out_channels,
      latent_channels: vae.latent_channels,
      scale_factor: scaleFactor,
      scaling_factor: vae.scaling_factor,
    },
    // What JSON cannot hold (-Infinity) becomes null here, so that the revision is that of the file.
    scheduler: JSON.parse(JSON.stringify(checkpoint.scheduler)) as Manifest['scheduler'],
    ...preview(checkpoint),
    info: info.data,
  };
  return withRevision(manifest);
}

function sizes({ edge, transformer }: Checkpoint, scaleFactor: number) {
  const side = transformer.config.sample_size * scaleFactor;
  const native =
    typeof edge.native_size === 'number'
      ? [edge.native_size, edge.native_size]
      : (edge.native_size ?? [side, side]);
  const binned = BINNED_SAMPLE_SIZES.includes(transformer.config.sample_size);
  return { native_size: native, sizes: edge.sizes ?? (binned ? 'bins' : [native]) };
}

function samplers({ edge, scheduler, transformer }: Checkpoint) {
  const usual = Object.hasOwn(SCHEDULER_CLASSES, scheduler._class_name)
    ? SCHEDULER_CLASSES[scheduler._class_name]
    : undefined;
  if (usual === undefined && edge.samplers === undefined) {
    throw new CheckpointError(
      `scheduler_config.json: _class_name ${scheduler._class_name} is not one of ${Object.keys(SCHEDULER_CLASSES).join(', ')}`,
    );
  }
  // Distilled models have guidance inside and know only the steps they were taught.
  if (usual === 'lcm') {
    const all = edge.samplers ?? { lcm: { steps: { min: 1, max: 8, default: 4 } } };
    return {
      samplers: all,
      default_sampler: edge.default_sampler ?? Object.keys(all)[0],
      guidance: edge.guidance ?? { min: 0, max: 0, default: 0 },
    };
  }
  const { in_channels: latents, out_channels: outputs } = transformer.config;
  const all = edge.samplers ?? {
    ...DIFFUSION_SAMPLERS,
    ...(outputs > latents && LEARNED_VARIANCE_SAMPLERS),
  };
  return {
    samplers: all,
    default_sampler:
      edge.default_sampler ??
      (usual !== undefined && Object.hasOwn(all, usual) ? usual : Object.keys(all)[0]),
    guidance: edge.guidance ?? DIFFUSION_GUIDANCE,
  };
}

/** What the model takes beside a prompt; the styles of PixArt's demo unless it has words of its own. */
function abilities({ edge, control, edgeDetector }: Checkpoint, { graphs }: Written) {
  const styles = edge.styles ?? (edge.vocabulary === undefined ? STYLE_NAMES : []);
  const fromPicture: Capability[] = graphs.vae_encoder ? ['image', 'mask'] : [];
  const fromEdges: Capability[] =
    control !== undefined && edgeDetector !== undefined && graphs.vae_encoder ? ['control'] : [];
  return {
    capabilities: [...fromPicture, ...fromEdges, 'lora'] satisfies Capability[],
    ...(styles.length > 0 && { styles }),
  };
}

function preview({ edge, transformer }: Checkpoint): Pick<Manifest, 'preview'> {
  const { latent_rgb_factors: factors, latent_rgb_bias: bias } = edge;
  if (factors === undefined) return {};
  if (factors.length !== transformer.config.in_channels) {
    throw new CheckpointError(
      `pixart-edge.json: latent_rgb_factors has ${factors.length} rows, the latents ${transformer.config.in_channels} channels`,
    );
  }
  return { preview: { latent_rgb_factors: factors, latent_rgb_bias: bias ?? [0, 0, 0] } };
}
