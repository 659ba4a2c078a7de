// Stands after the script of docs/acme.md: what its user asks of the client later.
const keep = (name, chain, itsKey) => {
    writeFileSync(`${name}.pem`, chain);
    writeFileSync(`${name}-key.pem`, itsKey);
};
const again = async (name) => {
    const [newKey, newRequest] = await acme.crypto.createCsr({ altNames: ['host.example.com'] });
    const chain = await client.auto({
        csr: newRequest,
        skipChallengeVerification: true,
        challengePriority: ['http-01'],
        challengeCreateFn: async (authz, challenge, text) => present(challenge.token, text),
        challengeRemoveFn: async (authz, challenge) => remove(challenge.token),
    });
    keep(name, chain, newKey);
    return chain;
};
const refused = async (what, promise, why) => {
    const message = await promise.then(() => 'taken', (error) => error.message);
    if (!message.includes(why)) throw new Error(`${what}: ${message}`);
};

keep('first', certificate, key);
await again('renewed');

await client.updateAccount({ contact: ['mailto:new@example.com'] });
const account = client.getAccountUrl();
const newKey = await acme.crypto.createPrivateEcdsaKey();
await client.updateAccountKey(newKey);
await refused('the old key', new acme.Client({ directoryUrl: client.opts.directoryUrl, accountKey: client.opts.accountKey, accountUrl: account })
    .createOrder({ identifiers: [{ type: 'dns', value: 'host.example.com' }] }), 'signature');
const last = await again('rolled');

await client.revokeCertificate(last, { reason: 4 });
await refused('a second revocation', client.revokeCertificate(last, { reason: 4 }), 'revoked already');
await client.updateAccount({ status: 'deactivated' });
await refused('a deactivated account', client.createOrder({ identifiers: [{ type: 'dns', value: 'host.example.com' }] }), 'deactivated');
web.close();
