package cms

// Decrypt gives the content with the first of the keys that a recipient is
// named for; one private-key operation is made at most. An envelope for none of
// them is ErrRecipient. What anybody can see in the message is said plainly:
// ErrAlgorithm for a cipher or key encryption that is not supported, over a
// bound or below the floor, ErrSyntax for parameters that do not parse.
//
// From there on every failure is ErrDecrypt, the same value after the same
// operations: the key is unwrapped, or made up where it does not unwrap, the
// whole content is decrypted with it, and padding or tag are checked (RFC 3218
// section 2.3.2, design.md invariant 10). Only a key that could not be asked at
// all (a *ca.Error of kind Unavailable or Internal, an ended context) has an
// error of its own.
//
// A made-up key passes for the right one about once in 256 times under CBC, and
// gives random content. So a caller answers content that does not parse exactly
// as it answers ErrDecrypt, and checks a signature over the envelope first
// where there is one.
func (e *Envelope) Decrypt(floor Floor, keys ...Key) ([]byte, error) {
	return e.decrypt(newBlock, floor, keys)
}

func (e *Envelope) decrypt(blocks blockMaker, floor Floor, keys []Key) ([]byte, error) {
	row := e.Cipher.row()
	if row == nil || !e.Cipher.GrantedBy(floor) {
		return nil, algorithmf("cipher %v is not granted here", e.Cipher)
	}
	unwrap, err := e.find(floor, keys)
	if err != nil {
		return nil, err
	}
	cek, ok, err := unwrap(row.key, blocks)
	if err != nil {
		return nil, err
	}
	defer clear(cek)
	block, err := blocks(row.kind, cek)
	if err != nil {
		return nil, err
	}
	var content []byte
	var opened int
	if row.gcm {
		content, opened = openGCM(block, e.params, e.sealed, e.tag, e.attributes)
	} else {
		content, opened = row.openCBC(block, e.params, e.sealed)
	}
	if ok&opened != 1 {
		clear(content)
		return nil, ErrDecrypt
	}
	return content, nil
}

// find looks for the first recipient that one of the keys can open.
func (e *Envelope) find(floor Floor, keys []Key) (unwrapper, error) {
	found := error(ErrRecipient)
	for i := range e.Recipients {
		for _, key := range keys {
			if !key.matches(&e.Recipients[i]) {
				continue
			}
			unwrap, err := key.prepare(&e.Recipients[i], floor)
			if err == nil {
				return unwrap, nil
			}
			if found == error(ErrRecipient) {
				found = err
			}
		}
	}
	return nil, found
}
