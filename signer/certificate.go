package signer

import (
	"bytes"
	"crypto/md5" //nolint:gosec // it names certificates as Alipay does and protects nothing
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Certificate is what the Open Platform's certificate mode needs of an X.509 certificate.
type Certificate struct {
	// SN is Alipay's serial number of the certificate, sent as app_cert_sn.
	SN string
	// NotBefore and NotAfter bound the time in which the certificate is valid.
	NotBefore, NotAfter time.Time
	// PublicKey is the certified key.
	PublicKey *rsa.PublicKey
}

// Expired reports whether the certificate is past its NotAfter.
func (c *Certificate) Expired(now time.Time) bool { return now.After(c.NotAfter) }

// ParseCertificate reads the first certificate of text (PEM, or bare base64). An expired certificate is no
// error here: whoever uses it asks Expired.
func ParseCertificate(text []byte) (*Certificate, error) {
	parsed, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	certificate, ok := parsed.(*x509.Certificate)
	if !ok {
		return nil, fmt.Errorf("%w: it is %s, must be an X.509 certificate", ErrKeyType, kind(parsed))
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: the certificate is for %s, must be for an RSA key", ErrKeyType, kind(certificate.PublicKey))
	}
	if err := checkRSA(key); err != nil {
		return nil, err
	}
	sn, _, err := certSN(certificate.Raw)
	if err != nil {
		return nil, err
	}
	return &Certificate{SN: sn, NotBefore: certificate.NotBefore, NotAfter: certificate.NotAfter, PublicKey: key}, nil
}

// RootCertSN computes alipay_root_cert_sn of a PEM bundle as Alipay's official Node SDK does (getSN of
// antcertutil): the serial numbers of the certificates signed with RSA, joined by underscores. Alipay's own
// bundle also holds SM2 certificates, which do not count.
func RootCertSN(bundle []byte) (string, error) {
	var sns []string
	for rest := bytes.TrimSpace(bundle); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "", fmt.Errorf("%w: its PEM is damaged", ErrKeyFormat)
		}
		sn, signedWithRSA, err := certSN(block.Bytes)
		if err != nil {
			return "", err
		}
		if signedWithRSA {
			sns = append(sns, sn)
		}
	}
	if len(sns) == 0 {
		return "", fmt.Errorf("%w: it holds no certificate that is signed with RSA", ErrKeyFormat)
	}
	return strings.Join(sns, "_"), nil
}

// certSN computes Alipay's serial number of a certificate as its official Node SDK does (alipay-sdk-nodejs-all,
// src/antcertutil.ts, getCertSN): the MD5, in hex, of the issuer's name (attributes last to first, as in
// "CN=..,OU=..,O=..,C=..", unescaped) followed by the decimal serial number. MD5 only names the certificate here. It
// reads the DER itself, because x509 cannot read the SM2 certificates of Alipay's root bundle.
func certSN(der []byte) (sn string, signedWithRSA bool, err error) {
	var certificate struct {
		TBS struct {
			Version   int `asn1:"optional,explicit,default:0,tag:0"`
			Serial    *big.Int
			Algorithm pkix.AlgorithmIdentifier
			Issuer    []attributesSET
			Validity  asn1.RawValue
			Subject   asn1.RawValue
			PublicKey asn1.RawValue
			IssuerID  asn1.RawValue `asn1:"optional,tag:1"`
			SubjectID asn1.RawValue `asn1:"optional,tag:2"`
			Ext       asn1.RawValue `asn1:"optional,tag:3"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &certificate); err != nil || len(rest) > 0 {
		return "", false, fmt.Errorf("%w: it is no X.509 certificate", ErrKeyFormat)
	}
	var issuer []string
	for _, set := range certificate.TBS.Issuer {
		for _, attribute := range set {
			issuer = append(issuer, attributeName(attribute.Type)+"="+nodeText(attribute.Value.Bytes))
		}
	}
	slices.Reverse(issuer)
	//nolint:gosec // as above
	sum := md5.Sum([]byte(strings.Join(issuer, ",") + certificate.TBS.Serial.String()))
	pkcs1 := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1}
	algorithm := certificate.Algorithm.Algorithm
	signedWithRSA = len(algorithm) > len(pkcs1) && slices.Equal(algorithm[:len(pkcs1)], pkcs1)
	return hex.EncodeToString(sum[:]), signedWithRSA, nil
}

// attributesSET is one step of a distinguished name. Its own name tells asn1 that it is a SET.
type attributesSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeName returns the short name of a distinguished name's attribute. The Node SDK knows these and writes others
// without any name, as in "=value" (@fidm/x509 1.2.1, src/x509.ts, getShortName).
func attributeName(oid asn1.ObjectIdentifier) string {
	switch oid.String() {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "1.2.840.113549.1.9.1":
		return "E"
	default:
		return ""
	}
}

// nodeText reads bytes as Node does, which takes every kind of string for UTF-8: what is not becomes U+FFFD, one for each
// beginning of a character that is cut (WHATWG Encoding, UTF-8 decoder).
func nodeText(b []byte) string {
	var text strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			for n := min(3, len(b)); n > 1 && size == 1; n-- {
				if !utf8.FullRune(b[:n]) {
					size = n
				}
			}
		}
		text.WriteRune(r)
		b = b[size:]
	}
	return text.String()
}
