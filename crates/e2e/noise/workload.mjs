// A Node process at a moderate load: an HTTP server on loopback, its own requests, JSON churn, a bounded map.
// Runs for the seconds given as its argument.

import http from 'node:http';

const until = performance.now() + Number(process.argv[2]) * 1e3;
const sessions = new Map();
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.parse(Buffer.concat(chunks).toString());
    sessions.delete(body.id);
    sessions.set(body.id, { at: Date.now(), levels: body.levels });
    if (sessions.size > 4000) sessions.delete(sessions.keys().next().value);
    const answer = { id: body.id, best: body.levels.map(([p, q]) => ({ p, q, value: p * q })).sort((a, b) => a.value - b.value) };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer));
  });
});

function ask() {
  const levels = Array.from({ length: 20 + Math.floor(Math.random() * 120) }, () => [Math.random() * 1e5, Math.random()]);
  const body = JSON.stringify({ id: Math.floor(Math.random() * 12000), levels });
  const request = http.request(
    { agent, port: server.address().port, host: '127.0.0.1', method: 'POST' },
    (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => JSON.parse(Buffer.concat(chunks).toString()));
    },
  );
  request.on('error', (error) => console.error(String(error)));
  request.end(body);
}

function tick() {
  if (performance.now() > until) {
    agent.destroy();
    server.close();
    return;
  }
  const burst = Math.random() < 0.02 ? 60 : Math.floor(Math.random() * 5);
  for (let n = 0; n < burst; n += 1) ask();
  setTimeout(tick, 60 + Math.random() * 120);
}

server.listen(0, '127.0.0.1', tick);
