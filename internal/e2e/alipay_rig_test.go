package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/internal/heldport"
)

// Who calls, and for which merchant the gateway's second site acts.
const (
	alipayApp      = "2021000000000001"
	alipayMerchant = "202608BBour-merchant"
)

// The keys of the app, of the platform and of a client that has no key of the app's.
var (
	appKey      = sync.OnceValue(newKey)
	platformKey = sync.OnceValue(newKey)
	clientKey   = sync.OnceValue(newKey)
)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// alipayRig is a gateway that signs for the Open Platform, which the SDK's own functions play.
type alipayRig struct {
	dir string
	// The addresses of its sites: for no merchant, for ours, and in the certificate mode.
	plain, merchant, certified string
	encryptKey                 string
}

const alipayCaddyfile = `{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	alipayai {
		PROVIDERS
	}
}
SITES`

// startAlipay starts the judge, and a gateway that verifies all of its answers.
func startAlipay(t *testing.T) *alipayRig {
	t.Helper()
	r := &alipayRig{
		dir: t.TempDir(), plain: heldport.Addr(t), merchant: heldport.Addr(t), certified: heldport.Addr(t),
		encryptKey: base64.StdEncoding.EncodeToString([]byte("0123456789abcdef")),
	}
	root := newKey()
	rootDER := certificate(t, &root.PublicKey, root, nil, name(t, "C=CN", "2.5.4.5=91330000", "2.5.4.12=CA", "CN=根"))
	r.write(t, "root.crt", encodePEM("CERTIFICATE", rootDER))
	r.write(t, "app.crt", encodePEM("CERTIFICATE", certificate(t, &appKey().PublicKey, root, rootDER, name(t, "CN=app"))))
	r.write(t, "platform.crt", encodePEM("CERTIFICATE", certificate(t, &platformKey().PublicKey, root, rootDER, name(t, "CN=platform"))))
	r.write(t, "app.key", privatePEM(t, appKey()))
	r.write(t, "platform.pub", publicPEM(t, platformKey()))

	port := startNode(t, "judge.mjs", map[string]string{
		"appPublicKey": publicPEM(t, appKey()), "platformKey": privatePEM(t, platformKey()),
		"encryptKey": r.encryptKey, "appCert": r.file("app.crt"), "platformCert": r.file("platform.crt"), "rootCert": r.file("root.crt"),
	})
	judge := "http://127.0.0.1:" + port
	var providers, sites strings.Builder
	for _, site := range []struct{ name, addr, options string }{
		{"plain", r.plain, ""},
		{"merchant", r.merchant, "app_auth_token {file." + r.write(t, "merchant", alipayMerchant) + "}"},
		{"certified", r.certified, "app_certificate {file." + r.file("app.crt") + "}\nroot_certificates {file." + r.file("root.crt") + "}"},
	} {
		sites.WriteString("http://" + site.addr + " {\n")
		for profile, lists := range map[string]string{"openapi-v3": "paths /v3/*", "openapi-v2": "paths /gateway.do\nmethods alipay.*"} {
			provider := site.name + "-" + profile
			providers.WriteString("provider " + provider + " {\nprofile " + profile + "\nbase_url " + judge + "\nclient_id " + alipayApp +
				"\nkey 1 {file." + r.file("app.key") + "}\npublic_key 1 {file." + r.file("platform.pub") + "}\nverify_response require\n" + site.options + "\n}\n")
			path, _, _ := strings.Cut(strings.TrimPrefix(lists, "paths "), "\n")
			sites.WriteString("reverse_proxy " + path + " " + judge + " {\ntransport alipayai " + provider + " {\n" + lists + "\nallow_anonymous\nkeep_signature\n}\n}\n")
		}
		sites.WriteString("}\n")
	}
	stopCaddy(t)
	loadCaddyfile(t, strings.NewReplacer("PROVIDERS", providers.String(), "SITES", sites.String()).Replace(alipayCaddyfile))
	return r
}

func (r *alipayRig) file(name string) string { return filepath.Join(r.dir, name) }

// write writes a file and gives its path.
func (r *alipayRig) write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(r.file(name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.file(name)
}

// config is the SDK's for a client of a site, who has a key that the platform does not know.
func (r *alipayRig) config(t *testing.T, site string) map[string]any {
	t.Helper()
	c := map[string]any{
		"appId": alipayApp, "privateKey": privatePEM(t, clientKey()), "keyType": "PKCS8",
		"alipayPublicKey": publicPEM(t, platformKey()),
		"endpoint":        "http://" + site, "gateway": "http://" + site + "/gateway.do", "encryptKey": r.encryptKey,
	}
	if site == r.certified {
		c["appCertPath"], c["alipayRootCertPath"], c["alipayPublicCertPath"] = r.file("app.crt"), r.file("root.crt"), r.file("platform.crt")
	}
	return c
}

// name is a distinguished name of "CN=..", "C=.." or "1.2.3=..", each a set of its own.
func name(t *testing.T, attributes ...string) []byte {
	t.Helper()
	var sequence pkix.RDNSequence
	for _, attribute := range attributes {
		kind, value, _ := strings.Cut(attribute, "=")
		oid := map[string]asn1.ObjectIdentifier{"CN": {2, 5, 4, 3}, "C": {2, 5, 4, 6}}[kind]
		if oid == nil {
			parsed, err := x509.ParseOID(kind)
			if err != nil {
				t.Fatal(err)
			}
			der, err := parsed.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			full := append([]byte{asn1.TagOID, byte(len(der))}, der...)
			if _, err := asn1.Unmarshal(full, &oid); err != nil {
				t.Fatal(err)
			}
		}
		sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}})
	}
	der, err := asn1.Marshal(sequence)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// certificate certifies a key under a name, by the issuer's key and certificate; without one it is its own issuer.
func certificate(t *testing.T, key *rsa.PublicKey, issuerKey *rsa.PrivateKey, issuer, subject []byte) []byte {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), RawSubject: subject, BasicConstraintsValid: true, IsCA: issuer == nil,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	parent := template
	if issuer != nil {
		if parent, err = x509.ParseCertificate(issuer); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func privatePEM(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("PRIVATE KEY", der)
}

func publicPEM(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return encodePEM("PUBLIC KEY", der)
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
