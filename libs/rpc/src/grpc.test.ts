import { logToMemory } from '@malabar/testkit';
import { describeCalls } from './call.suite.js';
import { connect } from './client.js';
import { EchoDefinition } from './echo.suite.js';
import { serve } from './server.js';

describeCalls('a call over gRPC', async (binding) => {
  const { log } = logToMemory();
  const server = await serve({ listen: '127.0.0.1:0', bindings: [binding], log });
  const client = connect(EchoDefinition, { address: server.address });
  return {
    client,
    async stop() {
      client.close();
      await server.close();
    },
  };
});
