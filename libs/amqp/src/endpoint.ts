/** A RabbitMQ and who we are there. */
export interface AmqpEndpoint {
  /** `amqp://host:port/vhost` or `amqps://`; the vhost `/` if it names none. */
  url: string;
  user: string;
  password: string;
}

/** The parts of an endpoint's URL. */
export interface AmqpAddress {
  protocol: 'amqp' | 'amqps';
  host: string;
  /** Undefined for that of the protocol. */
  port: number | undefined;
  vhost: string;
}

/** Throws a TypeError for what is no URL. */
export function addressOf({ url }: Pick<AmqpEndpoint, 'url'>): AmqpAddress {
  const { protocol, hostname, port, pathname } = new URL(url);
  return {
    protocol: protocol === 'amqps:' ? 'amqps' : 'amqp',
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? undefined : Number(port),
    vhost: decodeURIComponent(pathname.slice(1)) || '/',
  };
}
