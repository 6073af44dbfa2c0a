import { describeCalls } from './call.suite.js';
import type { EchoDefinition } from './echo.suite.js';
import { local } from './local.js';

describeCalls('a call in the same process', async (binding) => ({
  client: local<EchoDefinition>(binding),
  stop: async () => {},
}));
