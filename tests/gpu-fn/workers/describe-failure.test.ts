import { describe, expect, it } from 'vitest';
import { ServiceError } from '#shared/errors.ts';
import { describeFailure, describeSetupFailure } from '../../../gpu-fn/workers/describe-failure.ts';

describe('describeFailure()', () => {
  it('keeps the text of an unknown error for the log', () => {
    const described = describeFailure(new Error('node /secret/path failed'));
    expect(described.code).toBe('internal_error');
    expect(described.detail).toBe('The picture could not be drawn.');
    expect(described.stack).toContain('/secret/path');
  });

  it.each([
    'std::bad_alloc',
    'Failed to allocate memory for requested buffer of size 64',
    'CUDA out of memory',
  ])('recognizes %j as memory that ran out', (message) => {
    expect(describeFailure(new Error(message)).code).toBe('out_of_memory');
  });

  it('passes an error on that was written for callers', () => {
    const error = new ServiceError('invalid_parameter', { detail: 'Too wide.', param: 'width' });
    expect(describeFailure(error)).toMatchObject({
      code: 'invalid_parameter',
      detail: 'Too wide.',
      param: 'width',
    });
  });

  it('takes what is no Error', () => {
    expect(describeFailure('text')).toMatchObject({ code: 'internal_error', stack: 'text' });
  });
});

describe('describeSetupFailure()', () => {
  it('names the damaged file, not its folder', () => {
    const error = new Error('/srv/bundle/vae.data: 3 bytes, the manifest says 4');
    error.name = 'BundleError';
    expect(describeSetupFailure(error, '/srv/bundle').detail).toBe(
      'The model could not be loaded. vae.data: 3 bytes, the manifest says 4.',
    );
  });

  it('tells nothing of other errors', () => {
    const { detail, stack } = describeSetupFailure(new Error('at /srv/x'), '/srv/bundle');
    expect(detail).toBe('The model could not be loaded.');
    expect(stack).toContain('/srv/x');
  });
});
