// Stands before the script of docs/acme.md: answers http-01 on HTTP_PORT.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';

const answers = new Map();
const web = createServer((request, response) => {
    const text = answers.get(request.url);
    response.writeHead(text ? 200 : 404).end(text);
}).listen(Number(process.env.HTTP_PORT), '127.0.0.1');
await once(web, 'listening');

const path = (token) => `/.well-known/acme-challenge/${token}`;
const present = (token, text) => answers.set(path(token), text);
const remove = (token) => answers.delete(path(token));
