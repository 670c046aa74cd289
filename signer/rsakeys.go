package signer

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"iter"
)

// RSAKeys are the keys of an RSA scheme. A client has Keys and, to verify answers, ResponseKeys; a server that
// only verifies has RequestKeys.
type RSAKeys struct {
	// Keys sign requests.
	Keys *Ring[*rsa.PrivateKey]
	// RequestKeys verify requests. Unset: the public halves of Keys.
	RequestKeys *Ring[*rsa.PublicKey]
	// ResponseKeys verify responses: the vendor's public keys. Unset: VerifyResponse returns ErrNoKeys.
	ResponseKeys *Ring[*rsa.PublicKey]
}

// check refuses key sets that no use can be made of, and keys that were not loaded through the parsers.
func (k *RSAKeys) check(scheme string) error {
	if k.Keys == nil && k.RequestKeys == nil {
		return fmt.Errorf("keys: %s needs at least one RSA private key", scheme)
	}
	for _, set := range []struct {
		option string
		keys   iter.Seq2[int, *rsa.PublicKey]
	}{
		{"keys", publicHalves(k.Keys)},
		{"request_keys", publicKeys(k.RequestKeys)},
		{"response_keys", publicKeys(k.ResponseKeys)},
	} {
		for version, key := range set.keys {
			if err := checkRSA(key); err != nil {
				return fmt.Errorf("%s: key %d: %w", set.option, version, err)
			}
		}
	}
	return nil
}

// sign signs the parts, one after the other, with the newest key: RSASSA-PKCS1-v1_5 with SHA-256.
func (k *RSAKeys) sign(parts ...[]byte) (version int, signature []byte, err error) {
	if k.Keys == nil {
		return 0, nil, fmt.Errorf("%w to sign with", ErrNoKeys)
	}
	version, key := k.Keys.Signing()
	signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest(parts))
	if err != nil {
		return 0, nil, fmt.Errorf("sign with key %d: %w", version, err)
	}
	return version, signature, nil
}

// verifyRequest and verifyResponse check a signature over the parts. Version 0 means that the message does not
// name its key: each is tried.
func (k *RSAKeys) verifyRequest(version int, signature []byte, parts ...[]byte) error {
	if k.RequestKeys != nil {
		return verifyRSA(publicKeys(k.RequestKeys), version, signature, parts)
	}
	return verifyRSA(publicHalves(k.Keys), version, signature, parts)
}

func (k *RSAKeys) verifyResponse(version int, signature []byte, parts ...[]byte) error {
	if k.ResponseKeys == nil {
		return fmt.Errorf("%w to verify responses with", ErrNoKeys)
	}
	return verifyRSA(publicKeys(k.ResponseKeys), version, signature, parts)
}

func verifyRSA(keys iter.Seq2[int, *rsa.PublicKey], version int, signature []byte, parts [][]byte) error {
	sum := digest(parts)
	known := false
	for v, key := range keys {
		if version != 0 && v != version {
			continue
		}
		known = true
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) == nil {
			return nil
		}
	}
	if !known {
		return unknownVersion(version)
	}
	return ErrBadSignature
}

func digest(parts [][]byte) []byte {
	h := sha256.New()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

func publicKeys(r *Ring[*rsa.PublicKey]) iter.Seq2[int, *rsa.PublicKey] {
	if r == nil {
		return func(func(int, *rsa.PublicKey) bool) {}
	}
	return r.All()
}

func publicHalves(r *Ring[*rsa.PrivateKey]) iter.Seq2[int, *rsa.PublicKey] {
	return func(yield func(int, *rsa.PublicKey) bool) {
		if r == nil {
			return
		}
		for version, key := range r.All() {
			if !yield(version, &key.PublicKey) {
				return
			}
		}
	}
}
