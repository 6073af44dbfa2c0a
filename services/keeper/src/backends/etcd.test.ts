import { needs, packages } from '@malabar/testkit';
import { describe } from 'vitest';
import { backendSuite } from '../backend.suite.js';
import { etcdPlace, troubledEtcdPlace } from './testing/etcd-place.js';

needs(describe, await packages.etcd())('on a real etcd', () => {
  backendSuite({ name: 'etcd', place: etcdPlace, troubledPlace: troubledEtcdPlace });
});
