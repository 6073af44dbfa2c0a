import type { config, sync } from '@malabar/contracts';
import { BusError } from '@malabar/core';
import { domainFault, pathFault, sectionFault } from '@malabar/typed-config';

const NODE_ID = /^[\x21-\x7e]{1,128}$/;
const DOMAINS_MAX = 64;
const SUBSCRIPTIONS_MAX = 256;
const TAGS_MAX = 64;
const TEXT_LENGTH_MAX = 256;

/** The hello of a stream's first message. Throws INVALID, naming what is wrong. */
export function helloOf({ message }: sync.SyncRequest): sync.Hello {
  if (message?.$case !== 'hello') throw invalid('the first message of a node is hello');
  const { nodeId, domains, tags, component, hostname, zone, client } = message.value;
  if (!NODE_ID.test(nodeId)) {
    throw invalid(`node id ${JSON.stringify(nodeId)} is not 1 to 128 visible ASCII characters`);
  }
  checkTexts({ component, hostname, zone, client });
  checkCount('tags', Object.keys(tags).length, TAGS_MAX);
  for (const [name, value] of Object.entries(tags)) checkTexts({ [`tag ${name}`]: name + value });
  if (domains.length === 0) throw invalid(`node ${nodeId} asks for no domain`);
  checkCount('domains', domains.length, DOMAINS_MAX);
  if (new Set(domains.map(({ domain }) => domain)).size < domains.length) {
    throw invalid(`node ${nodeId} asks for a domain twice`);
  }
  for (const each of domains) checkDomain(each);
  return message.value;
}

function checkDomain({ domain, subscriptions }: sync.DomainSubscription): void {
  const fault = domainFault(domain);
  if (fault !== undefined) throw invalid(fault);
  checkCount(`subscriptions of ${domain}`, subscriptions.length, SUBSCRIPTIONS_MAX);
  for (const each of subscriptions) checkSubscription(domain, each);
}

function checkSubscription(domain: string, subscription: config.Subscription): void {
  const { file, section, verbatim } = subscription;
  const everything = verbatim && file === '*';
  const fault = (everything ? undefined : pathFault(file)) ?? (section && sectionFault(section));
  if (fault) throw invalid(`domain ${domain}: ${fault}`);
}

function checkCount(what: string, count: number, most: number): void {
  if (count > most) throw invalid(`${count} ${what}; at most ${most}`);
}

function checkTexts(texts: Record<string, string>): void {
  for (const [name, text] of Object.entries(texts)) {
    if (text.length <= TEXT_LENGTH_MAX) continue;
    throw invalid(`${name} has ${text.length} characters; at most ${TEXT_LENGTH_MAX}`);
  }
}

function invalid(message: string): BusError {
  return new BusError('INVALID', message);
}
