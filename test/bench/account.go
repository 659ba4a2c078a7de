package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

var b64 = base64.RawURLEncoding

// account is one ACME client: a key, a nonce and a connection.
type account struct {
	peer
	site       string // https://host, which every URL must start with
	directory  directory
	key        *ecdsa.PrivateKey
	jwk        string
	thumbprint string
	url        string // its kid
	nonce      string
	renewalID  string // of its last certificate
}

type directory struct {
	NewNonce, NewAccount, NewOrder, RenewalInfo string
}

// pollEvery is the wait between two looks at an authorization, pollFor the
// longest time that a validation may take.
const (
	pollEvery = 5 * time.Millisecond
	pollFor   = 10 * time.Second
)

// register makes a key and an account for it.
func register(w *wire, url string) (*account, error) {
	site := "https://" + w.host
	path, err := below(url, site)
	if err != nil {
		return nil, err
	}
	a := &account{peer: peer{wire: w}, site: site}
	r, err := w.do("GET", path, nil)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(r.body, &a.directory); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	point, err := a.key.PublicKey.Bytes() // 04, x, y
	if err != nil {
		return nil, err
	}
	a.jwk = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64.EncodeToString(point[1:33]), b64.EncodeToString(point[33:]))
	sum := sha256.Sum256([]byte(a.jwk)) // RFC 7638
	a.thumbprint = b64.EncodeToString(sum[:])
	r, err = a.post(a.directory.NewAccount, `{"termsOfServiceAgreed":true}`)
	if err != nil {
		return nil, err
	}
	a.url = r.location
	a.posts = 0
	return a, nil
}

// below gives the path of a URL of the site.
func below(url, site string) (string, error) {
	path, ok := strings.CutPrefix(url, site)
	if !ok {
		return "", fmt.Errorf("%s is not below %s", url, site)
	}
	return path, nil
}

// post sends a signed request; an empty payload is a POST-as-GET. A refused
// nonce is an error: none of ours is ever used twice.
func (a *account) post(url, payload string) (reply, error) {
	path, err := below(url, a.site)
	if err != nil {
		return reply{}, err
	}
	if a.nonce == "" {
		at, err := below(a.directory.NewNonce, a.site)
		if err != nil {
			return reply{}, err
		}
		r, err := a.wire.do("HEAD", at, nil)
		if err != nil {
			return reply{}, err
		}
		a.nonce = r.nonce
	}
	body, err := a.sign(url, payload)
	if err != nil {
		return reply{}, err
	}
	a.nonce = ""
	a.posts++
	r, err := a.wire.do("POST", path, body)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	a.nonce = r.nonce
	if r.status >= 300 {
		return r, fmt.Errorf("%s: %d: %s", path, r.status, bytes.TrimSpace(r.body))
	}
	return r, nil
}

func (a *account) sign(url, payload string) ([]byte, error) {
	who := `"kid":"` + a.url + `"`
	if a.url == "" {
		who = `"jwk":` + a.jwk
	}
	input := b64.EncodeToString([]byte(`{"alg":"ES256",`+who+`,"nonce":"`+a.nonce+`","url":"`+url+`"}`)) + "." + b64.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, a.key, sum[:])
	if err != nil {
		return nil, err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	protected, encoded, _ := strings.Cut(input, ".")
	return []byte(`{"protected":"` + protected + `","payload":"` + encoded + `","signature":"` + b64.EncodeToString(signature[:]) + `"}`), nil
}

func (a *account) ask(url, payload string, into any) (reply, error) {
	r, err := a.post(url, payload)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(r.body, into)
}

type authorization struct {
	Status     string
	Challenges []struct{ Type, URL, Token string }
}

// enroll is one flow: a new order for one name, a proof by http-01, the
// certificate. Nothing of an earlier order is used again.
func (a *account) enroll(j job, answers *responder) error { return a.order(j, answers, "") }

// order may have more members than the name.
func (a *account) order(j job, answers *responder, more string) error {
	var order struct {
		Status, Finalize, Certificate string
		Authorizations                []string
	}
	if _, err := a.ask(a.directory.NewOrder, `{"identifiers":[{"type":"dns","value":"`+j.name+`"}]`+more+`}`, &order); err != nil {
		return err
	}
	if len(order.Authorizations) != 1 {
		return fmt.Errorf("%d authorizations for one name", len(order.Authorizations))
	}
	if err := a.prove(order.Authorizations[0], j.name, answers); err != nil {
		return err
	}
	if _, err := a.ask(order.Finalize, `{"csr":"`+j.csr+`"}`, &order); err != nil {
		return err
	}
	if order.Status != "valid" || order.Certificate == "" {
		return fmt.Errorf("the order is %s after finalize", order.Status)
	}
	r, err := a.post(order.Certificate, "")
	if err != nil {
		return err
	}
	return a.keep(j.name, r.body)
}

func (a *account) prove(url, name string, answers *responder) error {
	var z authorization
	if _, err := a.ask(url, "", &z); err != nil {
		return err
	}
	if z.Status != "pending" {
		return fmt.Errorf("the authorization of the fresh name %s is %s", name, z.Status)
	}
	for _, c := range z.Challenges {
		if c.Type != "http-01" {
			continue
		}
		answers.put(c.Token, c.Token+"."+a.thumbprint)
		defer answers.drop(c.Token)
		if _, err := a.post(c.URL, "{}"); err != nil {
			return err
		}
		for end := time.Now().Add(pollFor); ; {
			time.Sleep(pollEvery)
			if _, err := a.ask(url, "", &z); err != nil {
				return err
			}
			switch {
			case z.Status == "valid":
				return nil
			case z.Status != "pending" || time.Now().After(end):
				return fmt.Errorf("the authorization of %s is %s", name, z.Status)
			}
		}
	}
	return errors.New("no http-01 challenge is offered")
}
