import type { RpcMetrics } from '@malabar/rpc';
import type { Metrics } from '@malabar/telemetry';

const LABELS = ['grpc_type', 'grpc_service', 'grpc_method'] as const;

/** The figures of a gRPC server, by the names that the ecosystem's dashboards know. */
export function createRpcMetrics(metrics: Metrics): RpcMetrics {
  const handled = metrics.counter(
    'grpc_server_handled_total',
    'Calls that ended, by status; streams count once',
    [...LABELS, 'grpc_code'],
  );
  const took = metrics.histogram(
    'grpc_server_handling_seconds',
    'How long calls took that are no streams',
    { labels: LABELS },
  );
  return {
    handled({ type, service, method, status, durationMs }) {
      handled.labels(type, service, method, status).inc();
      if (type === 'unary') took.labels(type, service, method).observe(durationMs / 1000);
    },
  };
}
