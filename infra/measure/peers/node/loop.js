// Runs `handler.js` on a Lambda Runtime API. AWS's own client for Node is an add-on that has to be compiled; this loop
// does what its inner loop does with less work around it, so the comparison is not to Node's disadvantage.
'use strict';

const http = require('node:http');
const { handler } = require('./handler.js');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) };
    const request = http.request({ host, port, method, agent, headers, path: `/2018-06-01/runtime/${path}` }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function serve() {
  for (;;) {
    const event = await ask('GET', 'invocation/next');
    const id = event.headers['lambda-runtime-aws-request-id'];
    try {
      const answer = await handler(JSON.parse(event.body));
      await ask('POST', `invocation/${id}/response`, JSON.stringify(answer));
    } catch (error) {
      await ask('POST', `invocation/${id}/error`, JSON.stringify({ errorType: error.name, errorMessage: error.message }));
    }
  }
}

// The connection ends with the benchmark, and so does this program.
serve().catch(() => process.exit(0));
