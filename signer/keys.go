package signer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
)

const (
	// MinSecretSize is the least size in bytes of an HMAC secret that ParseHMACKey takes.
	MinSecretSize = 16
	// MinRSABits is the least size of an RSA key; the Open Platform's RSA2 demands the same.
	MinRSABits = 2048
)

// ParseHMACKey takes the bytes of a secret as they are. It returns ErrKeyTooShort below MinSecretSize.
func ParseHMACKey(secret []byte) (*HMACKey, error) {
	if len(secret) < MinSecretSize {
		return nil, fmt.Errorf("%w: an hmac secret must have at least %d bytes", ErrKeyTooShort, MinSecretSize)
	}
	return NewHMACKey(secret), nil
}

// ParseToken takes a bearer token or API key as it is: visible ASCII only, since it becomes a header's value.
func ParseToken(token []byte) (string, error) {
	if err := checkID("token", string(token), ""); err != nil {
		return "", fmt.Errorf("%w: %w", ErrKeyFormat, err)
	}
	return string(token), nil
}

// ParseRSAPrivateKey reads an unencrypted RSA private key of PKCS#1 or PKCS#8, as PEM or as the bare base64
// that Alipay's consoles export. It returns ErrKeyFormat, ErrKeyType or ErrKeyTooShort.
func ParseRSAPrivateKey(text []byte) (*rsa.PrivateKey, error) {
	parsed, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is %s, must be an RSA private key", ErrKeyType, kind(parsed))
	}
	if err := checkRSA(&key.PublicKey); err != nil {
		return nil, err
	}
	return key, nil
}

// ParseRSAPublicKey reads an RSA public key of PKIX or PKCS#1, or takes that of an X.509 certificate, as PEM
// or as bare base64. It returns ErrKeyFormat, ErrKeyType or ErrKeyTooShort. It does not look at a
// certificate's dates: see ParseCertificate.
func ParseRSAPublicKey(text []byte) (*rsa.PublicKey, error) {
	parsed, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	if certificate, ok := parsed.(*x509.Certificate); ok {
		parsed = certificate.PublicKey
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: it is %s, must be an RSA public key or certificate", ErrKeyType, kind(parsed))
	}
	if err := checkRSA(key); err != nil {
		return nil, err
	}
	return key, nil
}

func checkRSA(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < MinRSABits {
		return fmt.Errorf("%w: an RSA key must have at least %d bits, not %d", ErrKeyTooShort, MinRSABits, bits)
	}
	return nil
}

// parseKey reads whatever key or certificate the text holds. What the DER says counts, not the PEM label,
// which is often wrong on keys that were wrapped by hand.
func parseKey(text []byte) (any, error) {
	der, err := decodeKey(text)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key, nil
	}
	if certificate, err := x509.ParseCertificate(der); err == nil {
		return certificate, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	// The reasons that x509 gives could tell bytes of the key.
	return nil, fmt.Errorf("%w: it is no key of PKCS#1, PKCS#8 or PKIX and no X.509 certificate", ErrKeyFormat)
}

// decodeKey returns the DER of PEM or bare base64. Only certificates may be followed by more (their chain).
func decodeKey(text []byte) ([]byte, error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))) // a byte order mark
	switch {
	case bytes.HasPrefix(text, []byte("\x30\x82")): // a SEQUENCE of 256 bytes or more
		return nil, fmt.Errorf("%w: it is binary (DER), must be PEM or base64", ErrKeyFormat)
	case bytes.HasPrefix(text, []byte("\xFF\xFE")), bytes.HasPrefix(text, []byte("\xFE\xFF")):
		return nil, fmt.Errorf("%w: it is text in UTF-16, must be UTF-8", ErrKeyFormat)
	case bytes.Index(text, []byte("-----BEGIN")) > 0:
		return nil, fmt.Errorf("%w: it has something before its -----BEGIN, must begin with that", ErrKeyFormat)
	}
	if !bytes.HasPrefix(text, []byte("-----")) {
		text = bytes.Join(bytes.Fields(text), nil)
		der, err := base64.StdEncoding.AppendDecode(nil, text)
		if err != nil || len(der) == 0 {
			return nil, fmt.Errorf("%w: it is neither PEM nor base64", ErrKeyFormat)
		}
		return der, nil
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil && !bytes.Contains(text, []byte("\n")):
		return nil, fmt.Errorf("%w: its PEM has lost its line breaks, must have them as it was written", ErrKeyFormat)
	case block == nil:
		return nil, fmt.Errorf("%w: its PEM is damaged", ErrKeyFormat)
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, fmt.Errorf("%w: it is encrypted, must be stored unencrypted", ErrKeyFormat)
	case len(bytes.TrimSpace(rest)) > 0 && block.Type != "CERTIFICATE":
		return nil, fmt.Errorf("%w: it holds more than one PEM block", ErrKeyFormat)
	}
	return block.Bytes, nil
}

// kind names what parseKey returned, for errors.
func kind(key any) string {
	switch key.(type) {
	case *rsa.PrivateKey:
		return "an RSA private key"
	case *rsa.PublicKey:
		return "an RSA public key"
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		return "an EC key"
	case *x509.Certificate:
		return "a certificate"
	default:
		return "a key of another kind"
	}
}
