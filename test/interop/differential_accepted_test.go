package interop

// acceptance is something that our door answers otherwise than Pebble. In differs
// and at, * is any text; each place of at must occur.
type acceptance struct {
	differs string
	at      []string
	because string // text of docs/divergences.md
}

// races are the places where an answer depends on what is done first, the work or
// the answer: what is accepted there need not occur.
var races = []string{"challenge: begun with {}", "challenge: begun with unknown member", "finalize: *"}

// accepted is all of it.
var accepted = []acceptance{
	// Headers.
	{`cache-control "no-store", Pebble "*"`, []string{"*"}, "every reply is `no-store`"},
	{`nonce "there", Pebble ""`, []string{"*: GET", "*: HEAD", "*: PUT", "*: DELETE", "*: PATCH", "*: OPTIONS", "nothing: POST", "renewal information: *"}, "every reply has a nonce, to whatever method and path"},
	{`charset "", Pebble "utf-8"`, []string{"*"}, "JSON is sent without `charset`"},
	{`location "there", Pebble ""`, []string{"account: *", "key change: the new key after it"}, "the account's URL is in every answer that shows it"},
	{`link "index,up", Pebble "index"`, []string{"challenge: *"}, "`up` leads from every challenge to its authorization"},
	{`link "index", Pebble ""`, []string{"directory: *"}, "a refusal names the index at the directory's address, too"},
	{`404 malformed, Pebble 404`, []string{"authorization: unknown", "certificate: unknown", "certificate: alternate that is not there", "challenge: unknown", "order: unknown", "nothing: *"}, "what does not exist is answered with a problem document"},
	// Members.
	{`member .algorithms[] "list", Pebble ""`, []string{"*: alg *", "*: a MAC", "key change: inner alg"}, "`badSignatureAlgorithm` lists the algorithms"},
	{`member .profile "", Pebble "string"`, []string{"order: *", "new order: *"}, "an order that names no profile shows none, also where the endpoint's own profile has a name"},
	{`member .key.* "", Pebble "string"`, []string{"account: *", "new account: *", "new account, *", "key change: *"}, "an account shows whether it agreed to the terms, and not its key"},
	{`member .termsOfServiceAgreed "bool", Pebble ""`, []string{"account: *", "new account: *", "new account, *", "key change: *"}, "an account shows whether it agreed to the terms, and not its key"},
	{`member .subproblems[]* "*", Pebble ""`, []string{"new order: ip *"}, "a refused identifier is named in `subproblems`"},
	{`member .instance "string", Pebble ""`, []string{`new account, payload {"termsOfServiceAgreed":false}`, "new account, payload {}"}, "`userActionRequired` names what must be read in `instance`"},
	{`member .newAuthz "string", Pebble ""`, []string{"directory: *"}, "there is newAuthz"},
	{`member .meta.externalAccountRequired "", Pebble "bool"`, []string{"directory: *"}, "`externalAccountRequired` is left out where it is false"},
	{`member .challenges[].*, Pebble "*"`, []string{"authorization: *"}, "challenge types that are drafts are offered only where they are configured"},
	{`types "dns-01 http-01 tls-alpn-01", Pebble "dns-01 dns-account-01 dns-persist-01 http-01 tls-alpn-01"`, []string{"challenge: types"}, "challenge types that are drafts are offered only where they are configured"},
	{`member .challenges[].* "string", Pebble ""`, []string{"authorization: pending, ended"}, "an authorization that was ended before it was proven still lists its challenges"},
	{`member .error.* "string", Pebble ""`, []string{"order: whose authorization was ended", "order: with an authorization that was ended"}, "an order that cannot be finalized any more says why in `error`"},
	{`member .not* "", Pebble "string"`, []string{"new order: year 1"}, "`notBefore` and `notAfter` of the year 1 mean \"not asked\""},
	// The JWS.
	{"401 unauthorized, Pebble 400 malformed", []string{"*: url of *", "*: url with *", "*: url relative", "*: query in the request"}, "another `url` than the request's is `unauthorized`"},
	{"400 malformed, Pebble 400 badNonce", []string{"*: empty nonce", "*: nonce not base64url"}, "a nonce that is not base64url is `malformed`"},
	{"400 malformed, Pebble 400 badSignatureAlgorithm", []string{"*: no protected"}, "a JWS without `protected` is `malformed`"},
	{"413 malformed, Pebble 400 malformed", []string{"*: oversize"}, "what is too long is answered 413"},
	{"400 accountDoesNotExist, Pebble 400 malformed", []string{"*: kid elsewhere"}, "an account URL of another server is `accountDoesNotExist`"},
	{"*, Pebble 415 malformed", []string{"*: media type upper case", "*: media type with charset"}, "media types are read as RFC 9110 section 8.3.1 has them"},
	{"400 malformed, Pebble *", []string{"*: signatures beside one"}, "a JWS with `signatures` is `malformed`, whatever else it has"},
	{"* valid, Pebble 400 badSignatureAlgorithm", []string{"new account: EdDSA", "new account: again, EdDSA", "new account: found, EdDSA"}, "accounts may have Ed25519 keys"},
	{"400 badPublicKey, Pebble 400 *", []string{"new account: jwk *"}, "a key that cannot be used is `badPublicKey`"},
	// Accounts.
	{"200 valid, Pebble 400 malformed", []string{"account, payload *", "account: contact null"}, "an account update that changes nothing answers with the account"},
	{"20* valid, Pebble 400 malformed", []string{"account: contact *c@*", "new account: contact *c@*"}, "an account has up to ten contacts, or as many as are configured"},
	{"400 invalidContact, Pebble 20* valid", []string{"*: contact *Name*", "*: contact *subject*", "*: contact *aaaa*"}, "a contact is one plain address of at most 320 octets"},
	{"201 valid, Pebble 400 malformed", []string{`new account, payload *"externalAccountBinding":{}}`}, "a directory whose policy does not name `eab` ignores external account bindings"},
	{"400 malformed, Pebble 403 userActionRequired", []string{"new account, payload null"}, "a payload is an object, and not `null`"},
	{"401 unauthorized, Pebble 403 unauthorized", []string{"account: ended, *"}, "a deactivated account is answered 401"},
	{"404 malformed, Pebble 200 *", []string{"account: another's", "account: another's, changed", "account: another's, ended", "an account that never was"}, "what belongs to another account is answered as if it did not exist"},
	{"404 malformed, Pebble 403 unauthorized", []string{"authorization: another's", "authorization: another's, ended", "certificate: another's", "challenge: another's", "finalize: another's", "order: another's", "orders: another's", "order: replaces another's"}, "what belongs to another account is answered as if it did not exist"},
	{"200 valid, Pebble 200", []string{"key change: as it should be", "key change: inner nonce", "key change: unknown member"}, "a key change is answered with the account"},
	{"409 malformed, Pebble *", []string{"key change: to the same key", "key change: to another's key"}, "a key change to a key that has an account, the same one included, is answered 409 with its URL"},
	// Orders.
	{"400 rejectedIdentifier, Pebble 400 malformed", []string{"new order: dns *", "new order: value missing"}, "a text that is no DNS name, or that is not issued for, is `rejectedIdentifier`"},
	{"400 rejectedIdentifier, Pebble 201 pending", []string{`new order: dns "-a.example"`, `new order: dns "a-.example"`, `new order: dns ".example"`, `new order: dns "a..example"`, `new order: dns "a.123"`, `new order: dns "127.1"`,
		`new order: dns "1.2.3.4.5"`, `new order: dns "*.127.0.0.1"`, `new order: dns "xn--.example"`, "new order: dns of 72 octets"}, "a text that is no DNS name, or that is not issued for, is `rejectedIdentifier`"},
	{"201 pending, Pebble 400 malformed", []string{`new order: dns "_acme.example"`, `new order: dns "a_b.example"`}, "names with underscores can be issued for"},
	{"400 unsupportedIdentifier, Pebble 400 malformed", []string{"new order: type *", "new order: identifier *", "new order: one good and one bad"}, "another type of identifier is `unsupportedIdentifier`"},
	{"400 malformed, Pebble 201 pending", []string{"new order: 101 names"}, "an order has at most 100 identifiers"},
	{"400 malformed, Pebble 201 pending", []string{`new order: ip "::ffff:127.0.0.1"`}, "IPv4-mapped ones are `malformed`"},
	{"400 malformed, Pebble 201 pending", []string{"new order: notBefore text", "new order: notBefore a date", "new order: notAfter without zone"}, "`notBefore` and `notAfter` in another form than RFC 3339's are `malformed`"},
	{"404 malformed, Pebble 400 malformed", []string{"new order: replaces *", "renewal information: of *"}, "an id that no certificate here has is answered 404, whatever its form"},
	{"201 pending, Pebble 201 ready", []string{"order: replaces it"}, "names that an order proved are proven again in the next order"},
	{"200 pending, Pebble 200 valid", []string{"authorization: of a name that was proven"}, "names that an order proved are proven again in the next order"},
	{"400 malformed, Pebble 500 serverInternal", []string{"order: replaces it with another name"}, "an order that replaces a certificate without any of its names is `malformed`"},
	{"409 malformed, Pebble 200 deactivated", []string{"authorization: ended, ended again"}, "an authorization is deactivated once; again is 409"},
	{"200 *, Pebble 200 *", []string{"challenge: begun with {}", "challenge: begun with unknown member"}, "the answer to a challenge waits up to a second for its validation"},
	{"200 valid, Pebble 400 malformed", []string{"challenge: valid, begun again"}, "a challenge that was begun before is only read"},
	{"200 *, Pebble 400 malformed", []string{"challenge: begun with keyAuthorization"}, "a `keyAuthorization` in the answer to a challenge is ignored"},
	{"400 malformed, Pebble 200 *", []string{"challenge: begun with null"}, "a payload is an object, and not `null`"},
	// Certificates.
	{"200 valid, Pebble 200 processing", []string{"finalize: *"}, "finalize waits for the certificate"},
	{"200 valid, Pebble 403 orderNotReady", []string{"finalize: twice", "finalize: twice, with another CSR"}, "finalize of a valid order answers with the order"},
	{"200 valid, Pebble 403 unauthorized", []string{"finalize: no name"}, "a CSR without any name is read as naming the order's identifiers"},
	{"200 valid, Pebble 403 unauthorized", []string{"finalize: CN alone"}, "a CSR may name the identifier in its common name alone"},
	{"400 badCSR, Pebble 400 malformed", []string{"finalize: csr *", "finalize: {}"}, "a CSR that cannot be read is `badCSR`"},
	{"400 badCSR, Pebble 403 unauthorized", []string{"finalize: a name too many", "finalize: another name", "finalize: a wildcard instead", "finalize: an address more"}, "a CSR with other names than the order's is `badCSR`"},
	{"400 badCSR, Pebble 200 *", []string{"finalize: another CN", "finalize: CN that is no name", "finalize: a mailbox more", "finalize: a URI more"}, "a CSR with other names than the order's is `badCSR`"},
	{"400 badCSR, Pebble 200 *", []string{"finalize: csr of P-521"}, "the profile says which keys are certified"},
	{"400 badRevocationReason, Pebble 200", []string{"revoke: reason 2", "revoke: reason 6", "revoke: reason 8", "revoke: reason 10"}, "the reasons certificateHold (6), cACompromise (2), aACompromise (10) and removeFromCRL (8) are `badRevocationReason`"},
	{"400 badRevocationReason, Pebble 400 malformed", []string{"revoke: reason -1"}, "a number that is no reason is `badRevocationReason`"},
	{"404 malformed, Pebble 400 malformed", []string{"revoke: payload 13"}, "a certificate that was not issued here is answered 404"},
	{"200, Pebble 403 unauthorized", []string{"revoke: by who holds the name"}, "an account that holds authorizations for all names of a certificate may revoke it"},
}
