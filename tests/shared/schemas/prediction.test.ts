import { expect, test } from 'vitest';
import { prediction, predictionPreview } from '#shared/schemas/prediction.ts';

test('prediction keeps members it does not know and refuses statuses it does not know', () => {
  const parsed = prediction.parse({ status: 'succeeded', output: ['data:,'], logs: '', more: 1 });
  expect(parsed.more).toBe(1);
  expect(prediction.safeParse({ status: 'aborted' }).success).toBe(false);
  expect(prediction.safeParse({ status: 'succeeded', output: 'data:,' }).success).toBe(false);
});

test('predictionPreview needs a step out of at least one', () => {
  const preview = { index: 0, step: 1, steps: 4, image: 'data:image/png;base64,' };
  expect(predictionPreview.safeParse(preview).success).toBe(true);
  expect(predictionPreview.safeParse({ ...preview, steps: 0 }).success).toBe(false);
});
