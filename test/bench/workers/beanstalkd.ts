import { connect } from 'node:net';
import { workerSide } from '../worker-process.js';

// Protocol: https://github.com/beanstalkd/beanstalkd/blob/master/doc/protocol.txt
const [port = ''] = process.argv.slice(2);
const { ready, job } = workerSide();
const CRLF = '\r\n';

const socket = connect(Number(port), '127.0.0.1');
socket.setNoDelay(true);
let waiting = '';
socket.on('connect', () => {
  socket.write(`reserve${CRLF}`);
  ready();
});
socket.on('data', (chunk) => {
  waiting += chunk.toString('latin1');
  for (;;) {
    const line = waiting.indexOf(CRLF);
    if (line < 0) return;
    const [word, id, size] = waiting.slice(0, line).split(' ');
    if (word !== 'RESERVED') {
      waiting = waiting.slice(line + 2);
      continue;
    }
    const end = line + 2 + Number(size);
    if (waiting.length < end + 2) return;
    job(Buffer.from(waiting.slice(line + 2, end), 'latin1'));
    waiting = waiting.slice(end + 2);
    socket.write(`delete ${id}${CRLF}reserve${CRLF}`);
  }
});
