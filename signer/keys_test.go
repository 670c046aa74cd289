package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseRSAKeys(t *testing.T) {
	private := appKey()
	pkcs1 := x509.MarshalPKCS1PrivateKey(private)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(private))(t)
	pkix := must(x509.MarshalPKIXPublicKey(&private.PublicKey))(t)
	public1 := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	ec8 := must(x509.MarshalPKCS8PrivateKey(ec))(t)
	sec1 := must(x509.MarshalECPrivateKey(ec))(t)
	ecPublic := must(x509.MarshalPKIXPublicKey(&ec.PublicKey))(t)
	_, edKey := must2(ed25519.GenerateKey(rand.Reader))(t)
	ed8 := must(x509.MarshalPKCS8PrivateKey(edKey))(t)
	small := newRSAKey(1024)
	small1 := x509.MarshalPKCS1PrivateKey(small)
	smallPublic := must(x509.MarshalPKIXPublicKey(&small.PublicKey))(t)
	certificate := must(os.ReadFile("testdata/certs/app_expired.pem"))(t)
	block := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	bare := base64.StdEncoding.EncodeToString
	encrypted := string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-256-CBC,00"}, Bytes: pkcs1,
	}))

	for name, c := range map[string]struct {
		text            string
		private, public error // what each parser returns
		says            string
	}{
		"PKCS#1":               {block("RSA PRIVATE KEY", pkcs1), nil, ErrKeyType, "an RSA private key"},
		"PKCS#8":               {block("PRIVATE KEY", pkcs8), nil, ErrKeyType, "an RSA private key"},
		"wrong label":          {block("RSA PRIVATE KEY", pkcs8), nil, ErrKeyType, "an RSA private key"},
		"bare PKCS#1":          {bare(pkcs1), nil, ErrKeyType, "an RSA private key"},
		"bare PKCS#8":          {bare(pkcs8), nil, ErrKeyType, "an RSA private key"},
		"bare, in lines":       {" " + bare(pkcs8)[:64] + "\r\n" + bare(pkcs8)[64:] + "\n", nil, ErrKeyType, "an RSA private key"},
		"PKIX":                 {block("PUBLIC KEY", pkix), ErrKeyType, nil, "an RSA public key"},
		"public PKCS#1":        {block("RSA PUBLIC KEY", public1), ErrKeyType, nil, "an RSA public key"},
		"bare PKIX":            {bare(pkix), ErrKeyType, nil, "an RSA public key"},
		"certificate":          {string(certificate), ErrKeyType, nil, "a certificate"},
		"certificate chain":    {string(certificate) + string(certificate), ErrKeyType, nil, "a certificate"},
		"EC":                   {block("PRIVATE KEY", ec8), ErrKeyType, ErrKeyType, "an EC key"},
		"EC, SEC 1":            {block("EC PRIVATE KEY", sec1), ErrKeyType, ErrKeyType, "an EC key"},
		"EC public":            {block("PUBLIC KEY", ecPublic), ErrKeyType, ErrKeyType, "an EC key"},
		"Ed25519":              {block("PRIVATE KEY", ed8), ErrKeyType, ErrKeyType, "another kind"},
		"1024 bits":            {block("RSA PRIVATE KEY", small1), ErrKeyTooShort, ErrKeyType, ""},
		"1024 bits, public":    {block("PUBLIC KEY", smallPublic), ErrKeyType, ErrKeyTooShort, ""},
		"encrypted":            {encrypted, ErrKeyFormat, ErrKeyFormat, "encrypted"},
		"encrypted PKCS#8":     {block("ENCRYPTED PRIVATE KEY", pkcs8), ErrKeyFormat, ErrKeyFormat, "encrypted"},
		"two keys":             {block("PRIVATE KEY", pkcs8) + block("PUBLIC KEY", pkix), ErrKeyFormat, ErrKeyFormat, "more than one"},
		"damaged PEM":          {"-----BEGIN PRIVATE KEY-----\nAAAA\n", ErrKeyFormat, ErrKeyFormat, "damaged"},
		"a byte order mark":    {"\xEF\xBB\xBF" + block("PRIVATE KEY", pkcs8), nil, ErrKeyType, "an RSA private key"},
		"CRLF":                 {strings.ReplaceAll(block("PRIVATE KEY", pkcs8), "\n", "\r\n"), nil, ErrKeyType, "an RSA private key"},
		"binary":               {string(pkcs8), ErrKeyFormat, ErrKeyFormat, "binary (DER)"},
		"UTF-16":               {"\xFF\xFE-\x00-\x00", ErrKeyFormat, ErrKeyFormat, "UTF-16"},
		"one line":             {strings.ReplaceAll(block("PRIVATE KEY", pkcs8), "\n", " "), ErrKeyFormat, ErrKeyFormat, "lost its line breaks"},
		"escaped line breaks":  {strings.ReplaceAll(block("PRIVATE KEY", pkcs8), "\n", `\n`), ErrKeyFormat, ErrKeyFormat, "lost its line breaks"},
		"bag attributes":       {"Bag Attributes\n    friendlyName: hunter2\n" + block("PRIVATE KEY", pkcs8), ErrKeyFormat, ErrKeyFormat, "something before"},
		"quotes":               {`"` + block("PRIVATE KEY", pkcs8) + `"`, ErrKeyFormat, ErrKeyFormat, "something before"},
		"no base64":            {"hunter2-hunter2!", ErrKeyFormat, ErrKeyFormat, "neither PEM nor base64"},
		"base64 of other data": {"aHVudGVyMg==", ErrKeyFormat, ErrKeyFormat, "no key"},
		"empty":                {"", ErrKeyFormat, ErrKeyFormat, "neither PEM nor base64"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParseRSAPrivateKey([]byte(c.text))
			if !errors.Is(err, c.private) || err == nil && !key.Equal(private) || err != nil && key != nil {
				t.Errorf("private: got %v, want %v", err, c.private)
			}
			pub, pubErr := ParseRSAPublicKey([]byte(c.text))
			if !errors.Is(pubErr, c.public) || (pubErr == nil) != (pub != nil) {
				t.Errorf("public: got %v, want %v", pubErr, c.public)
			}
			if all := fmt.Sprint(err, pubErr); !strings.Contains(all, c.says) || strings.Contains(all, "hunter2") {
				t.Errorf("errors %q must say %q and no content", all, c.says)
			}
		})
	}
}

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

