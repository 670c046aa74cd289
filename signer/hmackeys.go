package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// KeyEncoding is how the text of an HMAC secret stands for its bytes.
type KeyEncoding string

// The encodings.
const (
	// KeyText is the bytes of the text itself, and the default.
	KeyText KeyEncoding = "text"
	// KeyHex is hexadecimal.
	KeyHex KeyEncoding = "hex"
	// KeyBase64 is standard base64 with padding. What stands up to an underscore is no part of it, as the
	// whsec_ of Standard Webhooks (its specification, "Signature scheme").
	KeyBase64 KeyEncoding = "base64"
)

// Parse is ParseHMACKey of a secret in this encoding. The errors tell nothing of the secret.
func (e KeyEncoding) Parse(text []byte) (*HMACKey, error) {
	secret, err := e.decode(text)
	if err != nil {
		return nil, err
	}
	return ParseHMACKey(secret)
}

// Check refuses an encoding that there is not.
func (e KeyEncoding) Check() error {
	switch e {
	case "", KeyText, KeyHex, KeyBase64:
		return nil
	}
	return fmt.Errorf("key_encoding %q is unknown; use text, hex or base64", string(e))
}

func (e KeyEncoding) decode(text []byte) (secret []byte, err error) {
	switch e {
	case KeyHex:
		secret, err = hex.AppendDecode(nil, text)
	case KeyBase64:
		secret, err = base64.StdEncoding.Strict().AppendDecode(nil, text[bytes.IndexByte(text, '_')+1:])
	default:
		return text, e.Check()
	}
	if err != nil { // which would tell a byte of it
		return nil, fmt.Errorf("%w: it is not in %s", ErrKeyFormat, e)
	}
	return secret, nil
}
