import { eventually } from '@malabar/testkit';
import { expect, test } from 'vitest';
import { describeBackends } from '../backends.suite.js';
import { ADMIN, office, passwordOf, showing, VIEWER } from './access.suite.js';

const HOUR_MS = 3_600_000;

describeBackends('people', (place) => {
  test('a user logs in and is known by his session for twelve hours', async () => {
    const { backend } = await place();
    const { access: service, hire, clock } = await office(backend);
    await hire('ann', ADMIN);
    const login = await service.login({ user: 'ann', password: passwordOf('ann') });
    expect(login.expiresAtMs).toBe(clock.now() + 12 * HOUR_MS);
    const me = await service.whoAmI({}, showing(login.token));
    expect(me).toEqual({ name: 'ann', grants: [ADMIN], expiresAtMs: login.expiresAtMs });
    await clock.advance(12 * HOUR_MS);
    await expect(service.whoAmI({}, showing(login.token))).rejects.toThrow(/session expired/);
  });

  test('a change of the password ends the sessions of before', async () => {
    const { backend } = await place();
    const { access: service, hire, as } = await office(backend);
    await hire('ann', ADMIN);
    const before = await as('ann');
    const user = { name: 'ann', grants: [ADMIN], disabled: false };
    await service.putUser({ user, password: 'another one' }, before);
    await expect(service.whoAmI({}, before)).rejects.toThrow('the session has been ended');
    await expect(as('ann')).rejects.toThrow('wrong user or password');
    const { token } = await service.login({ user: 'ann', password: 'another one' });
    expect((await service.whoAmI({}, showing(token))).name).toBe('ann');
  });

  test('what one keeper writes another one knows', async () => {
    const { backend, another } = await place();
    const first = await office(backend);
    const second = await office(await another(), first.clock);
    await first.hire('ann', ADMIN);
    const session = await first.as('ann');
    await eventually(async () => {
      expect((await second.access.whoAmI({}, session)).name).toBe('ann');
    });
    await second.access.putUser({
      user: { name: 'ann', grants: [ADMIN, VIEWER], disabled: false },
      password: 'another one',
    });
    await eventually(() =>
      expect(first.access.whoAmI({}, session)).rejects.toThrow('the session has been ended'),
    );
  });
});
