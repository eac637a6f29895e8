/**
 * A process that behaves towards its parent as the function does: it listens, loads, dies when told to.
 *
 * `BEHAVIOUR`: `serve`, `fail-setup`, `exit`.
 */
import { createServer } from 'node:http';

process.once('disconnect', () => process.exit(0));
process.once('SIGTERM', () => process.exit(0));
if (process.env.BEHAVIOUR === 'exit') {
  console.error('BUNDLE is missing');
  process.exit(1);
}
const server = createServer((request, response) => {
  if (request.url === '/die') process.exit(3);
  response.end(String(process.pid));
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => {
  const { port } = server.address() as { port: number };
  console.log('line one');
  process.send?.({ type: 'listening', port });
  if (process.env.BEHAVIOUR === 'fail-setup') {
    process.send?.({ type: 'setup_failed', logs: 'the digest of graph.onnx is wrong' });
  } else {
    process.send?.({ type: 'ready' });
  }
});
