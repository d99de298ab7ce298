/** Makes a span when it is told to stop, and stops. Arguments: URL of the collector. */
import { inSpan } from '../../platform/observability/trace-context.js';
import { startTracing } from '../../platform/observability/tracing.js';

const [collectorUrl] = process.argv.slice(2);
const tracing = await startTracing({ collectorUrl, serviceName: 'fleet', instance: 'one' });
const alive = setInterval(() => undefined, 1_000);
process.once('SIGTERM', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  void inSpan('the last', { traceparent }, async () => undefined).then(async () => {
    await tracing.stop();
    clearInterval(alive);
    process.stdout.write('stopped in good order\n', () => process.exit(0));
  });
});
process.stdout.write('started\n');
