import { toBusError } from '@malabar/core';
import type { Bus, BusClient, BusService } from './bus.js';

/** What one instance has answered. */
export interface Answer<S extends BusService, T> {
  /** The instance at the keeper. */
  id: string;
  client: BusClient<S>;
  answer: T;
}

/** What all instances of a service have answered. */
export interface Answers<S extends BusService, T> {
  answers: Answer<S, T>[];
  /** Why others did not. */
  silent: string[];
}

/** Asks every instance of a service that the keeper knows. */
export async function askAll<S extends BusService, T>(
  bus: Bus,
  service: S,
  ask: (client: BusClient<S>) => Promise<T>,
): Promise<Answers<S, T>> {
  const answers: Answer<S, T>[] = [];
  const silent: string[] = [];
  const one = async ({ id, client }: Omit<Answer<S, T>, 'answer'>): Promise<void> => {
    try {
      answers.push({ id, client, answer: await ask(client) });
    } catch (error) {
      silent.push(`${id} does not answer: ${toBusError(error).message}`);
    }
  };
  await Promise.all(bus.clients(service).map(one));
  return { answers: answers.sort((a, b) => (a.id < b.id ? -1 : 1)), silent: silent.sort() };
}