func TestParseHMACKey(t *testing.T) {
	if _, err := ParseHMACKey(bytes.Repeat([]byte("k"), 15)); !errors.Is(err, ErrKeyTooShort) {
		t.Errorf("15 bytes: got %v", err)
	}
	secret := []byte("hunter2-hunter2!")
	key := must(ParseHMACKey(secret))(t)
	if text := fmt.Sprintf("%v %+v %#v %s", key, key, key, []any{key}); strings.Contains(text, "hunter2") {
		t.Errorf("prints its secret: %s", text)
	}
	sum := func() string {
		state := key.get(macSHA256)
		defer key.put(macSHA256, state)
		state.buf = state.buf[:0]
		return string(state.mac(nil))
	}
	before := sum()
	clear(secret)
	for range 100 { // whichever pooled state it gets
		if sum() != before {
			t.Fatal("the key keeps the caller's memory")
		}
	}
}

func TestParseToken(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "newline": "sk-hunter2\nX: y", "CR": "sk-hunter2\r", "NUL": "sk\x00hunter2", "space": "sk hunter2", "not ASCII": "密",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseToken([]byte(text)); !errors.Is(err, ErrKeyFormat) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
	if got := must(ParseToken([]byte("sk-1")))(t); got != "sk-1" {
		t.Errorf("got %q", got)
	}
}

// The expected serial numbers were computed with openssl and md5sum: the issuer as -nameopt RFC2253 prints it,
// followed by the decimal serial number.
func TestCertificate(t *testing.T) {
	c := must(ParseCertificate(must(os.ReadFile("testdata/certs/app_expired.pem"))(t)))(t)
	if want := "cb01a52047b3486a07daa65487ce9272"; c.SN != want {
		t.Errorf("SN: got %s, want %s", c.SN, want)
	}
	end := time.Date(2022, 5, 18, 0, 0, 0, 0, time.UTC)
	if !c.NotAfter.Equal(end) || c.Expired(end) || !c.Expired(end.Add(time.Second)) {
		t.Errorf("NotAfter: got %v", c.NotAfter)
	}
	if c.PublicKey.N.BitLen() != 2048 {
		t.Errorf("key: got %d bits", c.PublicKey.N.BitLen())
	}

	bundle := must(os.ReadFile("testdata/certs/root_bundle.pem"))(t) // RSA, SM2, RSA with SHA-1
	const want = "2e8588c0e8dd17593582d732e71268b3_3483b4ac36fc2ff7cdf9a5731f302142"
	if got := must(RootCertSN(bundle))(t); got != want {
		t.Errorf("root SN: got %s, want %s", got, want)
	}
	sm2 := must(os.ReadFile("testdata/certs/sm2.pem"))(t)
	sn, isRSA, err := certSN(must(decodeKey(sm2))(t))
	if want := "26309694171fe4d6e15eb353726421ed"; sn != want || isRSA || err != nil {
		t.Errorf("SM2: got %s, %v, %v", sn, isRSA, err)
	}
}

func TestRefusedCertificates(t *testing.T) {
	certify := func(key crypto.Signer) []byte {
		t.Helper()
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
		return must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	}
	for name, c := range map[string]struct {
		der  []byte
		want error
	}{
		"for an EC key":       {certify(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)), ErrKeyType},
		"for a short RSA key": {certify(newRSAKey(1024)), ErrKeyTooShort},
		"cut":                 {certify(appKey())[:300], ErrKeyFormat},
	} {
		text := base64.StdEncoding.EncodeToString(c.der)
		if got, err := ParseCertificate([]byte(text)); !errors.Is(err, c.want) || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	public := must(os.ReadFile("testdata/vectors/test_app_public.pem"))(t)
	sm2 := must(os.ReadFile("testdata/certs/sm2.pem"))(t)
	if _, err := ParseCertificate(public); !errors.Is(err, ErrKeyType) {
		t.Errorf("a public key: got %v", err)
	}
	for name, bundle := range map[string][]byte{"empty": nil, "no PEM": []byte("x"), "a key": public, "SM2 only": sm2} {
		if got, err := RootCertSN(bundle); !errors.Is(err, ErrKeyFormat) {
			t.Errorf("root bundle, %s: got %q, %v", name, got, err)
		}
	}
}
