package est

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// Media types of a private key in a reply (RFC 7030 section 4.4.2).
const (
	typeClearKey     = "application/pkcs8"
	typeEncryptedKey = "application/pkcs7-mime; smime-type=server-generated-key"
)

// boundary comes after two hyphens, which are not in base64: all that parts hold.
const boundary = "estServerKeyGenReply"

// keyPart is the private key in a reply: PKCS #8 for the TLS connection alone,
// or a CMS message.
type keyPart struct {
	encrypted bool
	der       []byte
}

func (p *keyPart) mediaType() string {
	if p.encrypted {
		return typeEncryptedKey
	}
	return typeClearKey
}

// clear forgets the key.
func (p *keyPart) clear() { clear(p.der) }

// The form of a part that is kept: one octet that says which it is, and the DER.
const (
	keptClear     = 1
	keptEncrypted = 2
)

// written is a part as it is sealed. The caller clears it.
func (p *keyPart) written() []byte {
	form := byte(keptClear)
	if p.encrypted {
		form = keptEncrypted
	}
	return append(append(make([]byte, 0, len(p.der)+1), form), p.der...)
}

// readPart reads what written made, and takes it over.
func readPart(plain []byte) (*keyPart, error) {
	if len(plain) < 2 || plain[0] != keptClear && plain[0] != keptEncrypted {
		return nil, ca.InternalError(errors.New("a kept reply has no form that is known"))
	}
	return &keyPart{encrypted: plain[0] == keptEncrypted, der: plain[1:]}, nil
}

// answerKey sends a key and its certificate, each in base64 (RFC 7030 section 4.4.2).
func (r *request) answerKey(w http.ResponseWriter, part *keyPart, certificate []byte) error {
	certs, err := cms.Degenerate([][]byte{certificate}, nil)
	if err != nil {
		return ca.InternalError(err)
	}
	body := bytes.NewBuffer(make([]byte, 0, 2*(len(part.der)+len(certs))+1024)) // room for all: no copy of the key is left behind
	defer func() { clear(body.Bytes()) }()
	for _, one := range []struct {
		mediaType string
		der       []byte
	}{{part.mediaType(), part.der}, {typeCertificate, certs}} {
		text := encode(one.der, r.endpoint.Unfolded)
		body.WriteString("--" + boundary + "\r\nContent-Type: " + one.mediaType + "\r\nContent-Transfer-Encoding: base64\r\n\r\n")
		body.Write(text)
		body.WriteString("\r\n")
		clear(text)
	}
	body.WriteString("--" + boundary + "--\r\n")
	h := w.Header()
	h.Set("Content-Type", "multipart/mixed; boundary="+boundary)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.Write(body.Bytes()) // an error means that the client is gone
	return nil
}
