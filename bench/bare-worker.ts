/** What `bench/edge-cost.ts` compares with: hono and nothing else, doing the least that each of our routes has to do. */
import { Hono } from 'hono';

const app = new Hono();
let image = new Uint8Array();
let answer = '{}';

app.put('/image', async (c) => {
  image = new Uint8Array(await c.req.arrayBuffer());
  return c.body(null, 204);
});
app.put('/answer', async (c) => {
  answer = await c.req.text();
  return c.body(null, 204);
});
app.get('/image', (c) => c.body(image, 200, { 'Content-Type': 'image/png' }));
app.post('/json', async (c) => {
  const text = JSON.stringify(await c.req.json());
  await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return c.body(answer, 200, { 'Content-Type': 'application/json' });
});
app.get('/constant', (c) => c.json({ error: 'no' }, 401));

export default app;
